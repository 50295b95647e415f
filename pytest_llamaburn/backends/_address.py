"""The address of a server: parsing `--host`, and checks of the address."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from pytest_llamaburn.backends._secrets import KEY_VARIABLE
from pytest_llamaburn.environment import in_container
from pytest_llamaburn.errors import SettingsError

CONTAINER_HOST = "host.docker.internal"
LOOPBACK_ONLY = (
    "A container does not reach an Ollama that listens on 127.0.0.1 only, as it does by default: "
    "start it on the host with OLLAMA_HOST=0.0.0.0."
)
_CALL = re.compile(
    r"(/(chat/)?completions|/models|/embeddings|/responses"
    r"|/api/(chat|generate|embed|tags|show|ps|version))$"
)
_LABEL = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_FORMS = "write HOST, HOST:PORT, :PORT or http://HOST:PORT"


class Address(NamedTuple):
    """Host, port, scheme and base path of a server."""

    host: str
    port: int
    tls: bool = False
    path: str = ""

    @property
    def url(self) -> str:
        """The base URL."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{name}:{self.port}{self.path}"

    @property
    def authority(self) -> str:
        """The value of the Host header: without a default port and without an IPv6 zone."""
        host = self.host.partition("%")[0]
        name = f"[{host}]" if ":" in host else host
        return name if self.port == (443 if self.tls else 80) else f"{name}:{self.port}"


def hosts_of(text: str | None) -> list[str]:
    """Return the addresses in the text of `--host`, which commas separate; None for no text.

    Raises SettingsError if one is missing, invalid, or there twice.
    """
    if text is None:
        return []
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 1 and not all(parts):
        raise SettingsError(f"--host: '{text}' is refused: there is no address beside a comma")
    urls = [parse_host(part).url for part in parts]
    for url in urls:
        if urls.count(url) > 1:
            raise SettingsError(f"--host: {url} is given twice: name each server once")
    return parts


def parse_host(text: str) -> Address:
    """Return the address in a URL, `host`, `host:port` or `:port`, read as Ollama reads it.

    An IPv6 address without a port needs no brackets. The path is the root of the API; the path of
    one endpoint, such as `/v1/chat/completions`, is shortened to that root.
    Raises SettingsError if the text is invalid or has a password: result files show the host.
    """
    if "," in text:
        raise SettingsError(
            f"--host: '{text}' names several servers: only stress and eval send to several"
        )
    try:
        parts = urlsplit(_with_scheme(text.strip()))
    except ValueError as err:
        raise SettingsError(f"--host: '{text}' is refused: {str(err).lower()}") from None
    if text.strip() and not parts.netloc:
        raise SettingsError(f"--host: '{text}' is refused: it names no host: {_FORMS}")
    try:
        port = parts.port
    except ValueError:
        raise SettingsError(
            f"--host: '{text}' is refused: its port is not a number up to 65535"
        ) from None
    if parts.scheme not in ("http", "https", "ollama"):
        raise SettingsError(f"--host: '{text}' is refused: only http and https are supported")
    if parts.username or parts.password:
        raise SettingsError(f"--host: a password in the URL is refused: set {KEY_VARIABLE} instead")
    if parts.query or parts.fragment:
        raise SettingsError("--host: the URL is refused: remove the part after its path")
    if parts.netloc.endswith(":"):
        raise SettingsError(f"--host: '{text}' is refused: no port follows the colon: {_FORMS}")
    default = {"http": 80, "https": 443, "ollama": 11434}[parts.scheme]
    host, path = _host_name(text, parts.hostname or "127.0.0.1"), quote(parts.path, safe="/%:@~+,=")
    return Address(host, port or default, parts.scheme == "https", api_root(path))


def api_root(path: str) -> str:
    """Return a URL or a path without the API endpoint at its end."""
    return _CALL.sub("", path.rstrip("/"))


def api_roots(address: Address) -> list[Address]:
    """Return where the root of the API may be: the address itself, and `/v1` below it."""
    path = address.path
    below = [] if path.endswith("/v1") else [f"{path}/v1"]
    found = [path, *below] if path else [*below, ""]
    return [address._replace(path=one) for one in found]


def _with_scheme(text: str) -> str:
    if "://" in text:
        return text
    try:
        bare = ipaddress.ip_address(text).version == 6
    except ValueError:
        bare = False
    return f"ollama://[{text}]" if bare else f"ollama://{text}"


def _host_name(text: str, host: str) -> str:
    """Return a normalized host; a wildcard address such as 0.0.0.0 becomes a loopback address."""
    if host.isascii() and host.isdigit():
        raise SettingsError(f"--host: '{text}' is refused: write :{host} for a port alone")
    try:
        if ":" in host:  # a zone follows % or, as in URLs, %25
            named = ipaddress.ip_address(host.replace("%25", "%")).compressed
        else:
            named = host.encode("idna").decode().lower()
            if named.rpartition(".")[2].isdigit():  # no top-level domain is a number
                ipaddress.IPv4Address(named)
    except ValueError:
        named = ""
    if not (named.isprintable() if ":" in named else _NAME.fullmatch(named)):
        raise SettingsError(f"--host: '{text}' is refused: '{host}' is not a valid host name")
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(named, named)  # noqa: S104 - nothing is bound


def is_local(address: Address) -> bool:
    """Return whether an address belongs to this machine: loopback or one of its interfaces."""
    if address.host in ("localhost", socket.gethostname()):
        return True
    try:
        ip = ipaddress.ip_address(address.host)
    except ValueError:
        return False
    import psutil

    interfaces = psutil.net_if_addrs().values()
    own = {entry.address.partition("%")[0] for entries in interfaces for entry in entries}
    return ip.is_loopback or str(ip).partition("%")[0] in own


def unreachable(address: Address, err: Exception) -> str:
    """Return the error message for a server that does not answer, with advice."""
    reason = str(err).rstrip(".") or type(err).__name__
    return (
        f"no server at {address.url}: {reason}. Start it (ollama serve), choose another with "
        f"--host, or use --backend embedded, which needs no server.{_advice(address)}"
    )


def _advice(address: Address) -> str:
    """Return what a container needs in order to reach a server of its host."""
    if not in_container():
        return ""
    if is_local(address):
        return f" From inside a container, use --host http://{CONTAINER_HOST}:11434."
    return f" {LOOPBACK_ONLY}" if address.host == CONTAINER_HOST else ""
