"""`llamaburn doctor`: every check seen content and seen complaining."""

from __future__ import annotations

import json
import shutil
import socket
from email import message_from_string
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support.benchmark_documents import benchmark_settings
from support.command_line import run_cli
from support.containment import contained
from support.scripted import LlamaCppFacade, OllamaFacade, Request, ScriptedServer, Steps, sized
from support.sensors import Fakes

from pytest_llamaburn import registry
from pytest_llamaburn.backends._base import Server
from pytest_llamaburn.commands import _checks, _look, doctor
from pytest_llamaburn.errors import installing
from pytest_llamaburn.sandbox import _filter
from pytest_llamaburn.store.journal import Journal
from pytest_llamaburn.telemetry import _base

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOWHERE = "127.0.0.1:1"
OLLAMA = Server("ollama", "0.32.15", "http://127.0.0.1:11434", local=True)
IDS = [
    *("server.reachable", "server.kind", "model.present", "model.loaded", "model.on_gpu"),
    *("server.slots", "cpu.governor", "machine.limits", "cpu.other_load", "disk.free"),
    "results.writable",
    *("journal.leftover", "config.origins", "container", "sandbox"),
    "extras",
    *("audio.files", "audio.devices", "browser"),
    *(f"sensor.{name}" for name in registry.own("telemetry")),
]


class Holding(OllamaFacade):
    """An Ollama that holds a model, half of it on the GPU."""

    def __call__(self, request: Request) -> Steps:
        if request.path != "/api/ps":
            return super().__call__(request)
        return [sized(200, {"models": [{"name": "other:7b", "size": 4e9, "size_vram": 2e9}]})]


class Empty(OllamaFacade):
    """An Ollama without models."""

    def __call__(self, request: Request) -> Steps:
        if request.path == "/api/tags":
            return [sized(200, {"models": []})]
        return super().__call__(request)


def locked(request: Request) -> Steps:
    """A server that wants a key."""
    return [sized(401, {"error": "no"})]


def examine(*args: str, cwd: Path, check: int | None = 0, **env: str) -> dict[str, dict[str, str]]:
    """Return the checks of the real command by id."""
    done = run_cli("doctor", *args, "--output=json", cwd=cwd, check=check, **env)
    found = {entry["id"]: entry for entry in json.loads(done.stdout)}
    assert list(found) == IDS
    assert all(entry["fix"] for entry in found.values() if entry["level"] != "ok")
    return found


def scene(seen: _look.Look | None = None, facts: Any = None, **values: Any) -> _checks.Context:
    """Return what checks look at; `facts` replaces those about this machine."""
    made = _checks.Context(
        benchmark_settings(**values), {}, seen or _look.Look(why={"server": "none. There."})
    )
    if facts is not None:
        made.__dict__["facts"] = facts
    return made


def test_all_is_well_with_a_server_that_holds_the_model(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade(loaded=True)) as server:
        found = examine("tiny", f"--host={server.host}", cwd=tmp_path)
        assert found["server.reachable"]["finding"] == f"{server.host} answers"
    about_server = [name for name in IDS if name.startswith(("server", "model"))]
    assert {found[name]["level"] for name in about_server} == {"ok"}
    assert found["server.kind"]["finding"] == "ollama 0.32.15"
    assert found["model.present"]["finding"] == "tiny"
    assert found["model.loaded"]["finding"] == "tiny:latest"
    assert found["model.on_gpu"]["finding"] == "tiny:latest: 100% on the GPU"
    assert "OLLAMA_NUM_PARALLEL" in found["server.slots"]["finding"]
    assert list(tmp_path.iterdir()) == []


def test_facts_that_cannot_be_read_are_a_warning(tmp_path: Path) -> None:
    facade = OllamaFacade(loaded=True, held={"size": "large"})
    with ScriptedServer(facade) as server:
        found = examine("tiny", f"--host={server.host}", cwd=tmp_path)
    assert found["server.kind"]["level"] == "warn"
    words = "ollama 0.32.15; /api/ps: models: 'size' is \"large\", not a number of at least 0"
    assert found["server.kind"]["finding"] == words


def test_llama_cpp_says_its_slots(tmp_path: Path) -> None:
    with ScriptedServer(LlamaCppFacade(model="m")) as server:
        found = examine(f"--host={server.host}", cwd=tmp_path)
    assert found["server.kind"]["finding"] == "llama.cpp b0-unknown"
    assert found["server.slots"]["finding"].startswith("1:")
    assert found["model.present"]["finding"] == "no model given; the server has 1"
    assert found["model.on_gpu"]["finding"].startswith("unknown")


