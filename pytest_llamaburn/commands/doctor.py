"""Check server, model, machine and settings for what would spoil a measurement.

Each check says ok, warn or fail; ok also stands for what does not apply here or cannot be read,
and the finding says so. The exit code is 4 if any check fails.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import options, registry
from pytest_llamaburn.errors import LlamaBurnError, SettingsError
from pytest_llamaburn.kinds import _kind
from pytest_llamaburn.settings import Connection, Display, Run, Storage, model_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from pytest_llamaburn.commands._look import Look

HELP = "check what would spoil a measurement"
EXAMPLE = "llamaburn doctor llama3.1:8b"
CONTAINER_HOST = "host.docker.internal"
FAIL_BELOW_MB, WARN_BELOW_MB = 100, 1000
BUSY_PERCENT = 10
_WINDOW_S = 1.0
_NO_SERVER = "not checked: no server"
_EMPTY = "the server has no models"
_NOT_PARTS = ("all", "test")  # extras that are no part of the tool


class CheckResult(NamedTuple):
    """What a check found: ok, warn or fail, in what, and what to do about it."""

    level: str
    finding: str
    fix: str = ""


class Check(NamedTuple):
    """A check by its stable id, and its verdict."""

    id: str
    level: str
    finding: str
    fix: str


@dataclass
class Scene:
    """What the checks look at; facts are read when the first check asks."""

    settings: Run
    origins: Mapping[str, str]
    seen: Look

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The facts about this machine."""
        from pytest_llamaburn.environment import facts

        return facts()

    @property
    def results_dir(self) -> Path:
        """Where results go; it need not exist yet."""
        return Path(self.settings.results_dir)

    @cached_property
    def reachable(self) -> bool:
        """Whether a server listens, even if it refuses to answer."""
        import asyncio

        backend = self.seen.backend
        listens = backend is not None and backend.address.port and asyncio.run(backend.alive())
        return self.seen.server is not None or bool(listens)

    @property
    def needs_server(self) -> bool:
        """Whether the user named a server, a kind of one, or a model that only one has."""
        kind = self.settings.backend not in ("auto", "embedded")
        return kind or "host" in self.origins or not all(map(self.embedded, self.settings.model))

    def embedded(self, model: str) -> bool:
        """Return whether the embedded engine is to run a model."""
        from pytest_llamaburn.backends._detect import is_embedded

        return self.settings.backend == "embedded" or is_embedded(model)


CHECKS: dict[str, Callable[[Scene], CheckResult]] = {}


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("models", nargs="*", metavar="MODEL", help="models you mean to measure")
    options.declare(parser.add_argument, Connection, Storage)
    parser.add_argument("--output", "-o", choices=("table", "json"), default="table")


def run(arguments: argparse.Namespace) -> int:
    """Run all checks and show them; return 4 if one fails."""
    scene = _scene(arguments)
    checks = [_checked(name, scene) for name in CHECKS]
    print(_render(checks, arguments.output))
    failed = [check.id for check in checks if check.level == "fail"]
    if failed:
        print(f"llamaburn: failed: {', '.join(failed)}", file=sys.stderr)
    return 4 if failed else 0


def _scene(arguments: argparse.Namespace) -> Scene:
    import asyncio

    from pytest_llamaburn.commands._look import look

    given = {**options.given(arguments, Connection), **options.given(arguments, Storage)}
    if arguments.models:
        given["model"] = arguments.models
    try:
        settings, origins = options.resolve(Run, given)
    except SettingsError:
        settings, origins = _by_flags_alone(given)  # config.origins tells what is wrong
    return Scene(settings, origins, asyncio.run(look(settings, origins)))


def _by_flags_alone(given: dict[str, Any]) -> tuple[Any, dict[str, str]]:
    """Return the settings that flags and defaults give; raises SettingsError for a wrong flag."""
    try:
        return model_of(Run)(**given), {n: options.flag_name(Run, n) for n in given}
    except ValueError:
        return options.resolve(Run, given)  # which raises, and says where


def _checked(name: str, scene: Scene) -> Check:
    """Return a check; one that breaks fails alone."""
    try:
        verdict = CHECKS[name](scene)
    except Exception as err:  # noqa: BLE001 - the other checks must be heard
        finding = f"could not be checked: {type(err).__name__}: {err}"
        verdict = CheckResult("warn", finding, "Please report this as a bug.")
    return Check(name, *verdict)


