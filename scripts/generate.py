"""Write the generated files: the JSON Schemas in the package and the tables in the docs.

A test compares them with what this would write, so that none can go stale.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import datasets, evalsets, settings
from pytest_llamaburn.metrics import (
    EVAL_METRICS,
    LOAD_METRICS,
    METRICS,
    RUN_METRICS,
    RunMetric,
)
from pytest_llamaburn.session import KINDS
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parent.parent
_METRICS_HEAD = """\
# Metrics

This page is generated from `pytest_llamaburn/metrics.py`, where each metric is defined once. A
number that was not measured is `null` and has a reason. It is never 0.

## Of one request

| metric | unit | better | source | formula | alias |
| --- | --- | --- | --- | --- | --- |
"""
_ABOUT = {
    "Of a whole run": """\
These names are used in gates and comparisons. The values are in `results.totals` under the names
in the third column. The energy is that of the devices in `telemetry.counted`: the GPU boards; if
there are none, the whole chip; if there is neither, the CPU packages.
""",
    "Under load": """\
These names are used in gates of a stress run. The values are in each level of `results.levels`.
Each level also has distributions over the requests that succeeded. Names that end in
`_from_schedule_ms` count from the time at which a request was due. `adj_` percentiles count a
failed request as infinite. A point is a number of clients or, in an open loop, a rate in requests
per second.

Throughput is measured while the load is complete. With N clients, that is from the end of the N-th
request to the last send. If this time is shorter than a request, everything from the first send to
the last end counts. With a schedule, it is from its begin plus the median latency (at most half of
the schedule) to its end. `rate_reason` says why the load was not complete, or why there is no rate.
`tokens_reason` says whether answers came without token counts.

The level of a spike run is its steady load before the first burst. `results.recovery.spikes` has
the requests of each burst and the time to recover from it. A spike run has no failure point and no
degradation point. A sustained run has throughput and resident memory per minute.
""",
    "Of answers": """\
These names are used in gates of an eval. The third column says where the file has the value. What
no judge could score enters no mean. What a scorer could not read is wrong.

A benchmark in correctness mode also has an `accuracy`, in `results.correctness.accuracy`. It is a
fraction: numbers written correctly / numbers that were answered or that failed because of the
model. Each number counts once, by its first answer, even if `--repeats`, `--precision` or
`--budget` asked for it again. `--numbers` asks for more numbers.
""",
}
_OPTIONS_HEAD = """\
# Options

This page is generated from `pytest_llamaburn/settings.py`, where each option is declared once. The
order of strength, weakest first: default, the user's configuration file, `./llamaburn.toml`, the
environment, the flag. `llamaburn config show --origin` shows the values in force and where each
comes from.

In pytest each flag begins with `--llamaburn-`. An option that has another meaning in another
command has the name of its command before its own name, for example `--llamaburn-eval-set`.

A server's key comes from the environment only (`LLAMABURN_API_KEY`). So do the keys of judges
(`ANTHROPIC_API_KEY`, `OPENAI_API_KEY`) and of search services (`BRAVE_API_KEY`, `TAVILY_API_KEY`,
`OLLAMA_API_KEY`).

A unit is in brackets. An option in seconds also takes `90s`, `15m` and `1h`.

Other commands take some of these options too: `models`, `status` and `doctor` those about the
server, `rejudge` those of `eval`, and `judge calibrate` those about judges. `compare` and `results`
take `--results-dir` and those about output. `--help` of a command lists all its arguments.
"""
_OPTIONS_COLUMNS = """\
| flag | environment | `llamaburn.toml` | default | meaning |
| --- | --- | --- | --- | --- |
"""
_DIALECT = {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def schemas() -> dict[Path, str]:
    """Return the content of each schema file."""
    found = {
        **{kind: results.schema(kind) for kind in results.kinds()},
        "eval_set": {**_DIALECT, **evalsets.eval_set_model().model_json_schema()},
        "prompts": {**_DIALECT, **datasets.prompt_set_model().model_json_schema()},
        "settings": {**_DIALECT, **settings.model_of(settings.Benchmark).model_json_schema()},
    }
    folder = ROOT / "pytest_llamaburn" / "schemas"
    return {folder / f"{kind}.schema.json": _text(schema) for kind, schema in found.items()}


def pages() -> dict[Path, str]:
    """Return the content of each generated page."""
    return {
        ROOT / "docs" / "metrics.md": metrics_page(),
        ROOT / "docs" / "options.md": options_page(),
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


def options_page() -> str:
    """Return the options and all their spellings, grouped by command, as Markdown."""
    kinds = {kind.name: kind.settings for kind in KINDS.values()}
    of_kind = {name: {o.key: o for o in settings.options_of(k)} for name, k in kinds.items()}
    shared = set.intersection(*map(set, of_kind.values()))
    names = ", ".join(f"`{name}`" for name in of_kind)
    first = next(iter(of_kind.values()))
    parts = [_OPTIONS_HEAD, _group(f"All runs: {names}", [first[k] for k in first if k in shared])]
    for name, found in of_kind.items():
        own = [option for key, option in found.items() if key not in shared]
        parts.append(_group(f"`llamaburn {name}`", own))
    parts.append(_group("Output", settings.options_of(settings.Display)))
    return "".join(parts)


def _group(title: str, options: Iterable[settings.Option]) -> str:
    return f"\n## {title}\n\n{_OPTIONS_COLUMNS}" + "".join(f"{_option(o)}\n" for o in options)


def _option(option: settings.Option) -> str:
    default = option.default
    if isinstance(default, tuple):
        default = ", ".join(default)
    shown = _code(None if default is None else str(default))
    variables = _code(" ".join(option.variables))
    flag, key = f"`--{option.flag}`", f"`{option.toml_key}`"
    unit = f" [{option.unit}]" if option.unit else ""
    return f"| {flag} | {variables} | {key} | {shown} | {option.help}{unit} |"


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    for path, text in {**schemas(), **pages()}.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
