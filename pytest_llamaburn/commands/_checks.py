"""The checks of llamaburn doctor: each is one function of a context."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import options
from pytest_llamaburn.commands import _parts
from pytest_llamaburn.errors import LlamaBurnError, SettingsError, installing
from pytest_llamaburn.kinds import _kind
from pytest_llamaburn.settings import Display, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_llamaburn.commands._look import Look
    from pytest_llamaburn.documents import Document

FAIL_BELOW_MB, WARN_BELOW_MB = 100, 1000
BUSY_PERCENT = 10
_WINDOW_S = 1.0
_NO_SERVER = "not checked: no server"
_EMPTY = "the server has no models"


class CheckResult(NamedTuple):
    """The result of a check: its level (ok, warn, fail), a finding and a fix."""

    level: str
    finding: str
    fix: str = ""


class Context:
    """The data that the checks use; facts are read when a check first needs them."""

    def __init__(
        self, settings: Run, origins: Mapping[str, str], seen: Look, ray: str | None = None
    ) -> None:
        """Take the settings with their origins, what a look found, and the cluster of --ray."""
        self.settings, self.origins, self.seen, self.ray = settings, origins, seen, ray
        self.machines: dict[str, Any] = {}  # what the checks of the cluster found

    @cached_property
    def facts(self) -> Document:
        """The facts about this machine."""
        from pytest_llamaburn.environment import facts

        return facts()

    @property
    def results_dir(self) -> Path:
        """The results directory; it may not exist yet."""
        return Path(self.settings.results_dir)

    @cached_property
    def reachable(self) -> bool:
        """Whether a server accepts connections, even if it refuses requests."""
        import asyncio

        backend = self.seen.backend
        listens = backend is not None and backend.address.port and asyncio.run(backend.alive())
        return self.seen.server is not None or bool(listens)

    @property
    def needs_server(self) -> bool:
        """Whether the user named a server, its kind, or a model that needs a server."""
        kind = self.settings.backend not in ("auto", "embedded")
        return kind or "host" in self.origins or not all(map(self.embedded, self.settings.model))

    def embedded(self, model: str) -> bool:
        """Return whether the embedded backend serves a model."""
        from pytest_llamaburn.backends._detect import is_embedded

        return self.settings.backend == "embedded" or is_embedded(model)


CHECKS: dict[str, Callable[[Context], CheckResult]] = {}


def check(
    name: str,
) -> Callable[[Callable[[Context], CheckResult]], Callable[[Context], CheckResult]]:
    """Return a decorator that registers a check by its id."""

    def register(check: Callable[[Context], CheckResult]) -> Callable[[Context], CheckResult]:
        CHECKS[name] = check
        return check

    return register


@check("server.reachable")
def server_reachable(context: Context) -> CheckResult:
    """Check whether a server answers; a missing server fails only if the user named one."""
    seen = context.seen
    if context.reachable and seen.backend is not None:
        return CheckResult("ok", f"{seen.backend.address.url} answers")
    finding = seen.why["server"].partition(". ")[0]
    if context.settings.backend == "embedded":
        return CheckResult("ok", finding)
    fix = "Start it (ollama serve), choose another with --host, or use --backend embedded."
    return CheckResult("fail" if context.needs_server else "warn", finding, fix)


@check("server.kind")
def server_kind(context: Context) -> CheckResult:
    """Identify the server."""
    server = context.seen.server
    if server is not None and context.seen.backend is not None:
        identity = f"{server.kind} {server.version or '(version unknown)'}"
        notes = [*context.seen.backend.notes]
        fix = "Update the server: some of its metadata cannot be read and are left out."
        return (
            CheckResult("warn", "; ".join([identity, *notes]), fix)
            if notes
            else CheckResult("ok", identity)
        )
    if not context.reachable:
        return CheckResult("ok", _NO_SERVER)
    fix = "Set its API key (LLAMABURN_API_KEY), or set its kind with --backend."
    return CheckResult("fail", context.seen.why["server"], fix)


@check("model.present")
def model_present(context: Context) -> CheckResult:
    """Check whether the models to measure exist."""
    models, have = context.settings.model, context.seen.models
    fix = "Choose a model from llamaburn models, or download it: llamaburn models pull NAME."
    problems = [why for model in models if (why := _absent(model, context))]
    if problems or have == []:
        return CheckResult("fail" if problems else "warn", "; ".join(problems) or _EMPTY, fix)
    if context.seen.server is None and not all(map(context.embedded, models)):
        return CheckResult("ok", _NO_SERVER)
    count = f"; the server has {len(have)}" if have else ""
    return CheckResult("ok", ", ".join(models) or f"no model given{count}")


def _absent(model: str, context: Context) -> str:
    """Return why a model cannot be measured; empty if it can, or if there is no server."""
    import asyncio

    from pytest_llamaburn.backends import _catalogue, embedded

    try:
        if (
            context.embedded(model) and model not in _catalogue.entries()
        ):  # these are downloaded on demand
            embedded.locate(model, quiet=True)
        elif not context.embedded(model) and context.seen.backend and context.seen.server:
            asyncio.run(context.seen.backend.describe(model))
    except LlamaBurnError as err:
        return str(err)
    return ""


@check("model.loaded")
def model_loaded(context: Context) -> CheckResult:
    """Check which models are in the server's memory: other models take memory and time."""
    from pytest_llamaburn.backends.ollama import full_name

    seen, wanted = context.seen, context.settings.model
    if seen.loaded is None:
        return CheckResult("ok", f"unknown: {seen.why['loaded']}" if seen.server else _NO_SERVER)
    names = [entry["name"] for entry in seen.loaded]
    ours = {full_name(name) for name in wanted}
    others = [name for name in names if full_name(name) not in ours]
    if wanted and others:
        fix = "Unload the models that you do not measure (ollama stop NAME)."
        return CheckResult("warn", f"also in memory: {', '.join(others)}", fix)
    return CheckResult("ok", ", ".join(names) or "none in memory: the warm-up loads it")


