"""Tokens by which chat templates begin and end turns, made harmless in text of others.

Many servers turn such words in a message into the tokens themselves: a document that holds one
could end the user's turn and speak for someone else.
"""

from __future__ import annotations

import re

from pytest_llamaburn.texts import whole

_BRACKETED = (
    "INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|MODEL_SETTINGS|THINK"
    "|gMASK|BOS|EOS"
)
_ANGLED = (
    r"s|bos|eos|pad|unk|sop|eop|eod|(?:start|end|begin)_of_\w+|think|thinking|seed:\w+"
    r"|(?:\w+:)?tool_(?:calls?|responses?|results?)|extra_id_\d+|reserved_\w+|unused\d+|0x[0-9a-f]{2}"
)
_BARS = "|\uff5c"  # DeepSeek's are of full width
_TOKENS = re.compile(
    rf"<(?=[{_BARS}])[{_BARS}]|[{_BARS}]>|\[(?=/?(?:{_BRACKETED})\])|<(?=<?/?SYS>)"
    rf"|<(?=/?(?:{_ANGLED})>)|\u25c1(?=/?think\u25b7)|\](?=~!?b[\[\]])|\[(?=e~\[)",
    re.IGNORECASE,
)
# What no screen shows or shows in another order: letters in it would be read all the same.
_HIDDEN = re.compile("[\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")


def defused(text: str) -> str:
    """Return a text in which nothing can be taken for a token of a chat template."""
    visible = _HIDDEN.sub("\N{REPLACEMENT CHARACTER}", whole(text))
    return _TOKENS.sub(lambda found: " ".join(found[0]) + " ", visible)
