"""The seccomp filter: the system calls that a confined program may make. All others are refused.

The allowed calls are those that Python needs to compute, read, wait and end. None of them can open
a socket to another process, start a process or thread, signal or trace another process, change a
file or leave shared memory behind. A program that becomes another one has a few calls more, by the
rights of PROFILES: `program` may become what Landlock lets it execute, which is one program;
`threads` may also start threads; `compiler` may start processes and write where Landlock lets it.
"""

from __future__ import annotations

import errno
import struct
from typing import NamedTuple

# The audit numbers of the supported architectures, in the order of the columns below.
_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINES = tuple(_MACHINES)

_ALLOWED = """
access           21   -  alarm            37   -  brk              12 214  chdir            80  49
clock_getres    229 114  clock_gettime   228 113  clock_nanosleep 230 115  close             3  57
close_range     436 436  dup              32  23  dup2             33   -  dup3            292  24
epoll_create    213   -  epoll_create1   291  20  epoll_ctl       233  21  epoll_pwait     281  22
epoll_pwait2    441 441  epoll_wait      232   -  eventfd         284   -  eventfd2        290  19
exit             60  93  exit_group      231  94  faccessat       269  48  faccessat2      439 439
fchdir           81  50  fstat             5  80  fstatfs         138  44  futex           202  98
getcpu          309 168  getcwd           79  17  getdents64      217  61  getegid         108 177
geteuid         107 175  getgid          104 176  getgroups       115 158  getitimer        36 102
getpgid         121 155  getpgrp         111   -  getpid           39 172  getppid         110 173
getpriority     140 141  getrandom       318 278  getresgid       120 150  getresuid       118 148
getrlimit        97 163  getrusage        98 165  getsid          124 156  getsockname      51 204
getsockopt       55 209  gettid          186 178  gettimeofday     96 169  getuid          102 174
lseek             8  62  lstat             6   -  madvise          28 233  membarrier      324 283
mmap              9 222  mprotect         10 226  mremap           25 216  munmap           11 215
nanosleep        35 101  newfstatat      262  79  pause            34   -  pipe             22   -
pipe2           293  59  poll              7   -  ppoll           271  73  pread64          17  67
preadv          295  69  pselect6        270  72  read              0  63  readlink         89   -
readlinkat      267  78  readv            19  65  recvfrom         45 207  restart_syscall 219 128
rseq            334 293  rt_sigaction     13 134  rt_sigpending   127 136  rt_sigprocmask   14 135
rt_sigreturn     15 139  rt_sigsuspend   130 133  rt_sigtimedwait 128 137  sched_yield      24 124
select           23   -  sendto           44 206  set_robust_list 273  99  set_tid_address 218  96
setitimer        38 103  shutdown         48 210  sigaltstack     131 132  stat              4   -
statfs          137  43  statx           332 291  sysinfo          99 179  time            201   -
times           100 153  uname            63 160  write             1  64  writev           20  66
sched_getaffinity 204 123
"""


class _Condition(NamedTuple):
    """A condition on an argument: it is one of `values`, or has none of the bits in `barred`."""

    argument: int
    values: tuple[int, ...] = ()
    barred: int = 0


_WRITING = 0o1 | 0o2 | 0o100 | 0o1000  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC
_NONBLOCK, _CLOEXEC = 0o4000, 0o2000000
_STREAMS = (1, 1 | _NONBLOCK, 1 | _CLOEXEC, 1 | _NONBLOCK | _CLOEXEC)
_DUPLICATE_AND_FLAGS = (0, 1, 2, 3, 4, 1030)  # F_DUPFD … F_SETFL, F_DUPFD_CLOEXEC; no F_SETOWN
_ASK_TERMINAL_AND_FLAGS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS … FIOCLEX
_CONDITIONAL: dict[str, tuple[_Condition, ...]] = {
    "open 2 -": (_Condition(1, barred=_WRITING),),
    "openat 257 56": (_Condition(2, barred=_WRITING),),
    "fcntl 72 25": (_Condition(1, _DUPLICATE_AND_FLAGS),),
    "ioctl 16 29": (_Condition(1, _ASK_TERMINAL_AND_FLAGS),),
    "prlimit64 302 261": (_Condition(0, (0,)),),  # only its own limits
    "socketpair 53 199": (
        _Condition(0, (1,)),
        _Condition(1, _STREAMS),
    ),  # asyncio needs it to wake itself up
}