def _render(checks: list[Check], form: str) -> str:
    if form == "json":
        return json.dumps([check._asdict() for check in checks], indent=2)
    from pytest_llamaburn.tables import grid

    return grid(Check._fields, checks)


def _check(name: str) -> Callable[[Callable[[Scene], CheckResult]], Callable[[Scene], CheckResult]]:
    """Return a decorator that gives a check its id."""

    def register(check: Callable[[Scene], CheckResult]) -> Callable[[Scene], CheckResult]:
        CHECKS[name] = check
        return check

    return register


@_check("server.reachable")
def server_reachable(scene: Scene) -> CheckResult:
    """Say whether a server answers; none is needed unless one was named."""
    seen = scene.seen
    if scene.reachable and seen.backend is not None:
        return CheckResult("ok", f"{seen.backend.address.url} answers")
    finding = seen.why["server"].partition(". ")[0]
    if scene.settings.backend == "embedded":
        return CheckResult("ok", finding)
    fix = "Start it (ollama serve), name another with --host, or use --backend embedded."
    return CheckResult("fail" if scene.needs_server else "warn", finding, fix)


@_check("server.kind")
def server_kind(scene: Scene) -> CheckResult:
    """Say which server it is."""
    server = scene.seen.server
    if server is not None and scene.seen.backend is not None:
        found = f"{server.kind} {server.version or '(version not said)'}"
        notes = [*scene.seen.backend.notes]
        fix = "Update the server: what it says of itself cannot all be read, and is left out."
        return (
            CheckResult("warn", "; ".join([found, *notes]), fix)
            if notes
            else CheckResult("ok", found)
        )
    if not scene.reachable:
        return CheckResult("ok", _NO_SERVER)
    fix = "Give it its key, or name what it speaks with --backend."
    return CheckResult("fail", scene.seen.why["server"], fix)


@_check("model.present")
def model_present(scene: Scene) -> CheckResult:
    """Say whether the models to measure are there."""
    models, have = scene.settings.model, scene.seen.models
    fix = "Name one that llamaburn models lists, or fetch it: llamaburn models pull NAME."
    problems = [why for model in models if (why := _absent(model, scene))]
    if problems or have == []:
        return CheckResult("fail" if problems else "warn", "; ".join(problems) or _EMPTY, fix)
    if scene.seen.server is None and not all(map(scene.embedded, models)):
        return CheckResult("ok", _NO_SERVER)
    count = f"; the server has {len(have)}" if have else ""
    return CheckResult("ok", ", ".join(models) or f"no model is named{count}")


def _absent(model: str, scene: Scene) -> str:
    """Return why a model cannot be measured, nothing if it can or no server is there to ask."""
    import asyncio

    from pytest_llamaburn.backends import _catalogue, embedded

    try:
        if scene.embedded(model) and model not in _catalogue.entries():  # those fetch themselves
            embedded.locate(model, quiet=True)
        elif not scene.embedded(model) and scene.seen.backend and scene.seen.server:
            asyncio.run(scene.seen.backend.describe(model))
    except LlamaBurnError as err:
        return str(err)
    return ""


@_check("model.loaded")
def model_loaded(scene: Scene) -> CheckResult:
    """Say what the server holds in memory; others than the model under test take its room."""
    from pytest_llamaburn.backends.ollama import full_name

    seen, wanted = scene.seen, scene.settings.model
    if seen.loaded is None:
        return CheckResult("ok", f"unknown: {seen.why['loaded']}" if seen.server else _NO_SERVER)
    names = [entry["name"] for entry in seen.loaded]
    ours = {full_name(name) for name in wanted}
    others = [name for name in names if full_name(name) not in ours]
    if wanted and others:
        fix = "Unload what is not measured (ollama stop NAME)."
        return CheckResult("warn", f"also in memory: {', '.join(others)}", fix)
    return CheckResult("ok", ", ".join(names) or "none in memory: the warm-up loads it")


@_check("model.on_gpu")
def model_on_gpu(scene: Scene) -> CheckResult:
    """Say which share of the loaded models is on the GPU; a split one is slow."""
    held = scene.seen.loaded or []
    shares = {m["name"]: m["gpu_share"] for m in held if m["gpu_share"] is not None}
    if not shares:
        return CheckResult("ok", "unknown: no model in memory whose server says it")
    finding = ", ".join(f"{name}: {share:.0%} on the GPU" for name, share in shares.items())
    if any(0 < share < 1 for share in shares.values()):
        fix = "Take a smaller quantization or --num-ctx, or free GPU memory."
        return CheckResult("warn", f"split: {finding}", fix)
    return CheckResult("ok", finding)


