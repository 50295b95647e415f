"""The tables and rows of a benchmark, for all output formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import measures, metrics
from pytest_llamaburn.energy import words
from pytest_llamaburn.measures import REASONS
from pytest_llamaburn.tables import (
    ABSENT,
    FILE,
    HEADLINES,
    Sheet,
    failures,
    machine,
    measured,
    requests,
    server,
    starred,
    title,
    under,
    verdicts,
)
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_llamaburn.documents import Document


def sheets(document: Document, path: Path) -> Iterator[Sheet]:
    """Yield the table of a benchmark; a run with --start both has two."""
    results = document["results"]
    yield _sheet(document, path, results["summary"], "")
    if results.get("summary_cold"):
        yield _sheet(document, path, results["summary_cold"], ", cold start")


def rows(document: Document) -> Iterator[Document]:
    """Yield every timed request with its model and run."""
    for request in requests(document):
        yield {**request, "energy_of": words.of(document)}


def _sheet(document: Document, path: Path, summary: Document, which: str) -> Sheet:
    facts = [server(document), machine(document["environment"]), _requests(document)]
    facts += [_media(document["results"]["media"])] if document["results"].get("media") else []
    rows = [measured(name, summary[name]) for name in HEADLINES]
    notes = [*_notes(document, summary), (FILE, f"file {path}")]
    return Sheet(title(document, which), facts, rows, notes)


def _requests(document: Document) -> str:
    used, totals = document["results"]["prompts"], document["results"]["totals"]
    config = document["config"]
    return (
        f"{document['status']}: {totals['succeeded']} of {counted(totals['planned'], 'request')}, "
        f"{_prompts(used)}, "
        f"temperature {config['temperature']}, up to {config['max_tokens']} tokens, "
        f"cache {config['cache']}, seed {config['seed']}"
    )


def _media(media: Document) -> str:
    """Return what was sent with every prompt, and the tokens of the probe of each modality."""
    sent = media["sent"]
    mb, spent_ms = sum(one["sent_bytes"] for one in sent) / 1e6, sum(o["prepare_ms"] for o in sent)
    names = ", ".join(_medium(one) for one in sent)
    probes = "".join(
        f"; {name} of {_size(probe)}: {probe['prompt_tokens']} tokens"
        for name, probe in media["probes"].items()
        if probe.get("prompt_tokens") and _size(probe)
    )
    return (
        f"with each prompt: {names} ({mb:.2g} MB, prepared in {spent_ms:.0f} ms before the clock "
        f"started){probes}"
    )


def _size(probe: Document) -> str:
    """Return the size of a probe; empty where it has none."""
    if "width" in probe:
        return f"{probe['width']} × {probe['height']}"
    return f"{probe['seconds']:g} s" if "seconds" in probe else ""


def _medium(facts: Document) -> str:
    name = facts["path"].rpartition("/")[2]
    if "sent_width" not in facts:
        return f"{name} {facts['seconds']:.3g} s" if "seconds" in facts else name
    frames = f" as {counted(len(facts['frames']), 'frame')} of" if facts.get("frames") else ""
    return f"{name}{frames} {facts['sent_width']} × {facts['sent_height']}"


def _prompts(used: Document) -> str:
    if not used["available"]:
        return f"{counted(used['used'], 'prompt')} from tests"
    return f"{used['used']} of {counted(used['available'], 'prompt')} ({', '.join(used['sets'])})"


def _precision(document: Document, summary: Document) -> Iterator[str]:
    """Yield how sure the numbers are: few samples, other measurements, variation between runs."""
    yield from starred(summary[name] for name in HEADLINES)
    yield from _wider(document["config"], summary)
    for name, variation in document["results"].get("between_runs", {}).items():
        cv = "unknown" if variation["cv"] is None else f"{variation['cv']:.1%}"
        verdict = variation["under_5_percent"]
        yield f"between {variation['runs']} runs, {name} has CV {cv}: under 5 %: {verdict}"
    if document["contended"]:
        yield "contended: other measurements were allowed to run at the same time"


def _wider(config: Document, summary: Document) -> Iterator[str]:
    """Yield a note if the interval of a mean is wider than --precision."""
    wanted = config.get("precision")
    measure = measures.find(metrics.REQUEST, config["precision_metric"]) if wanted else None
    mean = summary[measure.name] if measure else {"ci95": None}
    if measure and mean["ci95"] and mean["mean"]:
        known = (mean["ci95"][1] - mean["ci95"][0]) / 2 / mean["mean"]
        if known > wanted:
            yield (
                f"the mean of {measure.name} is known to ± {known:.2g}, not to the ± {wanted:g} of "
                "--precision: --max-iterations or --budget ended the run"
            )


def _notes(document: Document, summary: Document) -> Iterator[tuple[str, str]]:
    """Yield what readers must know, each sentence with its heading."""
    found = document["results"]
    yield from verdicts(document)
    yield from under("failures", failures(found["errors"], found["runs"]))
    yield from under("correctness", _correctness(found.get("correctness")))
    yield from under("precision", _precision(document, summary))
    yield from under("energy and cost", words.notes(document))
    yield from under("not measured", _absent(summary))


def _absent(summary: Document) -> Iterator[str]:
    """Yield the reasons for what has no value, each once."""
    absent: dict[str, list[str]] = {}
    for name, label in HEADLINES.items():
        reason = summary[name].get("reason")
        if reason and reason != "failed":
            absent.setdefault(reason, []).append(label)
    for reason, labels in absent.items():
        yield f"{ABSENT} {', '.join(labels)}: {REASONS.get(reason, reason)}"


def _correctness(correctness: Document | None) -> Iterator[str]:
    if correctness is None:
        return
    groups = {"numbers written correctly": correctness, **correctness["by_magnitude"]}
    for name, group in groups.items():
        low, high = group["wilson95"] or (0, 1)
        share = ABSENT if group["accuracy"] is None else f"{group['accuracy']:.0%}"
        yield f"{name}: {group['correct']} of {group['n']}, {share} [{low:.0%}, {high:.0%}]"
