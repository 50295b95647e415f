"""The character error rate of a text that was read, against the reference.

CER = (substitutions + deletions + insertions) / characters of the reference, for the alignment with
the fewest errors. Only white space and compatible characters are normalised: case and punctuation
count. The word error rate of the same texts is measured too. A text is right if its CER is at most
the option `max_cer`; without `max_cer` it is only measured.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.errors import MissingExtraError
from pytest_llamaburn.scorers import _base, _text
from pytest_llamaburn.scorers._base import Score

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.scorers._base import Question

NEEDS = ("reference",)
RATES = ("cer", "wer")
BOUND = "max_cer"  # the option without which it only measures
_FENCE = re.compile(r"\A```[\w-]*\n(.*?)\n?```\Z", re.DOTALL)


def score(answer: str, question: Question) -> Score:
    """Return the score; its details are the rates and their counts.

    Raises DatasetError without a reference, MissingExtraError without jiwer.
    """
    reference = _plain(str(_base.needed(question, "reference")))
    said = _plain(_text.spoken(answer))
    most = _base.figure(question, "max_cer")
    details = {**_of_characters(reference, said), **_of_words(reference, said), "max_cer": most}
    if not said:
        return _base.empty()._replace(details=details)
    correct = None if most is None else bool(details["cer"] <= most)
    why = "measured only: no max_cer is set" if most is None else f"CER is {details['cer']:.3f}"
    return Score(correct, "scored", "" if correct else why, said, details)


def ready() -> None:
    """Raise MissingExtraError without jiwer."""
    _jiwer()


def faults(question: Question) -> Iterator[tuple[str, str]]:
    """Yield field and reason of an invalid bound, and of a reference without characters."""
    yield from _base.bad_figures(question, "max_cer")
    if not _plain(str(question.reference)):
        yield "reference", "has no characters"


def _plain(text: str) -> str:
    stripped = text.strip()
    fenced = _FENCE.match(stripped)
    inner = fenced[1] if fenced else stripped
    return " ".join(unicodedata.normalize("NFKC", inner).split())


def _of_characters(reference: str, said: str) -> Document:
    if said:
        found = _jiwer().process_characters(reference, said)
        errors = found.substitutions + found.deletions + found.insertions
    else:
        errors = len(reference)
    return {
        "cer": errors / len(reference),
        "character_errors": errors,
        "reference_characters": len(reference),
    }


def _of_words(reference: str, said: str) -> Document:
    words = len(reference.split())
    substitutions, deletions, insertions = 0, words, 0
    if said:
        found = _jiwer().process_words(reference, said)
        substitutions, deletions = found.substitutions, found.deletions
        insertions = found.insertions
    return {
        "wer": (substitutions + deletions + insertions) / words,
        "substitutions": substitutions,
        "deletions": deletions,
        "insertions": insertions,
        "reference_words": words,
    }


def _jiwer() -> Any:
    try:
        import jiwer
    except ImportError:
        raise MissingExtraError("ocr", "the scorer cer") from None
    return jiwer