# The flags of clone that make a thread (glibc, musl), and those of fork, vfork and posix_spawn.
_THREAD = (0x3D0F00, 0x7D0F00)
_PROCESS = (0x11, 0x1200011, 0x4111)
_SHARED = 0x1 | 0x100  # MAP_SHARED and MAP_GROWSDOWN: memory that RLIMIT_DATA does not count
_FREE: tuple[_Condition, ...] = ()
_ONE_PROGRAM = {
    "execve 59 221": _FREE,  # Landlock names the one file
    "arch_prctl 158 -": _FREE,
}
_THREADS = {
    **_ONE_PROGRAM,
    "clone 56 220": (_Condition(0, _THREAD),),
    "mmap 9 222": (_Condition(3, barred=_SHARED),),
}
_COMPILER = {
    **_ONE_PROGRAM,
    "clone 56 220": (_Condition(0, _PROCESS),),
    "open 2 -": _FREE,  # Landlock names the one folder to write to
    "openat 257 56": _FREE,
    **dict.fromkeys(
        (
            *("fork 57 -", "vfork 58 -", "wait4 61 260", "waitid 247 95", "umask 95 166"),
            *("creat 85 -", "unlink 87 -", "unlinkat 263 35", "rename 82 -", "renameat 264 38"),
            *("renameat2 316 276", "chmod 90 -", "fchmod 91 52", "fchmodat 268 53"),
            *("ftruncate 77 46", "fallocate 285 47"),
        ),
        _FREE,
    ),
}
PROFILES: dict[str, dict[str, tuple[_Condition, ...]]] = {
    "python": {},
    "program": _ONE_PROGRAM,
    "threads": _THREADS,
    "compiler": _COMPILER,
}
_CLONE3 = "clone3 435 435"  # its flags are out of sight; without it, libraries take clone
_SIGNAL_ITSELF = "tgkill 234 131"  # as abort does
_EXIT_GROUP = "exit_group 231 94"

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06  # classic BPF, on words
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16  # struct seccomp_data
_ALLOW, _KILL, _ASK = 0x7FFF0000, 0x80000000, 0x7FC00000
_REFUSE, _MISSING = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS


def program(machine: str, profile: str = "python", pid: int = 0) -> bytes:
    """Return the filter for one of MACHINES, as an array of struct sock_filter.

    The process `pid` may signal itself, unless it runs Python.
    """
    steps = [*_begin(machine), *_answer(_CLONE3, machine, _MISSING)]
    own = {_SIGNAL_ITSELF: (_Condition(0, (pid,)),)} if PROFILES[profile] else {}
    for call, conditions in {**_CONDITIONAL, **PROFILES[profile], **own}.items():
        steps += _when(_number(call, machine), [s for c in conditions for s in _check(c)])
    for number in _ALLOWED.split()[1 + MACHINES.index(machine) :: 3]:
        steps += _when(number, [])
    return b"".join([*steps, _step(_RETURN, _REFUSE)])


def end_watch(machine: str) -> bytes:
    """Return a filter that asks its listener when the process ends itself, and allows the rest."""
    steps = [*_begin(machine), *_answer(_EXIT_GROUP, machine, _ASK)]
    return b"".join([*steps, _step(_RETURN, _ALLOW)])


def _begin(machine: str) -> list[bytes]:
    return [
        _step(_LOAD, _MACHINE_AT),
        _step(_EQUAL, _MACHINES[machine], yes=1),
        _step(_RETURN, _KILL),  # on another architecture the numbers mean other calls
        _step(_LOAD, _NUMBER_AT),
    ]


def _answer(call: str, machine: str, action: int) -> list[bytes]:
    return [_step(_EQUAL, int(_number(call, machine)), no=1), _step(_RETURN, action)]


def _number(call: str, machine: str) -> str:
    return call.split()[1 + MACHINES.index(machine)]


def _when(number: str, checks: list[bytes]) -> list[bytes]:
    """Return the steps that allow a call after its checks; empty if the machine lacks the call."""
    if number == "-":
        return []
    body = [*checks, _step(_RETURN, _ALLOW)]
    return [_step(_EQUAL, int(number), no=len(body)), *body]


def _check(condition: _Condition) -> list[bytes]:
    """Return the steps that refuse a call unless the condition holds; arguments have 32 bits."""
    load = _step(_LOAD, _ARGUMENTS_AT + 8 * condition.argument)
    refuse = _step(_RETURN, _REFUSE)
    if condition.barred:
        return [load, _step(_ANY_BIT, condition.barred, no=1), refuse]
    left = range(len(condition.values), 0, -1)
    tests = [_step(_EQUAL, v, yes=n) for v, n in zip(condition.values, left, strict=True)]
    return [load, *tests, refuse]


def _step(code: int, operand: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, operand)
