"""What tables of any format show of a result file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import gates, results, stats
from pytest_llamaburn.metrics import REASONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

COLUMNS = ("metric", "unit", "p50", "mean ± 95 %", "min", "max", "p95", "n")
HEADLINES = {
    "time_to_first_token_ms": "time to first token",
    "inter_token_latency_ms": "inter-token latency",
    "tokens_per_sec": "tokens per second",
    "e2e_tokens_per_sec": "tokens per second, end to end",
    "total_generation_ms": "total generation",
    "prompt_eval_ms": "prompt evaluation",
    "prompt_tokens_per_sec": "prompt tokens per second",
    "load_duration_ms": "load duration",
    "queue_ms": "queueing",
    "chunk_gap_ms": "gap between chunks",
    "input_sequence_length": "input length",
    "output_sequence_length": "output length",
    "power_draw_watts": "power draw",
    "energy_wh": "energy",
}
ABSENT = "–"
_GAP = "   "


class Sheet(NamedTuple):
    """A result file as a table: a heading, rows of cells, and notes below."""

    title: str
    facts: list[str]
    rows: list[tuple[str, ...]]
    notes: list[str]
    columns: tuple[str, ...] = COLUMNS
    words: int = 2  # so many columns from the left are not numbers


def sheets(paths: Sequence[Path]) -> Iterator[Sheet]:
    """Yield the table of each file; a run with both starts gives two."""
    from pytest_llamaburn.reports import _comparison

    for path in paths:
        document = results.load(path)
        if document["schema"] == "llamaburn/comparison":
            yield _comparison.sheet(document, path)
            continue
        found = document["results"]
        yield _sheet(document, path, found["summary"], "")
        if found.get("summary_cold"):
            yield _sheet(document, path, found["summary_cold"], ", cold start")


def request_rows(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Yield every timed request with its model and run; every change, where it is a comparison."""
    from pytest_llamaburn.reports import _comparison

    for path in paths:
        document = results.load(path)
        if document["schema"] == "llamaburn/comparison":
            yield from _comparison.rows(document)
            continue
        about = {"model": document["model"]["id"], "run_id": document["run_id"]}
        for run in document["results"]["runs"]:
            yield {**about, **run}


