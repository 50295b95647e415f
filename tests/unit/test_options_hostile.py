"""Every option of every command takes any value, or refuses it in one sentence."""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import json
import re
from contextlib import redirect_stdout
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.benchmark_documents import saved_benchmark

from pytest_llamaburn import commands, evalsets, options, registry, settings
from pytest_llamaburn.commands import _look, build_parser, main
from pytest_llamaburn.errors import UsageError
from pytest_llamaburn.option import Option, options_of
from pytest_llamaburn.web import app

if TYPE_CHECKING:
    from collections.abc import Iterator

HUGE = "9" * 400
VALUES = {
    "empty": "",
    "blank": " ",
    "word": "x",
    "long name": "a" * 300,
    "very long name": "a" * 100_000,
    "negative": "-1",
    "huge": HUGE,
    "hugely negative": f"-{HUGE}",
    "too many digits": "9" * 5000,
    "infinite": "inf",
    "overflowing": "1e999",
    "not a number": "nan",
    "NUL": "a\x00b",
    "surrogate": "a\ud800",
    "unit": "5 parsecs",
    "huge unit": f"{HUGE}h",
    "unknown home": "~nobody-here/x",
    "unknown home of a surrogate": "~\ud800/x",
    "pairs": "=,:@<>",
    "control": "\x1b[2J\n",
}
LONGEST_SENTENCE = 2000
PARSER = cache(build_parser)
READ = cache(evalsets._read.__wrapped__)


class Reached(BaseException):
    """Raised where a command would begin to measure or ask a server."""


@pytest.fixture(autouse=True)
def seam(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Stop each command before it does anything but read its options."""

    def reached(*args: Any, **more: Any) -> None:
        raise Reached

    def unrun(work: Any, **more: Any) -> None:
        work.close()
        raise Reached

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "build_parser", PARSER)  # made anew each time, it takes longest
    monkeypatch.setattr(evalsets, "_read", READ)  # `evalset list` reads all sets each time
    monkeypatch.setattr(pytest, "main", reached)
    monkeypatch.setattr(asyncio, "run", unrun)
    monkeypatch.setattr(_look, "load", reached)
    monkeypatch.setattr(app, "make", reached)
    monkeypatch.setattr(gc, "collect", lambda: 0)  # a server begins with it: long beside tests
    saved_benchmark(tmp_path / "results")
    label = {"question": "?", "response": "!", "criterion": "accuracy", "human": 3, "judge": 3}
    Path("labels.jsonl").write_text(json.dumps(label) + "\n")


def arguments_of(command: str) -> list[argparse.Action]:
    parser = build_parser(command)
    (subs,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return [a for a in subs.choices[command]._actions if not isinstance(a, argparse._HelpAction)]


def bases_of(every: list[argparse.Action], fuzzed: argparse.Action) -> Iterator[list[str]]:
    """Yield what a command needs beside an argument, for each of the actions that it has."""
    others = [action for action in every if action is not fuzzed]
    words = [word for other in others if other.dest != "action" for word in base_of(other)]
    actions = next((a.choices or () for a in others if a.dest == "action"), ())
    yield from ([action, *words] for action in actions)
    if not actions:
        mode = next((o.modes[0] for o in options_by_name(fuzzed.dest) if o.modes), None)
        yield [*words, f"--mode={mode}"] if mode else words


def options_by_name(name: str) -> list[Option]:
    return [
        o
        for kind in settings.classes(registry.own("kinds"))
        for o in options_of(kind)
        if o.name == name
    ]


def base_of(action: argparse.Action) -> list[str]:
    """Return the values of an argument that a command does not work without."""
    if "--labels" in action.option_strings:
        return ["--labels=labels.jsonl"]
    if action.option_strings or action.nargs == "?":
        return []
    return [next(iter(action.choices))] if action.choices else ["llama3.1"]


def examples_in(text: str) -> Iterator[str]:
    """Yield what a help text shows of values, its numbers made absurd."""
    for shown in re.findall(r"'([^']+)'|\bas (\S+?)[,;)]?(?:\s|$)", text or ""):
        for example in filter(re.compile(r"\d").search, shown):
            for number in (HUGE, "1e999", "nan", "-5", "0"):
                yield re.sub(r"\d+(\.\d+)?", number, example, count=0)
                yield re.sub(r"\d+(\.\d+)?$|\d+(\.\d+)?(?=%)", number, example)


def said_by(argv: list[str], patch: pytest.MonkeyPatch) -> str:
    """Run a command; return what it says on standard error. It ends as it should, or is reached."""
    stderr = io.StringIO()
    patch.setattr("sys.stderr", stderr)
    with redirect_stdout(io.StringIO()):
        try:
            code = main(argv)
        except SystemExit as ended:
            code = int(ended.code or 0)
        except Reached:
            code = 0
    said = stderr.getvalue()
    shown = [word[:60] for word in argv], said[-3000:]
    assert "Traceback" not in said, shown
    assert code in (0, 1, 4), shown
    if code:
        assert said.startswith("llamaburn: "), shown
        assert len(said.splitlines()) == 1, shown
        assert len(said) < LONGEST_SENTENCE, shown
    return said


@pytest.mark.parametrize("command", registry.own("commands"))
def test_every_option_of_every_command_takes_or_refuses_any_value(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = arguments_of(command)
    for action in every:
        values: dict[str, None] = dict.fromkeys([*VALUES.values(), *examples_in(action.help or "")])
        for base, value in product(bases_of(every, action), () if action.nargs == 0 else values):
            flag = f"{action.option_strings[0]}=" if action.option_strings else ""
            said_by([command, *base, f"{flag}{value}"], monkeypatch)


def kinds() -> list[type]:
    return sorted(settings.classes(registry.own("kinds")), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", kinds())
def test_every_variable_takes_or_refuses_any_value(kind: type, tmp_path: Path) -> None:
    for option in options_of(kind):
        for value in VALUES.values():
            resolved_or_refused(kind, {}, {option.variables[0]: value}, tmp_path)


TOML = {
    "number": "5",
    "huge number": HUGE,
    "real": "1.5",
    "infinite": "inf",
    "not a number": "nan",
    "truth": "true",
    "text": '"x"',
    "empty": '""',
    "list": "[]",
    "list of lists": "[[1]]",
    "mixed list": '[1, "x", {}]',
    "table": "{}",
    "filled table": "{a = {b = [1]}}",
    "day": "2026-01-13",
    "surrogate": '"~\\u0000"',
}


@pytest.mark.parametrize("value", TOML.values(), ids=TOML.keys())
def test_every_key_of_the_file_takes_or_refuses_any_value(value: str, tmp_path: Path) -> None:
    for kind in kinds():
        for option in options_of(kind):
            key = option.toml_key.replace("*", "ttft_ms")
            (tmp_path / options.CONFIG_NAME).write_text(f"{key} = {value}\n", encoding="utf-8")
            resolved_or_refused(kind, {}, {}, tmp_path)


def resolved_or_refused(
    kind: type, flags: dict[str, Any], environ: dict[str, str], directory: Path
) -> None:
    said = ""
    try:
        values: Any = options.resolve(kind, flags, environ, directory)[0]
        json.dumps(options.record(values, kind), allow_nan=False)
    except UsageError as err:
        said = str(err)
    assert len(said) < LONGEST_SENTENCE
