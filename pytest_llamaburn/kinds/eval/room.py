"""Whether the frames of a video fit into the context, so far as both are known before they go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.backends._base import Body, Model
    from pytest_llamaburn.media import Medium


class Room(NamedTuple):
    """The tokens of the frame that the server was shown first, and the pixels of it."""

    tokens: int
    pixels: int

    def expected(self, media: Sequence[Medium]) -> int | None:
        """Return the least tokens that the frames of videos take; None without frames.

        Smaller frames than the first one take fewer tokens with many models, larger ones more.
        """
        frames = [part for one in media for part in one.parts if part.kind == "image"]
        if not frames:
            return None
        shares = [min(1.0, _pixels(frame.facts) / self.pixels) for frame in frames]
        return int(self.tokens * sum(shares))


def of(probed: Mapping[str, Any] | None) -> Room | None:
    """Return what a first frame showed; None if the server counts no tokens of it."""
    if not probed or not probed.get("prompt_tokens") or "frames" not in probed:
        return None
    pixels = _pixels(probed)
    return Room(probed["prompt_tokens"], pixels) if pixels else None


def context_of(body: Body, model: Model) -> int | None:
    """Return the context of a request: what it asks for, else what the server says."""
    asked = body.get("options", {}).get("num_ctx")
    return int(asked) if asked else model.context_length


def overflow(media: Sequence[Medium], expected: int | None, context: int | None) -> str | None:
    """Return a sentence if the frames of a question surely do not fit into the context."""
    if expected is None or context is None or expected < context:
        return None
    frames = sum(part.kind == "image" for one in media for part in one.parts)
    fitting = frames * context // expected - 1
    fewer = f"--video-frames {fitting}" if fitting > 0 else "a smaller --image-size"
    return (
        f"not sent: {counted(frames, 'frame')} of a video take at least {expected} tokens, and the "
        f"context has {context}: use {fewer}, or a larger context (--num-ctx)"
    )


def _pixels(facts: Mapping[str, Any]) -> int:
    return int(facts.get("width", 0) * facts.get("height", 0))