def grid(columns: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: int = 99) -> str:
    """Return a text table; columns from index `numeric` on are aligned to the right.

    Nothing is wrapped or cut: a terminal narrower than the table scrolls.
    """
    from rich.cells import cell_len

    lines = [[_printable(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]

    def line(cells: list[str]) -> str:
        gaps = [" " * (w - cell_len(c)) for c, w in zip(cells, widths, strict=True)]
        pairs = enumerate(zip(cells, gaps, strict=True))
        return _GAP.join(g + c if i >= numeric else c + g for i, (c, g) in pairs).rstrip()

    rule = "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))
    return "\n".join([line(lines[0]), rule, *map(line, lines[1:])])


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def number(value: float | None) -> str:
    """Return a number with at least three significant digits, or the sign for none."""
    if value is None:
        return ABSENT
    size = abs(value)
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{decimals}f}"


def digits(value: float) -> str:
    """Return a number with three significant digits: sensors are not better than that."""
    size = math.floor(math.log10(abs(value))) if value else 0
    return f"{round(value, 2 - size):,.{max(0, 2 - size)}f}"


def _sheet(document: dict[str, Any], path: Path, summary: dict[str, Any], which: str) -> Sheet:
    model, server = document["model"], document["server"]
    details = [model["quantization"], model["parameter_size"], model["family"]]
    title = f"{model['id']}{which} ({', '.join(filter(None, details)) or 'no details'})"
    host = f"{server['kind']} {server['version'] or ''}".strip() + f" at {server['host']}"
    facts = [f"server {host}", _machine(document["environment"]), _requests(document)]
    rows = [_row(name, summary[name]) for name in HEADLINES]
    return Sheet(title, facts, rows, [*_notes(document, summary), f"file {path}"])


def _machine(found: dict[str, Any]) -> str:
    gpus = ", ".join(gpu["name"] or gpu["vendor"] for gpu in found["gpus"]) or "none"
    memory = f"{found['ram_mb'] / 1000:.1f} GB"
    return f"machine {found['cpu']}, {found['cores_logical']} cores, {memory}, GPUs: {gpus}"


def _requests(document: dict[str, Any]) -> str:
    used, totals = document["results"]["prompts"], document["results"]["totals"]
    config = document["config"]
    return (
        f"{document['status']}: {totals['succeeded']} of {totals['planned']} requests, "
        f"{_prompts(used)}, "
        f"temperature {config['temperature']}, up to {config['max_tokens']} tokens, "
        f"cache {config['cache']}, seed {config['seed']}"
    )


def _prompts(used: dict[str, Any]) -> str:
    if not used["available"]:
        return f"{used['used']} prompts of the tests' own"
    return f"{used['used']} of {used['available']} prompts ({', '.join(used['sets'])})"


def _row(name: str, values: dict[str, Any]) -> tuple[str, ...]:
    interval, p95 = values["ci95"], number(values["p95"])
    spread = f" ± {number((interval[1] - interval[0]) / 2)}" if interval else ""
    star = "" if "p95" in values["certified"] or not values["n"] else "*"
    return (
        HEADLINES[name],
        values["unit"],
        number(values["p50"]),
        number(values["mean"]) + spread,
        number(values["min"]),
        number(values["max"]),
        p95 + star,
        str(values["n"]),
    )


def _notes(document: dict[str, Any], summary: dict[str, Any]) -> Iterator[str]:
    if any(d["n"] > 0 and "p95" not in d["certified"] for d in summary.values()):
        yield f"* fewer than {stats.floor(0.95)} samples: this p95 is not certified"
    absent: dict[str, list[str]] = {}
    for name, label in HEADLINES.items():
        reason = summary[name].get("reason")
        if reason and reason != "failed":
            absent.setdefault(reason, []).append(label)
    for reason, labels in absent.items():
        yield f"{ABSENT} {', '.join(labels)}: {REASONS.get(reason, reason)}"
    for kind, count in document["results"]["errors"].items():
        yield f"failed: {kind} × {count}: {_words(document, kind)}"
    yield from _energy(document)
    yield from _correctness(document["results"].get("correctness"))
    for name, found in document["results"].get("between_runs", {}).items():
        cv = "unknown" if found["cv"] is None else f"{found['cv']:.1%}"
        verdict = found["under_5_percent"]
        yield f"between {found['runs']} runs, {name} has CV {cv}: under 5 %: {verdict}"
    for gate in document["results"]["gates"]:
        yield f"gate {gates.sentence(gate)}"
    if document["contended"]:
        yield "contended: other measurements were allowed to run at the same time"
    for insight in document["insights"]:
        yield insight["text"]


_SCOPES = {"gpu_board": "GPU board", "soc": "whole chip", "cpu_package": "CPU package"}


def _energy(document: dict[str, Any]) -> Iterator[str]:
    """Yield what the run took and cost, where that is known, and what it is the energy of."""
    totals, telemetry = document["results"]["totals"], document["telemetry"]
    if totals.get("energy_wh") is None:
        return
    words = [f"{digits(totals['energy_wh'])} Wh", f"{digits(totals['power_draw_watts'])} W mean"]
    words.append(f"{digits(totals['power_peak_watts'])} W peak")
    if totals["energy_above_idle_wh"] is not None:
        words.append(f"{digits(totals['energy_above_idle_wh'])} Wh above idle")
    if totals["joules_per_output_token"] is not None:
        words.append(f"{digits(totals['joules_per_output_token'])} J per output token")
    scope = _SCOPES[telemetry["scope"]]
    yield f"energy of the {scope} alone: {', '.join(words)}"
    yield (
        f"sensor {telemetry['provider']}, {telemetry['measurement_method']}; its error: "
        + (telemetry["sensor_error"])
    )
    yield from _cost(document["results"]["cost"])


def _cost(found: dict[str, Any]) -> Iterator[str]:
    if found["cost_per_run"] is None:
        return
    parts = {
        "a run": found["cost_per_run"],
        "per million tokens": found["cost_per_1m_tokens"],
        "a month at sustained load": found["cost_per_month"],
    }
    if found["duty"] is not None:
        parts[f"a month at {found['duty']:.0%} load"] = found["cost_per_month_at_duty"]
    shown = (f"{_money(v, found['currency'])} {k}" for k, v in parts.items() if v is not None)
    yield f"cost of that energy: {', '.join(shown)}"
    if found["co2_g"] is not None:
        yield f"CO2 of that energy: {digits(found['co2_g'])} g a run"


def _money(amount: float, currency: str) -> str:
    return f"{currency}{digits(amount)}" if len(currency) == 1 else f"{digits(amount)} {currency}"


def _correctness(found: dict[str, Any] | None) -> Iterator[str]:
    if found is None:
        return
    groups = {"numbers written right": found, **found["by_magnitude"]}
    for name, group in groups.items():
        low, high = group["wilson95"] or (0, 1)
        share = ABSENT if group["accuracy"] is None else f"{group['accuracy']:.0%}"
        yield f"{name}: {group['correct']} of {group['n']}, {share} [{low:.0%}, {high:.0%}]"


def _words(document: dict[str, Any], kind: str) -> str:
    errors = (run["error"] for run in document["results"]["runs"] if run["error"])
    words: str = next(e["message"] for e in errors if e["kind"] == kind)
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())
