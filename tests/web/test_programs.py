"""Generated code over HTTP: programs in the sandbox, and the headers of the frame."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from io import BytesIO, TextIOWrapper
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support import served
from support.containment import needs
from support.web_api import WAITS_S, serving

from pytest_llamaburn import sandbox
from pytest_llamaburn.errors import UsageError
from pytest_llamaburn.sandbox import __main__ as entry
from pytest_llamaburn.web import child, programs

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

FOREVER = "print('begun', flush=True)\nwhile True: pass"


async def run(tmp_path: Path, code: str, **more: Any) -> httpx.Response:
    body = json.dumps({"code": code, **more})  # which escapes what is no Unicode
    headers = {"content-type": "application/json"}
    async with serving(tmp_path) as api:
        return await api.post("/programs/run", content=body, headers=headers)


@pytest.mark.asyncio
async def test_a_program_says_what_it_printed_and_how_long_it_ran(tmp_path: Path) -> None:
    answer = await run(tmp_path, "print(6 * 7)")
    found = answer.json()
    assert answer.status_code == 200
    assert (found["state"], found["output"], found["message"]) == ("finished", "42\n", "")
    assert found["runtime_ms"] >= 0


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "if __name__ == '__main__': print(6 * 7)"),
        pytest.param("javascript", "console.log(6 * 7)", marks=needs("javascript")),
        pytest.param(
            *("c", '#include <stdio.h>\nint main(void) { printf("%d\\n", 6 * 7); }'),
            marks=needs("c"),
        ),
    ],
)
@pytest.mark.asyncio
async def test_a_program_of_each_language_runs(language: str, code: str, tmp_path: Path) -> None:
    found = (await run(tmp_path, code, language=language)).json()
    assert (found["state"], found["output"], found["memory_reason"]) == ("finished", "42\n", "")
    assert found["peak_memory_mb"] > 0.5


@pytest.mark.parametrize(
    ("code", "state", "word"),
    [
        ("1 / 0", "exception", "ZeroDivisionError"),
        ("import socket\nsocket.create_connection(('127.0.0.1', 1))", "exception", "Error"),
        ("open('/etc/passwd')", "exception", "PermissionError"),
        ("import os\nos.fork()", "exception", "Error"),
        ("print(__import__('os').environ['PATH'])", "exception", "KeyError"),
        ("x = bytearray(10**9)", "memory", "MemoryError"),
        ("while True: print('x' * 1000)", "output", "printed too much"),
    ],
)
@pytest.mark.asyncio
async def test_a_program_reaches_nothing_and_says_why(
    code: str, state: str, word: str, tmp_path: Path
) -> None:
    found = (await run(tmp_path, code)).json()
    assert found["state"] == state
    assert word in found["message"]


@pytest.mark.asyncio
async def test_a_program_that_does_not_end_is_stopped_at_its_limit(tmp_path: Path) -> None:
    found = (await run(tmp_path, FOREVER, timeout_s=0.1)).json()
    assert (found["state"], found["runtime_ms"]) == ("timeout", None)
    assert found["message"] == "it exceeded its time limit"


@pytest.mark.parametrize(
    ("more", "field", "words"),
    [
        ({"timeout_s": 11}, "timeout_s", "timeout_s: 11 is refused: input should be less than"),
        ({"memory_mb": 9}, "memory_mb", "memory_mb: 9 is refused: input should be greater than"),
        ({"code": ""}, "code", "code: '' is refused: string should have at least 1 character"),
        ({"code": "\ud800"}, "code", "is refused"),
        (
            {"language": "perl"},
            "language",
            "'perl' is refused: input should be 'python', ",
        ),
        ({"files": []}, "files", "files: [] is refused"),
        ({"code": "x" * 200_001}, "code", "string should have at most 200000 characters"),
    ],
)
@pytest.mark.asyncio
async def test_a_wrong_field_is_refused_with_a_sentence(
    more: dict[str, Any], field: str, words: str, tmp_path: Path
) -> None:
    answer = await run(tmp_path, **{"code": "pass", **more})
    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert words in answer.json()["detail"]


@pytest.mark.asyncio
async def test_a_machine_that_cannot_confine_a_program_runs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object) -> child.Said:
        return child.Said(4, b"", "llamaburn: generated code cannot be run safely\n")

    monkeypatch.setattr(child, "told", refused)
    answer = await run(tmp_path, "pass")
    assert answer.status_code == 422
    assert answer.json()["detail"] == "generated code cannot be run safely"


@pytest.mark.asyncio
async def test_one_program_runs_at_a_time_and_none_beside_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, real = asyncio.Event(), programs.run_program

    async def watched(program: programs.Program) -> child.Said:
        begun.set()
        return await real(program)

    monkeypatch.setattr(programs, "run_program", watched)
    async with serving(tmp_path) as api:
        first = asyncio.create_task(api.post("/programs/run", json={"code": FOREVER}))
        await begun.wait()
        second = await api.post("/programs/run", json={"code": "pass"})
        api.service.programs.close()
        assert (await first).status_code == 503
        job = (await api.pull("long")).json()
        beside = await api.post("/programs/run", json={"code": "pass"})
        await api.delete(f"/jobs/{job['id']}")
    assert (second.status_code, beside.status_code) == (409, 409)
    assert second.json()["detail"].startswith("another program runs")
    assert beside.json()["detail"].startswith("a job runs")


@pytest.mark.asyncio
async def test_a_program_ends_with_the_request_of_its_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'{"code": "while True: pass"}'
    messages = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]
    killed = asyncio.Event()
    real = programs.run_program

    async def watched(program: programs.Program) -> child.Said:
        try:
            return await real(program)
        finally:
            killed.set()

    async def receive() -> Any:
        return messages.pop(0)

    async def send(_: Any) -> None: ...

    monkeypatch.setattr(programs, "run_program", watched)
    async with serving(tmp_path) as api:
        headers = [
            (b"host", b"127.0.0.1:7737"),
            (b"authorization", api.headers["authorization"].encode()),
            (b"content-type", b"application/json"),
        ]
        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": "/programs/run",
            "query_string": b"",
        }
        scope["headers"] = headers
        await api._transport.app(scope, receive, send)  # type: ignore[attr-defined]
        async with asyncio.timeout(WAITS_S):
            await killed.wait()
        await asyncio.sleep(0)  # for what waited for it


def test_a_server_that_is_stopped_leaves_no_program(tmp_path: Path) -> None:
    with served.serving(tmp_path) as found:
        server = psutil.Process(found.process.pid)
        body = {"code": FOREVER}
        ask = threading.Thread(target=lambda: found.client.post("/programs/run", json=body))
        ask.start()
        deadline = time.monotonic() + WAITS_S
        while len(children := server.children(recursive=True)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        found.process.send_signal(signal.SIGTERM)
        assert found.process.wait(WAITS_S) == 0
        ask.join()
        _, alive = psutil.wait_procs(children, WAITS_S)
    assert alive == []


def test_the_entry_of_the_sandbox_says_why_it_refuses(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    def refuse(*_: object, **__: object) -> sandbox.Outcome:
        raise UsageError("generated code cannot be run safely")

    given = b'["print(1)", "python", [5, 5, 512, 65536]]'
    monkeypatch.setattr(entry.sys, "stdin", TextIOWrapper(BytesIO(given)))  # type: ignore[attr-defined]
    assert entry.main() == 0
    monkeypatch.setattr(entry.sys, "stdin", TextIOWrapper(BytesIO(given)))  # type: ignore[attr-defined]
    monkeypatch.setattr(sandbox, "outcomes", refuse)
    assert entry.main() == 4
    told = capfdbinary.readouterr()
    assert b'"output":"1\\n"' in told.out
    assert told.err == b"llamaburn: generated code cannot be run safely\n"


@pytest.mark.parametrize("path", ["/sandbox/", "/sandbox/frame.js", "/sandbox/nothing"])
@pytest.mark.asyncio
async def test_the_frame_has_a_policy_of_its_own_and_needs_no_token(
    path: str, tmp_path: Path
) -> None:
    async with serving(tmp_path, authorization="") as api:
        answer = await api.get(path)
        posted = await api.post(path, json={})
    policy = answer.headers["content-security-policy"]
    assert answer.status_code != 401
    assert posted.status_code == 405
    assert policy.startswith("sandbox allow-scripts; default-src 'none'; ")
    assert "script-src 'unsafe-inline' 'self' blob:; " in policy
    assert "img-src data: blob:; " in policy
    assert policy.endswith("frame-ancestors 'self'")
    assert "allow-same-origin" not in policy
    assert "unsafe-eval" not in policy
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "microphone=()" in answer.headers["permissions-policy"]


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("127.0.0.1:7737", "127.0.0.1:7737/sandbox/"),
        ("bench.example", "bench.example/sandbox/"),
        ("[::1]:7737", "'self'"),
    ],
)
@pytest.mark.asyncio
async def test_a_page_of_ours_may_frame_the_sandbox_alone(
    host: str, source: str, tmp_path: Path
) -> None:
    async with serving(tmp_path) as api:
        answer = await api.get("/", headers={"host": host})
    assert f"; frame-src {source}; " in answer.headers["content-security-policy"]


@pytest.mark.asyncio
async def test_a_host_that_is_refused_is_not_written_into_the_policy(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.get("/", headers={"host": "evil; script-src *"})
    assert answer.status_code == 421
    assert "evil" not in answer.headers["content-security-policy"]
