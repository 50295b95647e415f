"""The combination of a load's options: their meaning, and contradictions between them."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pytest_llamaburn import registry
from pytest_llamaburn.capacity import loops, search
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds.stress.settings import MOST_CLIENTS
from pytest_llamaburn.load.step import CLIENTS, Step
from pytest_llamaburn.load.think import think_seconds
from pytest_llamaburn.option import MOST, MOST_S, changed, seconds
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from pytest_llamaburn.capacity.search import FailurePoint
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds.stress.settings import Stress
    from pytest_llamaburn.load.rows import Request
    from pytest_llamaburn.load.step import Burst

TWIN = "twin"  # the mode whose last step has users that pause
BASELINE_REQUESTS = 10
SPARE_FILES = 64  # open files that a process needs besides its connections
_TWIN_STEPS = 3  # two levels and the users
_DIGITS = 10  # a count of requests must have fewer digits
_NO_TIME = 1e-9  # seconds of a request whose latency is not known
_ENDS = {  # for each mode: the options of its highest and its lowest load
    "ramp": (("max_concurrency", "concurrency"), ("max_rate", "rate")),
    "sweep": (("max_rate", "rate"),),
    "spike": (("spike_rate", "rate"),),
}


class Ending(NamedTuple):
    """Why a mode has no more steps, and the failure point if it searched for one."""

    stop_reason: str
    failure_point: FailurePoint | None = None


Plan: TypeAlias = "Generator[Step, Sequence[Request], Ending]"  # a mode's steps


class Window(NamedTuple):
    """The beginning or the end of a level, in seconds or in requests."""

    seconds: float = 0.0
    requests: int = 0


def window(text: str | None, option: str) -> Window:
    """Return the window of a text such as 10s or 20; raises SettingsError for other texts."""
    if text is None:
        return Window()
    if text.strip().isdecimal() and len(text.strip()) < _DIGITS:
        return Window(requests=int(text))
    found = seconds(text)
    if not isinstance(found, float) or not 0 <= found <= MOST_S:
        raise SettingsError(f"{option}: '{text}' is refused: write 10s, or 20 for requests")
    return Window(seconds=found)


def longest_think_ns(text: str | None) -> float:
    """Return the longest pause of clients in ns; raises SettingsError for an invalid text."""
    return think_seconds(text)[1] * 1e9 if text else 0.0


def named_levels(text: str, *, clients: bool = False) -> list[float]:
    """Return the levels of a sweep.

    Raises SettingsError unless they are rising numbers, and whole numbers if they are clients.
    """
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    rises = all(0 < level <= MOST for level in found) and found == sorted(set(found))
    if not found or not rises:
        raise SettingsError(
            f"--levels: '{text}' is refused: write rising numbers, such as 1,2,3,5,8"
        )
    if clients and not all(level.is_integer() for level in found):
        raise SettingsError(
            f"--levels: '{text}' is refused: write whole numbers of clients, or use --arrival for "
            "rates"
        )
    if clients and found[-1] > MOST_CLIENTS:
        raise SettingsError(f"--levels: '{text}' is refused: at most {MOST_CLIENTS} clients")
    return found


def at_once(asked: Stress, total_s: float = _NO_TIME) -> int:
    """Return the maximum number of requests in flight if each takes `total_s`.

    Without `total_s`, only clients of closed loops count, and not requests of a schedule.
    """
    return max(1, *(round(_most(step, total_s)) for step in _foreseen(asked, total_s)))


def length_s(asked: Stress, total_s: float) -> float | None:
    """Return about how long a load lasts if a lone request takes `total_s`.

    None if its length depends on the server, as that of a search does.
    """
    lengths = [step.seconds for step in _foreseen(asked, total_s)]
    known = [length for length in lengths if length is not None]
    alone_s = (asked.warmup + BASELINE_REQUESTS) * total_s
    return alone_s + sum(known) if len(known) == len(lengths) else None


def estimate(asked: Stress, total_s: float, slots: int | None) -> str | None:
    """Return a sentence about how long a load lasts if a lone request takes `total_s`, or None.

    `slots` is how many requests the server answers at once, None if it does not tell.
    """
    if asked.mode == TWIN:
        ends = sorted({round(one) for one in twin_s(asked, total_s, slots)})
        span = " to ".join(map(str, ends))
        by = ", by how many requests the server answers at once" if len(ends) > 1 else ""
        return f"the levels and {counted(asked.users or 1, 'user')}: about {span} s{by}"
    length = length_s(asked, total_s)
    return None if length is None else f"the load: about {length:.0f} s"


def twin_s(asked: Stress, total_s: float, slots: int | None) -> tuple[float, float]:
    """Return the shortest and the longest time that a twin may take, in seconds."""
    mode = registry.load("kinds.stress.modes", TWIN)
    found = [mode.seconds(asked, total_s, n) for n in ((slots,) if slots else (1, MOST_CLIENTS))]
    return min(found), max(found)


def baseline(asked: Stress) -> Step:
    """Return the load of a single client."""
    return Step(1, CLIENTS, BASELINE_REQUESTS, pauses=asked.mode != TWIN)


def may_send(asked: Stress, level: float) -> bool:
    """Return whether a load may reach a level; True if that depends on its baseline."""
    steps = _foreseen(asked)
    if asked.mode == "ramp":
        return bool(asked.arrival) or (1 <= level <= steps[-1].level and level.is_integer())
    if asked.mode == TWIN:
        steps = steps[:-1]  # the load of the users is no level
    known = asked.levels or asked.rate or not asked.arrival
    return not known or level in [step.level for step in steps]


def _foreseen(asked: Stress, total_s: float = _NO_TIME) -> list[Step]:
    """Return the steps that a mode may send, lowest first; of a search, the first and the last."""
    steps: list[Step] = registry.load("kinds.stress.modes", asked.mode).steps(asked, total_s)
    return steps


def _most(step: Step, total_s: float) -> float:
    """Return the maximum number of a step's requests in flight, if the server queues none."""
    burst = _in_flight(step.bursts[0], total_s) if step.bursts else 0.0
    return min(_in_flight(step, total_s) + burst, step.requests or math.inf)


