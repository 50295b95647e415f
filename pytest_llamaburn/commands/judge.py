"""Find out whether to trust a judge: `calibrate` compares it with human labels, `audit` needs none.

An audit plants errors in right answers, and adds words that may sway a judge. It reports what the
judge sees and what sways it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import files, grids, options
from pytest_llamaburn.commands import _audit, _printing, _verdicts
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds.audit.settings import Audit
from pytest_llamaburn.settings import Display, Judging, Storage
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.judges import Comparison, JudgeResult
    from pytest_llamaburn.judges._calibration import Label
    from pytest_llamaburn.judges._calibration_run import Calibration
    from pytest_llamaburn.judges._kept import Found

HELP = "compare a judge with human labels, or audit it with planted errors"
EXAMPLE = "llamaburn judge calibrate --labels labels.jsonl --judge claude --min-qwk 0.6"
_GATES = ("qwk", "spearman")


class _Task(NamedTuple):
    """What to calibrate: the settings, the labels and where they are; a cut run to continue."""

    settings: Judging
    labels: list[Label]
    path: str
    form: str | None
    run_id: str | None


class _Judged(NamedTuple):
    """A judge's verdicts as ratings, the state of each, and what else the report has."""

    verdicts: list[float | None]
    states: list[str]
    about: Document


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from pytest_llamaburn.judges import _calibration

    parser.add_argument("action", choices=("calibrate", "audit"))
    parser.add_argument(
        "--labels",
        metavar="FILE",
        help="labels, one JSON object per line: question, response (or response_a and response_b), "
        "criterion, human (1 to 5 with fractions, yes or no, or A, B, tie; one or a list); "
        "optional reference and judge, a recorded verdict that is used without --judge",
    )
    parser.add_argument(
        "--format",
        choices=_calibration.formats(),
        help="format of labels from another project: mtbench is the human_judgments of MT-Bench",
    )
    for name in _GATES:
        parser.add_argument(
            f"--min-{name}",
            metavar="X",
            help=f"exit 1 unless the whole 95 %% interval of {name} is at least X",
        )
    parser.add_argument(
        "--resume",
        metavar="RUN",
        help="continue a calibration or an audit that was cut: its id, or last; its settings and "
        "verdicts are used again",
    )
    _audit.add(parser)
    options.declare(parser.add_argument, Audit, Storage, Display)


def run(arguments: argparse.Namespace) -> int:
    """Do the action; return the exit code."""
    return _audit.run(arguments) if arguments.action == "audit" else _calibrate(arguments)


def _calibrate(arguments: argparse.Namespace) -> int:
    """Judge the labelled answers and print the agreement; return the exit code."""
    _check(arguments)
    minima = {name: _minimum(arguments, name) for name in _GATES}
    storage, _ = options.resolve(Storage, options.given(arguments, Storage))
    results_dir = Path(storage.results_dir)
    task = _task(arguments, results_dir)
    asks = arguments.judge or task.run_id or (task.settings.judge and not task.labels[0].judged)
    if not asks:
        from pytest_llamaburn.judges import _calibration

        found = _calibration.recorded(task.labels)
        states = ["unscored" if verdict is None else "scored" for verdict in found]
        return _report(arguments, task, _Judged(found, states, {"judges": []}), minima)
    if task.settings.dry_run:
        return _estimate(task.settings, task.labels, task.path)
    from pytest_llamaburn.judges._calibration_run import Calibration

    work = Calibration(task.settings, task.labels, results_dir, task.run_id)
    with _verdicts.keeping(work, "calibrate"):
        return _report(arguments, task, _ask(arguments, task, work), minima)


def _check(arguments: argparse.Namespace) -> None:
    """Raise SettingsError for flags that only `audit` takes, and formats of its result files."""
    own = {*options.given(arguments, Judging)}
    for name in (*options.given(arguments, Audit), *_audit.given(arguments)):
        if name not in own:
            flag = name.replace("_", "-")
            raise SettingsError(f"--{flag}: judge calibrate does not use it: leave it out")
    for word in arguments.output or ():
        if word not in ("table", "json"):
            raise SettingsError(f"--output: '{word}' is refused: calibrate prints table or json")


