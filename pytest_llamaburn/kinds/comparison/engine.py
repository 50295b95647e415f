"""From result files to the file of their comparison."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import gates
from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.kinds.benchmark import comparable as compare
from pytest_llamaburn.kinds.eval import comparable as compare_evals
from pytest_llamaburn.kinds.stress import comparable as compare_stress
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_llamaburn.kinds.benchmark.settings import Benchmark
    from pytest_llamaburn.kinds.stress.settings import Stress

LAST = "last"
_WORDS = {"benchmark": "benchmark", "eval": "eval", "stress": "stress run"}
_GATES: dict[str, Callable[[str], Any]] = {
    "benchmark": compare.gate,
    "stress": compare_stress.gate,
}


def compared(
    results_dir: Path, paths: Sequence[Path], baseline: int, choice: compare.Choice
) -> dict[str, Any]:
    """Return the comparison of result files with the one of them that is the baseline."""
    sources = (compare.Source(str(path), results.load_of(path, "benchmark")) for path in paths)
    earlier = partial(results.earlier, results_dir, kind="benchmark")
    return compare.document(compare.Comparison(sources, choice, baseline, earlier), *_identity())


def kind_of(path: Path) -> str:
    """Return the kind of a result file, which says how it is compared."""
    return results.brief(path).schema.removeprefix(results.PREFIX)


def compared_evals(paths: Sequence[Path], baseline: int) -> dict[str, Any]:
    """Return the comparison of evals with the one of them that is the baseline.

    Raises ResultsError for files of other kinds and for those that have nothing in common.
    """
    sources = _sources(paths, "eval")
    return compare_evals.document(sources, str(paths[baseline]), *_identity())


def compared_loads(
    results_dir: Path, paths: Sequence[Path], baseline: int, choice: compare_stress.Choice
) -> dict[str, Any]:
    """Return the comparison of stress runs with the one of them that is the baseline.

    Earlier runs in the results directory show the noise. Raises ResultsError for files of other
    kinds and for those that have nothing in common.
    """
    sources = _sources(paths, "stress")
    machines = {(d["environment"].get("fingerprint"), d["model"]["id"]) for d in sources.values()}
    history = results.earlier(results_dir, {m for m in machines if m[0]}, "stress")
    before = str(paths[baseline])
    found = compare_stress.Comparison(sources, before, choice, history)
    return compare_stress.document(found, *_identity())


def _sources(paths: Sequence[Path], kind: str) -> dict[str, dict[str, Any]]:
    sources = {str(path): results.load(path) for path in paths}
    if len(sources) < 2:
        raise ResultsError(f"compare: {paths[0]} is named twice: name another file")
    for path, found in sources.items():
        if found["schema"] != results.PREFIX + kind:
            raise ResultsError(f"compare: {path} is no {_WORDS[kind]} as the first file is")
    return sources


def check(settings: Benchmark | Stress, kind: str) -> None:
    """Raise UsageError where --compare names no file of the kind, or --fail-if is no gate."""
    for text in settings.fail_if:
        _GATES[kind](text)
    if settings.fail_if and settings.compare is None:
        raise SettingsError("--fail-if judges a comparison: name the baseline with --compare")
    if settings.compare not in (None, LAST):
        path = results.find(Path(settings.results_dir), settings.compare)
        schema = results.load(path)["schema"]
        if schema != results.PREFIX + kind:
            raise ResultsError(f"{path} is no {_WORDS[kind]}: its schema is {schema}")


def with_baseline(path: Path, settings: Any) -> tuple[Path | None, list[str]]:
    """Compare a new result file with the baseline of the settings, if they name one, and file that.

    Return the comparison's path, None without an earlier file to compare with, and a sentence for
    each gate that did not pass.
    """
    if getattr(settings, "compare", None) is None:
        return None, []
    directory, kind = Path(settings.results_dir), kind_of(path)
    before = _baseline(path, kind, settings)
    if before is None:
        model = results.load(path)["model"]["id"]
        mode = f" in mode {settings.mode}" if kind == "stress" else ""
        missing = f"no earlier {_WORDS[kind]} of {model}{mode} in {directory}"
        return None, [f"{gate}: undecided: {missing}" for gate in settings.fail_if]
    parsed = tuple(map(_GATES[kind], settings.fail_if))
    if kind == "stress":
        choice = compare_stress.Choice(gates=parsed)
        document = compared_loads(directory, [before, path], 0, choice)
    else:
        document = compared(directory, [before, path], 0, compare.Choice(gates=parsed))
    return results.write(directory, document), broken(document)


def broken(document: dict[str, Any]) -> list[str]:
    """Return a sentence for each gate of a comparison that did not pass."""
    found = document["results"].get("gates", ())
    return [gates.change_sentence(gate) for gate in found if gate["verdict"] != "pass"]


def _baseline(path: Path, kind: str, settings: Any) -> Path | None:
    directory = Path(settings.results_dir)
    if settings.compare != LAST:
        return results.find(directory, str(settings.compare))
    now = results.load(path)
    for earlier in results.of_model(directory, kind, now["model"]["id"]):
        then = results.load(earlier)
        alike = all(then["config"].get(n) == now["config"].get(n) for n in ("mode", "arrival"))
        if then["run_id"] != now["run_id"] and alike and then["status"] == "complete":
            return earlier
    return None


def _identity() -> tuple[str, str]:
    """Return a new run id and its time stamp."""
    now = datetime.now(UTC)
    run_id = f"{now:%Y-%m-%dT%H-%M-%S}-{secrets.token_hex(3)}"
    return run_id, now.isoformat(timespec="seconds").replace("+00:00", "Z")
