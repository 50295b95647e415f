"""Jobs: started, followed, stopped, kept."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.web_api import STAND_IN, keep, serving

from pytest_llamaburn.web import child, events, jobs, processes
from pytest_llamaburn.web.events import Bus
from pytest_llamaburn.web.jobs import Jobs, Order

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio


def running(job: dict[str, Any]) -> bool:
    """Return whether a job has said something."""
    return bool(job["state"] == "running" and job["lines"])


async def test_a_job_tells_its_progress_its_lines_and_how_it_ended(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.pull("code:0")
        job = await api.over(answer.json()["id"])
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert (job["state"], job["exit_code"], job["meaning"]) == ("ended", 0, "done")
    assert job["progress"]["done"] == 1
    assert job["lines"] == ["a line of its own"]
    assert job["command"] == "llamaburn models pull code:0"
    assert job["created"] <= job["started"] <= job["ended"]


@pytest.mark.parametrize(("code", "meaning"), [(1, "a gate failed"), (9, None)])
async def test_a_job_means_what_its_exit_code_says(
    code: int, meaning: str | None, tmp_path: Path
) -> None:
    async with serving(tmp_path) as api:
        job = await api.over((await api.pull(f"code:{code}")).json()["id"])
    assert (job["exit_code"], job["meaning"]) == (code, meaning)


async def test_a_job_names_the_results_that_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    keep(tmp_path / "results", "benchmark-complete", "benchmarks", "mine")
    async with serving(tmp_path / "results") as api:
        ours = await api.over((await api.pull("writes:results/benchmarks/mine.json")).json()["id"])
        other = await api.over((await api.pull("writes:elsewhere/benchmarks/x.json")).json()["id"])
    assert ours["wrote"] == [{"type": "benchmarks", "id": "mine"}]
    assert other["wrote"] == []


async def test_a_second_job_is_refused_or_waits_its_turn(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        first = (await api.pull("long")).json()["id"]
        refused = await api.pull("code:0")
        second = (await api.pull("code:0", queue=True)).json()
        await api.job(first, running)
        assert (await api.get(f"/jobs/{second['id']}")).json()["state"] == "queued"
        await api.delete(f"/jobs/{first}")
        first_over, second_over = await api.over(first), await api.over(second["id"])
    assert refused.status_code == 409
    assert "?queue=true" in refused.json()["detail"]
    assert first_over["ended"] <= second_over["started"]


async def test_a_job_that_waits_is_cancelled(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await api.pull("long")
        waiting = (await api.pull("code:0", queue=True)).json()["id"]
        cancelled = await api.delete(f"/jobs/{waiting}")
        again = await api.delete(f"/jobs/{waiting}")
    assert cancelled.json()["state"] == "cancelled"
    assert again.status_code == 409


async def test_no_more_wait_than_can_be_overseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MOST_WAITING", 1)
    async with serving(tmp_path) as api:
        await api.job((await api.pull("long")).json()["id"], running)
        await api.pull("code:0", queue=True)
        refused = await api.pull("code:0", queue=True)
    assert refused.status_code == 409


@pytest.mark.parametrize(
    ("name", "code"),
    [("long", 2), ("deaf", -signal.SIGTERM), ("deaf-to-all", -signal.SIGKILL)],
)
async def test_a_job_is_pressed_until_it_ends(
    name: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_PATIENCE_S", 10.0 if name == "long" else 0.0)
    async with serving(tmp_path) as api:
        job_id = (await api.pull(name)).json()["id"]
        await api.job(job_id, running)
        assert (await api.delete(f"/jobs/{job_id}")).json()["state"] == "stopping"
        job = await api.over(job_id)
    assert job["exit_code"] == code


async def test_a_job_gets_ten_seconds_before_the_next_signal(tmp_path: Path) -> None:
    sent: list[str] = []

    class Told:
        interrupt = terminate = kill = lambda _: sent.append("signal")

    press = jobs._Pressure(Told())  # type: ignore[arg-type]
    press.press()
    press.press()
    assert sent == ["signal"]
    assert jobs._PATIENCE_S == 10


@pytest.mark.parametrize("name", ["long", "deaf-to-all"])
async def test_no_child_is_left_when_the_server_ends(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_LAST_PATIENCE_S", 0.3)
    async with serving(tmp_path) as api:
        job_id = (await api.pull(name)).json()["id"]
        pid = (await api.job(job_id, running))["pid"]
        waiting = (await api.pull("code:0", queue=True)).json()["id"]
    assert not psutil.pid_exists(pid)
    async with serving(tmp_path) as api:
        states = {job["id"]: job["state"] for job in (await api.get("/jobs")).json()["jobs"]}
        refused = await api.pull("code:0")
    assert states == {job_id: "ended", waiting: "cancelled"}
    assert refused.status_code == 202


async def test_a_server_that_ends_takes_no_more_jobs(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await api.service.close()
        assert (await api.pull("code:0")).status_code == 503


async def test_history_outlives_the_server(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        before = await api.over((await api.pull("code:1")).json()["id"])
    (tmp_path / ".jobs" / "broken.json").write_text("{")
    async with serving(tmp_path) as api:
        listed = (await api.get("/jobs", params={"state": "ended"})).json()
        none = (await api.get("/jobs", params={"state": "lost"})).json()
    assert listed["jobs"] == [before]
    assert none["jobs"] == []


async def test_the_oldest_of_very_many_jobs_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as api:
        for _ in range(3):
            await api.over((await api.pull("code:0")).json()["id"])
    monkeypatch.setattr(jobs, "_MOST_KEPT", 1)
    async with serving(tmp_path) as api:
        assert (await api.get("/jobs")).json()["total"] == 1
    assert len([*(tmp_path / ".jobs").iterdir()]) == 2


def left_by_a_killed_server(results_dir: Path, **fields: Any) -> str:
    """Write the record of a job whose server was killed; return its id."""
    job_id = "20261130T120000-0a1b2c"
    job = {"id": job_id, "kind": "pull", "command": "c", "created": "2026-11-30", **fields}
    (results_dir / ".jobs").mkdir(parents=True)
    (results_dir / ".jobs" / f"{job_id}.json").write_text(json.dumps(job))
    return job_id


async def test_a_run_that_outlived_a_killed_server_is_followed_and_stopped(tmp_path: Path) -> None:
    (tmp_path / ".jobs").mkdir()
    said = tmp_path / ".jobs" / "20261130T120000-0a1b2c.stderr"
    orphan = processes.started([sys.executable, "-c", STAND_IN, "", "", "long"], said, None)
    job = {"id": "20261130T120000-0a1b2c", "kind": "pull", "command": "c", "state": "running"}
    about = {"created": "c", "started": "s", "pid": orphan.pid, "pid_began": orphan.began}
    (tmp_path / ".jobs" / f"{job['id']}.json").write_text(json.dumps({**job, **about}))
    async with serving(tmp_path) as api:
        await api.job(job["id"], running)
        assert (await api.pull("code:0")).status_code == 409
        await api.delete(f"/jobs/{job['id']}")
        ended = await api.over(job["id"])
    assert ended["state"] == "lost"
    assert "exit code is unknown" in ended["meaning"]
    assert ended["progress"]["planned"] == 4
    assert orphan.over()


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"state": "running", "started": "s", "pid": 2**22 + 1, "pid_began": 1.0}, "lost"),
        ({"state": "running", "started": "s", "pid": 1, "pid_began": 1.0}, "lost"),
        ({"state": "queued"}, "cancelled"),
    ],
)
async def test_a_job_whose_process_is_gone_is_no_longer_running(
    fields: dict[str, Any], state: str, tmp_path: Path
) -> None:
    job_id = left_by_a_killed_server(tmp_path, **fields)
    async with serving(tmp_path) as api:
        assert (await api.over(job_id))["state"] == state


async def test_a_command_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    made = Jobs(tmp_path, Bus(), ["/nowhere/at-all"])
    worker = asyncio.create_task(made.work())
    job = made.submit(Order("pull", [], "c"), queue=False)
    async with asyncio.timeout(10):
        while not job.over:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    worker.cancel()
    assert job.exit_code == 4
    assert "could not be started" in str(job.meaning)


async def test_where_records_cannot_be_written_a_job_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".jobs").write_text("a file")
    async with serving(tmp_path) as api:
        refused = await api.pull("code:0")
        assert (await api.get("/jobs")).json()["total"] == 0
    assert refused.status_code == 503
    assert "cannot be written" in refused.json()["detail"]


async def test_a_job_goes_on_where_the_results_directory_vanishes(tmp_path: Path) -> None:
    results = tmp_path / "results"
    async with serving(results) as api:
        job_id = (await api.pull("long")).json()["id"]
        await api.job(job_id, running)
        results.rename(tmp_path / "moved")
        (tmp_path / "results").write_text("in the way")
        await api.delete(f"/jobs/{job_id}")
        assert (await api.over(job_id))["exit_code"] == 2


async def test_lines_that_only_look_like_events_are_lines() -> None:
    assert jobs._event('{"event": "progress", "done": "many"}') is None
    assert jobs._event('{"event": "note"}') is None
    assert jobs._event('{"event"') is None
    assert jobs._event('{"event": "note", "text": "hm"}') == "hm"


async def test_a_child_sees_neither_our_token_nor_hidden_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LLAMABURN_TOKEN", "secret")
    monkeypatch.setenv("SOME_API_KEY", "key")
    assert "LLAMABURN_TOKEN" not in child.environment()
    assert "SOME_API_KEY" in child.environment()
    assert "SOME_API_KEY" not in child.environment(["*_API_KEY"])


async def take(bus: Bus, last_id: str | None, count: int) -> list[str]:
    """Return the first pieces of a stream."""
    stream = bus.follow(last_id)
    return [await anext(stream) for _ in range(count)]


def ids(pieces: list[str]) -> list[str]:
    """Return the ids of the events among pieces of a stream."""
    return [piece.partition("\n")[0][4:] for piece in pieces if piece.startswith("id: ")]


async def test_events_after_an_id_are_sent_again() -> None:
    bus = Bus()
    listener = asyncio.create_task(take(bus, None, 4))
    await asyncio.sleep(0)
    for number in range(3):
        bus.publish("progress", {"done": number})
    first, *_ = ids(await listener)
    again = await take(bus, first, 3)
    assert ids(again) == ids(await listener)[1:]
    assert again[1].endswith('event: progress\ndata: {"done": 1}\n\n')


@pytest.mark.parametrize("last_id", ["", "other-1", "{epoch}-0", "{epoch}-99", "{epoch}-x"])
async def test_an_id_after_which_events_are_missing_has_the_lists_read_again(last_id: str) -> None:
    bus = Bus(kept=2)
    for number in range(5):
        bus.publish("progress", number)
    pieces = await take(bus, last_id.format(epoch=bus._epoch), 2)
    assert pieces[1] == events.RESET


async def test_a_slow_listener_is_told_that_it_missed_some() -> None:
    bus = Bus(kept=2)
    stream = bus.follow(None)
    await anext(stream)
    for number in range(5):
        bus.publish("progress", number)
    assert await anext(stream) == events.RESET
    bus.publish("progress", 5)
    assert "data: 5" in await anext(stream)


async def test_a_silent_stream_shows_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_SILENT_S", 0.0)
    assert (await take(Bus(), None, 2))[1].startswith(":")


async def test_a_closed_bus_ends_its_streams() -> None:
    bus = Bus()
    bus.close()
    assert [piece async for piece in bus.follow(None)] == [": connected\n\n"]
    assert bus.listeners == 0


async def test_only_so_many_pages_may_listen(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        api.service.bus.listeners = events.MOST_LISTENERS
        assert (await api.get("/events")).status_code == 503


async def test_the_machine_is_read_while_somebody_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_llamaburn.web import system

    monkeypatch.setattr(system, "EVERY_S", 0.01)
    async with serving(tmp_path) as api:
        stream = api.service.bus.follow(None)
        await anext(stream)
        told = await asyncio.wait_for(anext(stream), 20)
        await stream.aclose()  # type: ignore[attr-defined]
    data = json.loads(told.partition("data: ")[2])
    assert 0 <= data["cpu_percent"] <= 100
    assert 0 < data["ram_used_mb"] < data["ram_total_mb"]
    assert data["sensors"] is not None


async def test_a_file_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    with processes.Tail(tmp_path / "nothing") as tail:
        assert tail.lines() == []


async def test_a_process_that_ends_while_it_is_looked_at_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(_: object) -> bool:
        raise psutil.NoSuchProcess(1)

    found = processes.Process(psutil.Process().pid)
    assert not found.over()
    monkeypatch.setattr(psutil.Process, "is_running", gone)
    assert found.over()


async def test_what_a_run_writes_is_told_as_it_is_written(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        following = asyncio.create_task(_heard(api))
        await asyncio.sleep(0)
        job = (await api.pull("once")).json()
        await api.over(job["id"])
        api.service.bus.close()
        notes = [one for one in await following if "event: note" in one]
    assert any("a line of its own" in one for one in notes)


async def _heard(api: Any) -> list[str]:
    return [piece async for piece in api.service.bus.follow(None)]


async def test_jobs_that_came_at_once_are_in_their_order(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        asked = [(await api.pull("long", queue=True)).json()["id"] for _ in range(12)]
        listed = (await api.get("/jobs")).json()["jobs"]
        for job_id in reversed(asked):
            await api.delete(f"/jobs/{job_id}")
    assert [job["id"] for job in listed] == asked[::-1]
