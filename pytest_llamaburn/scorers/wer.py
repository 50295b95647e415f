"""The word error rate of a transcript against the reference, raw and normalised.

WER = (substitutions + deletions + insertions) / words of the reference, for the alignment with the
fewest errors. CER is the same of the characters of the normalised texts. English is normalised as
for Whisper if that is installed. In other languages only case, punctuation and forms of characters
are normalised, and languages that are written without spaces are counted by the letter. A
transcript is right if its WER is at most the option `max_wer`; without `max_wer` the rates are only
measured. The option `language` is a code ("en").
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.errors import MissingExtraError
from pytest_llamaburn.scorers import _base, _text
from pytest_llamaburn.scorers._base import Score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.scorers._base import Question

NEEDS = ("reference",)
RATES = ("wer", "cer")
BOUND = "max_wer"  # the option without which it only measures


def score(answer: str, question: Question) -> Score:
    """Return the score; its details are the rates and their counts.

    The rates are None if the reference has no words; then an answer without words is right. Raises
    DatasetError without a reference, MissingExtraError without jiwer.
    """
    reference, said = str(_base.needed(question, "reference")), _text.spoken(answer)
    most = _base.figure(question, "max_wer")
    language = str(question.options.get("language", "en"))
    name, *texts = _normalised(language, reference, said)
    raw = _errors(reference.split(), said.split())
    counted = _errors(*texts)
    counted |= _of_characters(*texts)
    details = {**counted, "wer_raw": raw["wer"], "normaliser": name, "max_wer": most}
    if not said and counted["reference_words"]:
        return _base.empty()._replace(details=details)
    correct = _correct(counted, most)
    return Score(correct, "scored", _reason(correct, counted, most), said, details)


def ready() -> None:
    """Raise MissingExtraError without jiwer."""
    _jiwer()


def faults(question: Question) -> Iterator[tuple[str, str]]:
    """Yield field and reason of an invalid bound."""
    yield from _base.bad_figures(question, "max_wer")


def _correct(counted: Mapping[str, Any], most: float | None) -> bool | None:
    if not counted["reference_words"]:
        return not counted["insertions"]
    return None if most is None else bool(counted["wer"] <= most)


def _reason(correct: bool | None, counted: Mapping[str, object], most: float | None) -> str:
    if correct:
        return ""
    if not counted["reference_words"]:
        return "the answer has words, the reference has none"
    if correct is None:
        return "measured only: no max_wer is set"
    return f"WER is {counted['wer']:.3f}, above {most}"


def _errors(reference: list[str], said: list[str]) -> Document:
    """Return the counts of the best alignment, and their rate."""
    if not reference or not said:
        substitutions, deletions, insertions = 0, len(reference), len(said)
    else:
        found = _jiwer().process_words(" ".join(reference), " ".join(said))
        substitutions, deletions = found.substitutions, found.deletions
        insertions = found.insertions
    errors = substitutions + deletions + insertions
    return {
        "wer": errors / len(reference) if reference else None,
        "substitutions": substitutions,
        "deletions": deletions,
        "insertions": insertions,
        "reference_words": len(reference),
    }


def _of_characters(reference: list[str], said: list[str]) -> dict[str, Any]:
    """Return the character errors of normalised words, with one space between two words."""
    one, other = " ".join(reference), " ".join(said)
    errors = len(one) + len(other)
    if one and other:
        found = _jiwer().process_characters(one, other)
        errors = found.substitutions + found.deletions + found.insertions
    return {"character_errors": errors, "reference_characters": len(one)}


def _jiwer() -> Any:
    try:
        import jiwer
    except ImportError:
        raise MissingExtraError("audio", "the scorer wer") from None
    return jiwer


def _normalised(language: str, *texts: str) -> tuple[Any, ...]:
    """Return the name of the normaliser and the words of each text; one normaliser for all."""
    name, normalise = _normaliser(language)
    try:
        return name, *map(normalise, texts)
    except Exception:  # noqa: BLE001 - Whisper's fails on unusual text, such as very long numbers
        return "basic", *map(_text.words, texts)


@cache
def _normaliser(language: str) -> tuple[str, Callable[[str], list[str]]]:
    if language.partition("-")[0].lower() == "en":
        try:
            from whisper_normalizer.english import EnglishTextNormalizer
        except ImportError:
            return "basic", _text.words
        english = EnglishTextNormalizer()
        return "whisper-english", lambda text: str(english(text)).split()
    return "basic", _text.words
