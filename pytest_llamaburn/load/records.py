"""What the statistics of a load need to know of each request, and what a search asks for."""

from __future__ import annotations

from typing import NamedTuple

TIMED_OUT = "timeout_total"  # the failure that a deadline of the whole request is


class Record(NamedTuple):
    """One request: its times on the monotonic clock, and how it failed, None if it did not.

    `first_ns` is the first token, None where none came; `end_ns` the end of the stream, of failures
    too; `last_token_ns` the last token, None where that is not known.
    `limited` says that our own process was the limit when it was sent: what it shows is not the
    server's.
    """

    scheduled_ns: int
    sent_ns: int
    first_ns: int | None
    end_ns: int
    failure: str | None = None
    limited: bool = False
    last_token_ns: int | None = None

    @property
    def timed_out(self) -> bool:
        """Whether the deadline ended it that failing is defined by.

        A connection, first token or next token that did not come in its own, shorter time says
        nothing about how long the whole would have taken: that is a failure as any other.
        """
        return self.failure == TIMED_OUT


class Probe(NamedTuple):
    """What to send next: `requests` at a level, on an idle server if `fresh`, else going on."""

    level: float
    requests: int
    fresh: bool