def _task(arguments: argparse.Namespace, results_dir: Path) -> _Task:
    """Return what to calibrate; a continued calibration has its own settings and labels.

    Raises UsageError for a flag that differs from them.
    """
    from pytest_llamaburn import evalsets
    from pytest_llamaburn.judges import _calibration, _calibration_run
    from pytest_llamaburn.store import resume

    settings, origins = options.resolve(Judging, options.given(arguments, Judging))
    path, form, run_id = arguments.labels, arguments.format, None
    if arguments.resume is not None:
        header = _calibration_run.header_of(results_dir, arguments.resume)
        settings = resume.restored(settings, origins, header, Judging)
        path, form = path or header["labels"], form or header.get("format")
        run_id = header["run_id"]
    if path is None:
        raise SettingsError("--labels: no file is named: name one, or continue with --resume last")
    if form is None:
        own = evalsets.own_criteria(settings.criterion)
        return _Task(settings, _calibration.read(Path(path), own), path, form, run_id)
    labels, left_out = _calibration.imported(files.home(path), form)
    if left_out:
        _verdicts.say(f"{counted(left_out, 'row')} left out: they are about second turns")
    return _Task(settings, labels, path, form, run_id)


def _report(
    arguments: argparse.Namespace,
    task: _Task,
    judged: _Judged,
    minima: Mapping[str, float | None],
) -> int:
    """Print the agreement; return the exit code."""
    from pytest_llamaburn.judges import _calibration

    document = _calibration.report(task.labels, judged.verdicts, minima)
    document |= {"by_state": _calibration.by_state(judged.states), **judged.about}
    as_json = "json" in (arguments.output or ())
    table = "" if as_json else table_of(document, _printing.width(arguments))
    print(table or json.dumps(document, indent=2, ensure_ascii=False))
    sys.stdout.flush()
    return _verdict(document, task.settings.max_unscored)


def _minimum(arguments: argparse.Namespace, name: str) -> float | None:
    text = getattr(arguments, f"min_{name}")
    try:
        value = None if text is None else float(text)
    except ValueError:
        value = 2.0
    if value is not None and not -1 <= value <= 1:
        raise SettingsError(f"--min-{name}: '{text}' is refused: write a number from -1 to 1")
    return value


def _ask(arguments: argparse.Namespace, task: _Task, work: Calibration) -> _Judged:
    """Have the judges judge all labels; raises UsageError if a judge is not available."""
    if task.run_id is None and work.earlier:
        again = f"--resume {work.id}"
        _verdicts.say(f"a cut calibration left {counted(work.earlier, 'verdict')}: {again}")
    about = {"labels": str(files.home(task.path).absolute()), "format": task.form}
    display, _ = options.resolve(Display, options.given(arguments, Display))
    counts = (len(work.labels), len(work.known))
    with _verdicts.shown(display.progress, "labels", *counts) as step:
        found = work.run(step, about)
    return _judged(work, task.labels, found)


def _judged(work: Calibration, labels: Sequence[Label], found: Found) -> _Judged:
    """Return the verdict of each label, and what else the report has."""
    from pytest_llamaburn.judges import _calibration_run as verdicts
    from pytest_llamaburn.judges import _kept

    compared = len(labels[0].answers) > 1
    each: list[Any] = [found[verdicts.name_of(label)] for label in labels]
    callers, every = work.panel.callers, list[Any](found.values())
    about: Document = {
        "judges": [caller.judge.name for caller in callers],
        "spent": work.panel.spent(),
        "notes": work.panel.notes,
        "judgments": _as_dicts(every, compared=compared),
    }
    if compared:
        about["pairwise"] = _pairwise_of(work.labels, found)
    elif len(callers) > 1:
        about["jury_alpha"] = _jury_alpha(every)
    rate = _rating if compared else _score
    return _Judged([*map(rate, each)], [*map(_kept.state_of, each)], about)


def _jury_alpha(every: Sequence[Sequence[JudgeResult]]) -> Document | None:
    from pytest_llamaburn.stats import jury

    ratings = [[(one.judge, one.score) for one in result.judgments] for (result,) in every]
    alpha = jury.alpha(ratings)
    return None if alpha is None else alpha.as_dict()


def _as_dicts(every: Sequence[Any], *, compared: bool) -> list[Any]:
    results = [[one.as_dict() for one in each] for each in every]
    return results if compared else [score for (score,) in results]


def _pairwise_of(labels: Mapping[str, Label], found: Found) -> Document:
    from pytest_llamaburn.judges import _calibration

    pairs = [_preference(label.question, found[name]) for name, label in labels.items()]
    return _calibration.pairwise(pairs)


def _preference(question: str, each: Any) -> Any:
    from pytest_llamaburn.judges._calibration import Preference

    rating = _rating(each)
    scored = [one for one in each if one.verdict is not None]
    asked = [j for one in each for j in one.judgments if j.source == "judge"]
    return Preference(
        question,
        None if rating is None else (rating + 1) / 2,
        sum(not one.inconsistent for one in scored) / len(scored) if scored else 0.0,
        sum(one.first_picks for one in scored),
        sum(j.verdict in ("A", "B") for j in asked),
    )


