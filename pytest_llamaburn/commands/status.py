"""Show the server, its loaded models, and the load of this machine."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from pytest_llamaburn import options
from pytest_llamaburn.option import seconds
from pytest_llamaburn.settings import Connection, Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_llamaburn.commands._look import Load
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.telemetry._detect import Gauges

HELP = "show the server, its loaded models and this machine's load"
EXAMPLE = "llamaburn status --watch --interval 5s"
WINDOW_S = 0.5  # seconds over which CPU use is measured, unless the interval is shorter
_LONGEST_S = 86_400.0
_CLEAR = "\x1b[H\x1b[2J"
_ROOM = ("cores_logical", "ram_mb", "cpu_quota", "cpus_allowed", "ram_limit_mb")
_REASONS = {
    "loaded": "there is no server",
    "cpu_percent": "this system has no counters",
    "others_percent": "this system has no counters",
    "busiest": "no other program used the CPU",
    "gpus": "no driver reports a GPU",
    "sensors": "no sensor of a GPU or processor can be read",
}


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    options.declare(parser.add_argument, Connection)
    parser.add_argument("--watch", action="store_true", help="refresh until Ctrl-C")
    parser.add_argument(
        "--interval",
        type=_interval,
        default=2.0,
        metavar="SECONDS",
        help="time between two refreshes (default: 2 s)",
    )
    parser.add_argument("--output", "-o", choices=("table", "json"), default="table")


def run(arguments: argparse.Namespace) -> int:
    """Show the state once, or until Ctrl-C; return the exit code."""
    given = options.given(arguments, Connection)
    settings, origins = options.resolve(Run, given)
    from pytest_llamaburn.telemetry._base import Machine
    from pytest_llamaburn.telemetry._detect import Gauges

    with closing(Gauges(Machine())) as gauges:
        if arguments.watch:
            with suppress(KeyboardInterrupt):
                _watch(settings, origins, gauges, arguments)
            return 0
        state = _state(settings, origins, gauges, WINDOW_S)
    print(_render(state, arguments.output, indent=2))
    named = settings.backend != "embedded" and not given.keys().isdisjoint({"host", "backend"})
    if named and state["server"] is None:
        print(f"llamaburn: {state['null_reasons']['server']}", file=sys.stderr)
        return 4
    return 0


def _interval(text: str) -> float:
    try:
        value = float(seconds(text))
    except ValueError:
        value = 0.0
    if not 0 < value <= _LONGEST_S:
        raise argparse.ArgumentTypeError(
            f"'{text}' is refused: write a time such as 2, 500ms or 1m"
        )
    return value


def _watch(
    settings: Run, origins: Mapping[str, str], gauges: Gauges, arguments: argparse.Namespace
) -> None:
    """Show the state repeatedly; CPU use is measured between two refreshes."""
    from pytest_llamaburn.progress import takes_control_codes

    interval, form = arguments.interval, arguments.output
    window = min(WINDOW_S, interval)
    clears = form == "table" and takes_control_codes(sys.stdout)
    begin, end = (_CLEAR, "\n") if clears else ("", "\n\n" if form == "table" else "\n")
    while True:
        state = _state(settings, origins, gauges, window)
        print(begin + _render(state, form, indent=None), end=end, flush=True)
        window = interval


def _state(settings: Run, origins: Mapping[str, str], gauges: Gauges, window: float) -> Document:
    """Return the whole state; `null_reasons` has a sentence for each null."""
    import asyncio

    from pytest_llamaburn.commands import _look

    load = _look.load(window)
    seen = asyncio.run(_look.look(settings, origins))
    state = {
        "server": seen.server and seen.server._asdict(),
        "loaded": seen.loaded,
        **machine_state(load),
        "sensors": gauges.read() or None,
    }
    reasons = {**_REASONS, **seen.why}
    nulls = {n: reasons[n] for n in state if state[n] is None}
    notes = [*seen.backend.notes] if seen.backend else []
    return {**state, "probes": gauges.probes, "server_notes": notes, "null_reasons": nulls}


def machine_state(load: Load) -> Document:
    """Return the load and the free memory of this machine."""
    import psutil

    from pytest_llamaburn.environment import facts

    memory, known = psutil.virtual_memory(), facts()
    return {
        "cpu_percent": load.cpu,
        "others_percent": load.others,
        "busiest": load.busiest and {"name": load.busiest[0], "percent": load.busiest[1]},
        "ram_used_mb": (memory.total - memory.available) / 1e6,
        "ram_total_mb": memory.total / 1e6,
        "machine": {name: known.get(name) for name in _ROOM},
        "gpus": known["gpus"] or None,  # null, not an empty list: a driver may hide a GPU
    }


def _render(state: Document, form: str, indent: int | None) -> str:
    if form == "json":
        return json.dumps(state, indent=indent)
    rows = [*_server_rows(state), *machine_rows(state), *_sensor_rows(state)]
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {text}" for label, text in rows)


def _server_rows(state: Document) -> list[tuple[str, str]]:
    from pytest_llamaburn.tables import ABSENT

    server = state["server"]
    shown = server and f"{server['kind']} {server['version'] or ABSENT} at {server['host']}"
    models = [("", _model(entry)) for entry in state["loaded"] or ()]
    first = models[0][1] if models else "none" if state["loaded"] == [] else None
    return [
        ("server", _or_why(state, "server", shown)),
        ("in memory", _or_why(state, "loaded", first)),
        *models[1:],
        *(("", f"cannot be read: {note}") for note in state["server_notes"]),
    ]


def machine_rows(state: Document) -> list[tuple[str, str]]:
    """Return the rows of the table about this machine: a name and a value."""
    from pytest_llamaburn.tables import number

    used, total = number(state["ram_used_mb"]), number(state["ram_total_mb"])
    names = [gpu["name"] or gpu["vendor"] for gpu in state["gpus"] or ()]
    busiest = state["busiest"]
    most = f", most by {busiest['name']} ({busiest['percent']:.0f} %)" if busiest else ""
    others = _percent(state["others_percent"], most)
    return [
        ("CPU", _or_why(state, "cpu_percent", _percent(state["cpu_percent"]))),
        ("other programs", _or_why(state, "others_percent", others)),
        ("RAM", f"{used} of {total} MB used"),
        *_room_rows(state["machine"]),
        ("GPUs", _or_why(state, "gpus", ", ".join(names))),
    ]


def _room_rows(machine: Document) -> list[tuple[str, str]]:
    """Return a row with the limits of this process, if there are any."""
    from pytest_llamaburn.environment import binding
    from pytest_llamaburn.tables import room

    return [("may be used", room(machine))] if binding(machine, machine) else []


def _sensor_rows(state: Document) -> list[tuple[str, str]]:
    """Return one row per device, and one per probed provider with its state."""
    shown = [_gauge(device) for device in state["sensors"] or ()]
    first = _or_why(state, "sensors", shown[0] if shown else None)
    probes = [f"{p['name']}: {'ok' if p['ok'] else p['message']}" for p in state["probes"]]
    return [("sensors", first), *(("", more) for more in [*shown[1:], *probes])]


def _gauge(device: Document) -> str:
    from pytest_llamaburn.tables import number

    memory = f"{number(device['vram_used_mb'])} of {number(device['vram_total_mb'])} MB"
    parts = {
        "util_pct": f"{number(device['util_pct'])} % busy",
        "vram_used_mb": memory,
        "power_w": f"{number(device['power_w'])} W",
        "temp_c": f"{number(device['temp_c'])} °C",
        "clock_mhz": f"{number(device['clock_mhz'])} MHz",
    }
    known = [text for name, text in parts.items() if device[name] is not None]
    name = " ".join(filter(None, (device.get("name"), device["id"])))
    return f"{name}: {', '.join(known) or 'no values now'}"


def _model(entry: Document) -> str:
    from pytest_llamaburn.tables import ABSENT, number

    share, context = entry["gpu_share"], entry["context_length"]
    on_gpu = ABSENT if share is None else f"{share:.0%}"
    size = f"{number(entry['size_mb'])} MB"
    return f"{entry['name']}: {size}, on the GPU: {on_gpu}, context: {context or ABSENT}"


def _percent(value: float | None, more: str = "") -> str:
    return "" if value is None else f"{value:.0f} %{more}"


def _or_why(state: Document, name: str, text: str | None) -> str:
    """Return the text, or the sign for a missing value with its reason."""
    from pytest_llamaburn.tables import ABSENT

    return text or f"{ABSENT} ({state['null_reasons'][name]})"
