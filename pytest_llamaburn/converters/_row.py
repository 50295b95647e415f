"""Read the fields of a row of an imported file; errors name the place and the field."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Mapping


Question = dict[str, Any]  # a question as eval sets have it


class Row(dict[str, Any]):
    """A row with its place in the file and its format's name."""

    def __init__(self, fields: object, place: str, form: str) -> None:
        """Take the row. Raises DatasetError if it is not an object."""
        self.place, self.form = place, form
        if not isinstance(fields, dict):
            raise DatasetError(f"{place}: should have fields, but is {_shown(fields)}")
        super().__init__(fields)

    def __missing__(self, name: str) -> Any:
        """Raise DatasetError for a missing field."""
        raise fault(self, name, f"{self.form} needs it")


def text(row: Mapping[str, object], name: str) -> str:
    """Return a text field, or a number as text. Raises DatasetError for another type."""
    return _text(row, name, row[name])


def optional(row: Mapping[str, object], name: str) -> str | None:
    """Return a text field, or None if it is missing, null or empty. Raises as `text` does."""
    value = row.get(name)
    return None if value is None or value == "" else _text(row, name, value)


def texts(row: Mapping[str, object], name: str) -> list[str]:
    """Return a field that is a list of texts. Raises DatasetError for another type."""
    values = row[name]
    if not isinstance(values, list):
        raise fault(row, name, f"should be a list, but is {_shown(values)}")
    return [_text(row, f"{name}[{index}]", value) for index, value in enumerate(values)]


def fault(row: Mapping[str, object], name: str, reason: str) -> DatasetError:
    """Return the error for a field of a row."""
    return DatasetError(f"{getattr(row, 'place', 'a row')}: {name}: {reason}")


def _text(row: Mapping[str, Any], name: str, value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, str) or (number and math.isfinite(value)):
        return str(value)
    raise fault(row, name, f"should be a text, but is {_shown(value)}")


def _shown(value: object) -> str:
    return json.dumps(value, default=str)
