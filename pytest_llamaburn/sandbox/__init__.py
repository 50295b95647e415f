"""Run an untrusted program in a confined process, or refuse to run it.

The program can compute and read the library of its language. It cannot use the network, read or
write other files, start a process, or send signals; its memory, time and output are limited. A
program in Python or C has one thread; Node, which runs JavaScript, needs several. All this needs
neither root nor namespaces: Landlock restricts the files and a seccomp filter the system calls,
both irrevocably before the program's first line. If one of them is missing, nothing runs.

The names and sizes of files stay visible. A program that runs alone could forge its own report.
So what it prints for a given input is compared here (`outcomes`), and tests in Python always run in
a second process (`run`): the program can only answer the calls of that process, which alone reports
how the tests ended (docs/decisions/0008, 0030 and 0031).
"""

from __future__ import annotations

import re
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from pytest_llamaburn.errors import UsageError
from pytest_llamaburn.sandbox import _languages
from pytest_llamaburn.sandbox._languages import Limits as Limits
from pytest_llamaburn.sandbox._languages import Rights
from pytest_llamaburn.sandbox._processes import Part, Record, contained, pipe, start

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LANGUAGES = _languages.NAMES  # what each is called, by its word
_COMPILING = Limits(wall_s=30, cpu_s=20)
_STOPPED = {"timeout": "it exceeded its time limit", "output": "it printed too much"}
_DEFAULT = Limits()
_FOLDER = re.compile(r"(?:file://)?/\S*/llamaburn-\w+/(?:here/)?")
_MODULE = re.compile(r"^\s*(?:import\s*[\w*{\"']|export\s)", re.MULTILINE)
_COMPLAINT = re.compile(
    r"^(?:(?:Uncaught )?\w*(?:Error|Exception)\b.*|FATAL ERROR: .*|.*\berror: .*"
    r"|.*undefined reference.*|.*: Assertion .*)$",
    re.MULTILINE,
)
_OUT_OF_MEMORY = re.compile(rb"^FATAL ERROR: .*out of memory|Array buffer allocation", re.MULTILINE)


class Outcome(NamedTuple):
    """How a program ended, the start of its output, its run time, and its largest memory.

    state: `finished` (its last line was reached), `assertion`, `exception`, `memory`, `exit` (it
    ended itself), `timeout`, `output` (too much of it), `crash`, or `uncompiled` (a compiler
    refused it). `output` has both streams, `stdout` only one. Run time and memory are None where
    they could not be measured; `memory_reason` says why. The memory is the largest resident set in
    MB (10**6 bytes), that of the interpreter included.
    """

    state: str
    message: str
    output: str
    runtime_ms: float | None
    stdout: str = ""
    peak_memory_mb: float | None = None
    memory_reason: str = ""


class Tests(NamedTuple):
    """Tests of a program: statements that run after `preamble` in a process of their own.

    `wanted` are the names of the program that the tests use. Of these, tests change the data of
    `held` in place, and read the data of `live` as it is at that moment. `common` are classes of
    the preamble that the program also defines.
    """

    text: str
    preamble: str = ""
    wanted: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    common: tuple[str, ...] = ()


class _End(msgspec.Struct):
    """The child's second line; a program that runs alone could forge it.

    `gone` and `broken` mean that the tests lost the connection to the program.
    """

    state: Literal["finished", "assertion", "exception", "memory", "exit", "gone", "broken"]
    message: str
    runtime_ms: float


def run(program: str, *, tests: Tests | None = None, limits: Limits = _DEFAULT) -> Outcome:
    """Run a Python program, or its tests, within its limits, and return how it ended.

    Raises UsageError if the platform cannot confine it; then nothing has run.
    """
    with _folder() as folder:
        if tests is None:
            record = _alone(program, folder, limits)
        else:
            record = _tested(program, tests, folder, limits)
    return _outcome(_end(record), record, limits)


