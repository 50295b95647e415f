"""What a server does when the context is full, and the turn in which that happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.kinds._single import good
from pytest_llamaburn.kinds.chat.plan import BEYOND, CROSSING, LONGEST, WARM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.documents import Document

REFUSES, TRUNCATES, ACCEPTS = "refuses", "truncates", "accepts"
STOPS, SHIFTS, BREAKS = "stops", "shifts", "breaks off"
OVERFLOW = "context_overflow"
_SLACK = 4  # tokens that a server may count that are not in the context, such as the end token
_UNKNOWN = "the server does not tell the length of the context"
_LEFT_OUT = "it was left out with --no-overflow"
_NOT_SENT = "the run ended before"


def found(rows: Sequence[Document], context: int | None, *, asked: bool) -> Document:
    """Return what the server does with a prompt, and with an answer, that leaves the context.

    `asked` is whether the run was to find it out.
    """
    warm = [row for row in rows if row["part"] == WARM]
    turn, measured = _turn(warm, context)
    why = _LEFT_OUT if not asked else _UNKNOWN if context is None else _NOT_SENT
    return {
        "context": context,
        "turn": turn,
        "turn_measured": measured,
        "prompt": _probe(rows, BEYOND, context, why),
        "answer": _probe(rows, CROSSING, context, why),
    }


def _probe(rows: Sequence[Document], part: str, context: int | None, why: str) -> Document:
    row = next((row for row in rows if row["part"] == part), None)
    if row is None or context is None:
        return {"behaviour": None, "prompt_tokens": None, "answer_tokens": None, "reason": why}
    tell = _of_prompt if part == BEYOND else _of_answer
    behaviour, reason = tell(row, context)
    return {
        "behaviour": behaviour,
        "prompt_tokens": row["input_sequence_length"],
        "answer_tokens": row["output_sequence_length"],
        "reason": reason,
    }


def _of_prompt(row: Document, context: int) -> tuple[str | None, str | None]:
    """Return what became of a prompt that is longer than the context, and why it is not known."""
    if row["error"]:
        return _failed(row, REFUSES)
    counted = row["input_sequence_length"]
    if counted is None:
        return None, "the server did not count the tokens of the prompt"
    return (ACCEPTS if counted > context else TRUNCATES), None


def _of_answer(row: Document, context: int) -> tuple[str | None, str | None]:
    """Return what became of an answer that would leave the context, and why it is not known."""
    if row["error"]:
        return _failed(row, BREAKS if row["chunks"] else REFUSES)
    prompt, answer = row["input_sequence_length"], row["output_sequence_length"]
    if prompt is None or answer is None:
        return None, "the server did not count the tokens"
    if prompt + answer > context + _SLACK:
        return SHIFTS, None
    if prompt + answer >= context - _SLACK:
        return STOPS, None
    if answer >= LONGEST:
        return TRUNCATES, None
    return None, f"the model ended its answer after {answer} tokens, before the context was full"


def _failed(row: Document, behaviour: str) -> tuple[str | None, str]:
    """Return the behaviour if the context was the reason of a failure, and the server's words."""
    error = row["error"]
    words = f"{error['kind']}: {' '.join(error['message'].split())}"
    return (behaviour if error["kind"] == OVERFLOW else None), words


def _turn(warm: Sequence[Document], context: int | None) -> tuple[int | None, bool]:
    """Return the turn in which a conversation leaves the context, and whether it was measured.

    If no conversation was so long, it is computed from the growth of the prompt from turn to turn.
    """
    seen = [turn for turn in map(_overflowed, warm, [None, *warm]) if turn]
    if seen:
        return min(seen), True
    last = good(warm)[-1:]
    first = [row for row in good(warm) if row["turn"] == 1][-1:]
    if context is None or not last or last[0]["turn"] == 1:
        return None, False
    begin, end = (rows[0]["input_sequence_length"] for rows in (first, last))
    if begin is None or end is None or end <= begin:
        return None, False
    growth = (end - begin) / (last[0]["turn"] - 1)
    room = context - begin - (last[0]["output_sequence_length"] or 0)
    return 2 + int(room // growth) if room >= 0 else 1, False


def _overflowed(row: Document, before: Document | None) -> int | None:
    """Return the turn if the context was full in it: a failure, or a prompt that became shorter."""
    turn: int = row["turn"]
    if row["error"]:
        return turn if row["error"]["kind"] == OVERFLOW else None
    if before is None or turn == 1 or None in (length(row), length(before)):
        return None
    return turn if length(row) <= length(before) else None


def length(row: Document) -> float:
    """Return the tokens of a prompt."""
    tokens: float = row["input_sequence_length"]
    return tokens
