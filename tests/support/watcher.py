"""A model that watches frames: it answers with the colours that it sees, one after another.

It speaks as llama.cpp's server does. It can be blind, or see the frames in another order.
"""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PIL import Image

from support.scripted import LlamaCppFacade, Request, Steps, openai_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TOKENS = 100  # of a frame
NAMES = {
    (1, 0, 0): "red",
    (0, 1, 0): "green",
    (0, 0, 1): "blue",
    (1, 1, 0): "yellow",
    (1, 0, 1): "purple",
    (1, 1, 1): "white",
    (0, 0, 0): "black",
}
Content = list[dict[str, Any]]


@dataclass
class Watcher(LlamaCppFacade):
    """A model with the senses that it says; `asked` has the content of each question."""

    senses: tuple[str, ...] = ("vision",)
    sees: Callable[[Sequence[str]], Sequence[str]] = list
    replies: dict[str, Steps] = field(default_factory=dict)  # to questions with a word
    asked: list[Content] = field(default_factory=list)
    probes: list[Content] = field(default_factory=list)

    def __post_init__(self) -> None:
        told = {one: one in self.senses for one in ("vision", "audio", "video")}
        if self.senses:
            self.props = json.dumps({"build_info": "b1-x", "total_slots": 1, "modalities": told})

    def __call__(self, request: Request) -> Steps:
        if request.path != "/v1/chat/completions":
            return super().__call__(request)
        content = request.json["messages"][-1]["content"]
        content = [{"type": "text", "text": content}] if isinstance(content, str) else content
        is_question = "Say hello" not in content[-1]["text"]
        (self.asked if is_question else self.probes).append(content)
        shown = frames(content)
        prompt = 20 + TOKENS * len(shown)
        usage = {"prompt_tokens": prompt, "completion_tokens": 5}
        for word, steps in self.replies.items():
            if word in content[-1]["text"]:
                return steps
        colours = [colour(image) for image in shown]
        seen = [one for n, one in enumerate(colours) if n == 0 or colours[n - 1] != one]
        text = ", ".join(self.sees(seen)) or "hello"
        return [*openai_stream([text], usage, None, self.server)]


def frames(content: Content) -> list[Image.Image]:
    urls = [one["image_url"]["url"] for one in content if one["type"] == "image_url"]
    return [Image.open(io.BytesIO(data_of(url))) for url in urls]


def data_of(url: str) -> bytes:
    return base64.b64decode(url.partition(",")[2])


def colour(image: Image.Image) -> str:
    """Return the name of the colour in the middle of a frame."""
    found: Any = image.convert("RGB").getpixel((image.width // 2, image.height // 2))
    red, green, blue = (int(part > 127) for part in found)
    return NAMES.get((red, green, blue), "another")
