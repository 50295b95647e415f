"""Whether vectors and scores are right: the same again, the same in a batch, and near where alike.

The vectors of a run all have the same dimension.

Two vectors are the same if the largest difference of their numbers is at most 1e-3 of the length of
the first, and their cosine is at least 1 − 1e-3. Two scores are the same if they differ by at most
1e-3, or by 1e-3 of the first if that is larger than 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.backends._vectors import Vector
    from pytest_llamaburn.documents import Document

TOLERANCE = 1e-3
REPEAT, BATCH, ORDER = "repeat", "batch", "order"
SIMILARITY, RELEVANCE = "similarity", "relevance"


class Pair(NamedTuple):
    """The vectors that one text got from two requests; the second is None if that one failed."""

    first: Vector
    second: Vector | None


def same(name: str, pairs: Sequence[Pair], reason: str | None = None) -> Document:
    """Return how many pairs are the same, their largest difference and their smallest cosine."""
    known = [(pair.first, pair.second) for pair in pairs if pair.second is not None]
    differences = [difference(*pair) for pair in known]
    cosines = [cosine(*pair) for pair in known]
    right = sum(_is_same(*both) for both in zip(differences, cosines, strict=True))
    scores = any(len(one) == 1 for one, _ in known)
    return {
        **_counted(name, right, len(pairs)),
        "difference": max(differences, default=None),
        "cosine": None if scores else min(cosines, default=None),
        "passed": right == len(pairs) if pairs else None,
        "reason": reason,
    }


def ordered(name: str, right: int, n: int, chance: float, reason: str | None = None) -> Document:
    """Return how often what belongs together came first; by chance it would in a share `chance`.

    It passes if the 95 % interval of the share is above chance.
    """
    found = _counted(name, right, n)
    low = found["ci95"][0] if found["ci95"] else None
    return {
        **found,
        "difference": None,
        "cosine": None,
        "passed": None if low is None else low > chance,
        "reason": reason,
    }


def nearer(text: Vector, near: Vector, far: Vector) -> bool:
    """Return whether a vector is nearer to the second one than to the third, by its cosine."""
    return cosine(text, near) > cosine(text, far)


def misplaced(texts: Sequence[str], vectors: Sequence[Vector], known: Mapping[str, Vector]) -> bool:
    """Return whether some text of a batch got the vector of another text of it."""
    for place, (text, vector) in enumerate(zip(texts, vectors, strict=True)):
        if agree(known[text], vector):
            continue
        others = (other for n, other in enumerate(texts) if n != place)
        if any(agree(known[other], vector) for other in others):
            return True
    return False


def agree(first: Vector, second: Vector) -> bool:
    """Return whether two vectors, or two scores, are the same."""
    return _is_same(difference(first, second), cosine(first, second))


def difference(first: Vector, second: Vector) -> float:
    """Return the largest difference of two vectors' numbers, as a share of the first's length.

    A score counts as at least 1 long.
    """
    largest = float(np.abs(np.subtract(first, second)).max())
    length = float(np.linalg.norm(first))
    return largest / (max(1.0, length) if len(first) == 1 else length)


def cosine(first: Vector, second: Vector) -> float:
    """Return the cosine of the angle between two vectors; of two scores it is 1."""
    if len(first) == 1:
        return 1.0
    lengths = float(np.linalg.norm(first)) * float(np.linalg.norm(second))
    return float(np.dot(first, second)) / lengths


def shape(vectors: Sequence[Vector]) -> Document:
    """Return the number of numbers of vectors, their lengths, and whether these are all 1."""
    lengths = [float(np.linalg.norm(vector)) for vector in vectors]
    return {
        "dimension": len(vectors[0]),
        "shortest": min(lengths),
        "longest": max(lengths),
        "normalised": all(abs(length - 1) <= TOLERANCE for length in lengths),
    }


def _is_same(apart: float, alike: float) -> bool:
    return apart <= TOLERANCE and alike >= 1 - TOLERANCE


def _counted(name: str, right: int, n: int) -> Document:
    return {
        "name": name,
        "n": n,
        "right": right,
        "share": right / n if n else None,
        "ci95": samples.wilson(right, n),
    }
