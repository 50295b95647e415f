"""Where a server listens: what users write, and what the network knows it by."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from pytest_llamaburn.backends._secrets import KEY_VARIABLE
from pytest_llamaburn.errors import SettingsError

_CALL = re.compile(
    r"(/(chat/)?completions|/models|/embeddings|/responses"
    r"|/api/(chat|generate|embed|tags|show|ps|version))$"
)
_LABEL = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_FORMS = "write HOST, HOST:PORT, :PORT or http://HOST:PORT"


class Address(NamedTuple):
    """Where a server listens."""

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
        """The value of the Host header: no default port, and no zone of this machine's."""
        host = self.host.partition("%")[0]
        name = f"[{host}]" if ":" in host else host
        return name if self.port == (443 if self.tls else 80) else f"{name}:{self.port}"


def parse_host(text: str) -> Address:
    """Return the address a user means by a URL, `host`, `host:port` or `:port`, as Ollama does.

    An IPv6 address may lack its brackets where no port follows. A path is the API's root; that of
    one call, as `/v1/chat/completions`, is cut down to it.
    Raises SettingsError; a key in the URL is refused, since the host is written to files.
    """
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
            f"--host: '{text}' is refused: its port is no number up to 65535"
        ) from None
    if parts.scheme not in ("http", "https", "ollama"):
        raise SettingsError(f"--host: '{text}' is refused: only http and https are spoken")
    if parts.username or parts.password:
        raise SettingsError(f"--host: a password in the URL is refused: set {KEY_VARIABLE} instead")
    if parts.query or parts.fragment:
        raise SettingsError("--host: the URL is refused: leave out what follows its path")
    if parts.netloc.endswith(":"):
        raise SettingsError(f"--host: '{text}' is refused: no port follows the colon: {_FORMS}")
    default = {"http": 80, "https": 443, "ollama": 11434}[parts.scheme]
    host, path = _host_name(text, parts.hostname or "127.0.0.1"), quote(parts.path, safe="/%:@~+,=")
    return Address(host, port or default, parts.scheme == "https", api_root(path))


def api_root(path: str) -> str:
    """Return a URL, or the path of one, without a call of the API at its end."""
    return _CALL.sub("", path.rstrip("/"))


def _with_scheme(text: str) -> str:
    if "://" in text:
        return text
    try:
        bare = ipaddress.ip_address(text).version == 6
    except ValueError:
        bare = False
    return f"ollama://[{text}]" if bare else f"ollama://{text}"


def _host_name(text: str, host: str) -> str:
    """Return a host as the network knows it; for a server's bind address, its loopback address."""
    if host.isascii() and host.isdigit():
        raise SettingsError(f"--host: '{text}' is refused: for a port alone write :{host}")
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
        raise SettingsError(f"--host: '{text}' is refused: '{host}' is no name of a host")
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(named, named)  # noqa: S104 - nothing is bound


def is_local(address: Address) -> bool:
    """Return whether an address is this machine's: a loopback one, or one of its interfaces'."""
    if address.host in ("localhost", socket.gethostname()):
        return True
    try:
        ip = ipaddress.ip_address(address.host)
    except ValueError:
        return False
    return ip.is_loopback or str(ip).partition("%")[0] in _own_addresses()


def _own_addresses() -> set[str]:
    import psutil

    found = (one.address for all_of in psutil.net_if_addrs().values() for one in all_of)
    return {address.partition("%")[0] for address in found}


def unreachable(address: Address, err: Exception) -> str:
    """Return the sentence for a server that does not answer."""
    hint = ""
    if os.path.exists("/.dockerenv") and is_local(address):  # noqa: PTH110 - no need for pathlib here
        hint = " In a container the host is http://host.docker.internal:11434."
    reason = str(err).rstrip(".") or type(err).__name__
    return (
        f"no server at {address.url}: {reason}. Start it (ollama serve), name another with --host, "
        f"or use --backend embedded, which needs none.{hint}"
    )
