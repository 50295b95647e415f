"""The scores of questions whose judging was interrupted.

The `scores` row of a question is written after its last judgment. Each judgment has its own row
before that, and the preliminary scores are made from those rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import judges
from pytest_llamaburn.kinds.eval.scores import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_llamaburn.judges import Judgment
    from pytest_llamaburn.judges._documents import ComparisonFields, ScoreFields
    from pytest_llamaburn.kinds.eval.documents import Judged
    from pytest_llamaburn.store.journal import Record

    Judgments = Mapping[tuple[str, ...], Judgment]  # by key


def scores(record: Record, pairwise: bool) -> dict[str, Judged]:
    """Return the scores so far of each answered question, as in its `scores` row."""
    judgments = _judgments(record)
    found: dict[str, Judged] = {}
    opponent = {k: v for row in record.others.get("rivals", []) for k, v in row["answers"].items()}
    for row in record.rows:
        name, mine = row["prompt_id"], judgments.get(row["prompt_id"], {})
        scores = {} if pairwise else {c: _score(c, mine) for c in row["question"]["criteria"]}
        compared = _comparisons(mine) if pairwise else []
        found[name] = {
            "scores": scores,
            "comparisons": compared,
            "rival_answer": opponent.get(name),
        }
    return found


def _judgments(record: Record) -> dict[str, dict[tuple[str, ...], Judgment]]:
    """Return the finished judgments by question and key."""
    found: dict[str, dict[tuple[str, ...], Judgment]] = {}
    for key, one in judges.restored(record.others.get("judgment", []), without=()).items():
        found.setdefault(key[0], {})[key] = one
    return found


def _score(criterion: str, judgments: Judgments) -> ScoreFields:
    given = [one for one in judgments.values() if one.criterion == criterion]
    if given:
        return judges.combined(given).as_dict()
    return {"score": None, "state": UNFINISHED, "flip_rate": None, "judgments": []}


def _comparisons(judgments: Judgments) -> list[ComparisonFields]:
    """Return the comparisons, complete or not."""
    pairs: dict[tuple[str, ...], dict[str, Judgment]] = {}
    for key, one in judgments.items():
        pairs.setdefault(key[:-1], {})[key[-1]] = one
    return [_comparison(**orders) for orders in pairs.values()] or [_comparison()]


def _comparison(ab: Judgment | None = None, ba: Judgment | None = None) -> ComparisonFields:
    if ab is not None and ba is not None:
        return judges.comparison(ab, ba).as_dict()
    given = [one.as_dict() for one in (ab, ba) if one is not None]
    return {
        "verdict": None,
        "state": UNFINISHED,
        "inconsistent": False,
        "first_picks": 0,
        "judgments": given,
    }