@_check("server.slots")
def server_slots(scene: Scene) -> CheckResult:
    """Say how many requests the server works on at once."""
    seen = scene.seen
    if seen.server is None:
        return CheckResult("ok", _NO_SERVER)
    if seen.slots is not None:
        return CheckResult("ok", f"{seen.slots}: further requests at the same time wait")
    if seen.server.kind == "ollama":
        text = "not readable: Ollama's API does not say; the server's OLLAMA_NUM_PARALLEL sets it"
        return CheckResult("ok", text)
    return CheckResult("ok", f"unknown: {seen.why['slots']}")


@_check("cpu.governor")
def cpu_governor(scene: Scene) -> CheckResult:
    """Say whether the CPU's clock may follow the load."""
    governor = scene.facts["governor"]
    if governor is None:
        return CheckResult("ok", "unknown: this system shows none")
    if governor == "performance":
        return CheckResult("ok", governor)
    fix = "Set it while measuring: sudo cpupower frequency-set --governor performance."
    return CheckResult("warn", f"{governor}: the clock changes while measuring", fix)


@_check("machine.limits")
def machine_limits(scene: Scene) -> CheckResult:
    """Say what of this machine may be used; a quota pauses whatever uses it up."""
    from pytest_llamaburn.environment import binding
    from pytest_llamaburn.tables import room

    limits = binding(scene.facts, scene.facts)
    if "cpu_quota" not in limits:
        return CheckResult("ok", room(scene.facts) if limits else f"none: {room(scene.facts)}")
    fix = "Give the container whole processors (docker run --cpuset-cpus), or raise its --cpus."
    return CheckResult("warn", f"{room(scene.facts)}: a quota pauses what measures", fix)


@_check("cpu.other_load")
def cpu_other_load(scene: Scene) -> CheckResult:  # noqa: ARG001 - all checks take the same
    """Say how much of the machine other programs use right now."""
    from pytest_llamaburn.commands._look import load

    _, others, busiest = load(_WINDOW_S)
    if others is None:
        return CheckResult("ok", "unknown: this system has no counters")
    most = f", most by {busiest[0]} ({busiest[1]:.0f} %)" if busiest else ""
    finding = f"other programs use {others:.0f} % of the processors"
    if others > BUSY_PERCENT:
        return CheckResult("warn", finding + most, "End them, or wait until they are done.")
    return CheckResult("ok", finding)


@_check("disk.free")
def disk_free(scene: Scene) -> CheckResult:
    """Say whether results will fit."""
    import shutil

    place = _nearest(scene.results_dir)
    free_mb = shutil.disk_usage(place).free / 1e6
    level = "fail" if free_mb < FAIL_BELOW_MB else "warn" if free_mb < WARN_BELOW_MB else "ok"
    fix = "" if level == "ok" else "Free some, or name another directory with --results-dir."
    return CheckResult(level, f"{free_mb:,.0f} MB free at {place.resolve()}", fix)


@_check("results.writable")
def results_writable(scene: Scene) -> CheckResult:
    """Say whether the results directory takes files; nothing is left there."""
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=_nearest(scene.results_dir)):
            return CheckResult("ok", str(scene.results_dir.resolve()))
    except OSError as err:
        finding = f"{scene.results_dir} cannot be written: {err.strerror or err}"
        return CheckResult("fail", finding, "Name another directory with --results-dir.")


def _nearest(path: Path) -> Path:
    """Return the path, or its nearest ancestor that exists."""
    return next(place for place in (path, *path.resolve().parents) if place.exists())


@_check("journal.leftover")
def journal_leftover(scene: Scene) -> CheckResult:
    """Say which runs ended before they were complete."""
    from pytest_llamaburn.store import journal
    from pytest_llamaburn.store.resume import continuing

    folders = journal.leftovers(scene.results_dir)
    if not folders:
        return CheckResult("ok", "no unfinished runs")
    newest = journal.read(folders[-1]).header
    way = f"Continue the last: {continuing(newest)}; file" if newest else "File"
    fix = f"{way} them: llamaburn results recover."
    return CheckResult("warn", f"unfinished: {', '.join(folder.name for folder in folders)}", fix)


