"""The child process that serves one GGUF file with llama.cpp on a free loopback port.

`python -m pytest_llamaburn.backends._embedded_server MODEL.gguf NUM_CTX SLOTS JSON [MMPROJ.gguf]`
prints one line of JSON when it is ready; JSON is an object with values for OPTIONS. With `pooling`
in it, the server also embeds or reranks. It ends when its standard input closes, so that it never
outlives the process that started it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from time import perf_counter
from typing import Any

# The options by name, each with the engine's parameters that it sets.
OPTIONS = {
    "num_batch": ("n_batch", "n_ubatch"),
    "num_thread": ("cpuparams.n_threads", "cpuparams_batch.n_threads"),
    "num_gpu": ("n_gpu_layers",),
    "kv_type": ("cache_type_k", "cache_type_v"),
    "log_level": ("verbosity",),
}


def main(model: str, num_ctx: int, slots: int, options: str, projector: str | None = None) -> None:
    """Serve until standard input closes."""
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    if projector is not None:
        params.mmproj.path = projector
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_ctx, params.n_parallel = num_ctx, slots
    params.cache_ram_mib = 0  # saving old prompts to RAM would delay the next timed request
    params.ui = False
    asked = json.loads(options)
    _pool(params, asked.pop("pooling", None))
    for name, value in asked.items():
        for place in OPTIONS[name]:
            _set(params, place, value)
    started = perf_counter()
    server = xllamacpp.Server(params)
    load_ms = (perf_counter() - started) * 1e3
    ready = {
        "url": server.listening_address,
        "load_ms": load_ms,
        "version": xllamacpp.__version__,
    }
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    threading.Event().wait()


def _pool(params: Any, pooling: str | None) -> None:
    """Let the engine make one vector of a text, which must fit into one batch."""
    import xllamacpp

    if pooling is not None:
        params.embedding = True
        params.n_batch = params.n_ubatch = params.n_ctx
        params.kv_unified = True  # else texts of unequal length are split, and pooled in part
        params.pooling_type = xllamacpp.llama_pooling_type[f"LLAMA_POOLING_TYPE_{pooling.upper()}"]


def _set(params: Any, place: str, value: Any) -> None:
    import xllamacpp

    *holders, name = place.split(".")
    for holder in holders:
        params = getattr(params, holder)
    if name.startswith("cache_type"):
        value = xllamacpp.ggml_type[f"GGML_TYPE_{value.upper()}"]
    setattr(params, name, value)


def _leave_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
