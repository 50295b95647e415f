"""Answers of earlier runs, so that no model is asked the same twice.

The key is everything that determines an answer: the digest of the model, the server and its
version, and the exact request. A model without a digest may change between runs, so its answers are
not kept. Failures are not kept either.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_llamaburn import files
from pytest_llamaburn.texts import dumps

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_llamaburn.backends._base import Body, Model, Server
    from pytest_llamaburn.kinds.eval.documents import AnswerFacts

FOLDER = ".answers"


def key_of(model: Model, server: Server, body: Body) -> str | None:
    """Return the key of the answer to a request; None for a model without a digest."""
    if model.digest is None:
        return None
    about = [model.digest, server.kind, server.version, body]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


class Cache:
    """The answers kept in a results directory."""

    def __init__(self, results_dir: Path) -> None:
        """Take the directory; nothing is created before the first answer."""
        self._folder = results_dir / FOLDER

    def get(self, key: str | None) -> AnswerFacts | None:
        """Return the row of an answer; None if there is none or its file is damaged."""
        if key is None:
            return None
        try:
            row: AnswerFacts = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return row

    def put(self, key: str | None, row: AnswerFacts) -> None:
        """Keep the row of a successful answer."""
        if key is None or row["error"] is not None:
            return
        path = self._path(key)
        kept = {name: value for name, value in row.items() if name != "clock"}  # of this run
        with suppress(OSError):  # if the disk is full, the journal says so
            path.parent.mkdir(parents=True, exist_ok=True)
            files.save(path, dumps(kept).encode(), sync=False)  # requests are in flight

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"
