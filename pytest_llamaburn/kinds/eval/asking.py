"""What a model is sent with a question: a system message, solved examples, lettered choices.

The examples are sent as earlier turns of the conversation. They are those of the set or, if it has
none for a category, other questions of that category, the same ones in every run.
"""

from __future__ import annotations

import math
import random
import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn import files
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.evalsets import Example
from pytest_llamaburn.scorers import choice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_llamaburn.backends._base import Message, Model, Server
    from pytest_llamaburn.evalsets import EvalSet, Question

ONE_LETTER: Final = {"max_tokens": 1, "think": "off"}  # the settings that ask for a letter alone
_SEPARATORS = (
    ") ",
    ". ",
    ": ",
    " - ",
    "] ",
    ")",
    ".",
    " ",
    "\t",
)  # between a letter and its choice
_INSTRUCTION = "Answer with the letter of the right choice only."
_INSTRUCTED = re.compile(r"(?i)\bletter\b.*\b(?:only|alone)\b|\b(?:only|just)\b.*\bletter\b")
LIMIT, THINKING_LIMIT = 512, 4096  # tokens of an answer without --max-tokens
FEW_TO_THINK = 1024  # tokens; a lower limit cuts many answers of models that think
_THINKING_CONTEXT = 8192  # tokens; half of them are for the answer
_LETTER_TOKEN = re.compile(r"\W*([A-J])\W*")  # as "A", " A", "(A" and "A."


class Asking:
    """How the questions of one set are asked."""

    def __init__(self, settings: Any, found: EvalSet) -> None:
        """Take the settings and the set; raises SettingsError for an unreadable system message."""
        self._settings, self._set = settings, found
        self.system = _read(settings.system)
        if self.system is None:
            self.system = found.system
        self._pools: dict[str, list[Example]] = {}

    def by_letter(self, question: Question) -> bool:
        """Return whether the answer is read from the probabilities of letters."""
        return self._settings.choice_by == "logprob" and question.scorer == "choice"

    def text(self, question: Question) -> str:
        """Return the text of the question as it is sent."""
        return _lettered(question) if self.by_letter(question) else question.prompt

    def messages(self, question: Question, prompt: str) -> list[Message]:
        """Return the conversation that asks a question with the text `prompt`."""
        before = [{"role": "system", "content": self.system}] if self.system else []
        for one in islice(self._examples(question), self._settings.few_shot):
            before.append({"role": "user", "content": one.prompt})
            before.append({"role": "assistant", "content": one.answer})
        return [*before, {"role": "user", "content": prompt}]

    def check(self, questions: Iterable[Question]) -> None:
        """Raise SettingsError if a question has too few examples."""
        wanted = self._settings.few_shot
        for question in questions if wanted else ():
            there = len([*islice(self._examples(question), wanted)])
            if there < wanted:
                raise SettingsError(
                    f"--few-shot: {wanted} is refused: question '{question.id}' of "
                    f"{self._set.name} has {there} examples, which are those of the set or other "
                    f"questions of its category '{question.category}' with a reference: set "
                    f"--few-shot {there} or less, or add examples to the set"
                )

    def _examples(self, question: Question) -> Iterator[Example]:
        """Yield all examples for a question, without the question itself."""
        mine = {question.prompt, self.text(question)}
        if question.category not in self._pools:
            own = self._own(question.category)
            self._pools[question.category] = own or self._others(question.category)
        yield from (one for one in self._pools[question.category] if one.prompt not in mine)

    def _own(self, category: str) -> list[Example]:
        """Return the examples of the set for a category, in their order."""
        return [one for one in self._set.examples if one.category in (None, category)]

    def _others(self, category: str) -> list[Example]:
        """Return the questions of a category that can be examples, in the order of the seed."""
        alike = [q for q in self._set.questions if q.category == category and q.reference]
        seed = f"{self._settings.seed}/{category}"
        random.Random(seed).shuffle(alike)  # noqa: S311 - a reproducible choice, not a secret
        return [Example(self.text(q), _solution(q)) for q in alike]


