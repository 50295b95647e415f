"""Hold a judge against human labels: how well they agree, how sure that is, and if it is enough."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import options
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.settings import Judging

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.calibration import Label
    from pytest_llamaburn.judges import Case, Comparison, Panel, Score

HELP = "hold a judge against human labels"
EXAMPLE = "llamaburn judge calibrate --labels labels.jsonl --judge claude --min-qwk 0.6"
_GATES = ("qwk", "spearman")


class _Judged(NamedTuple):
    """A judge's verdicts as ratings, the state of each, and what else there is to tell."""

    verdicts: list[int | None]
    states: list[str]
    about: dict[str, Any]


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("action", choices=("calibrate",))
    parser.add_argument(
        "--labels",
        required=True,
        metavar="FILE.jsonl",
        help="a line each: question, response (or response_a and response_b), criterion, human "
        "(1 to 5, or A, B, tie; one or a list), and if wanted reference and judge, a recorded "
        "verdict, which is used where no --judge is named",
    )
    for name in _GATES:
        parser.add_argument(
            f"--min-{name}", metavar="X", help=f"exit 1 unless {name} is surely at least X"
        )
    parser.add_argument("--output", "-o", choices=("table", "json"), default="table")
    options.declare(parser.add_argument, Judging)


def run(arguments: argparse.Namespace) -> int:
    """Judge what is labelled, print the agreement; return the exit code."""
    import asyncio

    from pytest_llamaburn import calibration

    settings, _ = options.resolve(Judging, options.given(arguments, Judging))
    minima = {name: _minimum(arguments, name) for name in _GATES}
    labels = calibration.read(Path(arguments.labels))
    offline = not arguments.judge and (not settings.judge or labels[0].judged)
    if settings.dry_run and not offline:
        return _tell_estimate(settings, labels)
    judged = _recorded(labels) if offline else asyncio.run(_ask(settings, labels))
    document = calibration.report(labels, judged.verdicts, minima)
    document |= {"by_state": calibration.by_state(judged.states), **judged.about}
    as_json = arguments.output == "json"
    print(json.dumps(document, indent=2, ensure_ascii=False) if as_json else _table(document))
    return _verdict(document, settings.max_unscored)


def _minimum(arguments: argparse.Namespace, name: str) -> float | None:
    text = getattr(arguments, f"min_{name}")
    try:
        value = None if text is None else float(text)
    except ValueError:
        value = 2.0
    if value is not None and not -1 <= value <= 1:
        raise SettingsError(f"--min-{name}: '{text}' is refused: write a number from -1 to 1")
    return value


def _recorded(labels: Sequence[Label]) -> _Judged:
    from pytest_llamaburn import calibration

    verdicts = calibration.recorded(labels)
    states = ["unscored" if verdict is None else "scored" for verdict in verdicts]
    return _Judged(verdicts, states, {"judges": []})


async def _ask(settings: Judging, labels: Sequence[Label]) -> _Judged:
    """Have the panel judge all labels; raises UsageError where a judge cannot be had."""
    from pytest_llamaburn.judges import Panel

    panel = Panel.of(settings)
    try:
        await panel.open()
        work = _compare if len(labels[0].answers) > 1 else _score
        judged = await work(panel, labels)
    finally:
        await panel.close()
    names = [caller.judge.name for caller in panel.callers]
    about = {"judges": names, "spent": panel.spent(), "notes": panel.notes, **judged.about}
    return judged._replace(about=about)


async def _score(panel: Panel, labels: Sequence[Label]) -> _Judged:
    import asyncio

    from pytest_llamaburn import judges
    from pytest_llamaburn.agreement import consensus

    calls = [panel.judge(_case(label), label.criterion) for label in labels]
    scores: list[Score] = await asyncio.gather(*calls)
    verdicts = [None if s.score is None else int(consensus([s.score])) for s in scores]
    about: dict[str, Any] = {"judgments": [s.as_dict() for s in scores]}
    if len(panel.callers) > 1:
        about["jury_alpha"] = judges.alpha(scores)
    return _Judged(verdicts, [s.state for s in scores], about)


async def _compare(panel: Panel, labels: Sequence[Label]) -> _Judged:
    import asyncio

    from pytest_llamaburn import agreement
    from pytest_llamaburn.judges import Pair

    pairs = [Pair(one.question, one.answers[0], one.answers[1], one.reference) for one in labels]
    found = await asyncio.gather(*(panel.compare(pair) for pair in pairs))
    games = [_game(pair, one) for pair, each in zip(pairs, found, strict=True) for one in each]
    about = {
        "pairwise": agreement.games(games),
        "judgments": [[one.as_dict() for one in each] for each in found],
    }
    verdicts = [_rating(each) for each in found]
    return _Judged(verdicts, [_state(each) for each in found], about)


def _case(label: Label) -> Case:
    from pytest_llamaburn.judges import Case

    return Case(label.question, label.answers[0], label.reference)


