"""Settings of a stress run."""

from __future__ import annotations

from pytest_llamaburn import registry
from pytest_llamaburn.option import budgeted, compared, gates_on_change, opt
from pytest_llamaburn.settings import Prompted

MOST_CLIENTS = 100_000


def _modes() -> tuple[str, ...]:
    return registry.names("kinds.stress.modes")


def _arrivals() -> tuple[str, ...]:
    return tuple(registry.load("load", "arrivals").PATTERNS)


def _balances() -> tuple[str, ...]:
    return tuple(registry.load("load", "servers").BALANCES)


class Stress(Prompted):
    """Settings of `llamaburn stress`."""

    mode: str = opt(
        "ramp",
        "shape of the load: ramp (finds the failure point), sweep (measures given levels), "
        "sustained, spike or twin (predicts what users will see, and checks it)",
        scope="stress",
        choices=_modes,
    )
    concurrency: int | None = opt(
        None,
        "number of clients; each sends its next request when its last one has ended; a ramp begins "
        "with this number",
        modes=("ramp", "sustained"),
        bounds={"ge": 1, "le": MOST_CLIENTS},
        example=4,
    )
    users: int | None = opt(
        None,
        "number of users whose latencies are predicted and then measured",
        modes=("twin",),
        bounds={"ge": 1, "le": MOST_CLIENTS},
        example=20,
    )
    arrival: str | None = opt(
        None,
        "send by a schedule instead of by clients: static (even intervals) or poisson (random)",
        choices=_arrivals,
        example="poisson",
    )
    rate: float | None = opt(
        None,
        "number of scheduled requests per second; a ramp begins with this rate",
        unit="requests/s",
        bounds={"gt": 0},
        example=2.5,
    )
    think_time: str | None = opt(
        None,
        "pause of a client between two requests: 2s, or 1s-3s for a random one",
        modes=("ramp", "sweep", "sustained", "twin"),
        example="1s-3s",
    )
    max_concurrency: int = opt(
        32,
        "maximum number of clients of a ramp or a sweep, or before the users of a twin",
        modes=("ramp", "sweep", "twin"),
        unless=("levels", "max_rate"),
        bounds={"ge": 1, "le": MOST_CLIENTS},
    )
    max_rate: float | None = opt(
        None,
        "maximum rate of a ramp or a sweep",
        modes=("ramp", "sweep"),
        unless=("levels",),
        unit="requests/s",
        bounds={"gt": 0},
        example=20.0,
    )
    levels: str | None = opt(
        None,
        "levels of a sweep, in clients or as rates, or of a twin, such as 1,2,3,5,8",
        modes=("sweep", "twin"),
        example="1,2,3,5,8",
    )
    duration: float | None = opt(
        None,
        "length of a sustained load (default: 15m), or of the load of users; time limit of a "
        "spike's recovery",
        modes=("sustained", "spike", "twin"),
        unit="s",
        toml="defaults.stress_duration_sec",
        bounds={"gt": 0},
        example="15m",
    )
    budget: float | None = budgeted("stress", "10m", modes=("twin",))
    level_duration: float | None = opt(
        None,
        "length of each level of a sweep",
        modes=("sweep",),
        unless=("level_requests",),
        unit="s",
        bounds={"gt": 0},
        example="30s",
    )
    level_requests: int | None = opt(
        None,
        "number of requests of each level of a sweep or a twin, or of a whole ramp (default: 750)",
        short="--requests",
        modes=("ramp", "sweep", "twin"),
        bounds={"ge": 1},
        example=100,
    )
    warmup_window: str | None = opt(
        None,
        "start of each level to leave out of its statistics: 10s, or 20 (requests)",
        example="10s",
    )
    cooldown_window: str | None = opt(
        None,
        "end of each level to leave out of its statistics: 10s, or 20 (requests)",
        example="10s",
    )
    isl: int | None = opt(
        None,
        "length of the prompts, as the server counts tokens",
        unit="tokens",
        bounds={"ge": 8, "le": 10_000_000},
        example=512,
    )
    osl: int | None = opt(
        None,
        "length of the answers, if the server can enforce it",
        unit="tokens",
        bounds={"ge": 1},
        example=128,
    )
    timeout_total: float | None = opt(  # type: ignore[assignment]  # None: from the baseline
        None,
        "time limit of the whole answer (default: 10 times the baseline's p50, at least 10 s)",
        scope="stress",
        unit="s",
        bounds={"gt": 0},
        example="60s",
    )
    slo: str | None = opt(
        None,
        "service level objectives of a request, such as 'ttft_ms<500,itl_ms<50'",
        example="ttft_ms<500,itl_ms<50",
    )
    degradation_factor: float = opt(
        2.0, "a level is degraded at this multiple of the baseline's latency", bounds={"gt": 1}
    )
    failure_rate: float = opt(
        0.05,
        "share of failed requests at which a level counts as failing",
        bounds={"gt": 0, "lt": 1},
    )
    spike_concurrency: int | None = opt(
        None,
        "number of clients in the burst of a spike",
        modes=("spike",),
        bounds={"ge": 1, "le": MOST_CLIENTS},
        example=16,
    )
    spike_rate: float | None = opt(
        None,
        "rate in the burst of a spike",
        modes=("spike",),
        unless=("spike_concurrency",),
        unit="requests/s",
        bounds={"gt": 0},
        example=10.0,
    )
    spike_duration: float = opt(
        10.0, "length of the burst of a spike", modes=("spike",), unit="s", bounds={"gt": 0}
    )
    spikes: int = opt(3, "number of bursts", modes=("spike",), bounds={"ge": 1, "le": 10_000})
    balance: str = opt(
        "round_robin",
        "which of several servers (--host) gets the next request: round_robin or "
        "least_outstanding (the one with the fewest requests in flight)",
        choices=_balances,
    )
    workers: int = opt(
        1,
        "number of processes that send, if one process is too slow to time the load correctly; "
        "with --ray on each machine",
        bounds={"ge": 1, "le": 256},
    )
    ray: str | None = opt(
        None,
        "send from the machines of a Ray cluster: its HOST:PORT, auto (the one of this machine) or "
        "local (a new one on this machine)",
        bare="auto",
        example="10.0.0.5:6379",
    )
    nodes: int | None = opt(
        None,
        "number of machines of the Ray cluster that send (default: all; 2 for local)",
        bounds={"ge": 1, "le": 10_000},
        example=2,
    )
    compare: str | None = compared("stress", "the model and mode")
    fail_if: tuple[str, ...] = gates_on_change("requests_per_sec@8:-5%", "stress")
    save_requests: bool = opt(
        False, "write one row per request to a .requests.jsonl.gz file beside the result file"
    )
