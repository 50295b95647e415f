"""What an audit shows to a judge: right answers, planted errors, manipulations, and pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pytest_llamaburn import datasets, evalsets
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.judges import Case, Pair
from pytest_llamaburn.judges._kept import Task
from pytest_llamaburn.judges._planting import ERRORS, MANIPULATIONS, most, plant, sway
from pytest_llamaburn.kinds._kind import naming

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.evalsets import EvalSet, Question
    from pytest_llamaburn.kinds.audit.settings import Audit

RIGHT: Final = "right"
ORDER: Final = "order"
MOST_DOSE: Final = 3
FEWEST_WORDS: Final = 8
# The criterion that an error breaks: the judge is asked about it.
CRITERIA: Final = {
    "wrong_number": "accuracy",
    "contradiction": "accuracy",
    "dropped_step": "completeness",
    "truncation": "completeness",
}
_SWAYED: Final = "accuracy"
_BASES: Final = ("wrong_number", "contradiction")  # errors on which manipulations are tried


class Probe(NamedTuple):
    """A text that the judge is shown: of which question, with which dose of what.

    `criterion` is empty for a pair: the right answer A and the text B.
    """

    question: Question
    kind: str
    dose: int
    criterion: str
    text: str

    @property
    def name(self) -> str:
        """Its name in the journal."""
        return "/".join((self.question.id, self.kind, str(self.dose), self.criterion))


def questions(settings: Audit) -> tuple[EvalSet, list[Question]]:
    """Return the set, and those of its questions whose references are worked answers.

    Raises SettingsError if there is none.
    """
    with naming("--set"):
        found = evalsets.load_eval_set(settings.set)
    worked = [question for question in found.questions if _is_worked(question)]
    if not worked:
        raise SettingsError(
            f"--set: '{settings.set}' has no worked reference answer, of at least {FEWEST_WORDS} "
            "words that are no program, in which errors could be planted: use summarization, or a "
            "set of your own"
        )
    chosen = datasets.stratified(worked, settings.items, settings.seed)
    return found, sorted(chosen, key=worked.index)


def _is_worked(question: Question) -> bool:
    words = (question.reference or "").split()
    return len(words) >= FEWEST_WORDS and question.scorer != "code" and not question.media


def probes(asked: Sequence[Question], seed: int) -> list[Probe]:
    """Return all that the judge is shown, question by question."""
    return [probe for question in asked for probe in _of_question(question, seed)]


def _of_question(question: Question, seed: int) -> Iterator[Probe]:
    right = str(question.reference)
    for criterion in dict.fromkeys(CRITERIA.values()):
        yield Probe(question, RIGHT, 0, criterion, right)
    for error in ERRORS:
        for dose in range(1, 1 + min(MOST_DOSE, most(error, right))):
            text = plant(error, right, dose, seed).text
            yield Probe(question, error, dose, CRITERIA[error], text)
    error, dose = base(question)
    wrong = plant(error, right, dose, seed).text
    for manipulation in MANIPULATIONS:
        yield Probe(question, manipulation, 1, _SWAYED, sway(manipulation, wrong, seed))
    yield Probe(question, ORDER, 1, "", wrong)


def base(question: Question) -> tuple[str, int]:
    """Return the error and the dose of the text that manipulations are added to.

    An answer with an error leaves room for a score to rise.
    """
    text = str(question.reference)
    error = next(one for one in _BASES if most(one, text))
    return error, min(2, most(error, text))


def tasks(found: Sequence[Probe], *, with_reference: bool) -> dict[str, Task]:
    """Return the tasks of the judge, by the names of the probes."""
    return {probe.name: _task(probe, with_reference=with_reference) for probe in found}


def _task(probe: Probe, *, with_reference: bool) -> Task:
    question, right = probe.question, str(probe.question.reference)
    reference = right if with_reference else None
    if probe.kind == ORDER:
        pair = Pair(question.prompt, right, probe.text, reference, question.rubric)
        return Task(pair)
    case = Case(question.prompt, probe.text, reference, question.rubric)
    return Task(case, probe.criterion)
