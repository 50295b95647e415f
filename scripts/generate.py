"""Write the generated files: the JSON Schemas in the package and the tables in the docs.

A test compares them with what this would write, so that none can go stale.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import datasets, options, settings
from pytest_llamaburn.kinds import _kind
from pytest_llamaburn.metrics import (
    EVAL_METRICS,
    LOAD_METRICS,
    METRICS,
    RUN_METRICS,
    RunMetric,
)
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_llamaburn.kinds._kind import RunKind

ROOT = Path(__file__).parent.parent
_METRICS_HEAD = """\
# Metrics

Each has one definition, in `pytest_llamaburn/metrics.py`, from which this page is made. What was
not measured is null with a reason, never 0.

| metric | unit | better | source | formula | alias |
| --- | --- | --- | --- | --- | --- |
"""
_ABOUT = {
    "Of a whole run": """\
What gates and comparisons call it, and its name in `results.totals`. The energy is that of the
devices in `telemetry.counted` alone: GPU boards, else the whole chip, else the CPU packages.
""",
    "Under load": """\
What gates of a stress run call it, and its name in a level of `results.levels`. Each level has
its distributions too, over the requests that succeeded; `…_from_schedule_ms` counts from when a
request was due, `adj_` percentiles count failures as infinite. The points are numbers of clients,
or requests a second in an open loop.

The load is whole, of N clients, from the N-th end to the last send; where that is shorter than a
request, all is counted from the first send to the last end. A schedule's is whole from its begin +
the median latency, which is half of the schedule at most, to its end. `rate_reason` says where it
was not whole, and why there is no rate; `tokens_reason` whether answers came without token counts.

The level of a spike run is its steady load as it was before the first burst; how the requests of a
burst went is in `results.recovery.spikes`, beside the time to recover from it. Such a run has no
failure and no degradation point. A sustained one has throughput and resident memory per minute.
""",
    "Of answers": """\
What gates of an eval call it, and where the file has it. What no judge could score enters no mean;
what a scorer could not read is wrong.

A benchmark in correctness mode has an `accuracy` too, `results.correctness.accuracy`, a share:
numbers written right / numbers that were answered, or failed by the model's doing. Each number
counts once, by its first answer, however often `--repeats`, `--precision` or `--budget` had it
asked again; `--numbers` asks for more.
""",
}
_OPTIONS_HEAD = """\
# Options

Declared once, in `pytest_llamaburn/settings.py` or `settings.py` of a kind of run, from which this
page is made. In pytest each flag
begins with `--llamaburn-`; one that kinds of run use differently has the kind before its name, as
`--llamaburn-eval-set`. Weakest first: default, user configuration file, `./llamaburn.toml`,
environment, flag. A server's key comes from the environment only (`LLAMABURN_API_KEY`).

| flag | environment | `llamaburn.toml` | default | |
| --- | --- | --- | --- | --- |
"""
_DIALECT = {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def schemas() -> dict[Path, str]:
    """Return the content of each schema file; `settings` is about the first kind of run."""
    first = _kind.own()[0]
    found = {
        **{kind: results.schema(kind) for kind in results.kinds()},
        "eval_set": {**_DIALECT, **datasets.eval_set_model().model_json_schema()},
        "prompts": {**_DIALECT, **datasets.prompt_set_model().model_json_schema()},
        "settings": {**_DIALECT, **settings.model_of(first.settings_class).model_json_schema()},
    }
    folder = ROOT / "pytest_llamaburn" / "schemas"
    return {folder / f"{kind}.schema.json": _text(schema) for kind, schema in found.items()}


def pages() -> dict[Path, str]:
    """Return the content of each generated page."""
    return {
        ROOT / "docs" / "metrics.md": metrics_page(),
        ROOT / "docs" / "options.md": options_page(_kind.own()),
    }


def metrics_page() -> str:
    """Return the definitions of all metrics, as Markdown."""
    rows = [
        f"| `{m.name}` | {m.unit} | {m.better} | {m.source} | {m.formula} | {_code(m.alias)} |"
        for m in METRICS.values()
    ]
    gaps = "time between successive deltas, all requests pooled"
    rows.append(f"| `chunk_gap_ms` | ms | lower | client | {gaps} | |")
    tables = map(_section, _ABOUT.items(), (RUN_METRICS, LOAD_METRICS, EVAL_METRICS))
    return "".join((_METRICS_HEAD + "\n".join(rows) + "\n", *tables))


def _section(about: tuple[str, str], found: dict[str, RunMetric]) -> str:
    """Return the table of numbers about many requests, under its heading."""
    rows = [
        f"| `{name}` | {m.unit} | {m.better} | `{m.key}` | {m.formula} |"
        for name, m in found.items()
    ]
    head = "| metric | unit | better | in the file | formula |\n| --- | --- | --- | --- | --- |\n"
    return "\n## {}\n\n{}\n".format(*about) + head + "\n".join(rows) + "\n"


def options_page(kinds: Iterable[RunKind]) -> str:
    """Return the table of all settings of these kinds and their spellings, as Markdown."""
    found = options.distinct(*(kind.settings_class for kind in kinds), settings.Display)
    return _OPTIONS_HEAD + "\n".join(map(_option, found)) + "\n"


def _option(option: settings.Option) -> str:
    default = option.default
    if isinstance(default, tuple):
        default = ", ".join(default)
    shown = _code(None if default is None else str(default))
    variables = _code(" ".join(option.variables))
    flag, key = f"`--{option.flag}`", f"`{option.toml_key}`"
    return f"| {flag} | {variables} | {key} | {shown} | {option.help} |"


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    for path, text in {**schemas(), **pages()}.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
