"""All errors that LlamaBurn raises, with their exit codes.

LlamaBurnError              3  internal error
├── UsageError              4  bad input or environment: one sentence with value, reason and fix
│   ├── SettingsError          an option, environment variable or TOML key
│   │   └── MissingKeyError       a service's API key is not in the environment
│   ├── DatasetError           a prompt set or eval set
│   ├── ServerError            no server, or a server that cannot do what is requested
│   ├── ModelError             an unknown model, or a file that is not a model
│   ├── AudioError             an audio device or a sound file
│   ├── MissingExtraError      an optional dependency is not installed
│   └── ResultsError           the results directory or a result file
├── UnscoredError           1  no judge could score an answer
├── StoppedError            1  the run stopped after too many failures of one kind in a row
└── NothingMeasuredError    5  a statistic was requested, but no request succeeded
"""

import re

_LONGEST_WORD = 200  # characters; longer words are cut
_LONGEST_SENTENCE = 1500


def installing(*extras: str) -> str:
    """Return the command that installs extras for the Python that runs.

    It names the pip of its environment, unless a plain `pip` is that; uv where there is no pip.
    """
    import shlex
    import shutil
    import sys
    from importlib import util
    from pathlib import Path

    package = f"'pytest-llamaburn[{','.join(extras)}]'"
    python, plain = Path(sys.executable), shutil.which("pip")
    if plain and Path(plain).parent == python.parent:
        return f"pip install {package}"
    here = Path.cwd()
    shown = shlex.quote(str(python.relative_to(here) if python.is_relative_to(here) else python))
    if util.find_spec("pip") is None:
        return f"uv pip install --python {shown} {package}"
    return f"{shown} -m pip install {package}"


class LlamaBurnError(Exception):
    """The base class of all errors of LlamaBurn."""

    exit_code = 3

    def __str__(self) -> str:
        """Return the message as one readable line, even if it quotes arbitrary values."""
        return sentence(super().__str__())


def sentence(text: str) -> str:
    """Return a text as one line: control characters are escaped, overlong words are cut."""
    line = text
    if not text.isprintable():
        line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    words = re.sub(rf"\S{{{_LONGEST_WORD},}}", lambda word: _cut(word[0], _LONGEST_WORD), line)
    return _cut(words, _LONGEST_SENTENCE)


def _cut(text: str, limit: int) -> str:
    """Return a text; one longer than `limit` loses its middle."""
    return text if len(text) <= limit else f"{text[: limit * 2 // 3]}…{text[-limit // 4 :]}"


class UsageError(LlamaBurnError):
    """Bad input or environment; the message names the value, the reason and the fix."""

    exit_code = 4


class SettingsError(UsageError):
    """An option, environment variable or configuration key is wrong."""


class MissingKeyError(SettingsError):
    """A service's API key is not in the environment; the message names the variable."""


class DatasetError(UsageError):
    """A prompt set or eval set cannot be found or read."""


class ServerError(UsageError):
    """No server answers, or it cannot do what is requested."""


class ModelError(UsageError):
    """The model is unknown, or its file is damaged."""


class AudioError(UsageError):
    """An audio device or a sound file cannot be used."""


class MissingExtraError(UsageError):
    """An optional dependency is missing; the message has the exact install command."""

    def __init__(self, extra: str, needed_for: str) -> None:
        """Take the extra and the feature that needs it."""
        super().__init__(f"{needed_for} needs the extra [{extra}]: {installing(extra)}")


class ResultsError(UsageError):
    """A result file or the results directory cannot be read or written."""


class UnscoredError(LlamaBurnError):
    """No judge could score an answer."""

    exit_code = 1


class StoppedError(LlamaBurnError):
    """A run stopped after too many failures in a row."""

    exit_code = 1


class NothingMeasuredError(LlamaBurnError):
    """A statistic was requested, but no request succeeded."""

    exit_code = 5