def test_other_kinds_of_servers_do_not_say_their_slots(tmp_path: Path) -> None:
    with ScriptedServer(LlamaCppFacade(server="uvicorn", owner="vllm")) as server:
        found = examine(f"--host={server.host}", cwd=tmp_path)
    assert found["server.kind"]["finding"] == "vllm (version unknown)"
    assert found["server.slots"]["finding"] == "unknown: this kind of server does not say"


@pytest.mark.parametrize("name", ["Tiny", "library/tiny:latest"])
def test_model_to_measure_is_none_that_takes_its_room_by_whatever_name(name: str) -> None:
    loaded: Any = {"name": "tiny:latest"}
    seen = _look.Look(loaded=[loaded])
    verdict = _checks.model_loaded(scene(seen, model=[name]))
    assert (verdict.level, verdict.finding) == ("ok", "tiny:latest")


def test_model_that_takes_the_room_of_the_one_to_measure_is_a_warning(tmp_path: Path) -> None:
    with ScriptedServer(Holding()) as server:
        found = examine("tiny", f"--host={server.host}", cwd=tmp_path)
    assert found["model.loaded"]["level"] == "warn"
    assert found["model.loaded"]["finding"] == "also in memory: other:7b"
    assert found["model.on_gpu"]["level"] == "warn"
    assert found["model.on_gpu"]["finding"] == "split: other:7b: 50% on the GPU"


def test_unknown_model_fails_with_the_nearest(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade()) as server:
        found = examine("tinny", f"--host={server.host}", cwd=tmp_path, check=4)
    assert found["model.present"]["level"] == "fail"
    assert "similar: tiny:latest" in found["model.present"]["finding"]
    assert found["model.loaded"]["finding"] == "none in memory: the warm-up loads it"


def test_server_without_models_is_a_warning(tmp_path: Path) -> None:
    with ScriptedServer(Empty()) as server:
        found = examine(f"--host={server.host}", cwd=tmp_path)
    assert found["model.present"]["level"] == "warn"
    assert found["model.present"]["finding"] == "the server has no models"


def test_server_that_refuses_is_reachable_and_of_no_known_kind(tmp_path: Path) -> None:
    with ScriptedServer(locked) as server:
        found = examine(f"--host={server.host}", cwd=tmp_path, check=4)
    assert found["server.reachable"]["level"] == "ok"
    assert found["server.kind"]["level"] == "fail"
    assert "LLAMABURN_API_KEY" in found["server.kind"]["finding"]
    assert found["model.loaded"]["finding"] == "not checked: no server"


def test_silence_at_the_default_address_is_a_warning() -> None:
    fix = "Start it (ollama serve), choose another with --host, or use --backend embedded."
    assert _checks.server_reachable(scene()) == _checks.CheckResult("warn", "none", fix)


@pytest.mark.parametrize(
    "values", [{"host": NOWHERE}, {"backend": "ollama"}, {"model": ["tiny"]}], ids=str
)
def test_silence_where_a_server_is_needed_fails(values: dict[str, Any]) -> None:
    made = scene(**values)
    made.origins = dict.fromkeys(values, "LLAMABURN_X")
    assert _checks.server_reachable(made).level == "fail"
    assert _checks.model_present(made).level == "ok"


def test_silence_of_a_named_server_exits_four_and_says_what_failed(tmp_path: Path) -> None:
    done = run_cli("doctor", f"--host={NOWHERE}", cwd=tmp_path, check=4)
    assert done.stdout.splitlines()[0].split() == ["id", "level", "finding", "fix"]
    assert len(done.stdout.splitlines()) == 2 + len(IDS)
    assert done.stderr == "llamaburn: failed: server.reachable\n"


def test_embedded_engine_needs_no_server(tmp_path: Path) -> None:
    found = examine("smollm2-135m", "--backend=embedded", cwd=tmp_path)
    assert found["server.reachable"]["level"] == found["model.present"]["level"] == "ok"
    assert found["server.slots"]["finding"] == "not checked: no server"