@check("model.on_gpu")
def model_on_gpu(context: Context) -> CheckResult:
    """Check which share of the loaded models is on the GPU: a split model is slow."""
    held = context.seen.loaded or []
    shares = {m["name"]: m["gpu_share"] for m in held if m["gpu_share"] is not None}
    if not shares:
        return CheckResult("ok", "unknown: no model is in memory, or the server does not report it")
    finding = ", ".join(f"{name}: {share:.0%} on the GPU" for name, share in shares.items())
    if any(0 < share < 1 for share in shares.values()):
        fix = "Use a smaller quantization or --num-ctx, or free GPU memory."
        return CheckResult("warn", f"split: {finding}", fix)
    return CheckResult("ok", finding)


@check("server.slots")
def server_slots(context: Context) -> CheckResult:
    """Check how many requests the server processes at once."""
    seen = context.seen
    if seen.server is None:
        return CheckResult("ok", _NO_SERVER)
    if seen.slots is not None:
        return CheckResult("ok", f"{seen.slots}: more concurrent requests have to wait")
    if seen.server.kind == "ollama":
        text = "unknown: Ollama's API does not report it; the server's OLLAMA_NUM_PARALLEL sets it"
        return CheckResult("ok", text)
    return CheckResult("ok", f"unknown: {seen.why['slots']}")


@check("cpu.governor")
def cpu_governor(context: Context) -> CheckResult:
    """Check whether the CPU's clock may change with the load."""
    governor = context.facts["governor"]
    if governor is None:
        return CheckResult("ok", "unknown: this system reports none")
    if governor == "performance":
        return CheckResult("ok", governor)
    fix = "Set it before you measure: sudo cpupower frequency-set --governor performance."
    return CheckResult("warn", f"{governor}: the clock changes during a measurement", fix)


@check("machine.limits")
def machine_limits(context: Context) -> CheckResult:
    """Check the limits of this process: the kernel pauses processes that exceed a CPU quota."""
    from pytest_llamaburn.environment import binding
    from pytest_llamaburn.tables import room

    limits = binding(context.facts, context.facts)
    if "cpu_quota" not in limits:
        return CheckResult("ok", room(context.facts) if limits else f"none: {room(context.facts)}")
    fix = "Give the container whole processors (docker run --cpuset-cpus), or raise its --cpus."
    return CheckResult("warn", f"{room(context.facts)}: a quota pauses the measuring process", fix)


@check("cpu.other_load")
def cpu_other_load(context: Context) -> CheckResult:  # noqa: ARG001 - all checks have the same signature
    """Check how much CPU other programs use now."""
    from pytest_llamaburn.commands._look import load

    _, others, busiest = load(_WINDOW_S)
    if others is None:
        return CheckResult("ok", "unknown: this system has no counters")
    most = f", most by {busiest[0]} ({busiest[1]:.0f} %)" if busiest else ""
    finding = f"other programs use {others:.0f} % of the processors"
    if others > BUSY_PERCENT:
        return CheckResult("warn", finding + most, "Close them, or wait until they have finished.")
    return CheckResult("ok", finding)


@check("disk.free")
def disk_free(context: Context) -> CheckResult:
    """Check for free disk space in the results directory."""
    import shutil

    place = _nearest(context.results_dir)
    free_mb = shutil.disk_usage(place).free / 1e6
    level = "fail" if free_mb < FAIL_BELOW_MB else "warn" if free_mb < WARN_BELOW_MB else "ok"
    fix = "" if level == "ok" else "Free some space, or set another directory with --results-dir."
    return CheckResult(level, f"{free_mb:,.0f} MB free at {place.resolve()}", fix)