def _in_flight(load: Step | Burst, total_s: float) -> float:
    return load.level if load.unit == CLIENTS else load.level * total_s


def checked(asked: Stress) -> Stress:
    """Return the settings of a load with the implied options set.

    A rate implies --arrival, and --osl implies --max-tokens. Raises SettingsError for options that
    contradict each other.
    """
    rates = (asked.rate, asked.max_rate) if asked.mode != "spike" else ()
    update: Document = {}
    if asked.mode == "spike" or any(rates):
        update["arrival"] = asked.arrival or "poisson"
    if asked.osl:
        update["max_tokens"] = asked.osl
    found = changed(asked, update)
    for contradiction in _contradictions(found):
        raise SettingsError(contradiction)
    allow_files(at_once(found))
    return found


def _contradictions(asked: Stress) -> Iterator[str]:
    """Yield a sentence for each contradiction."""
    window(asked.warmup_window, "--warmup-window")
    window(asked.cooldown_window, "--cooldown-window")
    if asked.concurrency and asked.arrival:
        yield (
            f"--concurrency {asked.concurrency} is refused: clients in a closed loop have no rate "
            "and no schedule: leave out either this option or --rate, --arrival and --mode spike"
        )
    if asked.think_time:
        think_seconds(asked.think_time)
        if asked.arrival:
            yield "--think-time is refused: only clients pause, and a schedule has no clients"
    if asked.levels:
        named_levels(asked.levels, clients=not asked.arrival)
    if asked.nodes and asked.ray is None:
        yield f"--nodes {asked.nodes} is refused: it needs --ray, the cluster of the machines"
    if asked.mode == TWIN:
        yield from _no_users(asked)
    yield from _below(asked)
    yield from _too_long(asked)
    if asked.mode == "ramp" and asked.level_requests:
        yield from _too_few(asked, asked.level_requests)


def _no_users(asked: Stress) -> Iterator[str]:
    """Yield a sentence if a twin has no users, or no levels that show how a server works."""
    if asked.arrival:
        yield f"--arrival {asked.arrival} is refused: users of --mode twin have no schedule"
    if asked.users is None:
        yield "--mode twin is refused: it predicts what users will see: add --users 20"
    if len(_foreseen(asked)) < _TWIN_STEPS:
        yield (
            "--mode twin is refused: one level does not show how speed depends on the load: name "
            "at least two with --levels, or raise --max-concurrency"
        )


def _below(asked: Any) -> Iterator[str]:
    """Yield a sentence if the highest load of the mode is below its lowest load."""
    for most, least in _ENDS.get(asked.mode, ()):
        high, low = getattr(asked, most), getattr(asked, least)
        if high is not None and low is not None and high < low:
            own = ", the default," if high == type(asked).model_fields[most].default else ""
            yield (
                f"--{_flag(most)} {high:g}{own} is refused: it is below --{_flag(least)} {low:g}: "
                "raise it"
            )


def _too_long(asked: Stress) -> Iterator[str]:
    """Yield a sentence if the windows leave out the whole of the shortest level."""
    ends = [window(getattr(asked, name), name) for name in ("warmup_window", "cooldown_window")]
    step = _foreseen(asked)[0]
    measures: list[tuple[Callable[[Window], float], float | None, str]] = [
        (lambda end: end.seconds, None if step.bursts else step.seconds, "s"),
        (lambda end: end.requests, step.requests, "requests"),
    ]
    for measure, length, unit in measures:
        taken = sum(map(measure, ends))
        if length is not None and taken >= length:
            yield (
                f"--warmup-window and --cooldown-window leave out {taken:g} {unit}, but a level "
                f"has only {length:g}: shorten the windows, or lengthen the level"
            )


def _too_few(asked: Stress, budget: int) -> Iterator[str]:
    """Yield a sentence if a ramp has too few requests to reach its maximum."""
    first, last = _foreseen(asked)
    sent = loops.least(first.level, last.level, rates=bool(asked.arrival))
    least = min(BASELINE_REQUESTS + sent, search.BUDGET)
    if budget < least:
        yield (
            f"--level-requests: {budget} is refused: this is the number for the whole ramp, which "
            f"needs {least} to reach its maximum: raise it, or lower the maximum"
        )


def allow_files(requests: int) -> None:
    """Raise the limit of open files for `requests` at once; raises SettingsError if it cannot."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    wanted = SPARE_FILES + requests
    have, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if have >= wanted:
        return
    with suppress(OSError, ValueError, OverflowError):  # above the hard limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
        return
    raise SettingsError(
        f"{requests} requests at once need {wanted} open files, but this process may have only "
        f"{have} (at most {most}): raise the limit with ulimit -n {wanted}, or lower the load"
    )


def _flag(name: str) -> str:
    return name.replace("_", "-")