@pytest.mark.skipif(find_spec("xllamacpp") is None, reason="needs the embedded engine")
def test_embedded_model_that_is_no_gguf_fails(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").touch()
    found = examine("x.gguf", "--backend=embedded", cwd=tmp_path, check=4)
    assert "x.gguf is not a GGUF file" in found["model.present"]["finding"]


@pytest.mark.parametrize(
    ("governor", "level"), [("performance", "ok"), (None, "ok"), ("powersave", "warn")]
)
def test_governor_other_than_performance_is_a_warning(governor: str | None, level: str) -> None:
    verdict = _checks.cpu_governor(scene(facts={"governor": governor}))
    assert verdict.level == level
    assert (governor or "unknown") in verdict.finding


@pytest.mark.parametrize(
    ("limits", "level", "finding"),
    [
        ({"cpus_allowed": 2}, "ok", "none: 2 cores, 25.3 GB"),
        ({"cpus_allowed": 1, "ram_limit_mb": 512}, "ok", "1 of 2 cores, 512 MB of 25.3 GB"),
        (
            {"cpu_quota": 0.5},
            "warn",
            "0.5 of 2 cores, 25.3 GB: a quota pauses the measuring process",
        ),
    ],
)
def test_limits_of_a_container_are_told(limits: Any, level: str, finding: str) -> None:
    machine = {"cores_logical": 2, "ram_mb": 25_300}
    verdict = _checks.machine_limits(scene(facts={**machine, **limits}))
    assert (verdict.level, verdict.finding) == (level, finding)


@pytest.mark.parametrize(
    ("load", "level", "finding"),
    [
        (_look.Load(3.0, 2.0, None), "ok", "other programs use 2 % of the processors"),
        (_look.Load(60.0, 55.0, ("make", 50.0)), "warn", "most by make (50 %)"),
        (_look.Load(60.0, 55.0, None), "warn", "other programs use 55 % of the processors"),
        (_look.Load(None, None, None), "ok", "unknown"),
    ],
)
def test_load_of_other_programs_is_a_warning_above_ten_percent(
    load: _look.Load, level: str, finding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_look, "load", lambda _: load)
    verdict = _checks.cpu_other_load(scene())
    assert verdict.level == level
    assert finding in verdict.finding


class Usage(NamedTuple):
    """As `shutil.disk_usage` gives it."""

    total: float
    used: float
    free: float


@pytest.mark.parametrize(("free", "level"), [(99e6, "fail"), (999e6, "warn"), (1e9, "ok")])
def test_full_disk_fails_and_a_nearly_full_one_is_a_warning(
    free: float, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> Usage:
        asked.append(path)
        return Usage(1e12, 0, free)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    verdict = _checks.disk_free(scene(results_dir=str(tmp_path / "not" / "yet")))
    assert (verdict.level, asked) == (level, [tmp_path])
    assert bool(verdict.fix) == (level != "ok")


def test_results_directory_that_is_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "results").touch()
    found = examine(cwd=tmp_path, check=4)
    assert found["results.writable"]["level"] == "fail"
    assert found["results.writable"]["finding"].startswith("results cannot be written: Not a dir")


def test_run_that_was_cut_is_a_warning_with_its_id(tmp_path: Path) -> None:
    Journal(tmp_path / "results", "2026-01-13-cut", "main").close()
    found = examine(cwd=tmp_path)["journal.leftover"]
    assert (found["level"], found["finding"]) == ("warn", "unfinished: 2026-01-13-cut")


def test_files_and_variables_that_speak_are_named(tmp_path: Path) -> None:
    (tmp_path / "llamaburn.toml").write_text("[defaults]\nseed = 1\ntemperature = 0.5\n")
    found = examine(cwd=tmp_path, LLAMABURN_WARMUP="1")["config.origins"]
    assert found["finding"] == f"{tmp_path / 'llamaburn.toml'}, LLAMABURN_WARMUP"


def test_wrong_file_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "llamaburn.toml").write_text("[defaults]\nsed = 1\n")
    with ScriptedServer(OllamaFacade()) as server:
        found = examine("tiny", f"--host={server.host}", cwd=tmp_path, check=4)
    assert [name for name in IDS if found[name]["level"] == "fail"] == ["config.origins"]
    assert "did you mean 'defaults.seed'?" in found["config.origins"]["finding"]


def test_wrong_flag_is_bad_input(tmp_path: Path) -> None:
    done = run_cli("doctor", "--backend=best", cwd=tmp_path, check=4)
    assert done.stdout == ""
    assert done.stderr.startswith("llamaburn: --backend: 'best' is refused")


def resolves(*_: Any) -> list[str]:
    return ["192.168.65.254"]


def resolves_not(*_: Any) -> list[str]:
    raise socket.gaierror


