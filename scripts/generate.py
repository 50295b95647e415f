"""Write the generated files: JSON Schemas and names in the package, tables in the docs.

A test checks that they are up to date.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import datasets, evalset_file, metrics, registry, settings
from pytest_llamaburn.kinds import _kind, _listed
from pytest_llamaburn.kinds.audit.settings import Audit
from pytest_llamaburn.option import Option, model_of, options_of
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_llamaburn.kinds._kind import RunKind

ROOT = Path(__file__).parent.parent
_METRICS_HEAD = """\
# Metrics

This page is generated from `pytest_llamaburn/metrics.py` (numbers of one request) and
`pytest_llamaburn/measures.py` (all others), where each metric is defined once. A number that was
not measured is `null` and has a reason. It is never 0. A gate may write its bound in the unit of
the metric: `ttft_ms.p95<0.5s`, `requests_per_sec>5/s`, `error_rate<1%`.

## Of one request

| metric | unit | better | source | formula | alias |
| --- | --- | --- | --- | --- | --- |
"""
_OPTIONS_HEAD = """\
# Options

This page is generated from `pytest_llamaburn/settings.py` and `settings.py` of each kind of run,
where each option is declared once. The order of strength, weakest first: default, the user's
configuration file, `./llamaburn.toml`, the environment, the flag. `llamaburn config show --origin`
shows the values in force and where each comes from.

In pytest each flag begins with `--llamaburn-`. An option that has another meaning in another
command has the name of its command before its own name, for example `--llamaburn-eval-set`.

A server's key comes from the environment only (`LLAMABURN_API_KEY`). So do the keys of judges
(`ANTHROPIC_API_KEY`, `OPENAI_API_KEY`) and of search services (`BRAVE_API_KEY`, `TAVILY_API_KEY`,
`OLLAMA_API_KEY`).

A unit is in brackets. An option in seconds also takes `90s`, `15m` and `1h`.

Other commands take some of these options too: `models`, `status` and `doctor` those about the
server, `rejudge` those of `eval`, and `judge` those about judges. `compare` and `results`
take `--results-dir` and those about output. `--help` of a command lists all its arguments.
"""
_OPTIONS_COLUMNS = """\
| flag | environment | `llamaburn.toml` | default | meaning |
| --- | --- | --- | --- | --- |
"""
_DIALECT = {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def schemas() -> dict[Path, str]:
    """Return the content of each schema file; `settings` is about the first kind of run."""
    first = _kind.own()[0]
    found = {
        **{kind: results.schema(kind) for kind in results.with_comparisons(registry.own("kinds"))},
        "eval_set": {**_DIALECT, **evalset_file.eval_set_model().model_json_schema()},
        "prompts": {**_DIALECT, **datasets.prompt_set_model().model_json_schema()},
        "settings": {**_DIALECT, **model_of(first.settings_class).model_json_schema()},
    }
    folder = ROOT / "pytest_llamaburn" / "schemas"
    return {folder / f"{kind}.schema.json": _text(schema) for kind, schema in found.items()}


def pages() -> dict[Path, str]:
    """Return the content of each generated page, and of the list of names for pytest."""
    return {
        _listed.NAMES: _listed.written(_kind.own()),
        ROOT / "docs" / "metrics.md": metrics_page(_kind.own()),
        ROOT / "docs" / "options.md": options_page(_kind.own()),
    }


def metrics_page(kinds: Iterable[RunKind]) -> str:
    """Return the definitions of all measures, as Markdown."""
    rows = [
        f"| `{m.name}` | {m.unit} | {m.better} | {m.source} | {m.formula} | {_code(m.alias)} |"
        for m in metrics.MEASURES.values()
    ]
    return "".join((_METRICS_HEAD + "\n".join(rows) + "\n", *map(_section, kinds)))


def _formula(name: str) -> str | None:
    return metrics.MEASURES[name].formula if name in metrics.MEASURES else None


def _section(kind: RunKind) -> str:
    """Return the measures of a kind of run, under its heading; request measures only by name."""
    title, about, table = (kind.load(f"measures.{name}") for name in ("TITLE", "ABOUT", "MEASURES"))
    known = table.values()
    shared = [f"`{m.name}`" for m in known if m.formula == _formula(m.name)]
    rows = [
        f"| `{m.name}` | {m.unit} | {m.better} | {m.source} | {m.formula} | {_code(m.key)} |"
        for m in known
        if m.formula != _formula(m.name)
    ]
    words = "all" if len(shared) == len(metrics.MEASURES) else ", ".join(shared)
    columns = ("metric", "unit", "better", "source", "formula", "in the file")
    head = f"| {' | '.join(columns)} |\n{'| --- ' * len(columns)}|\n"
    own = "\n".join(rows)
    return f"\n## {title}\n\n{about}\nMetrics of requests: {words}.\n\n{head}{own}\n"


def options_page(kinds: Iterable[RunKind]) -> str:
    """Return the options and all their spellings, grouped by command, as Markdown."""
    of_kind = {k.name: {o.key: o for o in options_of(k.settings_class)} for k in kinds}
    shared = set.intersection(*map(set, of_kind.values()))
    names = ", ".join(f"`{name}`" for name in of_kind)
    first = next(iter(of_kind.values()))
    parts = [_OPTIONS_HEAD, _group(f"All runs: {names}", [first[k] for k in first if k in shared])]
    for name, found in of_kind.items():
        own = [option for key, option in found.items() if key not in shared]
        parts.append(_group(f"`llamaburn {name}`", own))
    judging = {option.key for option in options_of(settings.Judging)}
    audit = (option for option in options_of(Audit) if option.key not in judging)
    parts.append(_group("`llamaburn judge audit`", audit))
    parts.append(_group("Audio devices", options_of(settings.Audio)))
    parts.append(_group("Output", options_of(settings.Display)))
    return "".join(parts)


def _group(title: str, options: Iterable[Option]) -> str:
    return f"\n## {title}\n\n{_OPTIONS_COLUMNS}" + "".join(f"{_option(o)}\n" for o in options)


def _option(option: Option) -> str:
    default = option.default
    if isinstance(default, tuple):
        default = ", ".join(default)
    shown = _code(None if default is None else str(default))
    variables = _code(" ".join(option.variables))
    flag, key = f"`--{option.flag}`", f"`{option.toml_key}`"
    unit = f" [{option.unit}]" if option.unit else ""
    meaning = option.help.replace("[", r"\[")  # it would begin a link
    return f"| {flag} | {variables} | {key} | {shown} | {meaning}{unit} |"


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    for path, text in {**schemas(), **pages()}.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