def check(settings: Any) -> None:
    """Raise SettingsError if the questions cannot be asked as the settings say."""
    from pytest_llamaburn.kinds.eval import task

    if settings.choice_by == "logprob" and settings.think not in (None, "off"):
        raise SettingsError(
            f"--think: {settings.think} is refused with --choice-by logprob: a model that thinks "
            "does not begin with a letter: leave out one of the two"
        )
    if not settings.few_shot and settings.choice_by == "text":
        _read(settings.system)
        return
    found = [task.eval_set(settings, name) for name in settings.set]
    asked = [task.load(settings, name).questions for name in settings.set]
    for one, questions in zip(found, asked, strict=True):
        Asking(settings, one).check(questions)
    letters = any(question.scorer == "choice" for questions in asked for question in questions)
    if settings.choice_by == "logprob" and not letters:
        raise SettingsError(
            f"--choice-by: logprob is refused: no question of {', '.join(settings.set)} has the "
            "scorer choice: leave the option out"
        )


def can_think(settings: Any, model: Model) -> bool:
    """Return whether the server says that the model can think, and it is not switched off."""
    return "thinking" in model.capabilities and settings.think != "off"


def limits(settings: Any, model: Model, server: Server, *, thinks: bool) -> dict[str, int]:
    """Return the limit of tokens if the settings have none: more for a model that thinks.

    The context must hold the answer; Ollama gets the size of the context with each request.
    """
    if not thinks:
        return {"max_tokens": LIMIT}
    known = model.context_length or _THINKING_CONTEXT
    context = min(settings.num_ctx or _THINKING_CONTEXT, known)
    limit = max(LIMIT, min(THINKING_LIMIT, context // 2))
    return {"max_tokens": limit, **({"num_ctx": context} if server.kind == "ollama" else {})}


def letter_of(question: Question, likely: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """Return the log probability of each letter and the share of all letters.

    `answer` is the likeliest letter; it is left out if no letter is among the likeliest tokens. The
    log probability of a letter that is not among them is None.
    """
    found = dict.fromkeys(choice.by_letter(question), 0.0)
    for token, logprob in likely:
        match = _LETTER_TOKEN.fullmatch(token)
        if match and match[1] in found:
            found[match[1]] += math.exp(logprob)
    best = max(found, key=lambda letter: found[letter])
    return {
        **({"answer": best} if found[best] else {}),
        "choice_logprobs": {letter: math.log(p) if p else None for letter, p in found.items()},
        "choice_mass": min(1.0, sum(found.values())),
    }


def _solution(question: Question) -> str:
    """Return the right answer; of a choice it is the letter, as the prompt asks for."""
    return choice.right(question) if question.scorer == "choice" else question.reference or ""


def recorded(system: str | None) -> str | None:
    """Return a system message as the option takes it, with a first `@` doubled."""
    return f"@{system}" if system and system.startswith("@") else system


def _read(given: str | None) -> str | None:
    """Return the system message that --system gives or names."""
    if given is None or not given.startswith("@"):
        return given
    if given.startswith("@@"):
        return given[1:]
    try:
        return files.text(files.plain_bytes(files.home(given[1:]))).strip()
    except (OSError, ValueError) as err:
        raise SettingsError(
            f"--system: {given} cannot be read: {files.reason(err)}: name a text file, or write "
            "@@ for a message that begins with @"
        ) from None


def _lettered(question: Question) -> str:
    """Return a question with its lettered choices and how to answer."""
    texts = choice.by_letter(question)
    lines = [question.prompt]
    if not all(_shown(letter, text, question.prompt) for letter, text in texts.items()):
        lines += ["", *(f"{letter}) {text}" for letter, text in texts.items())]
    if not _INSTRUCTED.search(question.prompt):
        lines += ["", _INSTRUCTION]
    return "\n".join(lines)


def _shown(letter: str, text: str, prompt: str) -> bool:
    return any(f"{letter}{mark}{text}" in prompt for mark in _SEPARATORS)
