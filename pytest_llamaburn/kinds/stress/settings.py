"""Settings of a stress run."""

from __future__ import annotations

from pytest_llamaburn import registry
from pytest_llamaburn.settings import MOST_CLIENTS, Prompted, opt


def _modes() -> tuple[str, ...]:
    return registry.names("kinds.stress.modes")


def _arrivals() -> tuple[str, ...]:
    return tuple(registry.load("load", "arrivals").PATTERNS)


class Stress(Prompted):
    """Settings of `llamaburn stress`."""

    mode: str = opt(
        "ramp",
        "ramp (up to the failure point), sweep (level by level), sustained or spike",
        scope="stress",
        choices=_modes,
    )
    concurrency: int | None = opt(
        None,
        "clients that each send their next request when the last ended; ramp begins here",
        modes=("ramp", "sustained"),
        bounds={"ge": 1, "le": MOST_CLIENTS},
        example=4,
    )
    arrival: str | None = opt(
        None,
        "send by a schedule instead: static (evenly) or poisson (at random)",
        choices=_arrivals,
        example="poisson",
    )
    rate: float | None = opt(
        None,
        "scheduled requests a second; ramp begins here",
        unit="requests/s",
        bounds={"gt": 0},
        example=2.5,
    )
    think_time: str | None = opt(
        None,
        "pause of a client between requests, as 2s, or 1s-3s for a random one",
        modes=("ramp", "sweep", "sustained"),
        example="1s-3s",
    )
    max_concurrency: int = opt(
        32,
        "most clients of ramp and sweep",
        modes=("ramp", "sweep"),
        unless=("levels", "max_rate"),
        bounds={"ge": 1, "le": MOST_CLIENTS},
    )
    max_rate: float | None = opt(
        None,
        "highest rate of ramp and sweep",
        modes=("ramp", "sweep"),
        unless=("levels",),
        unit="requests/s",
        bounds={"gt": 0},
        example=20.0,
    )
    levels: str | None = opt(
        None, "clients or rates of a sweep, as 1,2,3,5,8", modes=("sweep",), example="1,2,3,5,8"
    )
    duration: float | None = opt(
        None,
        "length of sustained (default: 15m), and the most that a spike's recovery is waited for",
        modes=("sustained", "spike"),
        unit="s",
        toml="defaults.stress_duration_sec",
        bounds={"gt": 0},
        example="15m",
    )
    level_duration: float | None = opt(
        None,
        "time that a level of a sweep sends for",
        modes=("sweep",),
        unless=("level_requests",),
        unit="s",
        bounds={"gt": 0},
        example="30s",
    )
    level_requests: int | None = opt(
        None,
        "requests of a level of a sweep; of a ramp, its whole budget (default: 750)",
        short="--requests",
        modes=("ramp", "sweep"),
        bounds={"ge": 1},
        example=100,
    )
    warmup_window: str | None = opt(
        None,
        "beginning of a level to leave out of its statistics, as 10s or 20 (requests)",
        example="10s",
    )
    cooldown_window: str | None = opt(
        None, "end of a level to leave out, as 10s or 20 (requests)", example="10s"
    )
    isl: int | None = opt(
        None,
        "length of prompts as the server counts it",
        unit="tokens",
        bounds={"ge": 8, "le": 10_000_000},
        example=512,
    )
    osl: int | None = opt(
        None,
        "length of answers, kept to where the server can",
        unit="tokens",
        bounds={"ge": 1},
        example=128,
    )
    timeout_total: float | None = opt(  # type: ignore[assignment]  # None: from the baseline
        None,
        "deadline of the whole answer (default: 10 times the baseline's p50, at least 10 s)",
        scope="stress",
        unit="s",
        bounds={"gt": 0},
        example="60s",
    )
    slo: str | None = opt(
        None,
        "what a good request keeps, as 'ttft_ms<500,itl_ms<50'",
        example="ttft_ms<500,itl_ms<50",
    )
    degradation_factor: float = opt(
        2.0, "latency over the baseline's that counts as degraded", bounds={"gt": 1}
    )
    failure_rate: float = opt(
        0.05, "share of failed requests that counts as failure", bounds={"gt": 0, "lt": 1}
    )
    spike_concurrency: int | None = opt(
        None,
        "clients of a spike's burst",
        modes=("spike",),
        bounds={"ge": 1, "le": MOST_CLIENTS},
        example=16,
    )
    spike_rate: float | None = opt(
        None,
        "rate of a spike's burst",
        modes=("spike",),
        unless=("spike_concurrency",),
        unit="requests/s",
        bounds={"gt": 0},
        example=10.0,
    )
    spike_duration: float = opt(
        10.0, "length of a spike's burst", modes=("spike",), unit="s", bounds={"gt": 0}
    )
    spikes: int = opt(3, "how many bursts", modes=("spike",), bounds={"ge": 1, "le": 10_000})
    workers: int = opt(
        1,
        "processes that send, where one is too slow to measure truly",
        bounds={"ge": 1, "le": 256},
    )
    compare: str | None = opt(
        None,
        "compare with this result file or id; last: the newest earlier one of the model and mode",
        scope="stress",
        bare="last",
        record=False,
        path=True,
        example="last",
    )
    fail_if: tuple[str, ...] = opt(
        (),
        "with --compare, a gate on the change, as in 'requests_per_sec@8:-5%'; repeatable",
        scope="stress",
        record=False,
    )
    save_requests: bool = opt(
        False, "keep a row per request beside the result file, as .requests.jsonl.gz"
    )
