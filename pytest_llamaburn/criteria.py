"""The criteria that judges are asked about: the name and the words of each.

A criterion of the kind `scale` is scored from 1 to 5, one of the kind `grade` gets one of three
grades, one of the kind `yes_no` gets yes, which counts 1, or no, which counts 0. For the kind
`claims` a judge lists claims, and the score is the share of claims that the evidence supports. The
user's own criteria are scales, or yes or no.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NotRequired

from typing_extensions import TypedDict

from pytest_llamaburn.registry import unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

SCORES: Final = (1, 2, 3, 4, 5)
YES_NO: Final = ("no", "yes")
SCALES: Final = ("1 to 5", "yes/no")  # of the user's own criteria
GRADES: Final = ("correct", "incorrect", "not_attempted")
NOT_APPLICABLE: Final = "not_applicable"  # the state of a score if the criterion does not apply
# What each share counts as a hit; None if answers with that grade are not in the share.
SHARES_OF_GRADES: Final[dict[str, Callable[[str], bool | None]]] = {
    "graded_correct": lambda grade: grade == "correct",
    "graded_incorrect": lambda grade: grade == "incorrect",
    "not_attempted": lambda grade: grade == "not_attempted",
    "correct_given_attempted": lambda grade: (
        None if grade == "not_attempted" else grade == "correct"
    ),
}
GRADED: Final = (*SHARES_OF_GRADES, "f_score")  # the measures of grades
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ASKS_YES_NO = re.compile(r"yes/no\s*:\s*", re.IGNORECASE)  # before the description of --criterion
_ANY = (
    "completely fails it, or is unrelated",
    "meets it in part, but with major faults",
    "mostly meets it, with minor issues",
    "meets it well",
    "perfect",
)


_CORRECT = (
    "it states what the question asks for as the reference does, and nothing in it contradicts the "
    "reference. Other words, doubt, more detail and slips of spelling do not matter; a number must "
    "agree with the reference to the digits given there."
)
_INCORRECT = (
    "something that it states contradicts the reference, or it offers several different answers, "
    "even if it voices doubt or one of them is right."
)
_NOT_ATTEMPTED = (
    "it does not state what the question asks for, and contradicts nothing in the reference: it "
    "says that it does not know, asks back, or declines."
)


class Definition(TypedDict):
    """A criterion that the user defined, as eval sets and result files have it."""

    name: str
    description: str
    scale: NotRequired[str]
    anchors: NotRequired[dict[str, str]]


class Criterion(NamedTuple):
    """One criterion; judges read its `meaning` and `anchors` (a line for each score or grade).

    `needs` names what must be given besides the answer: a reference, evidence. `of_answer` is false
    if the answer does not matter. `own` is true if the user has defined it.
    """

    name: str
    meaning: str
    anchors: tuple[str, ...] = _ANY
    kind: str = "scale"
    needs: tuple[str, ...] = ()
    of_answer: bool = True
    own: bool = False

    @property
    def key(self) -> str:
        """Its name; if it is the user's own, with a digest of its words."""
        if not self.own:
            return self.name
        words = json.dumps([self.meaning, self.anchors])
        return f"{self.name}#{hashlib.sha256(words.encode()).hexdigest()[:16]}"

    @property
    def scale(self) -> tuple[int, int]:
        """The lowest and the highest score."""
        return (1, 5) if self.kind == "scale" else (0, 1)

    @property
    def definition(self) -> Definition:
        """The user's own criterion as eval sets and result files have it."""
        if self.kind == "yes_no":
            return {"name": self.name, "description": self.meaning, "scale": "yes/no"}
        anchors = {str(n): words for n, words in zip(SCORES, self.anchors, strict=True)}
        return {"name": self.name, "description": self.meaning, "anchors": anchors}


