"""The child process that serves one GGUF file with llama.cpp on a free loopback port.

`python -m pytest_llamaburn.backends._embedded_server MODEL.gguf NUM_CTX SLOTS [MMPROJ.gguf]` prints
one line of JSON when it is ready. It ends when its standard input closes, so that it never outlives
the process that started it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from time import perf_counter


def main(model: str, num_ctx: int, slots: int, projector: str | None = None) -> None:
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


def _leave_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
