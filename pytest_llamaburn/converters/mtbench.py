"""MT-Bench: open questions in turns, and what people said of answers to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.converters._row import fault, text, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_llamaburn.converters._row import Question

HELP = "question_id, category, turns, reference; only the first turns are used"


def convert(rows: Iterable[Any]) -> Iterator[Question]:
    """Yield the first turn of each question, for a judge; a second turn needs a first answer."""
    for row in rows:
        turns = texts(row, "turns")
        if not turns:
            raise fault(row, "turns", "is empty")
        yield {
            "id": f"mtbench-{text(row, 'question_id')}",
            "prompt": turns[0],
            "reference": _first_reference(row),
            "category": text(row, "category"),
        }


def _first_reference(row: Any) -> str | None:
    """Return the reference of the first turn, or None if only later turns have one."""
    if row.get("reference") is None:
        return None
    return next(iter(texts(row, "reference")), None) or None


class Labels(NamedTuple):
    """Labels with the place of each in its file, and how many rows were left out."""

    entries: list[tuple[str, dict[str, Any]]]
    left_out: int


def labels(rows: Iterable[Any]) -> Labels:
    """Return the labels in MT-Bench's human_judgments: pairs of answers, and all votes on each.

    A row is one person's vote. The votes on the same two answers are one label, in whichever order
    the models stand. Votes on second turns are left out: without their first turn, the answers
    cannot be judged.
    """
    found: dict[tuple[str, ...], tuple[str, dict[str, Any]]] = {}
    left_out = 0
    for row in rows:
        if row["turn"] != 1:
            left_out += 1
            continue
        label = _vote(row)
        known = found.setdefault(tuple(label[name] for name in _TEXTS), (row.place, label))[1]
        if known is not label:
            known["human"] += label["human"]
    return Labels([*found.values()], left_out)


_TEXTS = ("question", "response_a", "response_b")
_SIDES = ("model_a", "model_b")


def _vote(row: Any) -> dict[str, Any]:
    """Return one person's vote as a label, with the models in the order of their names."""
    if not str(row["judge"]).startswith(("expert", "author")):
        raise fault(row, "judge", f"should be a person, but is {row['judge']}")
    names = sorted(_SIDES, key=lambda side: text(row, side))
    (question, first), (other, second) = (_turn(row, f"conversation_{n[-1]}") for n in names)
    if question != other:
        raise fault(row, "conversation_b", "answers another question than conversation_a")
    winner = text(row, "winner").partition(" ")[0]  # some ties are "tie (inconsistent)"
    if winner not in (*names, "tie"):
        raise fault(row, "winner", f"should be model_a, model_b or tie, but is {winner}")
    verdict = "tie" if winner == "tie" else "AB"[names.index(winner)]
    return {**dict(zip(_TEXTS, (question, first, second), strict=True)), "human": [verdict]}


def _turn(row: Any, name: str) -> tuple[str, str]:
    """Return the first question of a conversation and its answer."""
    messages = row[name]
    try:
        question, answer = (str(message["content"]) for message in messages[:2])
    except (TypeError, KeyError, ValueError):
        raise fault(row, name, "should be a list of messages with content") from None
    return question, answer