@_check("config.origins")
def config_origins(scene: Scene) -> CheckResult:  # noqa: ARG001
    """Say which files and variables speak, or what is wrong in them."""
    try:
        classes = [kind.settings_class for kind in _kind.every()]
        found = [options.resolve(one, {})[1] for one in (*classes, Display)]
    except SettingsError as err:
        return CheckResult("fail", str(err), "Correct it there.")
    spoken = [origin for origins in found for origin in origins.values()]
    sources = dict.fromkeys(origin.rpartition(": ")[0] or origin for origin in spoken)
    return CheckResult("ok", ", ".join(sources) or "no file and no variable: defaults and flags")


@_check("container")
def container(scene: Scene) -> CheckResult:
    """Say whether this is a container, and how the host's server is reached from it."""
    if not scene.facts["container"]:
        return CheckResult("ok", "not in a container")
    known = _resolves(CONTAINER_HOST)
    finding = f"in a container; {CONTAINER_HOST} {'resolves' if known else 'does not resolve'}"
    if scene.seen.server is not None or scene.settings.backend == "embedded":
        return CheckResult("ok", finding)
    reach = f"For a server on the host: --host http://{CONTAINER_HOST}:11434"
    start = f", and start the container with --add-host={CONTAINER_HOST}:host-gateway"
    return CheckResult("warn", finding, reach + ("" if known else start) + ".")


def _resolves(name: str) -> bool:
    import socket

    try:
        return bool(socket.getaddrinfo(name, None))
    except OSError:
        return False


@_check("sandbox")
def sandbox(scene: Scene) -> CheckResult:  # noqa: ARG001
    """Say whether answers that are code can be scored on this machine."""
    from pytest_llamaburn.scorers import code

    try:
        code.ready()
    except LlamaBurnError as err:
        return CheckResult("warn", str(err), "Nothing to do for eval sets without the scorer code.")
    return CheckResult("ok", "answers that are code can be run: Landlock and seccomp contain them")


@_check("extras")
def extras(scene: Scene) -> CheckResult:
    """Say which optional parts are installed; without a server the embedded engine is needed."""
    parts = _parts()
    shown = [f"{name}: {'installed' if here else 'missing'}" for name, here in parts.items()]
    missing = [name for name, here in parts.items() if not here]
    if not missing:
        return CheckResult("ok", ", ".join(shown))
    line = f"pip install 'pytest-llamaburn[{','.join(missing)}]'"
    needed = "embedded" in missing and scene.seen.server is None
    return CheckResult("warn" if needed else "ok", ", ".join(shown), f"Install with: {line}")


def _sensor(name: str) -> Callable[[Scene], CheckResult]:
    """Return the check of one provider of sensor readings."""

    def check(scene: Scene) -> CheckResult:  # noqa: ARG001
        from pytest_llamaburn.telemetry._base import Machine
        from pytest_llamaburn.telemetry._detect import provider

        member = provider(name, Machine())
        found = member.probe()
        member.close()
        if found.ok:
            return CheckResult("ok", ", ".join(d.name or d.id for d in found.devices) or "read")
        if found.reason == "permission":
            return CheckResult("warn", "present, but only root may read it", found.message)
        return CheckResult("ok", f"not used: {found.message}")

    return check


for _name in registry.own("telemetry"):
    CHECKS[f"sensor.{_name}"] = _sensor(_name)


def _parts() -> dict[str, bool]:
    """Return the optional parts of this installation, and whether each is complete."""
    from importlib.metadata import metadata

    from packaging.requirements import Requirement

    about = metadata("pytest-llamaburn")
    needs = [Requirement(text) for text in about.get_all("Requires-Dist") or ()]
    names = [n for n in about.get_all("Provides-Extra") or () if n not in _NOT_PARTS]
    wanted = {name: _of_extra(needs, name) for name in names}  # nothing: not for this system
    return {name: all(map(_installed, parts)) for name, parts in wanted.items() if parts}


def _of_extra(needs: list[Any], extra: str) -> list[Any]:
    conditional = [need for need in needs if need.marker]
    return [
        need
        for need in conditional
        if need.marker.evaluate({"extra": extra}) and not need.marker.evaluate({"extra": ""})
    ]


def _installed(need: Any) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return bool(need.specifier.contains(version(need.name), prereleases=True))
    except PackageNotFoundError:
        return False
