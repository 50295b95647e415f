"""The fields that were read from a document: each is right if its text or number is the same.

The option `fields` has the right value of each. The answer is a JSON object, or has a line
`name: value` for each. An answer is right if all fields are.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.scorers import _base, _text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_llamaburn.scorers._base import Question, Score

NEEDS = ("fields",)
RATES = ("field_accuracy",)
_MARKS = " \t*-`|"  # around a name or a value in Markdown
_MONEY = re.compile(r"[\s$€£¥]|\b(?:USD|EUR|GBP)\b")


def score(answer: str, question: Question) -> Score:
    """Return the score; its details are the number of right fields and the names of wrong ones."""
    wanted: Mapping[str, Any] = _base.needed(question, "fields")
    said = _text.spoken(answer)
    read = {_name(name): value for name, value in _read(said).items()}
    wrong = [name for name, value in wanted.items() if not _same(value, read.get(_name(name)))]
    details = {"fields_right": len(wanted) - len(wrong), "fields": len(wanted), "wrong": wrong}
    if not said:
        return _base.empty()._replace(details=details)
    if not read:
        return _base.unparsable("the answer has no fields")._replace(details=details)
    return _base.scored(not wrong, said, f"wrong or missing: {', '.join(wrong)}", **details)


def faults(question: Question) -> Iterator[tuple[str, str]]:
    """Yield field and reason if the fields are not texts or numbers by name."""
    fields = question.options.get("fields")
    if not (isinstance(fields, dict) and fields):
        yield "fields", "should be an object with at least one field"
    elif not all(isinstance(value, str | int | float) for value in fields.values()):
        yield "fields", "should have texts and numbers only"


def _read(said: str) -> dict[str, Any]:
    """Return the fields of an answer: of its JSON object, else of its lines."""
    begin, end = said.find("{"), said.rfind("}")
    try:
        fields = json.loads(said[begin : end + 1])
    except (ValueError, RecursionError):
        fields = None
    return fields if isinstance(fields, dict) else dict(_pairs(said))


def _pairs(said: str) -> Iterator[tuple[str, str]]:
    for line in said.splitlines():
        name, colon, value = line.partition(":")
        if colon and value.strip(_MARKS):
            yield name.strip(_MARKS), value.strip(_MARKS)


def _name(name: str) -> str:
    return _text.normal(name.replace("_", " "))


def _same(wanted: object, read: object) -> bool:
    if not isinstance(read, str | int | float) or isinstance(read, bool):
        return False
    numbers = (_number(wanted), _number(read))
    if None not in numbers:
        return numbers[0] == numbers[1]
    return _text.normal(str(wanted)) == _text.normal(str(read))


def _number(value: object) -> Decimal | None:
    try:
        found = Decimal(_MONEY.sub("", str(value)).replace(",", ""))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None
