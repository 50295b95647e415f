"""From result files to the file of their comparison."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import compare, compare_evals, compare_stress, results
from pytest_llamaburn.errors import ResultsError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.settings import Benchmark

LAST = "last"
_APART = {
    "llamaburn/eval": ("eval", compare_evals.document),
    "llamaburn/stress": ("stress run", compare_stress.document),
}


def compared(
    results_dir: Path, paths: Sequence[Path], baseline: int, choice: compare.Choice
) -> dict[str, Any]:
    """Return the comparison of result files with the one of them that is the baseline."""
    sources = [compare.Source(str(path), results.load_benchmark(path)) for path in paths]
    wanted = _places(sources)
    history = results.earlier(results_dir, wanted) if wanted else ()
    return compare.document(compare.Comparison(sources, choice, baseline, history), *_identity())


def apart(paths: Sequence[Path]) -> str | None:
    """Return eval or stress run where the first file is one, which are compared their own way."""
    kind = _APART.get(results.brief(paths[0]).schema)
    return kind and kind[0]


def compared_apart(paths: Sequence[Path], baseline: int) -> dict[str, Any]:
    """Return the comparison of evals, or of stress runs, with the one that is the baseline.

    Raises ResultsError for files of other kinds and for those that have nothing in common.
    """
    sources = {str(path): results.load(path) for path in paths}
    if len(sources) < 2:
        raise ResultsError(f"compare: {paths[0]} is named twice: name another file")
    schema = next(iter(sources.values()))["schema"]
    word, document = _APART[schema]
    for path, found in sources.items():
        if found["schema"] != schema:
            raise ResultsError(f"compare: {path} is no {word} as the first file is")
    return document(sources, str(paths[baseline]), *_identity())


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
    return results.brief(path).schema == "llamaburn/benchmark"


def broken(document: dict[str, Any]) -> list[str]:
    """Return a sentence for each gate of a comparison that did not pass."""
    gates = document["results"].get("gates", ())
    return [compare.sentence(gate) for gate in gates if gate["verdict"] != "pass"]


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
