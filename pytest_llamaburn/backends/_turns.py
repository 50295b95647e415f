"""Make the control tokens of chat templates harmless in untrusted text.

Many servers convert such words in a message into real control tokens. A document with one could
then end the user's turn and continue as another role. A word that stands for an attached medium
makes some servers refuse the request, because no medium is attached.
"""

from __future__ import annotations

import re

from pytest_llamaburn.texts import whole

_BRACKETED = (
    "INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|MODEL_SETTINGS|THINK"
    "|gMASK|BOS|EOS|IMG(?:_BREAK|_END|-\\d+)?|AUDIO|BEGIN_AUDIO"
)
_ANGLED = (
    r"s|bos|eos|pad|unk|sop|eop|eod|(?:start|end|begin)_of_\w+|think|thinking|seed:\w+"
    r"|(?:\w+:)?tool_(?:calls?|responses?|results?)|extra_id_\d+|reserved_\w+|unused\d+|0x[0-9a-f]{2}"
    r"|eot|fim_\w+|__(?:media|image|audio|video)__|image|(?:image|audio)_soft_token"
)
_BARS = "|\uff5c"  # DeepSeek uses full-width bars
_TOKENS = re.compile(
    rf"<(?=[{_BARS}])[{_BARS}]|[{_BARS}]>|\[(?=/?(?:{_BRACKETED})\])|<(?=<?/?SYS>)"
    rf"|<(?=/?(?:{_ANGLED})>)|\u25c1(?=/?think\u25b7)|\](?=~!?b[\[\]])|\[(?=e~\[)",
    re.IGNORECASE,
)
# Invisible or reordering characters: a screen hides them, but a model reads them.
_HIDDEN = re.compile("[\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")


def defused(text: str) -> str:
    """Return a text without anything that a server could read as a chat-template token."""
    visible = _HIDDEN.sub("\N{REPLACEMENT CHARACTER}", whole(text))
    return _TOKENS.sub(lambda token: " ".join(token[0]) + " ", visible)