def outcomes(
    program: str, inputs: Iterable[str], language: str = "python", limits: Limits = _DEFAULT
) -> Iterator[Outcome]:
    """Run a whole program once for each input, which it reads from its standard input.

    Yields how each run ended; after a run that did not finish there are no others. The run time is
    the time between the program's start and its end, with the start of Node for JavaScript, but
    without that of Python's interpreter, and without compiling. Raises UsageError if this machine
    cannot confine it, or lacks what runs or compiles the language.
    """
    with _folder() as folder:
        if language == "c" and (fault := _compile(program, folder)):
            yield fault
            return
        for text in inputs:
            (folder / "input").write_text(text, "utf-8", "replace", newline="")
            record = _given(program, folder, language, limits)
            end = _end(record) if language == "python" else _end_of_process(record)
            spent_ms = (record.ended_s - record.began_s) * 1000
            runtime_ms = None if end[0] in _STOPPED else spent_ms
            yield _outcome((*end[:2], runtime_ms), record, limits)
            if end[0] != "finished":
                return


def limits_of_platform() -> dict[str, str]:
    """Return the mechanism of each restriction on this machine, after a trial run.

    Raises UsageError if the platform cannot confine a program.
    """
    with _folder() as folder:
        record = _alone("", folder, _DEFAULT)
    version = start(record.reports[0]).ready
    return {
        "network": "seccomp: no sockets to other processes",
        "files": f"Landlock {version} and seccomp: reads only Python's library, writes nothing",
        "processes": "seccomp: no new processes or threads",
        "signals": "seccomp: no signals",
        "memory": "RLIMIT_AS",
        "cpu_time": "RLIMIT_CPU",
        "wall_time": "a deadline, then SIGKILL",
        "output": "read up to its limit, then SIGKILL",
    }


def tool(language: str) -> str:
    """Return the path of what runs or compiles a language.

    Raises UsageError if this machine lacks it, with how to install it.
    """
    return _languages.tool(language)


def missing() -> dict[str, tuple[str, str]]:
    """Return the languages that this machine cannot run: what each needs, and how to install it."""
    return {
        name: (one.noun, one.install)
        for name, one in _languages.TOOLS.items()
        if _languages.found(name) is None
    }


_TRIALS = {
    "python": "print(6 * 7)",
    "javascript": "console.log(6 * 7)",
    "c": '#include <stdio.h>\nint main(void) { printf("%d\\n", 6 * 7); return 0; }\n',
}


def ready(language: str) -> None:
    """Raise UsageError if programs in a language cannot run confined on this machine."""
    place = tool(language)
    (found,) = outcomes(_TRIALS[language], [""], language)
    if found.stdout != "42\n":
        raise UsageError(
            f"programs in {LANGUAGES[language]} cannot run on this machine: {place} fails in the "
            f"sandbox ({found.message or found.state}): install it from your distribution, so that "
            "it lies in /usr, or leave out these questions"
        )


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder for a program's text and input; within it, `here` is where the program runs."""
    with tempfile.TemporaryDirectory(prefix="llamaburn-") as name:
        folder = Path(name)
        (folder / "here").mkdir(0o500)
        yield folder


def _alone(program: str, folder: Path, limits: Limits, given: str = "") -> Record:
    """Run a program in Python; return its record."""
    rights = _languages.python(str(folder), limits)
    part = Part(program, {"part": "alone", "input": given}, rights)
    return contained([part], str(folder / "here"), limits)


def _tested(program: str, tests: Tests, folder: Path, limits: Limits) -> Record:
    """Run tests and the program that they call; return their record."""
    questions, answers = pipe(), pipe()
    plan = {name: value for name, value in tests._asdict().items() if name != "text"}
    shared = {"common": tests.common, "part": "program"}
    rights = _languages.python(str(folder), limits)
    parts = [
        Part(tests.text, {**plan, "part": "tests"}, rights, (answers[0], questions[1])),
        Part(program, shared, rights, (questions[0], answers[1])),
    ]
    try:
        return contained(parts, str(folder / "here"), limits)
    finally:
        for one in (*questions, *answers):
            one.close()


