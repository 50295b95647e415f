"""Everything LlamaBurn raises on purpose, with the exit code each one ends a run with.

LlamaBurnError              3  internal
├── UsageError              4  bad input or environment: one sentence naming value, reason and fix
│   ├── SettingsError          an option, environment variable or TOML key
│   │   └── MissingKeyError       the key of a service is not in the environment
│   ├── DatasetError           a prompt set or eval set
│   ├── ServerError            no server, or one that cannot do what was asked
│   ├── ModelError             no such model, or a file that is not one
│   ├── MissingExtraError      an optional part is not installed
│   └── ResultsError           the results directory or a result file
├── UnscoredError           1  an answer was to be judged, and no judge came to a verdict
├── StoppedError            1  too many failures of one kind in a row: the run was stopped
└── NothingMeasuredError    5  a number was asked for and no request succeeded
"""

import re

_LONGEST_WORD = 200  # characters; no path or name that people give is longer
_LONGEST_SENTENCE = 1500


class LlamaBurnError(Exception):
    """Base of all our errors."""

    exit_code = 3

    def __str__(self) -> str:
        """Return the message as one line to read, whatever values it quotes."""
        return sentence(super().__str__())


def sentence(text: str) -> str:
    """Return a text as one line: without control characters, and with overlong words cut."""
    line = text
    if not text.isprintable():
        line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    words = re.sub(rf"\S{{{_LONGEST_WORD},}}", lambda word: _cut(word[0], _LONGEST_WORD), line)
    return _cut(words, _LONGEST_SENTENCE)


def _cut(text: str, most: int) -> str:
    """Return a text without its middle where it is too long."""
    return text if len(text) <= most else f"{text[: most * 2 // 3]}…{text[-most // 4 :]}"


class UsageError(LlamaBurnError):
    """The input or the environment is at fault; the message says what, why and how to mend it."""

    exit_code = 4


class SettingsError(UsageError):
    """An option, environment variable or configuration key is wrong."""


class MissingKeyError(SettingsError):
    """The key of a service is not in the environment; the message names the variable."""


class DatasetError(UsageError):
    """A prompt set or eval set cannot be found or read."""


class ServerError(UsageError):
    """No server answers, or it cannot do what was asked."""


class ModelError(UsageError):
    """The model is unknown, or its file is damaged."""


class MissingExtraError(UsageError):
    """An optional dependency is missing; the message is the exact install line."""

    def __init__(self, extra: str, needed_for: str) -> None:
        """Name the extra and what it is needed for."""
        super().__init__(
            f"{needed_for} needs the extra [{extra}]: pip install 'pytest-llamaburn[{extra}]'"
        )


class ResultsError(UsageError):
    """A result file or the results directory cannot be read or written."""


class UnscoredError(LlamaBurnError):
    """An answer was to be judged, and no judge came to a verdict."""

    exit_code = 1


class StoppedError(LlamaBurnError):
    """A run was stopped after too many failures in a row."""

    exit_code = 1


class NothingMeasuredError(LlamaBurnError):
    """A statistic was asked for, but no request succeeded."""

    exit_code = 5