@check("results.writable")
def results_writable(context: Context) -> CheckResult:
    """Check whether files can be written to the results directory; leaves no file there."""
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=_nearest(context.results_dir)):
            return CheckResult("ok", str(context.results_dir.resolve()))
    except OSError as err:
        finding = f"{context.results_dir} cannot be written: {err.strerror or err}"
        return CheckResult("fail", finding, "Set another directory with --results-dir.")


def _nearest(path: Path) -> Path:
    """Return the path, or its nearest existing ancestor."""
    return next(place for place in (path, *path.resolve().parents) if place.exists())


@check("journal.leftover")
def journal_leftover(context: Context) -> CheckResult:
    """Check for runs that ended before they were complete."""
    from pytest_llamaburn.store import journal
    from pytest_llamaburn.store.resume import continuing

    folders = journal.leftovers(context.results_dir)
    if not folders:
        return CheckResult("ok", "no unfinished runs")
    newest = journal.read(folders[-1]).header
    way = f"Continue the last run: {continuing(newest)}; or save" if newest else "Save"
    fix = f"{way} their results: llamaburn results recover."
    return CheckResult("warn", f"unfinished: {', '.join(folder.name for folder in folders)}", fix)


@check("config.origins")
def config_origins(context: Context) -> CheckResult:  # noqa: ARG001
    """Check the configuration files and environment variables, and list those in use."""
    try:
        classes = [kind.settings_class for kind in _kind.every()]
        found = [options.resolve(one, {})[1] for one in (*classes, Display)]
    except SettingsError as err:
        return CheckResult("fail", str(err), "Correct the value there.")
    spoken = [origin for origins in found for origin in origins.values()]
    sources = dict.fromkeys(origin.rpartition(": ")[0] or origin for origin in spoken)
    return CheckResult("ok", ", ".join(sources) or "no file or variable: only defaults and flags")


@check("container")
def container(context: Context) -> CheckResult:
    """Check for a container, and how to reach a server on the host from it."""
    from pytest_llamaburn.backends._address import CONTAINER_HOST, LOOPBACK_ONLY

    if not context.facts["container"]:
        return CheckResult("ok", "not in a container")
    known = _resolves(CONTAINER_HOST)
    finding = f"in a container; {CONTAINER_HOST} {'resolves' if known else 'does not resolve'}"
    if context.seen.server is not None or context.settings.backend == "embedded":
        return CheckResult("ok", finding)
    start = (
        "" if known else f", and start the container with --add-host={CONTAINER_HOST}:host-gateway"
    )
    reach = f"For a server on the host: --host http://{CONTAINER_HOST}:11434{start}."
    return CheckResult("warn", finding, f"{reach} {LOOPBACK_ONLY}")


def _resolves(name: str) -> bool:
    import socket

    try:
        return bool(socket.getaddrinfo(name, None))
    except OSError:
        return False


@check("sandbox")
def sandbox(context: Context) -> CheckResult:  # noqa: ARG001
    """Check whether generated code can run safely on this machine."""
    from pytest_llamaburn import sandbox as sandboxed
    from pytest_llamaburn.scorers import code

    try:
        code.ready()
    except LlamaBurnError as err:
        fix = "No fix is needed for eval sets without the scorer code."
        return CheckResult("warn", str(err), fix)
    finding = "generated code can run: Landlock and seccomp confine it"
    lacking = sandboxed.missing()
    names = [name for word, name in sandboxed.LANGUAGES.items() if word not in lacking]
    needs = "".join(f"; {sandboxed.LANGUAGES[n]} needs {tool}" for n, (tool, _) in lacking.items())
    fix = "; ".join(f"For {sandboxed.LANGUAGES[n]}: {how}" for n, (_, how) in lacking.items())
    return CheckResult("ok", f"{finding}; languages: {', '.join(names)}{needs}", fix)


@check("extras")
def extras(context: Context) -> CheckResult:
    """List the optional parts; without a server, a missing embedded backend is a warning."""
    parts = _parts.installed()
    shown = [f"{name}: {'installed' if here else 'missing'}" for name, here in parts.items()]
    missing = [name for name, here in parts.items() if not here]
    if not missing:
        return CheckResult("ok", ", ".join(shown))
    level = "warn" if "embedded" in missing and context.seen.server is None else "ok"
    return CheckResult(level, ", ".join(shown), f"Install with: {installing(*missing)}")


def sensor_of(name: str) -> Callable[[Context], CheckResult]:
    """Return the check of one sensor provider."""

    def check(context: Context) -> CheckResult:  # noqa: ARG001
        from pytest_llamaburn.telemetry._base import Machine
        from pytest_llamaburn.telemetry._detect import provider

        member = provider(name, Machine())
        probe = member.probe()
        member.close()
        if probe.ok:
            return CheckResult("ok", ", ".join(d.name or d.id for d in probe.devices) or "read")
        if probe.reason == "permission":
            return CheckResult("warn", "present, but only root may read it", probe.message)
        return CheckResult("ok", f"not used: {probe.message}")

    return check
