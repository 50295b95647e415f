"""The code in the answer draws in a browser, with --render: three.js, WebGL or WebGPU.

The program is the last block of HTML or JavaScript, or the whole answer if it is code. It is right
if nothing complained, at least two frames were drawn, with draw calls, and the picture of its
canvases is not of one colour. What the code asks of the network is refused, and is an error. The
option `seconds` (3) says how long is measured.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import rendering
from pytest_llamaburn.errors import UsageError
from pytest_llamaburn.scorers import _base, _text
from pytest_llamaburn.scorers._base import Score

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.rendering import Rendering
    from pytest_llamaburn.scorers._base import Question

NEEDS: tuple[str, ...] = ()  # the prompt alone describes the scene
ADVICE = "Ask for one block of HTML or JavaScript between ``` marks"
RATES = ("render_success",)
MEASURED = {"fps": "fps", "frame_time_p95_ms": "frame_time_p95_ms"}  # by the detail that has it
_LANGUAGES = {
    **dict.fromkeys(("html", "svg"), "html"),
    **dict.fromkeys(("js", "javascript", "mjs", "threejs", "three.js", "jsx"), "javascript"),
}
_HTML = re.compile(r"\s*<(?:!doctype|html|head|body|script|canvas|div)\b", re.IGNORECASE)
_CODE = re.compile(
    r"^\s*(?:import\s.+from\s+[\"']|(?:const|let|var)\s+\w+\s*=|new\s+THREE\.)", re.MULTILINE
)
_LEAST_CONTRAST = 1.0  # standard deviation of grey values from 0 to 255; compression gives less
_MOST_ERRORS = 5


def score(answer: str, question: Question) -> Score:
    """Return whether the code draws.

    Details: render_success, fps, frame_time_p95_ms, frames, draw_calls, renderer, colours,
    contrast, errors, blocked, and the picture as base64. The state is `unavailable` if the browser
    fails.
    """
    said = _text.spoken(answer)
    if not said:
        return _base.empty()
    found = program(said)
    if found is None:
        return _base.unparsable("no HTML or JavaScript in the answer")
    language, code = found
    try:
        seen = rendering.render(rendering.Order(code, language, _seconds(question)))
    except UsageError as err:
        return Score(None, "unavailable", str(err), code, {})
    why = fault(seen)
    return _base.scored(not why, code, why, **_details(seen, success=not why))


def ready() -> None:
    """Raise UsageError if this machine cannot render."""
    rendering.ready()


def faults(question: Question) -> Iterator[tuple[str, str]]:
    """Yield field and reason of an invalid duration."""
    yield from _base.bad_figures(question, "seconds")


def program(said: str) -> tuple[str, str] | None:
    """Return the language and the code to render; None if there is none."""
    blocks = _text.fenced(said)
    known = [found for tag, body in blocks if (found := _known(tag, body))]
    if not blocks:
        return _known("", said)
    pages = [one for one in known if one[0] == "html"]
    return next(reversed(pages or known), None)


def fault(seen: Rendering) -> str:
    """Return why code did not draw; empty if it did."""
    if seen.errors:
        return f"error: {seen.errors[0]}"
    if not seen.draw_calls:
        return "nothing was drawn: there was no draw call"
    if seen.frames < 2:
        return "one frame was drawn: the picture does not move"
    if seen.png is None:
        return "the browser could not take a picture"
    if (seen.colours or 0) < 2 or (seen.contrast or 0) <= _LEAST_CONTRAST:
        return "the picture is blank"
    return ""


def _known(tag: str, body: str) -> tuple[str, str] | None:
    language = _LANGUAGES.get(tag)
    if not tag or (language == "javascript" and _HTML.match(body)):
        language = "html" if _HTML.match(body) else "javascript" if _CODE.search(body) else None
    return (language, body) if language and body.strip() else None


def _seconds(question: Question) -> float:
    return _base.figure(question, "seconds") or 3.0


def _details(seen: Rendering, *, success: bool) -> dict[str, Any]:
    return {
        "render_success": int(success),
        **{n: v for n, v in seen._asdict().items() if n not in ("png", "errors", "blocked")},
        "errors": [*seen.errors[:_MOST_ERRORS]],
        "blocked": [*seen.blocked[:_MOST_ERRORS]],
        "picture": rendering.picture(seen),
    }
