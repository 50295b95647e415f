"""The OpenAPI document as a page to read: no script, nothing from elsewhere."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STYLE = """\
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h2 { font-size: 1.1rem; overflow-wrap: anywhere; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .2rem .6rem .2rem 0;
  border-bottom: 1px solid #8888; overflow-wrap: anywhere; }
code { font-family: ui-monospace, monospace; }
"""
_HEAD = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>LlamaBurn: REST API</title>
<link rel="stylesheet" href="/docs.css">
</head>
<body>
<main>
"""


def page(document: Mapping[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    about = document["info"]
    head = f"<h1>{escape(about['title'])} {escape(about['version'])}: REST API</h1>"
    parts = [f"{_HEAD}{head}", f"<p>{escape(about['description'])}</p>"]
    parts.append('<p>For programs: <a href="/openapi.json">/openapi.json</a></p>')
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts += _operation(f"{method.upper()} {path}", operation, document)
    return "\n".join([*parts, "</main>", "</body>", "</html>"]) + "\n"


def _operation(
    title: str, operation: Mapping[str, Any], document: Mapping[str, Any]
) -> Iterator[str]:
    yield f"<h2><code>{escape(title)}</code></h2>"
    yield f"<p>{escape(operation.get('description') or operation.get('summary', ''))}</p>"
    given = [(f"{p['name']} ({p['in']})", p, p["schema"]) for p in operation.get("parameters", ())]
    content = operation.get("requestBody", {}).get("content", {})
    for body in content.values():
        fields = _resolved(body["schema"], document).get("properties", {})
        given += [(name, field, field) for name, field in fields.items()]
    yield from _table("parameter or field", [_described(*one) for one in given])
    answers = operation["responses"].items()
    yield from _table("status", [(code, str(one.get("description", ""))) for code, one in answers])


def _described(name: str, about: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[str, str]:
    parts = [str(about.get("description", "")), _type(schema)]
    if schema.get("default") not in (None, "", []):
        parts.append(f"default: {schema['default']}")
    return name, "; ".join(filter(None, parts))


def _type(schema: Mapping[str, Any]) -> str:
    """Return the type of a value in words."""
    if "anyOf" in schema:
        return " or ".join(filter(None, map(_type, schema["anyOf"])))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    return str(schema.get("type", ""))


def _table(head: str, rows: list[tuple[str, str]]) -> Iterator[str]:
    if rows:
        yield f"<table><tr><th>{head}</th><th>meaning</th></tr>"
        yield from (
            f"<tr><td><code>{escape(name)}</code></td><td>{escape(words)}</td></tr>"
            for name, words in rows
        )
        yield "</table>"


def _resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: Mapping[str, Any] = document["components"]["schemas"][name] if name else schema
    return found
