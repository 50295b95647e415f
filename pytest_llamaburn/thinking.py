"""Which part of a model's text is thinking, and which part is the answer.

Most servers separate the thinking themselves. Otherwise it is between tags, which differ by model.
All tags are listed here and nowhere else. Scorers, judges, number words and runs all call
`split_thinking`, so they always agree on whether an answer is empty.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER = r"(?:[^<]|<\|constrain\|>){0,80}<\|message\|>"  # of a channel of gpt-oss
# A group named `end…` ends the thinking, any other tag begins it.
_TAG = re.compile(
    r"<(?P<end1>/?)(?:\w{1,20}:)?(?:think|thinking|thoughts?|reasoning)>"  # and <seed:think>
    r"|(?-i:\[(?P<end2>/?)THINK\])"  # Magistral
    r"|◁(?P<end3>/?)think▷"  # Kimi
    r"|<\|(?:begin_of_thought|start_thinking|inner_prefix|think)\|>"
    r"|(?P<end4><\|(?:end_of_thought|end_thinking|inner_suffix)\|>)"
    # The channels of gpt-oss, also without their special tokens, and those of Gemma.
    rf"|(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary){_HEADER}"
    rf"|(?P<end5>(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final{_HEADER})"
    r"|\A\s{0,9}(?-i:analysis(?=[A-Z]))|(?P<end6>assistantfinal)"
    r"|<\|channel>thought\n?|(?P<end7><channel\|>)"
    # Granite
    r"|\A\s{0,9}Here(?: is|'s) my thought process:|(?P<end8>Here(?: is|'s) my response:)",
    re.IGNORECASE,
)
_FRAME = re.compile(  # what some templates put around the answer
    r"<\|(?:return|end|begin_of_solution|end_of_solution|start_response|end_response)\|>",
    re.IGNORECASE,
)
_BEGINS_TEXT = ("analysis", "here")  # words that are tags only at the start of a text
_ENDS_TEXT = ("end6", "end8")  # the ends of such tags
_UNSEEN = "\ufeff\u200b\u2060"  # byte-order mark, spaces without a width


class _Mark(NamedTuple):
    start: int
    end: int
    ends: bool


def split_thinking(text: str) -> tuple[str, str]:
    """Return the answer without its thinking, and the thinking.

    Text before an end tag that has no start tag is thinking, because the chat template wrote the
    start tag. A start tag without an end tag begins thinking only at the start of a line. A tag in
    quotes or backticks is part of the answer. An answer that is split again stays as it is.
    """
    answer, thinking = _split(text)
    rest, more = _split(answer)
    while rest != answer:
        answer, thinking = rest, "\n".join(filter(None, (thinking, more)))
        rest, more = _split(answer)
    return answer, thinking


def _split(text: str) -> tuple[str, str]:
    said: list[str] = []
    thought: list[str] = []
    start, thinking = 0, False
    for mark in _marks(text):
        if mark.ends:
            thought += [text[start : mark.start]] if thinking else [*said, text[start : mark.start]]
            said = said if thinking else []
        elif not thinking:
            said.append(text[start : mark.start])
        else:
            continue  # nested
        start, thinking = mark.end, not mark.ends
    (thought if thinking else said).append(text[start:])
    return _bare(_FRAME.sub("", "".join(said))), "\n".join(filter(None, map(_bare, thought)))


def _marks(text: str) -> list[_Mark]:
    """Return the tags of a text that are not part of the answer."""
    found = list(_tags(text))
    last = max((mark.start for mark in found if mark.ends), default=-1)
    return [m for m in found if m.ends or m.start < last or _begins_line(text, m)]


def _tags(text: str) -> Iterator[_Mark]:
    worded = False
    for match in _TAG.finditer(text):
        group = match.lastgroup or ""
        worded = worded or match[0].strip().lower().startswith(_BEGINS_TEXT)
        around = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        quoted = around[0] == around[1] and around[0] in ('"', "'", "`")
        if not quoted and (worded or group not in _ENDS_TEXT):
            yield _Mark(match.start(), match.end(), bool(group and match[group]))


def _begins_line(text: str, mark: _Mark) -> bool:
    before = text[max(0, mark.start - 80) : mark.start].rstrip(" \t" + _UNSEEN)
    return not before or before[-1] in "\n>]" or text.startswith("<|", mark.start)


def _bare(text: str) -> str:
    """Return a text without white space and unseen characters at its ends."""
    seen = (i for i, char in enumerate(text) if not (char.isspace() or char in _UNSEEN))
    start = next(seen, len(text))
    end = len(text)
    while end > start and (text[end - 1].isspace() or text[end - 1] in _UNSEEN):
        end -= 1
    return text[start:end]
