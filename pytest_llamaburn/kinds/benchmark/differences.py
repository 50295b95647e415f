"""The warnings of a comparison of benchmarks: different settings, and remarks on each file."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Protocol

from pytest_llamaburn import insights
from pytest_llamaburn.energy import profiles
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_llamaburn.documents import Document

_CONTINUED = (
    "was measured by {} processes in turn: it was interrupted and resumed, or workers shared it"
)


class Side(Protocol):
    """The attributes of a compared benchmark that this module reads."""

    label: str
    document: Document
    left_out: list[int]  # its nearly empty runs

    @property
    def model(self) -> str:
        """The model's id."""

    @property
    def machine(self) -> str | None:
        """The machine's fingerprint, or None if it is not known."""

    @property
    def prompts(self) -> frozenset[str]:
        """The prompts of its runs."""


def of(sides: Sequence[Side]) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of each difference between the files, then of each remark on a file."""
    for name, (words, read) in _FACTS.items():
        yield from _differing(name, words, sides, read)
    for model, alike in _grouped(sides, lambda side: side.model):
        words = f"digest of {model}"
        yield from _differing("digest", words, alike, lambda s: s.document["model"]["digest"])
    for _, same in _grouped(sides, lambda side: side.document["run_id"]):
        if len(same) > 1:
            labels = ", ".join(side.label for side in same)
            yield "same_run", f"{labels} are the same run"
    counting = [side for side in sides if profiles.counted_in(side.document)]
    yield from _differing("counted", "device whose energy counts", counting, _counted)
    for side in sides:
        for name, text in _remarks(side):
            yield name, f"{side.label} {text}"


def _num_ctx(side: Side) -> Any:
    sent = side.document["config"].get("sent", {}).get("options", {})
    return side.document["config"].get("num_ctx") or sent.get("num_ctx")


def _counted(side: Side) -> str:
    return ", ".join(profiles.counted_in(side.document))


def _prompts_fact(side: Side) -> str:
    checksum = zlib.crc32("\n".join(sorted(side.prompts)).encode())
    return f"{len(side.prompts)} with checksum {checksum:08x}"


def media_of(side: Side) -> str:
    """Return the names and sizes of what was sent with every prompt."""
    sent = (side.document["results"].get("media") or {}).get("sent", ())
    texts = (f"{one['path'].rpartition('/')[2]}, {one['sent_bytes']} bytes" for one in sent)
    return "; ".join(texts) or "none"


def _setting(name: str) -> Callable[[Side], Any]:
    return lambda side: side.document["config"].get(name)


_FACTS: dict[str, tuple[str, Callable[[Side], Any]]] = {
    "machine": ("machine fingerprint", lambda side: side.machine),
    "media": ("media with each prompt", media_of),
    "server": ("server", lambda side: side.document["server"]["kind"]),
    "server_version": ("server version", lambda side: side.document["server"]["version"]),
    "num_ctx": ("num_ctx", _num_ctx),
    "quantization": ("quantization", lambda side: side.document["model"]["quantization"]),
    "prompts": ("prompts", _prompts_fact),
    **{
        n: (n, _setting(n))
        for n in ("temperature", "max_tokens", "cache", "start", "warmup", "think", "seed")
    },
}


def _differing(
    name: str, words: str, sides: Sequence[Side], read: Callable[[Side], Any]
) -> Iterator[tuple[str, str]]:
    """Yield a warning if a fact is not the same in all files."""
    values: dict[Any, list[str]] = {}
    for side in sides:
        value = read(side)
        values.setdefault("not known" if value is None else value, []).append(side.label)
    if len(values) > 1:
        texts = (f"{value} ({', '.join(labels)})" for value, labels in values.items())
        yield name, f"{words} differs: {'; '.join(texts)}"


def _grouped(sides: Iterable[Side], key: Callable[[Side], str]) -> Iterable[tuple[str, list[Side]]]:
    """Return the sides of each key, in their order."""
    groups: dict[str, list[Side]] = {}
    for side in sides:
        groups.setdefault(key(side), []).append(side)
    return groups.items()


def _remarks(side: Side) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of each remark on one file."""
    totals, status = side.document["results"]["totals"], side.document["status"]
    if status != "complete":
        yield (
            "status",
            f"is {status}: {totals['succeeded']} of {counted(totals['planned'], 'request')}",
        )
    if totals["failed"]:
        yield "failed", f"has {totals['failed']} failed requests, which have no latencies"
    if side.document["contended"]:
        yield "contended", "was allowed to run at the same time as other measurements"
    if side.document["busy"]:
        yield "other_load", insights.BUSY
    if (side.document["telemetry"].get("processes") or 1) > 1:
        yield "continued", _CONTINUED.format(side.document["telemetry"]["processes"])
    for repeat in side.left_out:
        yield "left_out", f"is compared without run {repeat}, which has less than half the prompts"
