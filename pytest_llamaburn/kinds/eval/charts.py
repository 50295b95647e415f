"""The cards, charts and questions of an eval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.charts import Axis, Card, Chart, Entry, Forest, Shown, Span
from pytest_llamaburn.kinds import _charts
from pytest_llamaburn.kinds.eval import transcript
from pytest_llamaburn.tables import number
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_llamaburn.documents import Document


_TIMED = ("time_to_first_token_ms", "inter_token_latency_ms", "total_generation_ms")
_SCALES = {"1 to 5": (1.0, 5.0), "share": (0.0, 1.0)}  # the ends of the scale of each unit
# The answers that most need a look come first.
_ORDER = ("wrong", "not attempted", "failed", "unscored", "judged", "correct")


def cards(document: Document) -> Iterator[Card]:
    """Yield the scores, the win rate, the number of answers and the time to the first token."""
    found = document["results"]
    for name, one in _scores(found).items():
        yield _charts.share(name.replace("_", " "), one)
    if found["pairwise"]:
        yield _wins(found["pairwise"])
    totals = found["totals"]
    answers = max(totals["requests"], totals.get("planned_answers") or 0)
    yield _charts.answered(totals, answers)
    yield _charts.mean("time_to_first_token_ms", found["summary"]["time_to_first_token_ms"])


def _scores(found: Document) -> dict[str, Document]:
    """Return the scores by name."""
    shares = {"correct": found["correct"]} if found["correct"]["n_total"] else {}
    if found["pass_at_k"]:
        shares[f"pass@{found['pass_at_k']['k']}"] = found["pass_at_k"]
    return {**shares, **found["grades"], **found["criteria"]}


def _wins(found: Document) -> Card:
    rate = found["win_rate"]
    spread = "[{}, {}]".format(*map(number, rate["ci95"])) if rate["ci95"] else ""
    label = f"wins against {found['rival']}"
    return Card(label, number(rate["value"]), "share", spread, f"n {found['n_scored']}")


def charts(document: Document) -> Iterator[Chart]:
    """Yield the scores with their intervals, overall and by category, and the times of answers."""
    found = document["results"]
    yield from _forests("Scores", _scores(found))
    categories = found["by_category"]
    if len(categories) > 1:
        for name, one in _scores(found).items():
            groups = {key: group[name] for key, group in categories.items() if group.get(name)}
            unit = one.get("unit", "share")
            title = f"{name.replace('_', ' ').capitalize()} by category"
            yield from _forests(title, {k: {"unit": unit, **group} for k, group in groups.items()})
    rows = [item["timing"] for item in found["items"] if item["timing"]]
    yield from _charts.distributions(_TIMED, rows, found["summary"])
    yield from _charts.sensors(document)


def _forests(title: str, scores: Mapping[str, Document]) -> Iterator[Forest]:
    """Yield a chart of the scores of each unit."""
    for unit, (low, high) in _SCALES.items():
        spans = [
            _span(name, one)
            for name, one in scores.items()
            if one.get("unit", "share") == unit and one["mean"] is not None
        ]
        if spans:
            yield Forest(
                f"{title}, {unit}", Axis("mean with 95 % interval", unit, low, high), spans
            )


def _span(name: str, one: Document) -> Span:
    low, high = one["ci95"] or (one["mean"], one["mean"])
    words = f"{number(one['mean'])} [{number(low)}, {number(high)}]" if one["ci95"] else ""
    label = f"{name.replace('_', ' ')}, n {one['n_scored']}"
    return Span(label, low, one["mean"], high, words or number(one["mean"]))


def entries(document: Document) -> Iterator[Entry]:
    """Yield the questions; those that were answered wrong come first."""
    found = [_entry(item) for item in document["results"]["items"]]
    yield from sorted(found, key=lambda entry: _ORDER.index(entry.verdict))


def _entry(item: Document) -> Entry:
    question, verdict = item["question"], _verdict(item)
    scores = [f"{name} {word}" for name, word in transcript.scores_in_words(item).items()]
    cells = [question["category"], *scores]
    filters = {"verdict": verdict, "category": question["category"]}
    title = f"{question['id']}: {' '.join(question['prompt'].split())[:120]}"
    return Entry(title, verdict, cells, filters, transcript.texts(item), [*_shown(item)])


def _shown(item: Document) -> Iterator[Shown]:
    """Yield what the model was shown, and what it made that is no text."""
    for medium in item.get("media", ()):
        if "id" in medium:  # files of earlier versions kept none
            frames = medium.get("frames")
            seen = f", {counted(len(frames), 'frame')}" if frames else ""
            seconds = f", {number(medium['seconds'])} s" if medium.get("seconds") else ""
            yield Shown(medium["id"], f"{medium['kind']}{seconds}{seen}")
    made = item.get("measured") or {}
    for name, label in (("audio_id", "answer"), ("recording_id", "recording")):
        if made.get(name):
            yield Shown(made[name], label)
    picture = (item["verdict"] or {}).get("details", {}).get("screenshot_id")
    if picture:
        yield Shown(picture, "what the code drew")


def _verdict(item: Document) -> str:
    """Return the outcome of a question in a word."""
    if item["error"]:
        return "failed"
    if item["correct"] is False and item["verdict"]["state"] == "not_attempted":
        return "not attempted"
    if item["correct"] is not None:
        return "correct" if item["correct"] else "wrong"
    return "judged" if any(s["score"] is not None for s in item["scores"].values()) else "unscored"
