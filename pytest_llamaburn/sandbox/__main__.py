"""Run the program that comes on stdin as JSON, and print its outcome as JSON.

The server starts this for each program of a client: it can end it at any time, and the confined
process ends with it. The exit code is 4, with a sentence on stderr, if the machine has no sandbox.
"""

import sys

import msgspec

from pytest_llamaburn import sandbox
from pytest_llamaburn.errors import UsageError


def main() -> int:
    """Return the exit code."""
    shape = tuple[str, str, sandbox.Limits]
    program, language, limits = msgspec.json.decode(sys.stdin.buffer.read(), type=shape)
    try:
        (outcome,) = sandbox.outcomes(program, [""], language, limits)
    except UsageError as err:
        sys.stderr.write(f"llamaburn: {err}\n")
        return 4
    sys.stdout.buffer.write(msgspec.json.encode(outcome._asdict()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
