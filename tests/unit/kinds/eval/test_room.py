"""Whether frames fit into a context: only what is surely too much is kept back."""

from __future__ import annotations

import pytest

from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.kinds.eval import room
from pytest_llamaburn.media import Medium, base64_of

SEEN = {"prompt_tokens": 100, "width": 512, "height": 288, "frames": [0.0]}


def shown(count: int, width: int = 512, height: int = 288) -> list[Medium]:
    facts = {"width": width, "height": height}
    frame = Medium("image", "image/jpeg", base64_of(b""), facts)
    sound = Medium("audio", "audio/wav", base64_of(b""), {})
    return [Medium("video", "image/jpeg", base64_of(b""), {}, parts=(*[frame] * count, sound))]


def expected(media: list[Medium]) -> int | None:
    found = room.of(SEEN)
    assert found is not None
    return found.expected(media)


def test_frames_take_at_least_the_tokens_of_the_first_one() -> None:
    assert expected(shown(7)) == 700
    assert expected(shown(7, 1024, 576)) == 700  # perhaps more, but that is not known
    assert expected(shown(4, 256, 144)) == 100  # models that see in tiles take a quarter
    assert expected([Medium("video", "video/mp4", base64_of(b""), {})]) is None


@pytest.mark.parametrize(
    "probed",
    [None, {}, {**SEEN, "prompt_tokens": None}, {**SEEN, "width": 0}, {"prompt_tokens": 4}],
)
def test_without_counts_of_a_first_frame_nothing_is_known(probed: dict[str, object] | None) -> None:
    assert room.of(probed) is None


def test_what_fits_is_sent_and_what_does_not_is_told_with_what_does() -> None:
    assert room.overflow(shown(20), 2000, 2048) is None
    assert room.overflow(shown(20), 2000, None) is None
    assert room.overflow(shown(20), None, 2048) is None
    assert room.overflow(shown(24), 2400, 2048) == (
        "not sent: 24 frames of a video take at least 2400 tokens, and the context has 2048: use "
        "--video-frames 19, or a larger context (--num-ctx)"
    )
    assert "use a smaller --image-size" in (room.overflow(shown(1), 2400, 2048) or "")


def test_the_context_is_the_one_that_is_asked_for() -> None:
    model = Model("a", "a", context_length=8192)
    assert room.context_of({"options": {"num_ctx": 4096}}, model) == 4096
    assert room.context_of({}, model) == 8192
