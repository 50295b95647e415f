"""Who may ask the server what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.web_api import ORIGIN, TOKEN, serving

from pytest_llamaburn.web import app, security

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio
PULL = {"name": "nothing"}


async def status(tmp_path: Path, method: str, path: str, **about: Any) -> int:
    async with serving(tmp_path) as api:
        return (await api.request(method, path, **about)).status_code


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:7737.evil.example", ""]
)
async def test_a_foreign_host_is_refused(host: str, tmp_path: Path) -> None:
    assert await status(tmp_path, "GET", "/health", headers={"host": host}) == 421


@pytest.mark.parametrize(
    "host",
    [*("127.0.0.1:7737", "localhost:7737", "LOCALHOST:7737", "[::1]:7737"), "bench.example"],
)
async def test_our_own_and_trusted_hosts_are_served(host: str, tmp_path: Path) -> None:
    assert await status(tmp_path, "GET", "/health", headers={"host": host}) == 200


async def test_an_address_that_means_all_of_a_machine_is_no_name() -> None:
    assert "0.0.0.0:1" not in security.rules("0.0.0.0", 1, [], TOKEN).hosts  # noqa: S104
    assert "10.0.0.7:1" in security.rules("10.0.0.7", 1, [], TOKEN).hosts
    assert "[fd00::7]:1" in security.rules("fd00::7", 1, [], TOKEN).hosts
    assert "localhost" in security.rules("127.0.0.1", 80, [], TOKEN).hosts


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:8000"},
        {"origin": "file://127.0.0.1:7737"},
        {"origin": "http://[127.0.0.1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": ORIGIN},
    ],
)
async def test_a_page_of_another_origin_changes_nothing(
    headers: dict[str, str], tmp_path: Path
) -> None:
    assert await status(tmp_path, "POST", "/models/pull", json=PULL, headers=headers) == 403
    assert await status(tmp_path, "DELETE", "/results/benchmarks/x", headers=headers) == 403


@pytest.mark.parametrize("headers", [{"origin": ORIGIN, "sec-fetch-site": "same-origin"}, {}])
async def test_our_page_and_programs_may(headers: dict[str, str], tmp_path: Path) -> None:
    path = "/results/benchmarks/x"
    assert await status(tmp_path, "DELETE", path, headers=headers) == 404


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", "Bearer ü"])
async def test_without_the_token_nothing_is_told(given: str, tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        del api.headers["authorization"]
        answer = await api.get("/jobs", headers=[(b"authorization", given.encode())])
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "open the address that llamaburn serve printed" in answer.json()["detail"]


async def test_a_token_in_the_query_or_a_cookie_is_no_token(tmp_path: Path) -> None:
    async with serving(tmp_path, authorization="") as api:
        assert (await api.get(f"/jobs?token={TOKEN}")).status_code == 401
        assert (await api.get("/jobs", headers={"cookie": f"token={TOKEN}"})).status_code == 401


async def test_a_header_that_comes_twice_is_not_believed(tmp_path: Path) -> None:
    twice = [("authorization", f"Bearer {TOKEN}"), ("authorization", f"Bearer {TOKEN}")]
    async with serving(tmp_path) as api:
        del api.headers["authorization"]
        assert (await api.get("/jobs", headers=twice)).status_code == 401


@pytest.mark.parametrize("path", security.PUBLIC)
async def test_what_is_open_to_all_needs_no_token(path: str, tmp_path: Path) -> None:
    async with serving(tmp_path, authorization="") as api:
        assert (await api.get(path)).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_that_is_not_said_to_be_json_is_refused(kind: str, tmp_path: Path) -> None:
    about = {"content": b'{"name": "x"}', "headers": {"content-type": kind}}
    assert await status(tmp_path, "POST", "/models/pull", **about) == 415


async def test_a_large_body_is_refused_with_a_sentence(tmp_path: Path) -> None:
    async def pieces() -> Any:
        for _ in range(20):
            yield b" " * 100_000

    async with serving(tmp_path) as api:
        answer = await api.post("/models/pull", content=pieces())
    assert answer.status_code == 413
    assert answer.json()["detail"].startswith("the body is larger than 1,000,000 bytes")


@pytest.mark.parametrize("path", ["/", "/docs", "/health", "/jobs", "/nowhere"])
async def test_each_answer_has_the_security_headers(path: str, tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        headers = (await api.get(path, headers={"origin": "http://evil.example"})).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "microphone=(self)" in headers["permissions-policy"]
    assert not [name for name in headers if name.startswith("access-control-")]


async def test_a_fault_of_ours_is_a_sentence_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as api:
        monkeypatch.setattr(api.service.jobs, "find", lambda _: 1 / 0)
        answer = await api.get("/jobs/20261130T120000-0a1b2c")
    assert answer.status_code == 500
    assert answer.json()["detail"].startswith("an internal error")
    assert capsys.readouterr().err == (
        "llamaburn: GET /jobs/20261130T120000-0a1b2c: ZeroDivisionError: division by zero\n"
    )


async def test_a_fault_after_the_answer_began_ends_it() -> None:
    sent: list[str] = []

    async def faulty(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise OSError("gone")

    async def send(message: Any) -> None:
        sent.append(message["type"])

    guard = security.Guard(faulty, security.rules("127.0.0.1", 7737, [], TOKEN))
    headers = [(b"host", b"127.0.0.1:7737")]
    scope = {"type": "http", "method": "GET", "path": "/health", "headers": headers}
    await guard(scope, None, send)  # type: ignore[arg-type]
    assert sent == ["http.response.start"]


async def test_other_protocols_are_not_spoken() -> None:
    asked: list[str] = []

    async def inner(scope: Any, _: Any, __: Any) -> None:
        asked.append(scope["type"])

    guard = security.Guard(inner, security.rules("127.0.0.1", 7737, [], TOKEN))
    for kind in ("websocket", "lifespan"):
        await guard({"type": kind}, None, None)  # type: ignore[arg-type]
    assert asked == ["lifespan"]


async def test_no_schema_offers_a_client_the_results_directory(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        document = app.described(app.unguarded(api.service))
        schema = (await api.get("/schema/benchmark")).json()
    assert "results_dir" not in str(document)
    assert "results_dir" not in schema["properties"]
