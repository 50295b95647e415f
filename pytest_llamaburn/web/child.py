"""The command as a child process: its own answers, which the server only passes on."""

from __future__ import annotations

import asyncio
import os
import sys
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TOKEN_VARIABLE = "LLAMABURN_TOKEN"  # noqa: S105 - its name
PROGRAM = (sys.executable, "-m", "pytest_llamaburn")
_SAYS = "llamaburn: "
_WROTE = "wrote "


class Said(NamedTuple):
    """What an ended command said."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def sentence(self) -> str:
        """What it complained of, in one sentence; empty if it did not."""
        lines = [*filter(None, self.stderr.splitlines())]
        ours = [line for line in lines if line.startswith(_SAYS)]
        return (ours or lines or [""])[-1].removeprefix(_SAYS)

    @property
    def wrote(self) -> list[str]:
        """The paths of the files that it wrote."""
        return [*filter(None, map(wrote, self.stderr.splitlines()))]


def wrote(line: str) -> str | None:
    """Return the path of the file that a line of the command says it wrote, or None."""
    return line.removeprefix(_WROTE) if line.startswith(_WROTE) else None


def environment(hidden: Iterable[str] = ()) -> dict[str, str]:
    """Return the environment of a child, without our token and variables of some patterns."""
    return {
        name: value
        for name, value in os.environ.items()
        if not any(fnmatchcase(name, pattern) for pattern in (TOKEN_VARIABLE, *hidden))
    }


async def run(words: Sequence[str], env: Mapping[str, str] | None = None) -> Said:
    """Run the command with these words and return what it said; it ends if we are cancelled."""
    return await told([*PROGRAM, *words], b"", env)


async def told(command: Sequence[str], given: bytes, env: Mapping[str, str] | None = None) -> Said:
    """Give a program its input and return what it said; it ends if we are cancelled."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env=environment() if env is None else env,
    )
    try:
        stdout, stderr = await process.communicate(given)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Said(process.returncode or 0, stdout, stderr.decode(errors="replace"))
