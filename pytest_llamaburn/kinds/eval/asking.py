"""What is sent to a model with a question: a system prompt, solved examples, lettered choices.

The examples are sent as earlier turns of the conversation. They are those of the set, or the solved
questions of another set. A question whose answer is scored is never an example.
"""

from __future__ import annotations

import math
import re
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Final

from pytest_llamaburn import evalset_file, evalsets, files
from pytest_llamaburn.errors import DatasetError, SettingsError
from pytest_llamaburn.evalsets import Example
from pytest_llamaburn.scorers import choice
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.backends._base import Message, Model, Server
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.evalsets import EvalSet, Question
    from pytest_llamaburn.kinds.eval.documents import Letters
    from pytest_llamaburn.kinds.eval.settings import Eval

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
_LETTER_TOKEN = re.compile(r"\W*([A-J])\W*")  # such as "A", " A", "(A" and "A."


class Asking:
    """How the questions of one set are asked."""

    def __init__(self, settings: Eval, found: EvalSet, asked: Sequence[Question]) -> None:
        """Take the settings, the set and the questions of the set that are asked.

        Raises SettingsError for an unreadable system prompt, DatasetError for unreadable examples.
        """
        self._settings, self._set, self._asked = settings, found, asked
        self.system_prompt = _read(settings.system_prompt)
        if self.system_prompt is None:
            self.system_prompt = found.system_prompt
        self._shots: dict[str, list[Example]] = {}

    def by_letter(self, question: Question) -> bool:
        """Return whether the answer is read from the probabilities of letters."""
        return self._settings.choice_by == "logprob" and question.scorer == "choice"

    def text(self, question: Question) -> str:
        """Return the text of the question as it is sent."""
        return _lettered(question) if self.by_letter(question) else question.prompt

    def messages(self, question: Question, prompt: str) -> list[Message]:
        """Return the conversation that asks a question with the text `prompt`."""
        system = self.system_prompt
        before = [{"role": "system", "content": system}] if system else []
        for one in self._shots_of(question.category):
            before.append({"role": "user", "content": one.prompt})
            before.append({"role": "assistant", "content": one.answer})
        return [*before, {"role": "user", "content": prompt}]

    def check(self) -> None:
        """Raise SettingsError if a category has too few examples."""
        wanted = self._settings.few_shot
        for question in self._asked:
            there = len(self._shots_of(question.category))
            if there < wanted:
                source = self._settings.examples or self._set.name
                fewer = f"set --few-shot {there} or less" if there else "leave it out"
                raise SettingsError(
                    f"--few-shot: {wanted} is refused: {source} has {counted(there, 'example')} "
                    f"for question '{question.id}' of the category '{question.category}'; "
                    f"questions that are scored do not count: {fewer}, or name a set with more "
                    "solved questions with --examples"
                )

    @property
    def few_shot_examples(self) -> list[Document]:
        """All examples that are shown before any question, each once."""
        shown = dict.fromkeys(one for q in self._asked for one in self._shots_of(q.category))
        return [one._asdict() for one in shown]

    @property
    def few_shot_sha256(self) -> str | None:
        """A digest of the examples before the questions; None without examples."""
        shown = {q.category: self._shots_of(q.category) for q in self._asked}
        return evalsets.digest(shown) if self._settings.few_shot else None

    def _shots_of(self, category: str) -> list[Example]:
        """Return the examples that stand before each question of a category."""
        if category not in self._shots:
            fitting = (one for one in self._examples if one.category in (None, category))
            self._shots[category] = [*islice(fitting, self._settings.few_shot)]
        return self._shots[category]

    @cached_property
    def _examples(self) -> list[Example]:
        """All examples in their order, without the questions that are scored."""
        scored = {text for q in self._asked for text in (q.prompt, self.text(q))}
        return [one for one in self._source() if one.prompt not in scored]

    def _source(self) -> list[Example]:
        if self._settings.examples is None:
            return [*self._set.examples]
        try:
            given = evalsets.load_eval_set(self._settings.examples).questions
        except DatasetError as err:
            raise DatasetError(f"--examples: {err}") from None
        return [Example(self.text(q), _solution(q), _category(q)) for q in given if q.reference]


def check(settings: Eval) -> None:
    """Raise SettingsError for settings with which the questions cannot be asked."""
    from pytest_llamaburn.kinds.eval import task

    if settings.choice_by == "logprob" and settings.think not in (None, "off"):
        raise SettingsError(
            f"--think: {settings.think} is refused with --choice-by logprob: a model that thinks "
            "does not begin with a letter: leave out one of the two"
        )
    if not settings.few_shot and settings.choice_by == "text":
        _read(settings.system_prompt)
        return
    found = [task.eval_set(settings, name) for name in settings.set]
    asked = [task.load(settings, name).questions for name in settings.set]
    for one, questions in zip(found, asked, strict=True):
        Asking(settings, one, questions).check()
    letters = any(question.scorer == "choice" for questions in asked for question in questions)
    if settings.choice_by == "logprob" and not letters:
        raise SettingsError(
            f"--choice-by: logprob is refused: no question of {', '.join(settings.set)} has the "
            "scorer choice: leave the option out"
        )


def can_think(settings: Eval, model: Model) -> bool:
    """Return whether the server reports that the model can think and thinking is not off."""
    return "thinking" in model.capabilities and settings.think != "off"


def limits(settings: Eval, model: Model, server: Server, *, thinks: bool) -> dict[str, int]:
    """Return the default token limit: higher to think, and for rendered programs and tunes.

    The answer must fit in the context. Ollama gets the size of its context with each request.
    """
    if not (thinks or settings.render or settings.music_by == "abc"):
        return {"max_tokens": LIMIT}
    known = model.context_length or _THINKING_CONTEXT
    context = min(settings.num_ctx or _THINKING_CONTEXT, known)
    limit = max(LIMIT, min(THINKING_LIMIT, context // 2))
    return {"max_tokens": limit, **({"num_ctx": context} if server.kind == "ollama" else {})}


def letter_of(question: Question, likely: Sequence[tuple[str, float]]) -> Letters:
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
    letters: Letters = {
        "choice_logprobs": {letter: math.log(p) if p else None for letter, p in found.items()},
        "choice_mass": min(1.0, sum(found.values())),
    }
    if found[best]:
        letters["answer"] = best
    return letters


def _category(question: Question) -> str | None:
    """Return the category that a solved question is an example for; None for all."""
    return None if question.category == evalset_file.NO_CATEGORY else question.category


def _solution(question: Question) -> str:
    """Return the right answer; for a choice, its letter."""
    return choice.right(question) if question.scorer == "choice" else question.reference or ""


def recorded(system_prompt: str | None) -> str | None:
    """Return a system prompt as a value of the option: an `@` at its start is doubled."""
    is_marked = system_prompt is not None and system_prompt.startswith("@")
    return f"@{system_prompt}" if is_marked else system_prompt


def _read(given: str | None) -> str | None:
    """Return the system prompt that --system-prompt gives or names."""
    if given is None or not given.startswith("@"):
        return given
    if given.startswith("@@"):
        return given[1:]
    try:
        return files.text(files.plain_bytes(files.home(given[1:]))).strip()
    except (OSError, ValueError) as err:
        raise SettingsError(
            f"--system-prompt: {given} cannot be read: {files.reason(err)}: name a text file, or "
            "write @@ for a prompt that begins with @"
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
