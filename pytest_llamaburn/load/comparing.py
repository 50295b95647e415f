"""From result files to the file of their comparison."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import compare, compare_evals, compare_stress, gates, results
from pytest_llamaburn.errors import ResultsError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.settings import Benchmark

LAST = "last"
EVAL, STRESS = "llamaburn/eval", "llamaburn/stress"
_WORDS = {EVAL: "eval", STRESS: "stress run"}


def compared(
    results_dir: Path, paths: Sequence[Path], baseline: int, choice: compare.Choice
) -> dict[str, Any]:
    """Return the comparison of result files with the one of them that is the baseline."""
    sources = [compare.Source(str(path), results.load_benchmark(path)) for path in paths]
    wanted = _places(sources)
    history = results.earlier(results_dir, wanted) if wanted else ()
    return compare.document(compare.Comparison(sources, choice, baseline, history), *_identity())


def schema_of(path: Path) -> str:
    """Return the schema of a result file, which says how it is compared."""
    return results.brief(path).schema


def compared_evals(paths: Sequence[Path], baseline: int) -> dict[str, Any]:
    """Return the comparison of evals with the one of them that is the baseline.

    Raises ResultsError for files of other kinds and for those that have nothing in common.
    """
    sources = _sources(paths, EVAL)
    return compare_evals.document(sources, str(paths[baseline]), *_identity())


def compared_loads(
    results_dir: Path, paths: Sequence[Path], baseline: int, choice: compare_stress.Choice
) -> dict[str, Any]:
    """Return the comparison of stress runs with the one of them that is the baseline.

    Earlier runs in the results directory show the noise. Raises ResultsError for files of other
    kinds and for those that have nothing in common.
    """
    sources = _sources(paths, STRESS)
    machines = {(d["environment"].get("fingerprint"), d["model"]["id"]) for d in sources.values()}
    history = results.earlier(results_dir, {m for m in machines if m[0]}, "stress")
    before = str(paths[baseline])
    found = compare_stress.Comparison(sources, before, choice, history)
    return compare_stress.document(found, *_identity())


def _sources(paths: Sequence[Path], schema: str) -> dict[str, dict[str, Any]]:
    sources = {str(path): results.load(path) for path in paths}
    if len(sources) < 2:
        raise ResultsError(f"compare: {paths[0]} is named twice: name another file")
    for path, found in sources.items():
        if found["schema"] != schema:
            raise ResultsError(f"compare: {path} is no {_WORDS[schema]} as the first file is")
    return sources


def check(settings: Benchmark) -> None:
    """Raise UsageError where --compare names no benchmark, or --fail-if is no gate."""
    _choice(settings)
    if settings.fail_if and settings.compare is None:
        raise SettingsError("--fail-if judges a comparison: name the baseline with --compare")
    if settings.compare not in (None, LAST):
        results.load_benchmark(results.find(Path(settings.results_dir), settings.compare))


def with_baseline(path: Path, settings: Benchmark) -> tuple[Path | None, list[str]]:
    """Compare a new result file with the baseline of the settings, and file the comparison.

    Return its path, None without an earlier file to compare with, and a sentence for each gate
    that did not pass.
    """
    directory = Path(settings.results_dir)
    before = _baseline(path, settings)
    if before is None:
        model = results.load(path)["model"]["id"]
        missing = f"no earlier benchmark of {model} in {directory}"
        return None, [f"{gate}: undecided: {missing}" for gate in settings.fail_if]
    document = compared(directory, [before, path], 0, _choice(settings))
    return results.write(directory, document), broken(document)


def is_benchmark(path: Path) -> bool:
    """Return whether a result file is a benchmark's, which alone has a baseline."""
    return schema_of(path) == "llamaburn/benchmark"


def broken(document: dict[str, Any]) -> list[str]:
    """Return a sentence for each gate of a comparison that did not pass."""
    found = document["results"].get("gates", ())
    return [gates.change_sentence(gate) for gate in found if gate["verdict"] != "pass"]


def _baseline(path: Path, settings: Benchmark) -> Path | None:
    directory = Path(settings.results_dir)
    if settings.compare != LAST:
        return results.find(directory, str(settings.compare))
    now = results.load(path)
    for earlier in results.benchmarks_of(directory, now["model"]["id"]):
        then = results.load(earlier)
        if then["run_id"] != now["run_id"] and then["config"]["mode"] == now["config"]["mode"]:
            return earlier
    return None


def _choice(settings: Benchmark) -> compare.Choice:
    return compare.Choice(gates=tuple(compare.gate(text) for text in settings.fail_if))


def _identity() -> tuple[str, str]:
    """Return a new run id and its time stamp."""
    now = datetime.now(UTC)
    run_id = f"{now:%Y-%m-%dT%H-%M-%S}-{secrets.token_hex(3)}"
    return run_id, now.isoformat(timespec="seconds").replace("+00:00", "Z")


def _places(sources: Sequence[compare.Source]) -> set[tuple[str, str]]:
    """Return the machine and model of each file whose noise must be learnt from earlier files."""
    sides = [compare.Side(source) for source in sources]
    return {(s.machine, s.model) for s in sides if len(s.runs) == 1 and s.machine is not None}
