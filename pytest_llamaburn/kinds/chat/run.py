"""A run that holds conversations.

Each conversation is held twice. First turn by turn, so that the server's prompt cache has all
earlier turns. Then each turn again with other words in the first question, so that it has none.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from pytest_llamaburn.kinds._single import Question, SingleRun
from pytest_llamaburn.kinds.chat import KIND, plan
from pytest_llamaburn.kinds.chat.plan import BEYOND, CROSSING, MISS, WARM
from pytest_llamaburn.load.prompts import text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.backends._base import Message
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.trace import Trace

_PARTS = 8  # messages of a conversation that is longer than the context


class ChatRun(SingleRun):
    """The run of a model with which conversations are held."""

    kind = KIND
    keys = ("conversation", "turn", "part")

    async def hold(self, key: str) -> list[Document]:
        """Hold all conversations, then fill the context; return the rows.

        `key` is the name of this call in the journal's plan.
        """
        settings, context = self.settings, await self.context()
        self.write("facts", {"context": context})
        planned = foreseen = plan.requests(settings)
        if context is None and settings.overflow:
            planned -= 2
        seconds = plan.seconds(settings, self._ruler, self.token_ms(), context)
        self._progress.say(self.budgeted(seconds, planned))
        return await self.take(key, self._questions(context), planned, foreseen)

    def _questions(self, context: int | None) -> Iterator[Question]:
        for number in range(self.settings.conversations):
            yield from self._conversation(number)
        if context is not None and self.settings.overflow:
            yield self._beyond(context)
            yield self._crossing(context)

    def _conversation(self, number: int) -> Iterator[Question]:
        """Yield the turns of a conversation up to a failure, then those that miss the cache."""
        said: list[Message] = []
        asked: list[list[Message]] = []
        for turn in range(1, self.settings.turns + 1):
            asked.append([*said, _user(self._words(self.settings.isl, f"{number}/{turn}"))])
            primer = [*said, _user(self._words(1, "primer"))] if said else None
            about, place = _key(number, turn, WARM), (WARM, number)
            yield Question(about, asked[-1], self.settings.osl, place, primer)
            row = self.rows[-1]
            if row["error"]:
                return
            said = [*asked[-1], {"role": "assistant", "content": row["answer"]}]
        for turn, messages in enumerate(asked[1:], 2):
            other = _user(self._words(self.settings.isl, f"{number}/{turn}/miss"))
            yield Question(_key(number, turn, MISS), [other, *messages[1:]], 1, (MISS, turn))

    def _beyond(self, context: int) -> Question:
        """Return a conversation that is longer than the context."""
        each = (context + plan.PAST) / _PARTS
        messages = [
            {"role": role, "content": self._words(each, f"beyond/{part}/{role}")}
            for part in range(_PARTS // 2)
            for role in ("user", "assistant")
        ]
        messages.append(_user(self._words(1, "beyond")))
        return Question(_key(0, 0, BEYOND), messages, self.settings.osl, BEYOND)

    def _crossing(self, context: int) -> Question:
        """Return a question that fits in the context, and whose answer does not."""
        words = self._words(context - self._ruler.fixed - plan.ROOM, "crossing")
        return Question(_key(0, 0, CROSSING), [_user(words)], plan.LONGEST, CROSSING)

    def _words(self, tokens: float, what: str) -> str:
        """Return a text of so many tokens, the same for the same `what` in this run."""
        luck = random.Random(f"{self.identity.run_id}/{what}")  # noqa: S311 - not a secret
        return text(max(1, self._ruler.words(tokens)), luck)

    def _more(self, trace: Trace) -> Document:
        return {"answer": trace.text}


def _user(words: str) -> Message:
    return {"role": "user", "content": words}


def _key(conversation: int, turn: int, part: str) -> Document:
    return {"conversation": conversation, "turn": turn, "part": part}
