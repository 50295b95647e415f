"""Addresses: what a user means by a host, and whether it is this machine."""

from __future__ import annotations

import os
import socket
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llamaburn.backends import _address
from pytest_llamaburn.backends._address import Address, is_local, parse_host, unreachable
from pytest_llamaburn.backends._secrets import auth_headers
from pytest_llamaburn.errors import SettingsError

DEFAULT = ("127.0.0.1", 11434)

FORMS = "write HOST, HOST:PORT, :PORT or http://HOST:PORT"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", Address(*DEFAULT)),
        ("box", Address("box", 11434)),
        (" box:8080 ", Address("box", 8080)),
        (":8080", Address("127.0.0.1", 8080)),
        ("0.0.0.0", Address(*DEFAULT)),  # noqa: S104 - nothing is bound
        ("0.0.0.0:8080", Address("127.0.0.1", 8080)),
        ("[::]", Address("::1", 11434)),
        ("[::]:8080", Address("::1", 8080)),
        ("::", Address("::1", 11434)),
        ("::1", Address("::1", 11434)),
        ("[::1]", Address("::1", 11434)),
        ("http://[0:0:0:0:0:0:0:1]:8080", Address("::1", 8080)),
        ("[fe80::1%eth0]:8080", Address("fe80::1%eth0", 8080)),
        ("[FE80::1%25eth0]:8080", Address("fe80::1%eth0", 8080)),
        ("fe80::1%eth0", Address("fe80::1%eth0", 11434)),
        ("b\u00fccher.example", Address("xn--bcher-kva.example", 11434)),
        ("https://[::]/v1", Address("::1", 443, tls=True, path="/v1")),
        ("http://box", Address("box", 80)),
        ("http://box:11434/", Address("box", 11434)),
        ("my_box-1.lan.", Address("my_box-1.lan.", 11434)),
        ("https://box", Address("box", 443, tls=True)),
        ("HTTPS://Box.Example:8443", Address("box.example", 8443, tls=True)),
        ("http://localhost:1234/v1/", Address("localhost", 1234, path="/v1")),
        ("https://box/proxy/v1", Address("box", 443, tls=True, path="/proxy/v1")),
        ("https://box/v1/chat/completions", Address("box", 443, tls=True, path="/v1")),
        (
            "https://box/api/paas/v4/completions/",
            Address("box", 443, tls=True, path="/api/paas/v4"),
        ),
        ("box/v1/models", Address("box", 11434, path="/v1")),
        ("box/api/chat", Address("box", 11434)),
        ("box/proxy/api/generate", Address("box", 11434, path="/proxy")),
        ("box/a b", Address("box", 11434, path="/a%20b")),
        ("http://box/v1/more", Address("box", 80, path="/v1/more")),
        ("box:8080/api", Address("box", 8080, path="/api")),
    ],
)
def test_an_address_is_what_ollama_would_understand(text: str, address: Address) -> None:
    assert parse_host(text) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("box:port", "its port is not a number up to 65535"),
        ("box:99999", "its port is not a number up to 65535"),
        ("http://::1", "its port is not a number up to 65535"),
        ("a b", "'a b' is not a valid host name"),
        ("http://a..b", "'a..b' is not a valid host name"),
        ("[::1%25]", "'::1%25' is not a valid host name"),
        ("ftp://box", "only http and https are supported"),
        ("[::1", "invalid ipv6 url"),
        ("http:/localhost:11434", f"no port follows the colon: {FORMS}"),
        ("//localhost", f"it names no host: {FORMS}"),
        ("http://", f"it names no host: {FORMS}"),
        ("http;//localhost", "'http;' is not a valid host name"),
        (r"\\server", r"'\\server' is not a valid host name"),
        ("-1", "'-1' is not a valid host name"),
        ("192.168.1.300", "'192.168.1.300' is not a valid host name"),
        ("1.2.3", "'1.2.3' is not a valid host name"),
        ("11434", "write :11434 for a port alone"),
        ("http://[box]", "'box' does not appear to be an ipv4 or ipv6 address"),
    ],
)
def test_what_is_no_address_is_refused_by_reason(text: str, reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_host(text)
    assert str(caught.value) == f"--host: '{text}' is refused: {reason}"


@pytest.mark.parametrize("text", ["http://me:secret@box", "http://secret@box", "me:secret@box"])
def test_a_password_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(SettingsError, match="set LLAMABURN_API_KEY instead") as caught:
        parse_host(text)
    assert "secret" not in str(caught.value)


def test_what_follows_the_path_is_refused_without_being_repeated() -> None:
    with pytest.raises(SettingsError, match="remove the part after its path") as caught:
        parse_host("https://box/v1?key=secret")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "authority"),
    [
        (Address("box", 11434), "box:11434"),
        (Address("box", 80), "box"),
        (Address("box", 443, tls=True), "box"),
        (Address("::1", 11434), "[::1]:11434"),
        (Address("::1", 80), "[::1]"),
        (Address("fe80::1%eth0", 11434), "[fe80::1]:11434"),
    ],
)
def test_the_host_header_has_brackets_and_no_zone(address: Address, authority: str) -> None:
    assert address.authority == authority


