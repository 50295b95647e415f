"""The `llamaburn` command: one module per sub-command, with its arguments and its handler."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from pytest_llamaburn import __version__, registry
from pytest_llamaburn.commands import _session
from pytest_llamaburn.errors import LlamaBurnError, UsageError, sentence
from pytest_llamaburn.kinds import _kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXIT_CODES = """exit codes:
  0 done   1 a gate failed   2 interrupted   3 internal error
  4 bad input or environment   5 nothing was measured"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; our errors are one sentence on stderr."""
    _open_closed()
    _encode()
    words = sys.argv[1:] if argv is None else list(argv)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # shells do so for background jobs
        with contextlib.suppress(ValueError):  # only the main thread may set handlers
            signal.signal(signal.SIGINT, signal.default_int_handler)
    code: int = 0
    try:
        arguments = _parsed(words)
        code = arguments.run(arguments)
        sys.stdout.flush()  # here, because an error in Python's flush at exit prints a traceback
    except LlamaBurnError as err:
        _write(f"llamaburn: {err}", sys.stderr)
        return err.exit_code
    except KeyboardInterrupt:
        return 2
    except Exception as err:  # noqa: BLE001 - Python would exit with 1, which means: a gate failed
        return _unforeseen(err, code)
    return code


def _open_closed() -> None:
    """Open the null device for a closed stream (`>&-`), whose number the next file would get."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115


def _encode() -> None:
    """Write output as UTF-8 in every locale, except to a terminal.

    A character that the encoding lacks is escaped; in JSON, the escape means the same character.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            shown = stream is sys.stderr or stream.isatty()
            encoding = stream.encoding if shown else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


def _parsed(words: list[str]) -> argparse.Namespace:
    try:
        return build_parser(words[0] if words else "").parse_args(words)
    except SystemExit:
        sys.stdout.flush()  # the reader of the help may be gone
        raise


def _unforeseen(err: Exception, code: int) -> int:
    """Return the exit code for an unexpected error: lost output, or a bug.

    `code` is the exit code of the command, if it has finished.
    """
    lost = _write("", sys.stdout) if isinstance(err, OSError) else None
    if isinstance(lost, BrokenPipeError):
        return code  # the reader of the output has closed the pipe
    if lost is None:
        import traceback

        _write("".join(traceback.format_exception(err)), sys.stderr)
        return LlamaBurnError.exit_code
    _write(
        f"llamaburn: standard output cannot be written: {lost.strerror or lost}; send it elsewhere",
        sys.stderr,
    )
    return UsageError.exit_code


def _write(line: str, stream: TextIO) -> OSError | None:
    """Write a line; return the error if that fails, and redirect the stream to the null device."""
    try:
        print(line, file=stream, flush=True)
    except OSError as err:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return err
    return None


def build_parser(word: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the whole command.

    If `word`, the first word of a command line, is given, only that sub-command gets its arguments,
    and commands of other distributions are looked up only if it may be one of them.
    """
    parser = _Parser(
        prog="llamaburn",
        description="Benchmark, stress-test and evaluate local language models.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"llamaburn {__version__}")
    commands = parser.add_subparsers(metavar="command", required=True, parser_class=_CommandParser)
    ours = _commands(registry.own)
    known = word is not None and (word in ours or not word or word.startswith("-"))
    every = ours if known else _commands(registry.names)
    for name, command in sorted(every.items()):
        _add(commands, name, command, whole=word in (None, name))
    return parser


class Command(NamedTuple):
    """A sub-command: its texts, what declares its arguments, and what runs it."""

    help: str
    description: str | None
    example: str
    add: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def _commands(names: Callable[[str], tuple[str, ...]]) -> dict[str, Command]:
    """Return the modules of this folder and the kinds of run, as commands by name."""
    found = {}
    for name in names("commands"):
        module = registry.load("commands", name)
        found[name] = Command(module.HELP, module.__doc__, module.EXAMPLE, module.add, module.run)
    for kind in _kind.of_runs(names("kinds")):
        add, run = partial(_session.add, kind=kind), partial(_session.run, kind=kind)
        found[kind.name] = Command(kind.help, kind.description, kind.example, add, run)
    return found


def _add(
    commands: argparse._SubParsersAction[_CommandParser],
    name: str,
    command: Command,
    *,
    whole: bool,
) -> None:
    if not whole:
        commands.add_parser(name, help=command.help)
        return
    parser = commands.add_parser(
        name,
        help=command.help,
        description=command.description,
        epilog=f"example:\n  {command.example}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add(parser)
    parser.set_defaults(run=command.run)


class _Parser(argparse.ArgumentParser):
    """An argument parser with our exit code for usage errors."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Print the error and exit with 4."""
        self.exit(4, f"llamaburn: {sentence(message)}; try {self.prog} --help\n")


class _CommandParser(_Parser):
    """The parser of a sub-command; names may stand between and after its options."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; if names are left over, parse them separately from the options."""
        parsed, rest = super().parse_known_args(args, namespace)
        if not rest or "--" in args or self._mixing:
            return parsed, rest
        self._mixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False

    _mixing = False  # argparse's own method calls parse_known_args again