def _compile(program: str, folder: Path) -> Outcome | None:
    """Compile a program in C; return why that failed, or None."""
    (folder / "answer.c").write_text(program, "utf-8", "replace")
    record = _becoming(_languages.compiler(str(folder), _COMPILING), folder, _COMPILING)
    state, message = _end_of_process(record)
    if state == "finished" and (folder / "answer").exists():
        return None
    fault = _said(record) or f"the compiler did not end well: {message or 'it wrote nothing'}"
    found = _outcome(("uncompiled", fault, None), record, _COMPILING)
    return found._replace(peak_memory_mb=None, memory_reason="it was not compiled")


def _given(program: str, folder: Path, language: str, limits: Limits) -> Record:
    """Run a program with its input; return its record."""
    given = str(folder / "input")
    if language == "python":
        return _alone(program, folder, limits, given)
    if language == "c":
        return _becoming(_languages.compiled(str(folder), limits), folder, limits, given)
    text = folder / ("answer.mjs" if _MODULE.search(program) else "answer.cjs")
    text.write_text(program, "utf-8", "replace")
    rights = _languages.javascript(str(folder), str(text), limits)
    return _becoming(rights, folder, limits, given)


def _becoming(rights: Rights, folder: Path, limits: Limits, given: str = "") -> Record:
    """Run what is no Python; return its record."""
    part = Part("", {"part": "alone", "input": given}, rights)
    return contained([part], str(folder / "here"), limits)


def _outcome(end: tuple[str, str, float | None], record: Record, limits: Limits) -> Outcome:
    texts = (record.output[: limits.output_bytes], record.stdout)
    output, stdout = (_FOLDER.sub("", text.decode("utf-8", "replace")) for text in texts)
    size, reason = record.peak
    if record.stopped:
        size, reason = None, _STOPPED[record.stopped]
    memory_mb = None if size is None else size / 1e6
    state, message, runtime_ms = end
    return Outcome(state, message, output, runtime_ms, stdout, memory_mb, reason)


def _end(record: Record) -> tuple[str, str, float | None]:
    """Return state, message and run time in ms of what ran in Python."""
    if record.stopped:
        return record.stopped, _STOPPED[record.stopped], None
    try:
        end = msgspec.json.decode(record.reports[0][1], type=_End)
    except (IndexError, msgspec.DecodeError):
        return *_silent_end(record.codes[0]), None
    if end.state == "gone":
        return *_silent_end(record.codes[-1]), None
    state = "exception" if end.state == "broken" else end.state
    return state, end.message, end.runtime_ms


def _end_of_process(record: Record) -> tuple[str, str]:
    """Return state and message of a program that is no Python."""
    if record.stopped:
        return record.stopped, _STOPPED[record.stopped]
    if len(record.reports[0]) > 1:  # it did not even start
        return _end(record)[:2]
    code, said = record.codes[0], _said(record)
    if code == 0:
        return "finished", ""
    if _OUT_OF_MEMORY.search(record.stderr):
        return "memory", said
    state, message = _silent_end(code)
    return ("exception" if code > 0 and said else state), (said or message)


def _said(record: Record) -> str:
    """Return the first line of a complaint on the standard error stream; empty if there is none."""
    found = _COMPLAINT.search(_FOLDER.sub("", record.stderr.decode("utf-8", "replace")))
    return found[0].strip()[:300] if found else ""


def _silent_end(code: int) -> tuple[str, str]:
    if code >= 0:
        return "exit", f"it exited with code {code}"
    name = signal.Signals(-code).name
    return ("timeout", "its CPU time was used up") if name == "SIGXCPU" else ("crash", name)
