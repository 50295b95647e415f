"""Parts of the results that only some sets have: rates, programs, media and measurements."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import modalities
from pytest_llamaburn.kinds.eval import measured, programs, rates, scores
from pytest_llamaburn.stats import samples
from pytest_llamaburn.tables import ABSENT, Sheet, number
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds.eval.documents import Answer, Item

_BY_SIZE = (
    *("frames", "time_to_first_token_ms", "input_sequence_length", "media_tokens"),
    "correct",
)
_MEAN = ("n_total", "n_scored", "by_state", "mean", "ci95", "reason")
_COLUMNS = ("answers", "failed", "frames", "TTFT ms", "input tokens", "media tokens", "correct")


def of(items: Sequence[Item], modality: str | None) -> Document:
    """Return `rates`, `programs`, `media` and `measured` of the results, each if there is any."""
    return {
        **_rates(items, modality),
        **programs.of(items),
        **_media(items, modality),
        **measured.of(items, modality),
    }


def _rates(items: Sequence[Item], modality: str | None) -> Document:
    """Return what scorers counted, and the shares of right answers to parts of the questions."""
    parts: dict[str, str] = (
        getattr(modalities.named(modality), "ACCURACIES", {}) if modality else {}
    )
    found = rates.of(items).get("rates", {})
    for name, option in parts.items():
        asked = [item for item in items if item["question"]["options"].get(option)]
        if asked:
            right = scores.correctness(asked)["correct"]
            found[name] = {key: right[key] for key in _MEAN}
    return {"rates": found} if found else {}


def _media(items: Sequence[Item], modality: str | None) -> Document:
    answers = [one for item in items for one in scores.samples(item) if one.get("media")]
    if modality is None or not answers:
        return {}
    prepared = [float(one["prepare_ms"]) for answer in answers for one in answer["media"]]
    media = [one for answer in answers if not _kept_back(answer) for one in answer["media"]]
    return {
        "media": {
            "modality": modality,
            "grouped_by": getattr(modalities.named(modality), "GROUPED_BY", "size"),
            "sent": len(media),
            "resized": sum(bool(one.get("resized")) for one in media),
            "sent_bytes": sum(one["sent_bytes"] for one in media),
            "prepare_ms": samples.distribution(prepared, "ms"),
            **_frames(media),
            "by_size": _by_size(answers, modalities.named(modality).size_of),
        }
    }


def _kept_back(answer: Answer) -> bool:
    """Return whether a request was not sent, because its media do not fit."""
    return answer["error"] is not None and answer["error"].get("phase") == "request"


def _frames(media: Sequence[Document]) -> Document:
    """Return how many frames of videos were sent, and of how many videos not all that were asked.

    Nothing if there are no videos.
    """
    videos = [one for one in media if "frames" in one]
    limited = sum(one.get("sampled_by") == "budget" for one in videos)
    frames = sum(len(one["frames"]) for one in videos)
    return {"frames": frames, "limited": limited} if videos else {}


def sheets(found: Document) -> Iterator[Sheet]:
    """Yield the tables of programs and of the sizes of media, if there are any."""
    yield from programs.sheets(found.get("programs"))
    if found.get("media"):
        yield _by_media(found["media"])


def _by_media(media: Document) -> Sheet:
    mb, spent = media["sent_bytes"] / 1e6, number(media["prepare_ms"]["p50"])
    resized = f", {media['resized']} made smaller" if media["resized"] else ""
    if media.get("frames"):
        resized += f", as {counted(media['frames'], 'frame')}"
    if media.get("limited"):
        resized += f", {media['limited']} of them at less than --video-rate (see --video-frames)"
    fact = (
        f"{media['sent']} sent with {mb:.3g} MB{resized}; prepared before the clock started: "
        f"median {spent} ms each"
    )
    rows = [
        (
            row["size"],
            *(str(row[name]) for name in ("answers", "failed")),
            *(number(row.get(name)) for name in _BY_SIZE),
        )
        for row in media["by_size"]
    ]
    grouped_by = media.get("grouped_by", "size")
    columns, rows = filled((grouped_by, *_COLUMNS), rows)
    return Sheet(f"{media['modality']} by {grouped_by}", [fact], rows, [], columns, words=1)


def filled(
    columns: tuple[str, ...], rows: list[tuple[str, ...]]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return a table without the columns that are empty in every row."""
    kept = [i for i in range(len(columns)) if not rows or any(row[i] != ABSENT for row in rows)]
    return tuple(columns[i] for i in kept), [tuple(row[i] for i in kept) for row in rows]


def _by_size(answers: Iterable[Answer], size_of: Any) -> list[Document]:
    """Return a row for each group of sizes, by the largest medium of an answer."""
    groups: dict[str, list[Answer]] = {}
    places: dict[str, float] = {}
    for answer in answers:
        largest = max(answer["media"], key=lambda one: one["sent_bytes"])
        size, place = size_of(largest)
        groups.setdefault(size, []).append(answer)
        places[size] = place
    return [_row(size, groups[size]) for size in sorted(groups, key=lambda one: places[one])]


def _row(size: str, answers: Sequence[Answer]) -> Document:
    timed = [answer["timing"] for answer in answers if not answer["cached"]]
    right = [one["correct"] for one in answers if one["correct"] is not None]
    return {
        "size": size,
        "answers": len(answers),
        "failed": sum(one["error"] is not None for one in answers),
        "frames": _median(sum(len(m["frames"]) for m in one["media"]) for one in answers)
        if all("frames" in medium for one in answers for medium in one["media"])
        else None,
        "time_to_first_token_ms": _median(one["time_to_first_token_ms"] for one in timed),
        "input_sequence_length": _median(one["input_sequence_length"] for one in timed),
        "media_tokens": _median(one.get("media_tokens") for one in answers),
        "correct": sum(right) / len(right) if right else None,
    }


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