def _score(each: Sequence[JudgeResult]) -> float | None:
    return each[0].score


def _rating(each: Sequence[Comparison]) -> float | None:
    from pytest_llamaburn.judges._calibration import VERDICTS
    from pytest_llamaburn.stats.agreement import consensus

    ratings = [VERDICTS[one.verdict] for one in each if one.verdict is not None]
    return consensus(ratings) if ratings else None


def _estimate(settings: Judging, labels: Sequence[Label], path: str) -> int:
    """Print what judging would take, before anything is sent."""
    from pytest_llamaburn.judges import Panel
    from pytest_llamaburn.judges import _calibration_run as verdicts

    panel = Panel.of(settings)
    judged = verdicts.distinct(labels).values()
    if len(labels[0].answers) > 1:
        estimates = panel.estimate_pairs(map(verdicts.pair, judged))
    else:
        estimates = panel.estimate((verdicts.case(one), [one.criterion]) for one in judged)
    for estimate in estimates:
        print(estimate.sentence(f"the {counted(len(labels), 'label')} of {path}"))
    return 0


def _verdict(document: Document, max_unscored: float) -> int:
    """Print what is not good enough; return the exit code."""
    from pytest_llamaburn import gates

    broken = gates.not_passed(document["gates"], _sentence)
    for words in broken:
        print(f"llamaburn: {words}", file=sys.stderr)
    if document["unscored_share"] > max_unscored:
        missing = document["n_total"] - document["n_scored"]
        print(
            f"llamaburn: {missing} of {document['n_total']} verdicts are missing, more than "
            f"--max-unscored {max_unscored:g} allows",
            file=sys.stderr,
        )
        return 1
    return 1 if broken else 0


def _sentence(gate: Document) -> str:
    value = "has no value" if gate["value"] is None else f"is {gate['value']:.3f}"
    low = gate["ci95"]
    least = f" (95 % interval from {low[0]:.3f})" if low else ""
    return (
        f"{gate['figure']} of {gate['criterion']} {value}{least}: --min-{gate['figure']} "
        f"{gate['minimum']:g} is {'missed' if gate['verdict'] == 'fail' else 'undecided'}"
    )


def table_of(document: Document, width: int | None) -> str:
    """Return the agreement of judges with people as a table for a terminal."""
    states = ", ".join(f"{n} {state}" for state, n in document["by_state"].items())
    names = ", ".join(document["judges"]) or "recorded verdicts"
    parts = [f"{names}: {counted(document['n_total'], 'label')} ({states})"]
    parts += [_section(name, found, width) for name, found in document["criteria"].items()]
    if "pairwise" in document:
        parts.append(_pairwise(document["pairwise"]))
    if document.get("spent"):
        spent = document["spent"]
        cost = "unknown" if spent["cost_usd"] is None else f"{spent['cost_usd']:.4f} USD"
        parts.append(f"{counted(spent['calls'], 'call')}, cost {cost}")
    return "\n\n".join([*parts, *(f"note: {note}" for note in document.get("notes", ()))])


def _section(name: str, found: Document, width: int | None) -> str:
    columns = (name, "judge", "95 % interval", "one human", "constant")
    confusion = found["confusion"]
    heads = [str(label) for label in confusion["labels"]]
    rows = [
        (h, *(f"{n:g}" for n in r)) for h, r in zip(heads, confusion["human_by_judge"], strict=True)
    ]
    figures = grids.Table(columns, [*_rows(found)], 1, least=("constant", "one human"))
    crossed = grids.Table(("human \\ judge", *heads), rows, 1)
    return f"{grids.text(figures, width)}\n\n{grids.text(crossed, width)}"


def _rows(found: Document) -> Iterator[tuple[str, ...]]:
    from pytest_llamaburn.tables import ABSENT

    for name, figure in found["figures"].items():
        interval = figure["ci95"]
        yield (
            name,
            _short(figure["value"]) if figure["value"] is not None else figure["reason"],
            f"{interval[0]:.3f} … {interval[1]:.3f}" if interval else ABSENT,
            _short(found["human_ceiling"][name]["value"]),
            _short(found["constant_predictor"].get(name)),
        )


def _short(value: float | None) -> str:
    from pytest_llamaburn.tables import ABSENT

    return ABSENT if value is None else f"{value:.3f}"


def _pairwise(found: Document) -> str:
    rates = ("win_rate", "decisive_rate", "consistency", "first_position_rate")
    shown = ", ".join(f"{name} {_short(found[name]['value'])}" for name in rates)
    return f"A wins {found['wins']}, loses {found['losses']}, ties {found['ties']}; {shown}"
