"""The first JSON value in the answer, in a code block or not, matches the option `schema`.

With the option `values` it must also have the values of the reference, which is JSON.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.errors import DatasetError, MissingExtraError
from pytest_llamaburn.scorers import _base, _text, _values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.scorers._base import Question, Score

NEEDS = ("schema",)
RATES = ("schema_valid",)
ADVICE = "Ask for JSON alone, without text around it"

_BEGINNING = re.compile(r"[{\[]")
_DATA = ("const", "enum", "default", "examples")  # keywords whose values are not schemas
_MOST_TRIES = 1000  # braces to try; each one costs a parse


def score(answer: str, question: Question) -> Score:
    """Return whether the value is valid.

    Raises DatasetError for an invalid schema, MissingExtraError without jsonschema.
    """
    validator = _validator(_base.needed(question, "schema"))
    said = _text.spoken(answer)
    if not said:
        return _base.empty()._replace(details={"schema_valid": 0})
    try:
        value, text = _first(said)
    except ValueError:
        return _base.unparsable("no JSON in the answer")._replace(details={"schema_valid": 0})
    fault = _fault(validator, value)
    details = {"schema_valid": int(not fault)}
    if not fault and question.options.get("values"):
        right = json.loads(_base.needed(question, "reference"))
        fault = _values.difference(right, value, question.options["schema"])
    return _base.scored(not fault, text, fault, **details)


def ready() -> None:
    """Raise MissingExtraError without jsonschema."""
    _validator({})


def faults(question: Question) -> Iterator[tuple[str, str]]:
    """Yield why the schema is not valid; nothing without jsonschema, which scoring reports."""
    schema = question.options["schema"]
    try:
        validator = _validator(schema)
    except MissingExtraError:
        return
    except DatasetError as err:
        yield "schema", str(err).removeprefix("'schema' ")
    else:
        yield from _wrong_values(question, validator)
        for ref in _unresolved(schema):
            yield "schema", f"has a reference to something outside it: {ref}"


def _wrong_values(question: Question, validator: Any) -> Iterator[tuple[str, str]]:
    """Yield why the reference does not have the values of an answer, if they are asked for."""
    if not question.options.get("values"):
        return
    try:
        value = json.loads(question.reference or "")
    except (ValueError, RecursionError):
        yield "reference", "should be JSON, because the option 'values' is set"
    else:
        fault = _fault(validator, value)
        yield from (("reference", f"does not keep the schema: {why}") for why in [fault] if why)


def _unresolved(schema: Any) -> list[str]:
    """Return the references of a schema that do not lead to a part of it."""
    from referencing import Registry
    from referencing.jsonschema import DRAFT202012, specification_with

    dialect = schema.get("$schema", "") if isinstance(schema, dict) else ""
    kind = specification_with(dialect, default=DRAFT202012)
    resolver = Registry().resolver_with_root(kind.create_resource(schema))
    return [ref for ref, where in _references(schema, resolver, kind) if _missing(ref, where)]


def _references(part: Any, resolver: Any, kind: Any) -> Iterator[tuple[str, Any]]:
    """Yield each reference within a schema, with the resolver for its place."""
    if isinstance(part, dict):
        resolver = resolver.in_subresource(kind.create_resource(part))
        if isinstance(part.get("$ref"), str):
            yield part["$ref"], resolver
        part = [inner for key, inner in part.items() if key not in _DATA]
    if isinstance(part, list):
        for inner in part:
            yield from _references(inner, resolver, kind)


def _missing(ref: str, resolver: Any) -> bool:
    from referencing.exceptions import Unresolvable

    try:
        resolver.lookup(ref)
    except Unresolvable:
        return True
    return False


def _validator(schema: Any) -> Any:
    try:
        import jsonschema
    except ImportError:
        raise MissingExtraError("judge", "the scorer json-schema") from None
    from referencing import Registry

    if isinstance(schema, dict) and not isinstance(schema.get("$schema", ""), str):
        raise DatasetError("'schema' is not a JSON Schema: its $schema is not a text")
    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as err:
        raise DatasetError(f"'schema' is not a JSON Schema: {err.message}") from err
    except RecursionError:
        raise DatasetError("'schema' is not a JSON Schema: it is nested too deeply") from None
    return kind(schema, registry=Registry())  # nothing is fetched


def _first(said: str) -> tuple[Any, str]:
    """Return the first JSON value and its text; raises ValueError if there is none."""
    decoder = json.JSONDecoder(parse_constant=_refuse)
    try:
        return decoder.decode(said), said
    except (ValueError, RecursionError):
        pass
    for _, start in zip(range(_MOST_TRIES), _BEGINNING.finditer(said), strict=False):
        try:
            value, end = decoder.raw_decode(said, start.start())
        except (ValueError, RecursionError):
            continue
        return value, said[start.start() : end]
    raise ValueError(said)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _fault(validator: Any, value: Any) -> str:
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable

    try:
        error = best_match(validator.iter_errors(value))
    except Unresolvable as err:
        raise DatasetError(f"'schema' has a reference to something outside it: {err}") from err
    return f"{error.json_path}: {error.message}"[:300] if error else ""
