"""The action `audit` of `llamaburn judge`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import grids, options
from pytest_llamaburn.commands import _verdicts
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds.audit import settings as _settings
from pytest_llamaburn.settings import Display, Storage
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    import argparse

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds.audit.bounds import Bound
    from pytest_llamaburn.kinds.audit.run import AuditRun

Audit = _settings.Audit


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that only this action takes."""
    from pytest_llamaburn.kinds.audit import bounds

    for bound in bounds.BOUNDS:
        parser.add_argument(f"--{bound.flag}", metavar="X", help=bound.help)


def run(arguments: argparse.Namespace) -> int:
    """Audit the judges, write and show the result; return the exit code."""
    from pytest_llamaburn import reports

    storage, _ = options.resolve(Storage, options.given(arguments, Storage))
    display, _ = options.resolve(Display, options.given(arguments, Display))
    reports.check(display.output)
    asked = _bounds(arguments)
    results_dir = Path(storage.results_dir)
    work = _work(arguments, results_dir)
    if work.settings.dry_run:
        return _estimate(work)
    with _verdicts.keeping(work, "audit"):
        return _audited(work, asked, results_dir, display)


def _work(arguments: argparse.Namespace, results_dir: Path) -> AuditRun:
    """Return the audit; a continued one has its own settings, except limits of spending.

    Raises UsageError for flags that have no meaning, or a judge that is not available.
    """
    from pytest_llamaburn.kinds.audit.run import AuditRun, header_of
    from pytest_llamaburn.store import resume

    settings, origins = options.resolve(Audit, options.given(arguments, Audit))
    header = None
    if arguments.resume is not None:
        header = header_of(results_dir, arguments.resume)
        settings = resume.restored(settings, origins, header, Audit)
    _check(arguments, settings)
    work = AuditRun(settings, results_dir, header)
    if header is None and work.earlier:
        _verdicts.say(f"a cut audit left {counted(work.earlier, 'verdict')}: --resume {work.id}")
    return work


def _check(arguments: argparse.Namespace, settings: Any) -> None:
    """Raise SettingsError for a missing judge, and flags that only `calibrate` takes."""
    for name in ("labels", "format", "min_qwk", "min_spearman", "criterion"):
        if getattr(arguments, name) is not None:
            flag = name.replace("_", "-")
            raise SettingsError(f"--{flag}: judge audit does not use it: leave it out")
    if not settings.judge:
        raise SettingsError("--judge: no judge is named: name one, such as --judge ollama:qwen3:8b")


def given(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the bounds that were given, by the names of their flags."""
    from pytest_llamaburn.kinds.audit import bounds

    texts = {one.flag: getattr(arguments, one.flag.replace("-", "_")) for one in bounds.BOUNDS}
    return {flag: text for flag, text in texts.items() if text is not None}


def _bounds(arguments: argparse.Namespace) -> dict[Bound, float]:
    from pytest_llamaburn.kinds.audit import bounds

    texts = given(arguments)
    return {one: bounds.parse(one, texts[one.flag]) for one in bounds.BOUNDS if one.flag in texts}


def _estimate(work: AuditRun) -> int:
    """Print what the audit would take, before anything is sent."""
    from pytest_llamaburn.judges import Pair

    every = work.tasks.values()
    pairs = [task.material for task in every if isinstance(task.material, Pair)]
    cases = [
        (task.material, [task.criterion]) for task in every if not isinstance(task.material, Pair)
    ]
    texts = f"the {counted(len(every), 'text')} of the audit with {work.settings.set}"
    for scores, both in zip(
        work.panel.estimate(cases), work.panel.estimate_pairs(pairs), strict=True
    ):
        print(scores.plus(both).sentence(texts))
    return 0


def _audited(work: AuditRun, asked: dict[Bound, float], results_dir: Path, display: Any) -> int:
    """Ask the judges, write the result file and show it; return the exit code."""
    from pytest_llamaburn import reports
    from pytest_llamaburn.kinds.audit import bounds
    from pytest_llamaburn.store import results

    with _verdicts.shown(display.progress, "texts", len(work.tasks), len(work.known)) as step:
        document = work.run(step)
    document["results"]["gates"] = [*bounds.verdicts(document["results"], asked)]
    path = results.write(results_dir, document)
    width = grids.columns_of(sys.stdout, wide=display.wide)
    reports.show([path], display.output, sys.stdout.write, width)
    print(f"wrote {path}", file=sys.stderr)
    return _exit_code(document, work.settings.max_unscored)


def _exit_code(document: Document, max_unscored: float) -> int:
    """Print what is not good enough; return the exit code."""
    from pytest_llamaburn import gates

    found = document["results"]
    broken = gates.not_passed(found["gates"])
    if found["unscored_share"] > max_unscored:
        missing = found["n_total"] - found["n_scored"]
        broken.append(
            f"{missing} of {found['n_total']} verdicts are missing, more than --max-unscored "
            f"{max_unscored:g} allows"
        )
    for sentence in broken:
        _verdicts.say(sentence)
    return 1 if broken else 0