def _game(pair: Any, one: Comparison) -> Any:
    from pytest_llamaburn.agreement import Game

    picks = sum(j.verdict in ("A", "B") for j in one.judgments if j.source == "judge")
    delta = float(len(pair.answer_a) - len(pair.answer_b))
    return Game(one.verdict, one.inconsistent, one.first_picks, picks, delta, pair.question)


def _rating(each: Sequence[Comparison]) -> int | None:
    from pytest_llamaburn.agreement import consensus
    from pytest_llamaburn.calibration import VERDICTS

    ratings = [VERDICTS[one.verdict] for one in each if one.verdict is not None]
    return int(consensus(ratings)) if ratings else None


def _state(each: Sequence[Comparison]) -> str:
    states = [one.state for one in each]
    return "scored" if "scored" in states else states[0]


def _tell_estimate(settings: Judging, labels: Sequence[Label]) -> int:
    from pytest_llamaburn.judges import Panel
    from pytest_llamaburn.reports._rows import grid

    panel = Panel.of(settings)
    found: dict[str, list[Any]] = {}
    for label in labels:
        case = _case(label)._replace(answer="\n".join(label.answers))
        for one in panel.estimate([case], [label.criterion]):
            found.setdefault(one.judge, []).append(one)
    orders = len(labels[0].answers)  # a comparison is judged in both
    rows = [_estimate_row(name, each, orders) for name, each in found.items()]
    columns = ("judge", "calls", "input tokens", "output tokens", "USD", "at most")
    print(grid(columns, rows, numeric=1))
    return 0


def _estimate_row(name: str, each: Sequence[Any], orders: int) -> tuple[str, ...]:
    from pytest_llamaburn.reports._rows import ABSENT

    counts = [str(sum(one[i] for one in each) * orders) for i in (1, 2, 3)]
    known = all(one.cost_usd is not None for one in each)
    costs = [f"{sum(one[i] for one in each) * orders:.4f}" if known else ABSENT for i in (4, 5)]
    return (name, *counts, *costs)


def _verdict(document: dict[str, Any], max_unscored: float) -> int:
    """Tell what is not good enough; return the exit code."""
    broken = [gate for gate in document["gates"] if gate["verdict"] != "pass"]
    for gate in broken:
        print(f"llamaburn: {_sentence(gate)}", file=sys.stderr)
    if document["unscored_share"] > max_unscored:
        missing = document["n_total"] - document["n_scored"]
        print(
            f"llamaburn: {missing} of {document['n_total']} verdicts are missing, more than "
            f"--max-unscored {max_unscored:g} allows",
            file=sys.stderr,
        )
        return 1
    return 1 if broken else 0


def _sentence(gate: dict[str, Any]) -> str:
    value = "has no value" if gate["value"] is None else f"is {gate['value']:.3f}"
    low = gate["ci95"]
    surely = f", surely only {low[0]:.3f}" if low else ""
    return (
        f"{gate['figure']} of {gate['criterion']} {value}{surely}: --min-{gate['figure']} "
        f"{gate['minimum']:g} is {'missed' if gate['verdict'] == 'fail' else 'undecided'}"
    )


def _table(document: dict[str, Any]) -> str:
    states = ", ".join(f"{n} {state}" for state, n in document["by_state"].items())
    names = ", ".join(document["judges"]) or "recorded verdicts"
    parts = [f"{names}: {document['n_total']} labels ({states})"]
    parts += [_section(name, found) for name, found in document["criteria"].items()]
    if "pairwise" in document:
        parts.append(_pairwise(document["pairwise"]))
    if document.get("spent"):
        spent = document["spent"]
        cost = "unknown" if spent["cost_usd"] is None else f"{spent['cost_usd']:.4f} USD"
        parts.append(f"{spent['calls']} calls, cost {cost}")
    return "\n\n".join([*parts, *(f"note: {note}" for note in document.get("notes", ()))])


def _section(name: str, found: dict[str, Any]) -> str:
    from pytest_llamaburn.reports._rows import grid

    columns = (name, "judge", "95 % interval", "one human", "constant")
    confusion = found["confusion"]
    heads = [str(label) for label in confusion["labels"]]
    rows = [(h, *map(str, r)) for h, r in zip(heads, confusion["human_by_judge"], strict=True)]
    crossed = grid(("human \\ judge", *heads), rows, numeric=1)
    return f"{grid(columns, list(_rows(found)), numeric=1)}\n\n{crossed}"


def _rows(found: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    from pytest_llamaburn.reports._rows import ABSENT

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
    from pytest_llamaburn.reports._rows import ABSENT

    return ABSENT if value is None else f"{value:.3f}"


def _pairwise(found: dict[str, Any]) -> str:
    rates = ("win_rate", "decisive_rate", "consistency", "first_position_rate")
    shown = ", ".join(f"{name} {_short(found[name]['value'])}" for name in rates)
    return f"A wins {found['wins']}, loses {found['losses']}, ties {found['ties']}; {shown}"