BUILT_IN: Final = {
    one.name: one
    for one in (
        Criterion(
            "accuracy",
            "factual correctness: is what the answer states true, and does it settle the "
            "question that was asked? What it leaves out counts only where that makes it wrong.",
            (
                "completely wrong or unrelated to the question",
                "partially correct, but with major errors",
                "mostly correct, with minor issues",
                "correct, with good detail",
                "perfect: nothing in it is wrong, and nothing needed for correctness is missing",
            ),
        ),
        Criterion(
            "completeness",
            "coverage: does the answer deal with every part of the question? "
            "Length is not coverage: a short answer to a short question can be complete.",
            (
                "covers nothing of what was asked, or is unrelated",
                "covers a part, but major aspects are missing",
                "covers most, with minor gaps",
                "covers all that was asked, in good detail",
                "perfect: comprehensive, every aspect is dealt with",
            ),
        ),
        Criterion(
            "coherence",
            "logic and clarity: does it follow from its own statements, without "
            "contradiction, in an order and in words that a reader can follow?",
            (
                "cannot be followed, or is unrelated",
                "followed only in part: major contradictions or breaks",
                "mostly logical and clear, with minor lapses",
                "logical and clear",
                "perfect: every step follows, nothing could be put more clearly",
            ),
        ),
        Criterion(
            "grade",
            "does the answer state what the reference states?",
            (_CORRECT, _INCORRECT, _NOT_ATTEMPTED),
            "grade",
            ("reference",),
        ),
        Criterion(
            "faithfulness",
            "The claims are those of the ANSWER: each thing that it states as a fact. Leave out "
            "questions, greetings, remarks on what is not known, and citations such as [1].",
            (),
            "claims",
            ("evidence",),
        ),
        Criterion(
            "context_recall",
            "The claims are those of the REFERENCE, read as the answer to the QUESTION: each "
            "thing that it states as a fact.",
            (),
            "claims",
            ("reference", "evidence"),
            of_answer=False,
        ),
    )
}
USUAL: Final = ("accuracy", "completeness", "coherence")  # if a question names no criteria


def named(criterion: str | Criterion) -> Criterion:
    """Return a criterion by its name; a name without a definition has its usual meaning."""
    if isinstance(criterion, Criterion):
        return criterion
    return BUILT_IN.get(criterion) or Criterion(criterion, "in its usual sense.")


def own(
    name: str,
    description: str,
    anchors: Mapping[str, str] | None = None,
    scale: str = "1 to 5",
) -> Criterion:
    """Return a criterion of the user's own; raises ValueError for a name that is not allowed.

    `scale` is one of SCALES; `anchors` are for the scores from 1 to 5.
    """
    if not _NAME.fullmatch(name):
        msg = (
            f"'{name}' is refused: a name has lower-case letters, digits and _, and begins with a "
            "letter"
        )
        raise ValueError(msg)
    if name in BUILT_IN:
        msg = f"'{name}' is refused: it is built in; choose another name"
        raise ValueError(msg)
    if scale == "yes/no":
        return Criterion(name, description, (), "yes_no", own=True)
    words = _ANY if anchors is None else tuple(anchors[str(n)] for n in SCORES)
    return Criterion(name, description, words, own=True)


def parse(text: str) -> Criterion:
    """Return the criterion of NAME=DESCRIPTION; raises ValueError for any other text.

    A description that begins with `yes/no:` is of a criterion that gets yes or no.
    """
    name, _, told = (part.strip() for part in text.partition("="))
    description = _ASKS_YES_NO.sub("", told, count=1) if _ASKS_YES_NO.match(told) else told
    if not description:
        msg = f"'{text}' is refused: write NAME=DESCRIPTION, such as 'politeness=it stays polite'"
        raise ValueError(msg)
    return own(name, description, scale="1 to 5" if description == told else "yes/no")


def defined(definitions: Iterable[Mapping[str, Any]]) -> dict[str, Criterion]:
    """Return the user's own criteria by name, from checked definitions."""
    return {
        d["name"]: own(d["name"], d["description"], d.get("anchors"), d.get("scale", "1 to 5"))
        for d in definitions
    }


def chosen(names: Sequence[str], known: Mapping[str, Criterion]) -> tuple[str, ...]:
    """Return the names, each once; raises ValueError for an unknown name."""
    for name in names:
        if name not in BUILT_IN and name not in known:
            raise ValueError(unknown("criterion", name, [*BUILT_IN, *known]))
    return tuple(dict.fromkeys(names))
