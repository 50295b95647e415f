"""Interrupted runs: finding them, and checking whether one can be continued."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import options
from pytest_llamaburn.backends._address import hosts_of, parse_host
from pytest_llamaburn.backends._detect import means_file, settle
from pytest_llamaburn.energy import cost
from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.option import changed, options_of
from pytest_llamaburn.store import journal, results
from pytest_llamaburn.telemetry import _detect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_llamaburn.documents import Header
    from pytest_llamaburn.settings import Run
    from pytest_llamaburn.store.file_kinds import RunFileKind

LAST = "last"
ASKED_AGAIN = ("api_error", "budget")  # judgments that a continued run asks for again


def unfiled(results_dir: Path) -> list[str]:
    """Return the ids of killed runs: they have a journal but no result file."""
    headers = unfinished(results_dir)
    return [name for name, it in headers.items() if results.of_run(results_dir, it) is None]


def left_alone(results_dir: Path) -> list[str]:
    """Return a sentence for each journal that this version cannot turn into a result file."""
    return [*_left_behind(results_dir)[1].values()]


def unfinished(results_dir: Path) -> dict[str, Header]:
    """Return the headers of the runs that can be continued, by run id, oldest first."""
    return _left_behind(results_dir)[0]


def _left_behind(results_dir: Path) -> tuple[dict[str, Header], dict[str, str]]:
    """Return the headers of unfinished runs, oldest first, and why other journals have none."""
    headers: dict[str, Header] = {}
    refused: dict[str, str] = {}
    for folder in journal.leftovers(results_dir):
        try:
            header = _header(folder)
        except ResultsError as err:
            refused[folder.name] = str(err)
        else:
            headers |= {folder.name: header} if header else {}
    return headers, refused


def _header(folder: Path) -> Header | None:
    """Return a journal's header, or None if the run was killed before it wrote one.

    Raises ResultsError if the header is damaged or of an unknown kind.
    """
    header = journal.read(folder).header
    return header and _sound(header, folder)


def _sound(header: Header, folder: Path) -> Header:
    """Return a journal's header; raises ResultsError if it is damaged or of an unknown kind."""
    kind = header.get("schema")
    if str(kind).removeprefix(results.PREFIX) not in results.kinds():
        raise ResultsError(
            f"{folder} is the journal of a run of kind {kind!r}, which this version of LlamaBurn "
            "does not know: it is left alone"
        )
    try:
        results.of_run(folder.parent, header)
        continuing(header)
    except (AttributeError, LookupError, TypeError, ValueError):
        raise ResultsError(
            f"{folder} is a journal with a damaged header: it is left alone"
        ) from None
    return header


def header_of(results_dir: Path, run: str, schema: str | None = None) -> Header:
    """Return the header of the unfinished run with this id, or of the `last` one.

    If a schema is given, `last` is the newest run that has it, or else the newest of all. Raises
    ResultsError if there is none.
    """
    other = None
    folders = journal.leftovers(results_dir)
    for folder in reversed(folders) if run == LAST else [f for f in folders if f.name == run]:
        try:
            header = _header(folder)
        except ResultsError:
            if run != LAST:
                raise
            continue
        if header is not None and (run != LAST or schema in (None, header["schema"])):
            return header
        other = other or header
    if other is not None:
        return other
    names = ", ".join(folder.name for folder in folders)
    have = f"unfinished runs: {names}" if names else "no run was left unfinished"
    words = f"there is no unfinished run '{run}' in {results_dir}"
    raise ResultsError(f"{words}: {have}")


def of_tests(header: Mapping[str, object]) -> bool:
    """Return whether a run's prompts come from tests; then no command can repeat the run."""
    return bool(results.run_kind_of(header).of_tests(header))


def continuing(header: Mapping[str, object]) -> str:
    """Return the command that continues a run, from its journal's header."""
    if of_tests(header):
        return f"pytest --llamaburn-resume={header['run_id']}"
    return f"llamaburn {results.kind_of(header).name} --resume {header['run_id']}"


def settled(kind: RunFileKind, settings: Any, origins: Mapping[str, str]) -> tuple[Any, str | None]:
    """Return the final settings of a run, and a note about a choice that LlamaBurn made.

    Raises SettingsError for an invalid setting; it names the source of the setting.
    """
    settings = options.of_mode(kind.settings_class, settings, origins)
    _check_names(settings)
    with options.blaming(origins):
        if settings.resume is None:
            kind.check(settings)
        _check_sensors(settings)
        _check_hosts(kind, settings)
    if settings.resume is None:
        return settle(settings, origins)
    header = header_of(Path(settings.results_dir), settings.resume or LAST, kind.schema)
    if header["schema"] != kind.schema:
        words = f"{header['run_id']} is of {header['schema']}, not {kind.schema}"
        raise SettingsError(f"--resume: {words}")
    own = restored(settings, origins, header, kind.settings_class)
    kind.check(own)
    continued = changed(own, {"resume": header["run_id"]})
    return continued, f"continuing {continued.resume}"


def _check_hosts(kind: RunFileKind, settings: Run) -> None:
    """Raise SettingsError for an invalid address, or for several where one server is measured."""
    if kind.several_servers:
        hosts_of(settings.host)
    else:
        parse_host(settings.host or "")


def _check_names(settings: Run) -> None:
    """Raise UsageError for a model name that is not text, or a file that is not a model."""
    from pytest_llamaburn.backends.embedded import model_file

    for name in settings.model:
        if not name.endswith(".gguf") and name != name.encode(errors="replace").decode():
            raise SettingsError(f"--model: {name!r} is refused: it is not text")
        if settings.backend in ("auto", "embedded") and means_file(name):
            model_file(name)


def _check_sensors(settings: Run) -> None:
    """Raise SettingsError for an unknown sensor provider or an invalid --tariff."""
    _detect.check(settings.gpu_provider)
    for text in settings.tariff:
        try:
            cost.band(text)
        except ValueError as err:
            raise SettingsError(f"--tariff: {err}") from None


def restored(
    settings: Any, origins: Mapping[str, str], header: Mapping[str, Any], kind: type
) -> Any:
    """Return the settings in a journal's header, with new limits of spending.

    Raises SettingsError if another flag differs from them.
    """
    now_recorded = options.record(settings, kind)
    spending = {o.name for o in options_of(kind) if o.resume}
    for name, was in header["config"].items():
        now = now_recorded.get(name)
        given = origins.get(name, "").startswith("--") and name not in spending
        if given and now != was:
            raise SettingsError(
                f"--resume: {origins[name]} {now} differs from the run's own, {was}: leave it out, "
                "or begin a new run"
            )
    raised = {name for name in spending if origins.get(name, "").startswith("--")}
    known = (now_recorded.keys() & header["config"].keys()) - raised
    return changed(settings, {name: _frozen(header["config"][name]) for name in known})


def check_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise SettingsError if a run would continue on another model or server."""
    pairs = [("model", "digest"), ("model", "id"), ("server", "kind"), ("server", "version")]
    embedded = before["server"]["kind"] == "embedded"  # its port differs each time
    for part, name in [*pairs, *([] if embedded else [("server", "host")])]:
        was, is_now = before[part][name], now[part][name]
        if was != is_now:
            raise SettingsError(f"--resume: the {part}'s {name} was {was}, now it is {is_now}")


def _frozen(value: object) -> Any:
    return tuple(value) if isinstance(value, list) else value
