"""The tables and rows of damage, for all output formats."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_llamaburn.tables import (
    ABSENT,
    FILE,
    Sheet,
    failures,
    half,
    machine,
    number,
    server,
    under,
    verdicts,
)
from pytest_llamaburn.tables import requests as timed
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pytest_llamaburn.documents import Document

_DAMAGE = ("texts", "KL nats", "KL 95 %", "changed %", "changed 95 %", "places")
_MODELS = (
    *("role", "model", "quantization", "tokens/s", "± 95 %", "TTFT p50 ms", "memory MB"),
    *("load ms", "answers"),
)
_LEAST = ("load ms", "answers", "TTFT p50 ms", "memory MB", "quantization")
_BOUND = (
    "KL is Σ p · ln(p / q) over the reference's likeliest tokens, with all others as one: a lower "
    "bound of the divergence over all tokens"
)


def sheets(document: Document, path: Path) -> Iterator[Sheet]:
    """Yield the damage by kind of text, and the speed of both models."""
    found = document["results"]
    names = [found[role]["name"] for role in ("other", "reference")]
    facts = [server(document), machine(document["environment"]), _requests(document)]
    kinds = [_row(one["category"], one) for one in found["categories"]]
    rows = [_row("all", found), *(row for row in kinds if row[0] != "all")]
    title = f"damage of {names[0]} against {names[1]}"
    notes = [*_notes(document)]
    yield Sheet(title, facts, rows, notes, _DAMAGE, words=1, least=("places",))
    models = [_model(role, found[role]) for role in ("reference", "other")]
    ends = [*under("speed", _speed(found)), *verdicts(document), (FILE, f"file {path}")]
    speeds = f"speed of {names[1]} and {names[0]}"
    yield Sheet(speeds, [], models, ends, _MODELS, words=3, least=_LEAST, wrapped=("model",))


def rows(document: Document) -> Iterator[Document]:
    """Yield every request with its model and run."""
    found = document["results"]
    for row in timed(document):
        yield {**row, "model": found[row["role"]]["name"]}


def _row(texts: str, found: Document) -> tuple[str, ...]:
    divergence, changed = found["kl_divergence"], found["changed_tokens"]
    return (
        texts,
        small(divergence["value"]),
        ends(divergence["ci95"]),
        _percent(changed["value"]),
        _percents(changed["ci95"]),
        str(changed["n"]),
    )


def small(value: float | None) -> str:
    """Return a number that may be far below 1, with three significant digits."""
    if value is None or value == 0 or abs(value) >= 0.1:
        return "0" if value == 0 else number(value)
    return f"{value:.{2 - math.floor(math.log10(abs(value)))}f}"


def ends(interval: Sequence[float] | None) -> str:
    """Return an interval of small numbers."""
    return "{} to {}".format(*map(small, interval)) if interval else ABSENT


def _percent(share: float | None) -> str:
    return ABSENT if share is None else f"{100 * share:.1f}"


def _percents(interval: Sequence[float] | None) -> str:
    return "{} to {}".format(*map(_percent, interval)) if interval else ABSENT


def _model(role: str, one: Document) -> tuple[str, ...]:
    speed, first = one["summary"]["tokens_per_sec"], one["summary"]["time_to_first_token_ms"]
    return (
        role,
        one["name"],
        one["model"]["quantization"] or ABSENT,
        number(speed["mean"]),
        half(speed["ci95"]),
        number(first["p50"]),
        number(one["size_mb"]),
        number(one["load_ms"]["p50"]),
        str(speed["n"]),
    )


def _requests(document: Document) -> str:
    totals, config = document["results"]["totals"], document["config"]
    return (
        f"{document['status']}: {totals['succeeded']} of {counted(totals['planned'], 'request')}, "
        f"{counted(config['top_logprobs'], 'token')} at each place, "
        f"answers up to {config['max_tokens']} tokens, seed {config['seed']}"
    )


def _notes(document: Document) -> Iterator[tuple[str, str]]:
    found = document["results"]
    yield from under("failures", failures(found["errors"], found["runs"]))
    yield from under("not measured", _absent(found))
    yield "divergence", _BOUND
    shared = found["shared_mass"]["value"]
    if shared is not None:
        words = f"{_percent(shared)} % of the reference's probability is on tokens that both told"
        yield "divergence", words
    perplexity = found["perplexity_ratio"]
    if perplexity["value"] is not None:
        interval = f" [{ends(perplexity['ci95'])}]" if perplexity["ci95"] else ""
        words = f"of the whole texts, second model / reference: {perplexity['value']:.4f}{interval}"
        yield "perplexity", words


def _absent(found: Document) -> Iterator[str]:
    """Yield why a figure has no value, or no interval."""
    names = {
        "kl_divergence": "KL divergence",
        "changed_tokens": "changed tokens",
        "perplexity_ratio": "perplexity ratio",
        "speed_ratio": "speed ratio",
    }
    said = set()
    for field, name in names.items():
        reason = found[field]["reason"]
        if reason and reason not in said:
            said.add(reason)
            yield f"{ABSENT} {name}: {reason}"


def _speed(found: Document) -> Iterator[str]:
    ratio = found["speed_ratio"]
    if ratio["value"] is None:
        return
    interval = f" [{ends(ratio['ci95'])}]" if ratio["ci95"] else ""
    yield (
        f"the second model writes {number(ratio['value'])}{interval} times as fast as the "
        f"reference, over {counted(ratio['n'], 'pair')} of answers to the same prompt"
    )
