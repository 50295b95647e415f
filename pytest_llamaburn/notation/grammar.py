"""What makes a server write valid ABC: a grammar for llama.cpp, a JSON schema for Ollama.

Both leave the music to the model: its key, metre, tempo and notes; a bar may have a wrong length.
They limit the number of bars, because small models do not end by themselves.
"""

from __future__ import annotations

from typing import Any, Final

from pytest_llamaburn.notation.keys import key_of

KEYS: Final = tuple(
    name
    for mode in ("", "m")
    for letter in "CDEFGAB"
    for sign in ("", "#", "b")
    if key_of(name := f"{letter}{sign}{mode}")
)
METRES: Final = ("4/4", "3/4", "2/4", "6/8", "9/8", "5/4")
_UNIT: Final = "1/8"
_NOTE: Final = "[_^=]?[A-Ga-g][,']?[1-8]?"
_MOST_NOTES: Final = 9  # of a bar


def gbnf(bars: int) -> str:
    """Return the grammar of a tune of at most so many bars, as llama.cpp takes it."""
    metres, keys = (" | ".join(f'"{one}"' for one in names) for names in (METRES, KEYS))
    return "\n".join(
        (
            r'root ::= "X:1\nT:" [A-Za-z ]{1,30} "\nM:" metre "\nL:' + _UNIT + r'\nQ:1/4=" tempo '
            rf'"\nK:" key "\n" bar{{1,{bars}}}',
            f"metre ::= {metres}",
            'tempo ::= [4-9] [0-9] | "1" [0-9] [0-9]',
            f"key ::= {keys}",
            f'bar ::= note{{1,{_MOST_NOTES}}} "|" "\\n"?',
            'note ::= [_^=]? [A-Ga-g] [,\']? [1-8]? | "z" [1-8]?',
        )
    )


def schema(bars: int) -> dict[str, Any]:
    """Return a JSON schema of a tune of at most so many bars, which `notation.reading` reads."""
    bar = {"type": "string", "pattern": f"^({_NOTE}|z[1-8]?){{1,{_MOST_NOTES}}}$"}
    return {
        "type": "object",
        "properties": {
            "title": {"type": "string", "maxLength": 30},
            "metre": {"type": "string", "enum": [*METRES]},
            "unit": {"type": "string", "enum": [_UNIT]},
            "tempo": {"type": "integer", "minimum": 40, "maximum": 199},
            "key": {"type": "string", "enum": [*KEYS]},
            "bars": {"type": "array", "minItems": 1, "maxItems": bars, "items": bar},
        },
        "required": ["title", "metre", "unit", "tempo", "key", "bars"],
    }
