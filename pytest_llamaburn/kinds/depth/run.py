"""A run that measures rates by depth.

At a depth of D tokens, the server's prompt cache holds a text of D tokens. A prompt is that text
and some fresh words, so that the server reads only the fresh words; the time to the first token
over their number is the line whose slope is the prefill rate. The answer to a prompt without many
fresh words is written at the depth D.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds._single import Question, SingleRun
from pytest_llamaburn.kinds.depth import KIND, plan
from pytest_llamaburn.kinds.depth.plan import PREFILL, Place
from pytest_llamaburn.load.prompts import conversation, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.backends._base import Message
    from pytest_llamaburn.documents import Document

OVERFLOW = "context_overflow"
_FRESH_WORDS = 4  # of a prompt whose answer is timed, so that no two prompts are the same


class DepthRun(SingleRun):
    """The run of a model whose rates are measured by depth."""

    kind = KIND
    keys = Place._fields

    async def measure(self, key: str) -> list[Document]:
        """Measure all depths that fit in the loaded context; return the rows.

        `key` is the name of this call in the journal's plan.
        """
        depths, context = plan.depths(self.settings), await self.context()
        why = {depth: plan.too_deep(depth, self.settings, context) for depth in depths}
        past = {str(depth): reason for depth, reason in why.items() if reason}
        self.write("facts", {"context": context, "past_context": past})
        places = plan.places(self.settings, [depth for depth in depths if not why[depth]])
        seconds = plan.seconds(places, self._ruler, self.token_ms())
        self._progress.say(self.budgeted(seconds, len(places)))
        foreseen = plan.requests(self.settings)
        return await self.take(key, self._questions(places), len(places), foreseen)

    def _questions(self, places: list[Place]) -> Iterator[Question]:
        """Yield the requests; after an overflow, no more requests of that depth."""
        overflowed: set[Any] = set()
        for place in places:
            if place.depth not in overflowed:
                yield self._question(place)
                error = self.rows[-1]["error"]
                if error and error["kind"] == OVERFLOW:
                    overflowed.add(place.depth)

    def _question(self, place: Place) -> Question:
        head = self._text(place.depth - self._ruler.fixed, "filling")
        reads = place.part == PREFILL
        fresh = place.tokens if reads else _FRESH_WORDS * self._ruler.per_word
        tail = self._text(fresh, str(tuple(place)))
        primer = _asked(head) if head else None
        longest = 1 if reads else place.tokens
        return Question(place._asdict(), _asked(f"{head} {tail}"), longest, place.depth, primer)

    def _text(self, tokens: float, what: str) -> str:
        """Return a text of so many tokens, the same for the same `what` in this run.

        A longer text begins with the shorter one.
        """
        luck = random.Random(f"{self.identity.run_id}/{what}")  # noqa: S311 - not a secret
        words = self._ruler.words(max(0.0, tokens))
        return text(words, luck)


def _asked(words: str) -> list[Message]:
    return conversation(words.strip(), None)
