"""Seven ways out of the sandbox, each tried and shut; and a platform that cannot shut them."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from support.containment import contained, where_a_filter_refuses

from pytest_llamaburn import sandbox
from pytest_llamaburn.errors import UsageError
from pytest_llamaburn.sandbox import Limits, Outcome, _filter, run

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parents[3]


BRIEF = Limits(wall_s=1)
EVERYWHERE = """import os
while True:
  for fd in range(3, 1024):
    try: os.write(fd, {bytes})
    except OSError: pass
"""


def unconfined(program: str) -> str:
    """Run a probe without a sandbox, to show that it would get out."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    return done.stderr


@pytest.fixture
def listener() -> socket.socket:
    server = socket.create_server(("127.0.0.1", 0))
    server.setblocking(False)
    return server


def arrived(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


# The seven probes.


@contained
def test_network_is_out_of_reach(listener: socket.socket) -> None:
    with listener:
        probe = f"import socket; socket.create_connection({listener.getsockname()!r}, 5)"
        assert refused(run(probe))
        assert not arrived(listener)
        assert not unconfined(probe)
        assert arrived(listener)


@contained
@pytest.mark.parametrize(
    "probe",
    [
        "import socket; socket.socket(socket.AF_UNIX)",
        "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "import socket; socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
        "import ctypes\nif ctypes.CDLL(None).socket(2, 1, 0) < 0: raise PermissionError",
    ],
)
def test_no_socket_is_made(probe: str) -> None:
    assert refused(run(probe))


@contained
@pytest.mark.parametrize(
    "probe",
    [
        "open({path!r}).read()",
        "open({path!r}, 'a')",
        "open({folder!r} + '/new', 'x')",
        "import os; os.open({path!r}, os.O_RDONLY | os.O_TRUNC)",
        "import os; os.truncate({path!r}, 0)",
        "import os; os.unlink({path!r})",
        "import os; os.rename({path!r}, {path!r} + '2')",
        "import os; os.link({path!r}, 'here')",
        "import os; os.symlink({path!r}, 'here')",
        "import os; os.chmod({path!r}, 0)",
        "import os; os.utime({path!r}, (0, 0))",
        "import os; os.mkdir({folder!r} + '/new')",
        "import os; os.listdir({folder!r})",
        "import os; os.chdir({folder!r}); os.listdir('.')",
        "open('own', 'w')",
        "open('/dev/null', 'rb')",
        "open('/proc/self/environ')",
    ],
)
def test_files_outside_are_neither_read_nor_changed(probe: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("kept")
    before = secret.stat()
    assert refused(run(probe.format(path=str(secret), folder=str(tmp_path))))
    assert [p.name for p in tmp_path.iterdir()] == ["secret"]
    assert secret.read_text() == "kept"
    assert (secret.stat().st_mode, secret.stat().st_mtime) == (before.st_mode, before.st_mtime)


@contained
@pytest.mark.parametrize(
    "probe",
    [
        "import os\nfor _ in range(4): os.fork()",
        "import os; os.posix_spawn('/bin/true', ['true'], {})",
        "import os; os.execv('/bin/true', ['true'])",
        "import subprocess; subprocess.run(['true'])",
        "import ctypes\nif ctypes.CDLL(None).fork() < 0: raise PermissionError",
        "import _thread\ntry: _thread.start_new(print, ())\nexcept RuntimeError: open('no', 'w')",
    ],
)
def test_fork_bomb_never_starts(probe: str) -> None:
    assert refused(run(probe))


@contained
@pytest.mark.parametrize(
    "probe", ["x = bytearray(1 << 32)", "x = []\nwhile True: x.append(bytearray(1 << 20))"]
)
def test_memory_is_bounded(probe: str) -> None:
    assert run(probe, limits=Limits(memory_mb=128)).state == "memory"


@contained
@pytest.mark.parametrize(
    ("probe", "limits"),
    [
        ("while True: pass", BRIEF),
        ("import time\nwhile True: time.sleep(9)", BRIEF),
        ("import os, time\nos.closerange(0, 32)\ntime.sleep(99)", BRIEF),
        ("while True: pass", Limits(wall_s=99, cpu_s=1)),
    ],
)
def test_endless_loop_is_ended(probe: str, limits: Limits) -> None:
    outcome = run(probe, limits=limits)
    assert (outcome.state, outcome.runtime_ms) == ("timeout", None)


@contained
def test_loop_that_ignores_its_warning_is_killed() -> None:
    probe = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    assert run(probe, limits=Limits(wall_s=99, cpu_s=1))[:2] == ("crash", "SIGKILL")


@contained
@pytest.mark.parametrize(
    "probe",
    [
        "while True: print('x' * 1000)",
        "import os\nwhile True: os.write(2, b'x' * 1000)",
        EVERYWHERE.format(bytes=b"x" * 1000),
    ],
)
def test_endless_output_is_cut(probe: str) -> None:
    outcome = run(probe, limits=Limits(output_bytes=5000))
    assert outcome.state == "output"
    assert len(outcome.output) <= 5000


@contained
@pytest.mark.parametrize(
    "probe",
    [
        "import os, signal; os.kill(os.getppid(), signal.SIGUSR1)",
        "import os, signal; os.killpg(os.getpgid(os.getppid()), signal.SIGUSR1)",
        "import os, signal; signal.pidfd_send_signal(os.pidfd_open(os.getppid()), signal.SIGUSR1)",
        "import fcntl, os; r, w = os.pipe(); fcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())",
        "import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))",
    ],
)
def test_parent_is_not_signalled(probe: str) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    try:
        assert refused(run(probe))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not heard


def refused(outcome: Outcome) -> bool:
    return outcome.state == "exception" and outcome.message.startswith("PermissionError")


# What a program may do, and how its end is told.


@contained
@pytest.mark.parametrize(
    ("program", "state", "message"),
    [
        ("", "finished", ""),
        ("\nassert 1 == 2", "assertion", "AssertionError (line 2: assert 1 == 2)"),
        ("def f():\n  return {}[1]\nf()", "exception", "KeyError: 1 (line 2: return {}[1])"),
        ("x = (", "exception", "SyntaxError: '(' was never closed"),
        ("def f(): f()\nf()", "exception", "RecursionError: maximum recursion depth exceeded"),
        ("input()", "exception", "EOFError: EOF when reading a line (line 1: input())"),
        ("raise SystemExit", "exit", "SystemExit (line 1: raise SystemExit)"),
        ("import os; os._exit(0)", "exit", "it exited with code 0"),
        ("import ctypes; ctypes.string_at(0)", "crash", "SIGSEGV"),
        ("import sys; sys.stdout = None", "finished", ""),
        ("class E(Exception):\n  def __str__(self): raise self\nraise E", "exception", "answer.E"),
    ],
)
def test_ending_is_told(program: str, state: str, message: str) -> None:
    outcome = run(program)
    assert outcome.state == state
    assert outcome.message.startswith(message)


@contained
def test_report_of_a_wrong_shape_is_not_believed() -> None:
    program = (
        "import os\nfor fd in range(3, 1024):\n"
        '  try: os.write(fd, b\'{"state": "perfect"}\\n\')\n  except OSError: pass'
    )
    assert run(program).state == "exit"


@contained
def test_output_and_runtime_are_kept() -> None:
    outcome = run("import sys\nprint('out')\nprint('err', file=sys.stderr)")
    assert sorted(outcome.output.split()) == ["err", "out"]
    assert outcome.runtime_ms is not None
    assert outcome.runtime_ms > 0


@contained
@pytest.mark.parametrize(
    "program",
    [
        "import asyncio\nassert asyncio.run(asyncio.sleep(0, 5)) == 5",
        "import collections, ctypes, decimal, hashlib, json, random, re, sqlite3, statistics",
        "import os\nassert os.listdir('.') == []\nassert set(os.environ) <= {'LC_CTYPE'}",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n  x: int\nassert A(1) == A(1)",
        "import inspect\ndef f(): return 1\nassert 'return 1' in inspect.getsource(f)",
        "assert __name__ != '__main__'",
        "import time\ntime.sleep(0.001)",
        "# " + "x" * 200_000,
    ],
)
def test_ordinary_programs_run(program: str) -> None:
    assert run(program)[:3] == ("finished", "", "")


@contained
def test_limits_that_hold_are_named() -> None:
    limits = sandbox.limits_of_platform()
    assert set(limits) == {
        *("network", "files", "processes", "signals"),
        *("memory", "cpu_time", "wall_time", "output"),
    }
    assert limits["files"].startswith("Landlock")


@contained
def test_program_ends_with_the_process_that_runs_it() -> None:
    program = "from pytest_llamaburn.sandbox import run; run('import time; time.sleep(99)')"
    with subprocess.Popen([sys.executable, "-c", program]) as runner:
        children: list[psutil.Process] = []
        while not children:
            children = psutil.Process(runner.pid).children()
        child = os.pidfd_open(children[0].pid)
        runner.kill()
    assert select.select([child], [], [], 60)[0]
    os.close(child)


# Refusing.

WITHOUT = """
try:
    sandbox.run("print('ran')")
except errors.UsageError as err:
    print(err)
"""


@contained
@pytest.mark.parametrize(("number", "what"), [(444, "Landlock"), (446, "Landlock")])
def test_kernel_without_landlock_is_refused(number: int, what: str) -> None:
    said = where_a_filter_refuses(dict.fromkeys(_filter.MACHINES, number), WITHOUT)
    assert said.startswith(f"generated code cannot be run safely on this machine ({what}: ")


def test_unknown_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_filter, "MACHINES", ("pdp11",))
    with pytest.raises(UsageError, match=r"not supported\): use a Linux machine"):
        run("print('ran')")


@contained
@pytest.mark.parametrize("interpreter", ["/nonexistent", "/bin/false", "/bin/echo"])
def test_interpreter_that_does_not_start_is_refused(
    interpreter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", interpreter)
    with pytest.raises(UsageError, match="cannot be run safely on this machine"):
        run("print('ran')")


@contained
@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests ran without root already")
def test_sandbox_needs_no_root() -> None:
    interpreter = next(filter(open_to_all, interpreters()), None)
    if interpreter is None:
        pytest.skip("no interpreter here is open to other users")
    probes = ("1", "import os; os.fork()", "open('/etc/passwd')", "import os; os.kill(1, 0)")
    program = f"from pytest_llamaburn.sandbox import run\nfor p in {probes!r}: print(run(p).state)"
    said = python(program, interpreter=interpreter, user=65534)
    assert said.split() == ["finished", "exception", "exception", "exception"]


def interpreters() -> list[str]:
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return [str(Path(sys.executable).resolve()), shutil.which(name, path="/usr/bin") or "/dev/null"]


def open_to_all(interpreter: str) -> bool:
    try:
        return (
            subprocess.run([interpreter, "-c", ""], user=65534, cwd="/", check=False).returncode
            == 0
        )
    except OSError:
        return False


def python(program: str, *, interpreter: str = sys.executable, user: int | None = None) -> str:
    """Return what a Python process with our package, and maybe another user, printed."""
    env = {"PYTHONPATH": f"{HERE}:{sysconfig.get_path('purelib')}"}
    command = [interpreter, "-c", program]
    done = subprocess.run(
        command, env=env, user=user, cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# The filter, as a table.


@pytest.mark.parametrize("machine", _filter.MACHINES)
def test_filter_refuses_what_it_does_not_name(machine: str) -> None:
    judge = filter_decision(_filter.program(machine), machine)
    allowed = [number for number in range(600) if judge(number, ())]
    assert 60 < len(allowed) < 120
    assert not judge(allowed[0] | 0x40000000, ())  # the same call by x86's other table


def filter_decision(code: bytes, machine: str) -> Callable[[int, tuple[int, ...]], bool]:
    import struct

    steps = list(struct.iter_unpack("=HBBI", code))
    assert len(steps) < 4096

    def allows(number: int, arguments: tuple[int, ...]) -> bool:
        data = {0: number, 4: _filter._MACHINES[machine]}
        data |= {16 + 8 * i: value for i, value in enumerate(arguments)}
        at, loaded = 0, 0
        while True:
            code, yes, no, operand = steps[at]
            if code == 0x06:
                return bool(operand == 0x7FFF0000)
            if code == 0x20:
                loaded = data.get(operand, 0xFFFF)
            elif code == 0x15:
                at += yes if loaded == operand else no
            else:
                at += yes if loaded & operand else no
            at += 1

    return allows


@pytest.mark.parametrize(
    ("machine", "profile", "number", "arguments", "allowed"),
    [
        ("x86_64", "python", 59, (), False),  # execve
        ("x86_64", "program", 59, (), True),
        ("x86_64", "program", 56, (0x3D0F00,), False),  # clone of a thread
        ("x86_64", "threads", 56, (0x3D0F00,), True),
        ("x86_64", "threads", 56, (0x11,), False),  # clone of a process
        ("x86_64", "threads", 56, (0x3D0F00 | 0x10000000,), False),  # in a name space of its own
        ("x86_64", "threads", 435, (), False),  # clone3
        ("x86_64", "threads", 9, (0, 0, 0, 0x22), True),  # mmap
        ("x86_64", "threads", 9, (0, 0, 0, 0x21), False),  # of memory that is not counted
        ("x86_64", "threads", 257, (0, 0, 0o1), False),
        ("x86_64", "threads", 41, (2, 1), False),
        ("x86_64", "program", 234, (77,), True),  # tgkill of itself
        ("x86_64", "program", 234, (78,), False),
        ("x86_64", "python", 234, (77,), False),
        ("x86_64", "compiler", 257, (0, 0, 0o102), True),
        ("x86_64", "compiler", 56, (0x11,), True),
        ("x86_64", "compiler", 41, (2, 1), False),
        ("x86_64", "compiler", 62, (), False),  # kill
        ("aarch64", "threads", 220, (0x3D0F00,), True),
        ("aarch64", "threads", 220, (0x11,), False),
        ("aarch64", "program", 221, (), True),
        ("aarch64", "threads", 222, (0, 0, 0, 0x21), False),
    ],
)
def test_filters_of_other_programs_allow_little_more(
    machine: str, profile: str, number: int, arguments: tuple[int, ...], allowed: bool
) -> None:
    steps = _filter.program(machine, profile, pid=77)
    assert filter_decision(steps, machine)(number, arguments) is allowed


@pytest.mark.parametrize(
    ("machine", "number", "arguments", "allowed"),
    [
        ("x86_64", 257, (0, 0, 0o2000000), True),  # openat to read
        ("x86_64", 257, (0, 0, 0o1), False),
        ("x86_64", 257, (0, 0, 0o102), False),
        ("x86_64", 2, (0, 0o1000), False),
        ("x86_64", 53, (1, 1), True),  # socketpair
        ("x86_64", 53, (1, 2), False),
        ("x86_64", 53, (2, 1), False),
        ("x86_64", 72, (0, 8), False),  # fcntl's F_SETOWN
        ("x86_64", 302, (1,), False),  # prlimit64 of another process
        ("x86_64", 41, (2, 1), False),  # socket
        ("aarch64", 56, (0, 0, 0), True),
        ("aarch64", 56, (0, 0, 0o1), False),
        ("aarch64", 198, (2, 1), False),
        ("aarch64", 220, (), False),  # clone
        ("aarch64", 129, (), False),  # kill
    ],
)
def test_filter_looks_at_arguments(
    machine: str, number: int, arguments: tuple[int, ...], allowed: bool
) -> None:
    assert filter_decision(_filter.program(machine), machine)(number, arguments) is allowed
