"""What is predicted before a model is loaded, and how it is told."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypedDict

from pytest_llamaburn import grids
from pytest_llamaburn.backends import _address, _detect
from pytest_llamaburn.errors import ModelError, ServerError
from pytest_llamaburn.kinds.fit import memory, plan, prediction
from pytest_llamaburn.kinds.fit.prediction import Asked, Need, Shape
from pytest_llamaburn.tables import ABSENT, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.kinds.fit.documents import Foreseen
    from pytest_llamaburn.kinds.fit.settings import Fit

_COLUMNS = ("context", "KV cache", "weights MB", "KV MB", "compute MB", "all MB", "fits")


class Sight(TypedDict):
    """A prediction, and what it is computed from."""

    shape: Shape
    facts: Foreseen


async def of(settings: Fit, model: str | None) -> Sight:
    """Return what can be predicted of a model; nothing is loaded.

    Raises UsageError if there is no server, or an extra is missing.
    """
    backend = await _detect.unopened(settings, model)
    trained, reason = None, None
    try:
        name = model or await backend.only_model()
        header = await backend.metadata(name)
        shape = prediction.shape(header)
        reason = shape.reason
        trained = header.keys.get(f"{shape.architecture}.context_length")
    except (ModelError, ServerError) as err:
        shape, reason = Shape("", reason=str(err)), str(err)
    local = not backend.address.port or _address.is_local(backend.address)
    on_gpus = memory.free_on_gpus() if local else None
    facts: Foreseen = {
        "architecture": shape.architecture or None,
        "context_length": trained if type(trained) is int else None,
        "layers": shape.layers,
        "heads": shortened(shape.heads),
        "kv_heads": shortened(shape.kv_heads),
        "key_length": shape.key_length,
        "value_length": shape.value_length,
        "weights_bytes": shape.weights_bytes,
        "layer_bytes": shape.layer_bytes,
        "kv_bytes_per_token": {kv: shape.kv_bytes_per_token(kv) for kv in settings.kv_type},
        "largest_context": {},
        "memory": "gpu" if on_gpus else "ram" if local else "unknown",
        "memory_bytes": on_gpus and on_gpus - memory.GPU_SPARE,
        "reason": reason,
    }
    if local and not on_gpus:
        room = memory.Room(settings.reserve)
        facts["memory_bytes"] = room.left() - room.reserve
    for kv_type in settings.kv_type:
        facts["largest_context"][kv_type] = largest_context(settings, shape, facts, kv_type)
    return {"shape": shape, "facts": facts}


def need(settings: Fit, shape: Shape, at: plan.At) -> Need:
    """Return the memory that a model will take at a step."""
    return prediction.need(shape, Asked(at.num_ctx, settings.slots, at.kv_type))


def lines(settings: Fit) -> Iterator[str]:
    """Yield the prediction of each model, for --dry-run; nothing is loaded."""
    for model in settings.model or (None,):
        with ThreadPoolExecutor(1) as thread:  # a loop may run in this one
            sight = thread.submit(asyncio.run, of(settings, model)).result()
        yield f"{model or 'the only model'}: {'; '.join(said(sight['facts']))}"
        yield grids.text(grids.Table(_COLUMNS, [*_rows(settings, sight)], 2))


def said(facts: Foreseen) -> Iterator[str]:
    """Yield the prediction in sentences."""
    if facts["reason"]:
        yield f"no prediction: {facts['reason']}"
        return
    per_token = ", ".join(
        f"{kv} {number(size / 1000)} kB" if size else f"{kv} is not possible"
        for kv, size in facts["kv_bytes_per_token"].items()
    )
    weights = facts["weights_bytes"]
    told = f"{number(weights / 1e6)} MB of weights" if weights else "weights of unknown size"
    yield f"{facts['layers']} layers, {facts['heads']} heads, {facts['kv_heads']} KV heads, {told}"
    yield f"KV cache for each token: {per_token}"
    yield _edges(facts)


def _edges(facts: Foreseen) -> str:
    size = facts["memory_bytes"]
    if size is None:
        return "how much memory is free is not known"
    where = {"gpu": "on the GPU", "ram": "in RAM"}[facts["memory"]]
    found = (f"{n or 'none'} with {kv}" for kv, n in facts["largest_context"].items())
    return (
        f"largest context in the {number(size / 1e9)} GB that are free {where}: {', '.join(found)}"
    )


def largest_context(settings: Fit, shape: Shape, facts: Foreseen, kv_type: str) -> int | None:
    """Return the largest context for which the memory is predicted to be enough."""
    first, longest = plan.ends(settings, facts["context_length"])
    found = None
    tried = sorted({*plan.doubled(first, longest), *range(settings.edge, longest, settings.edge)})
    for num_ctx in tried:
        size = fitting(need(settings, shape, plan.At(kv_type, num_ctx)), facts)
        if size is None or facts["memory_bytes"] is None or size > facts["memory_bytes"]:
            break
        found = num_ctx
    return found


def fitting(wanted: Need, facts: Foreseen) -> int | None:
    """Return the predicted bytes that must fit in the memory of `facts`."""
    return wanted.gpu if facts["memory"] == "gpu" else wanted.total


def _rows(settings: Fit, sight: Sight) -> Iterator[tuple[str, ...]]:
    facts, size = sight["facts"], sight["facts"]["memory_bytes"]
    for kv_type in settings.kv_type:
        for num_ctx in plan.doubled(*plan.ends(settings, facts["context_length"])):
            wanted = need(settings, sight["shape"], plan.At(kv_type, num_ctx))
            whole = fitting(wanted, facts)
            sizes = (wanted.weights, wanted.kv, wanted.compute, whole)
            fits = ABSENT if whole is None or size is None else "yes" if whole <= size else "no"
            yield (str(num_ctx), kv_type, *map(_mb, sizes), fits)


def _mb(size: int | None) -> str:
    return number(None if size is None else size / 1e6)


def shortened(numbers: tuple[int, ...]) -> int | list[int] | None:
    """Return one number if all layers have the same, else all of them."""
    if not numbers:
        return None
    return numbers[0] if len({*numbers}) == 1 else [*numbers]
