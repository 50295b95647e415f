"""The result file of a run that finds the largest context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pytest_llamaburn import gates, metrics
from pytest_llamaburn.backends import _gguf
from pytest_llamaburn.documents import Distribution, Document
from pytest_llamaburn.energy import profiles
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds import _single
from pytest_llamaburn.kinds._file import Part, RequestFacts, Results, RunFile, request_model
from pytest_llamaburn.kinds.fit import insights, plan
from pytest_llamaburn.kinds.fit.comparable import Comparison
from pytest_llamaburn.kinds.fit.documents import NOTHING, Foreseen
from pytest_llamaburn.kinds.fit.measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.kinds.fit.foresight import Sight
    from pytest_llamaburn.kinds.fit.settings import Fit
    from pytest_llamaburn.store.journal import Record

_NO_LIMIT = "the longest context fits"
_NOT_ENDED = "the run ended before the edge was found: continue it with --resume, or raise --budget"


class Need(Part):
    """The predicted memory of a step in bytes."""

    weights: int | None
    kv: int | None
    compute: int | None
    total: int | None
    gpu: int | None


class Step(Part):
    """A context with which the model was loaded, or not; `reason` says why not, or no size.

    `difference` is predicted / reported size - 1. `vram_mb` and `server_rss_mb` are the most that
    the sensors of this machine showed.
    """

    kv_type: str
    num_ctx: int
    place: Literal["gpu", "spills", "ram", "loaded", "failed", "refused"]
    reason: str | None
    load_ms: float | None
    total_bytes: int | None
    gpu_bytes: int | None
    gpu_share: float | None
    parts: dict[str, int]
    foreseen: Need
    difference: float | None
    left_bytes: int | None
    vram_mb: float | None
    server_rss_mb: float | None
    decode: Distribution


class Series(Part):
    """What was found with one type of the KV cache.

    `largest_context` stays where the smallest one is; with `beyond`, the next that was tried, it
    does not. `spill_loss` is the share of the decode rate that the first context beyond loses.
    """

    kv_type: str
    memory: Literal["gpu", "ram", "unknown"] | None
    largest_context: int | None
    beyond: int | None
    foreseen_context: int | None
    spill_loss: float | None
    spill_loss_ci95: tuple[float, float] | None
    reason: str | None


class _Facts(RequestFacts):
    kv_type: str
    num_ctx: int
    iteration: int


FitRequest = request_model("FitRequest", _Facts)


class FitResults(Results):
    """The results by context."""

    foreseen: Foreseen
    series: list[Series]
    steps: list[Step]
    runs: list[FitRequest]  # type: ignore[valid-type]


class File(RunFile):
    """A result file of `llamaburn fit`."""

    schema_: Literal["llamaburn/fit"] = Field(alias="schema")
    results: FitResults


def check(settings: Fit) -> None:
    """Raise SettingsError for contexts, types or gates that have no meaning."""
    for kv_type in settings.kv_type:
        if _gguf.row_bytes(kv_type, 256) is None:
            raise SettingsError(
                f"--kv-type: '{kv_type}' is refused: use a type such as f16, bf16, q8_0 or q4_0"
            )
    if settings.max_ctx and settings.num_ctx and settings.num_ctx > settings.max_ctx:
        raise SettingsError(
            f"--num-ctx: {settings.num_ctx} is refused: the first context must not be longer than "
            f"--max-ctx {settings.max_ctx}"
        )
    for expression in settings.threshold:
        gates.parse(expression, MEASURES)
    Comparison.check_asked(settings)


def build(record: Record) -> Document:
    """Return the content of a result file, made from its journal."""
    steps = _seen(record.others.get("step", ()), record.profile)
    facts = record.facts.pop("prediction", None) or NOTHING
    ends = record.facts.pop("ends", (1, 1, 1))
    document = _single.content(record, _found(record.rows, steps, facts, ends))
    document["results"]["gates"] = gates.of_run(document, MEASURES, record.gates)
    document["insights"] = insights.find(document)
    return document


def found(
    rows: Sequence[object], steps: Sequence[Document], sight: Sight, ends: tuple[int, int, int]
) -> Document:
    """Return what a run found, without what the sensors showed."""
    return _found(rows, [{**step, **_UNSEEN} for step in steps], sight["facts"], ends)


def _found(
    rows: Sequence[Any], steps: Sequence[Document], foreseen: Foreseen, ends: Sequence[int]
) -> Document:
    made = [_step(step, rows) for step in sorted(steps, key=lambda s: int(s["num_ctx"]))]
    types = list(dict.fromkeys(step["kv_type"] for step in steps))
    good: list[Any] = _single.good(rows)
    by_type = {kv: [step for step in made if step["kv_type"] == kv] for kv in types}
    return {
        "foreseen": {**foreseen},
        "series": [_series(kv, own, foreseen, ends) for kv, own in by_type.items()],
        "steps": sorted(made, key=lambda step: types.index(step["kv_type"])),
        "summary": metrics.summary(good, rows),
    }


_UNSEEN = {"vram_mb": None, "server_rss_mb": None}


def _seen(steps: Sequence[Document], profile: Sequence[Mapping[str, Any]]) -> list[Document]:
    """Return the steps with what the sensors showed while the model was loaded and answered."""
    samples_at: list[tuple[float, Any]] = []
    for line in profiles.Profile(profile, ()).timelines:
        origin = line.about["perf_ns"] - line.about["wall_ns"]
        samples_at += [(sample["t_ms"] * 1e6, sample) for sample in line.samples(origin)]
    return [
        {**step, **_most([s for t, s in samples_at if step["started_ns"] <= t <= step["ended_ns"]])}
        for step in steps
    ]


def _most(seen: Sequence[Any]) -> Document:
    used = [[gpu.get("vram_used_mb") for gpu in sample["gpus"]] for sample in seen]
    vram = [sum(sizes) for sizes in used if sizes and None not in sizes]
    rss = [size for sample in seen if (size := sample.get("server_rss_mb")) is not None]
    return {"vram_mb": max(vram, default=None), "server_rss_mb": max(rss, default=None)}


def _step(step: Document, rows: Sequence[Any]) -> Document:
    own = [r for r in rows if (r["kv_type"], r["num_ctx"]) == (step["kv_type"], step["num_ctx"])]
    kept = {k: v for k, v in step.items() if k not in ("started_ns", "ended_ns")}
    total, gpu = step["total_bytes"], step["gpu_bytes"]
    return {
        **kept,
        "gpu_share": gpu / total if total and gpu is not None else None,
        "difference": _difference(step),
        "decode": _single.spread(_single.good(own), "tokens_per_sec", step["reason"]),
    }


def _difference(step: Document) -> float | None:
    """Return predicted / reported size - 1; a model wholly on GPUs has no table of inputs there."""
    total = step["total_bytes"]
    wanted = step["foreseen"]["gpu" if step["place"] == plan.GPU else "total"]
    return wanted / total - 1 if total and wanted is not None else None


def _series(
    kv_type: str, steps: Sequence[Document], foreseen: Foreseen, ends: Sequence[int]
) -> Document:
    search = plan.Search(*ends)
    for step in steps:
        search.tell(step["num_ctx"], step["place"])
    largest, beyond = search.largest, search.beyond
    by_ctx = {step["num_ctx"]: step for step in steps}
    loss, between = _loss(by_ctx.get(largest), by_ctx.get(beyond))
    return {
        "kv_type": kv_type,
        "memory": _memory(by_ctx.get(largest)),
        "largest_context": largest,
        "beyond": beyond,
        "foreseen_context": foreseen["largest_context"].get(kv_type),
        "spill_loss": loss,
        "spill_loss_ci95": between,
        "reason": _why(by_ctx.get(beyond)) if search.next() is None else _NOT_ENDED,
    }


def _why(beyond: Document | None) -> str:
    """Return why the largest context is the largest."""
    if beyond is None:
        return _NO_LIMIT
    if beyond["place"] == plan.SPILLS:
        share = 1 - beyond["gpu_share"]
        return f"with {beyond['num_ctx']} tokens, {share:.1%} of the memory is not on the GPU"
    if beyond["place"] in (plan.RAM, plan.LOADED):
        return f"with {beyond['num_ctx']} tokens, nothing is on the GPU"
    return f"with {beyond['num_ctx']} tokens: {beyond['reason']}"


def _memory(largest: Document | None) -> str | None:
    names = {plan.GPU: "gpu", plan.RAM: "ram", plan.LOADED: "unknown"}
    return None if largest is None else names[largest["place"]]


def _loss(
    whole: Document | None, beyond: Document | None
) -> tuple[float | None, list[float] | None]:
    """Return the share of the decode rate that is lost past the edge, with its interval."""
    if whole is None or beyond is None:
        return None, None
    rates = [(step["decode"]["mean"], step["decode"]["ci95"]) for step in (whole, beyond)]
    (fast, spread), (slow, other) = rates
    if not fast or slow is None:
        return None, None
    if not spread or not other or spread[0] <= 0:
        return 1 - slow / fast, None
    return 1 - slow / fast, [1 - other[1] / spread[0], 1 - other[0] / spread[1]]