@given(st.text(max_size=30) | st.text("[]:/@.%0x-", max_size=15))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse_host(text)
    except SettingsError:
        return
    assert address.host
    assert 0 < address.port < 65536


@given(
    st.sampled_from(["box", "10.0.0.7", "::1", "fe80::1", "fe80::1%eth0"]),
    st.integers(1, 65535),
    st.booleans(),
    st.sampled_from(["", "/proxy", "/a/b"]),
)
def test_an_address_survives_being_written_as_a_url(
    host: str, port: int, tls: bool, path: str
) -> None:
    address = Address(host, port, tls, path)
    assert parse_host(address.url) == address


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        (socket.gethostname(), True),
        ("10.0.0.7", False),
        ("example.org", False),
        ("localhost.example.org", False),
    ],
)
def test_only_this_machine_is_local(host: str, local: bool) -> None:
    assert is_local(Address(host, 1)) is local


def test_an_address_of_this_machine_s_interfaces_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    interfaces = {
        "eth0": [SimpleNamespace(address="192.0.2.7")],
        "eth1": [SimpleNamespace(address="fe80::1%eth1"), SimpleNamespace(address="02:00:5e:10")],
    }
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: interfaces)
    assert is_local(Address("192.0.2.7", 1))
    assert is_local(Address("fe80::1", 1))
    assert not is_local(Address("192.0.2.8", 1))


def test_a_key_is_sent_only_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLAMABURN_API_KEY", raising=False)
    assert auth_headers() == {}
    monkeypatch.setenv("LLAMABURN_API_KEY", "word")
    assert auth_headers() == {"Authorization": "Bearer word"}


def test_blanks_around_a_key_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMABURN_API_KEY", " word\r\n")
    assert auth_headers() == {"Authorization": "Bearer word"}


@pytest.mark.parametrize("key", ["sk-\rsecret", "sk-\x00secret", "sk-sécret", "sk-\udcffsecret"])
def test_a_key_that_fits_in_no_header_is_refused_without_being_repeated(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"LLAMABURN_API_KEY": key})
    with pytest.raises(SettingsError, match=r"^LLAMABURN_API_KEY is not a valid key") as caught:
        auth_headers()
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("container", "host", "hinted"),
    [
        (True, "localhost", "use --host http://host.docker.internal:11434."),
        (True, "host.docker.internal", "start it on the host with OLLAMA_HOST=0.0.0.0."),
        (True, "box", "needs no server."),
        (False, "localhost", "needs no server."),
    ],
)
def test_a_container_is_told_how_to_reach_its_host(
    monkeypatch: pytest.MonkeyPatch, container: bool, host: str, hinted: str
) -> None:
    monkeypatch.setattr(_address, "in_container", lambda: container)
    message = unreachable(Address(host, 1), OSError("connection refused."))
    assert message.startswith(f"no server at http://{host}:1: connection refused. Start it")
    assert message.endswith(hinted)


def test_a_wordless_error_is_told_by_its_type() -> None:
    assert "http://box:1: TimeoutError. " in unreachable(Address("box", 1), TimeoutError())
