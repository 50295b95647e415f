"""Print a script that completes this command's words in a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

HELP = "print a completion script for a shell"
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
    """Give each flag the words its setting takes; as it runs, the parser leaves them unchecked."""
    options = {o.name: o for kind in settings.kinds() for o in settings.options_of(kind)}
    for action in _actions(parser):
        option = options.get(action.dest)
        if option is not None and option.choices and action.choices is None:
            action.choices = option.choices()


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the actions of all sub-commands."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to list them
        yield action
        for child in action.choices.values() if isinstance(action.choices, dict) else ():
            yield from _actions(child)