def test_sandbox_that_cannot_work_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _checks.sandbox(scene()).level in {"ok", "warn"}
    monkeypatch.setattr(_filter, "MACHINES", ())
    verdict = _checks.sandbox(scene())
    assert verdict.level == "warn"
    assert "cannot be run safely on this machine" in verdict.finding
    assert verdict.fix


@contained
def test_languages_that_cannot_run_are_told_with_what_they_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    verdict = _checks.sandbox(scene())
    assert verdict.level == "ok"
    assert "languages: Python; JavaScript needs Node.js; C needs a C compiler" in verdict.finding
    assert "For C: apt install gcc libc6-dev" in verdict.fix


@pytest.mark.parametrize(
    ("lookup", "fix"),
    [
        (resolves, "For a server on the host: --host http://host.docker.internal:11434."),
        (resolves_not, "--add-host=host.docker.internal:host-gateway."),
    ],
)
def test_container_without_a_server_is_told_where_the_host_is(
    lookup: Callable[..., Any], fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    verdict = _checks.container(scene(facts={"container": True}))
    assert verdict.level == "warn"
    assert fix in verdict.fix
    assert verdict.fix.endswith("start it on the host with OLLAMA_HOST=0.0.0.0.")


def test_container_that_reaches_its_server_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolves)
    verdict = _checks.container(scene(_look.Look(server=OLLAMA), {"container": True}))
    assert verdict == _checks.CheckResult("ok", "in a container; host.docker.internal resolves")


def test_outside_a_container_nothing_is_said() -> None:
    verdict = _checks.container(scene(facts={"container": False}))
    assert verdict == _checks.CheckResult("ok", "not in a container")


def distribution(*needs: str) -> Callable[[str], metadata.PackageMetadata]:
    """Return a stand-in for `metadata`, whose distribution has these optional needs."""
    text = "".join(f"Requires-Dist: {need}\n" for need in ("pytest>=9", *needs))
    extras = "".join(f"Provides-Extra: {name}\n" for name in ("embedded", "other", "test"))
    return lambda _: message_from_string(extras + text)  # type: ignore[return-value]


ENGINE = "no-such-engine>=1; extra == 'embedded'"
HERE, OTHER = "psutil; extra == 'embedded'", "psutil; extra == 'other'"


@pytest.mark.parametrize(
    ("needs", "seen", "level", "finding"),
    [
        ([HERE, OTHER], None, "ok", "embedded: installed, other: installed"),
        ([HERE, "psutil<1; extra == 'other'"], None, "ok", "embedded: installed, other: missing"),
        ([ENGINE, OTHER], None, "warn", "embedded: missing, other: installed"),
        ([ENGINE, OTHER], _look.Look(server=OLLAMA), "ok", "embedded: missing, other: installed"),
        ([HERE], None, "ok", "embedded: installed"),  # the other is nothing on this system
    ],
)
def test_missing_engine_is_a_warning_where_there_is_no_server(
    needs: list[str],
    seen: _look.Look | None,
    level: str,
    finding: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metadata, "metadata", distribution(*needs))
    verdict = _checks.extras(scene(seen))
    assert (verdict.level, verdict.finding) == (level, finding)
    missing = [word.split(":")[0] for word in finding.split(", ") if word.endswith("missing")]
    assert verdict.fix == (f"Install with: {installing(*missing)}" if missing else "")


def test_extras_of_this_installation_can_be_read() -> None:
    assert "embedded:" in _checks.extras(scene()).finding


def test_sensor_that_only_root_may_read_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def read(path: Path) -> str:
        if path.name == "energy_uj":
            raise PermissionError
        return _base.read_text(path)

    fakes = Fakes(tmp_path)
    fakes.files("sys/class/powercap/intel-rapl:0", {"name": "package-0", "energy_uj": "1"})
    monkeypatch.setattr(_base, "Machine", lambda: fakes.machine(read=read))
    verdict = _checks.CHECKS["sensor.rapl"](scene())
    assert verdict[:2] == ("warn", "present, but only root may read it")
    assert "sudo chmod a+r" in verdict.fix


def test_check_that_breaks_leaves_the_others_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(_: _checks.Context) -> _checks.CheckResult:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setitem(_checks.CHECKS, "disk.free", broken)
    found = doctor.finding_of("disk.free", scene())
    assert found.level == "warn"
    assert found.finding == "could not be checked: ZeroDivisionError: by nothing"
    assert doctor.finding_of("results.writable", scene(results_dir=str(tmp_path))).level == "ok"
