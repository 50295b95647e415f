"""The script of a process that becomes another program: Node, a compiler, or what it made.

`sandbox` starts it as a script; nothing imports it. It reads the plan from stdin, drops its rights,
reports that, and becomes the program; if that fails, it reports why.
"""

from __future__ import annotations

import marshal
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(__file__))  # noqa: PTH120 - pathlib takes long to import
import _confine  # type: ignore[import-not-found]


def main() -> None:
    """Become the program of the plan."""
    plan = marshal.load(sys.stdin.buffer)  # noqa: S302 - of our parent; json takes longer
    if not _confine.confined(plan):
        return
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them
        signal.signal(number, signal.SIG_DFL)
    os.set_inheritable(plan["report"], False)
    try:
        os.execve(plan["command"][0], plan["command"], plan["environment"])  # noqa: S606
    except OSError as err:
        message = f"{plan['command'][0]} does not start: {err.strerror}"
        _confine.report(plan["report"], state="exception", message=message, runtime_ms=0.0)


if __name__ == "__main__":
    main()
