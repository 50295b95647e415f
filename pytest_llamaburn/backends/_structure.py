"""The fields of a request with tools, and with a schema that the answer must keep, by dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from pytest_llamaburn.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.documents import Document


def of_none(tools: Sequence[Document], schema: Document | None) -> NoReturn:
    """Raise ServerError: the API of this backend has neither."""
    raise ServerError(f"this backend takes no tools ({len(tools)}) and no schema ({bool(schema)})")


def of_ollama(tools: Sequence[Document], schema: Document | None) -> dict[str, Any]:
    """Return the fields with tools, and with a schema as `format`."""
    fields: dict[str, Any] = {"tools": [*tools]} if tools else {}
    return fields if schema is None else {**fields, "format": schema}


def of_openai(tools: Sequence[Document], schema: Document | None) -> dict[str, Any]:
    """Return the fields with tools, of which several may be called at once, and a schema."""
    fields: dict[str, Any] = {"tools": [*tools], "parallel_tool_calls": True} if tools else {}
    if schema is not None:
        asked = {"name": "answer", "schema": schema, "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": asked}
    return fields
