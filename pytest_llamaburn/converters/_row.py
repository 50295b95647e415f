"""The fields of a row of someone else's file; what is wrong with one is told by place and field."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Row(dict[str, Any]):
    """A row that knows where it stands in its file, and the format it is to have."""

    def __init__(self, fields: Any, place: str, form: str) -> None:
        """Take the row. Raises DatasetError for what has no fields."""
        self.place, self.form = place, form
        if not isinstance(fields, dict):
            raise DatasetError(f"{place}: should have fields, but is {_shown(fields)}")
        super().__init__(fields)

    def __missing__(self, name: str) -> Any:
        """Refuse to give a field that the row does not have."""
        raise fault(self, name, f"{self.form} needs it")


def text(row: Mapping[str, Any], name: str) -> str:
    """Return a field that is a text, or a number as one. Raises DatasetError for anything else."""
    return _text(row, name, row[name])


def optional(row: Mapping[str, Any], name: str) -> str | None:
    """Return a field that may be absent, null or empty: None. Raises DatasetError as `text`."""
    value = row.get(name)
    return None if value is None or value == "" else _text(row, name, value)


def texts(row: Mapping[str, Any], name: str) -> list[str]:
    """Return a field that is a list of texts. Raises DatasetError for anything else."""
    found = row[name]
    if not isinstance(found, list):
        raise fault(row, name, f"should be a list, but is {_shown(found)}")
    return [_text(row, f"{name}[{index}]", value) for index, value in enumerate(found)]


def fault(row: Mapping[str, Any], name: str, reason: str) -> DatasetError:
    """Return the error that a field of a row is."""
    return DatasetError(f"{getattr(row, 'place', 'a row')}: {name}: {reason}")


def _text(row: Mapping[str, Any], name: str, value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, str) or (number and math.isfinite(value)):
        return str(value)
    raise fault(row, name, f"should be a text, but is {_shown(value)}")


def _shown(value: Any) -> str:
    return json.dumps(value, default=str)
