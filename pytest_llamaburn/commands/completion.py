"""Print a shell completion script for this command."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

HELP = "print a shell completion script"
EXAMPLE = "llamaburn completion bash > ~/.local/share/bash-completion/completions/llamaburn"
_SHELLS = ("bash", "zsh", "fish")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("shell", choices=_SHELLS)


def run(arguments: argparse.Namespace) -> int:
    """Print the script; return the exit code."""
    import shtab

    from pytest_llamaburn.commands import build_parser

    parser = build_parser()
    _offer_words(parser)
    print(shtab.complete(parser, arguments.shell))
    return 0


def _offer_words(parser: argparse.ArgumentParser) -> None:
    """Give each flag the values of its setting, for completion only; a run does not check them."""
    for action in _actions(parser):
        words = getattr(action, "words", None)
        if words is not None and action.choices is None:
            action.choices = words()


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the actions of all sub-commands."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to list them
        yield action
        for child in action.choices.values() if isinstance(action.choices, dict) else ():
            yield from _actions(child)
