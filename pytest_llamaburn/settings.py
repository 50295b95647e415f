"""Every setting, declared once.

One attribute of a class here gives the command's flag, the pytest option, the environment
variable, the `llamaburn.toml` key, the `config` block of a result file and the docs table
(`options.py` derives them). These are plain classes because pytest imports them in every session
of the environment; the pydantic model that checks values is built on first use by `model_of`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

# Keys of the configuration file that belong to parts of the tool which read them themselves.
RESERVED_TOML = ("audio.", "defaults.judge_provider", "defaults.stress_duration_sec")


class Option:
    """One setting: its default, its help and how it is spelled in each place."""

    def __init__(self, default: Any, help: str, **traits: Any) -> None:  # noqa: A002 - as argparse
        """Take the default, one line of help and the traits below.

        `short` (flag), `scope` (stands before the name in pytest, where kinds of run meet),
        `toml` (key), `env` (further variables, after `LLAMABURN_<NAME>`), `bounds` (pydantic's ge,
        gt, le, min_length), `choices` (a function that lists the words), `unit` ("s" also takes
        90s, 15m, 1h), `bare` (value of the flag alone), `record=False` (not part of a result's
        `config`).
        """
        self.default = default
        self.help = help
        self.name = ""
        self.annotation = ""
        self.scope: str | None = traits.get("scope")
        self.short: str | None = traits.get("short")
        self.toml: str | None = traits.get("toml")
        self.env: tuple[str, ...] = traits.get("env", ())
        self.bounds: dict[str, float] = traits.get("bounds", {})
        self.choices: Callable[[], tuple[str, ...]] | None = traits.get("choices")
        self.unit: str | None = traits.get("unit")
        self.bare: str | None = traits.get("bare")
        self.record: bool = traits.get("record", True)

    @property
    def repeats(self) -> bool:
        """Whether the option may be given several times."""
        return self.annotation.startswith("tuple[")

    @property
    def switch(self) -> bool:
        """Whether the option is on or off."""
        return self.annotation == "bool"

    @property
    def spelling(self) -> str:
        """The long flag without dashes and prefix."""
        return self.name.replace("_", "-")

    @property
    def toml_key(self) -> str:
        """The dotted key in `llamaburn.toml`; `table.*` takes all keys of a table."""
        return self.toml or f"defaults.{self.name}"

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that set it, strongest first."""
        return (f"LLAMABURN_{self.name.upper()}", *self.env)


def opt(default: Any, help: str, **traits: Any) -> Any:  # noqa: A002
    """Return an Option, typed so that the attribute it is assigned to keeps its own type."""
    return Option(default, help, **traits)


def _backends() -> tuple[str, ...]:
    from pytest_llamaburn import registry

    return ("auto", *registry.names("backends"))


def _words(*words: str) -> Callable[[], tuple[str, ...]]:
    return lambda: words


class Settings:
    """Base of all settings classes; each key of `llamaburn.toml` belongs to one of them."""


class Connection(Settings):
    """Which server, and how long to wait for it."""

    backend: str = opt("auto", "auto, ollama, openai or embedded", choices=_backends)
    host: str | None = opt(
        None,
        "server address, with or without /v1",
        toml="ollama.host",
        env=("OLLAMA_HOST",),
    )
    timeout_connect: float = opt(5.0, "deadline to connect", unit="s", bounds={"gt": 0})
    timeout_first_token: float = opt(
        300.0, "deadline to the first token", unit="s", bounds={"gt": 0}
    )
    timeout_idle: float = opt(60.0, "longest silence after it", unit="s", bounds={"gt": 0})
    timeout_total: float = opt(600.0, "deadline of the whole answer", unit="s", bounds={"gt": 0})


class Storage(Settings):
    """Where results are kept."""

    results_dir: str = opt("results", "directory of result files", record=False)


class Run(Connection, Storage):
    """What every kind of run needs besides: the model, how to ask and where to write."""

    model: tuple[str, ...] = opt(
        (), "model to measure; repeat it for several, each gets its own file", short="-m"
    )
    prompts: tuple[str, ...] = opt(
        ("default",),
        "prompt set: a built-in name or a JSON file; repeatable",
        bounds={"min_length": 1},
    )
    temperature: float = opt(0.0, "sampling temperature", bounds={"ge": 0, "le": 5})
    top_p: float | None = opt(None, "nucleus sampling", bounds={"gt": 0, "le": 1})
    top_k: int | None = opt(None, "sample from the k likeliest tokens", bounds={"ge": 0})
    max_tokens: int = opt(128, "longest answer", unit="tokens", bounds={"ge": 1})
    seed: int = opt(0, "seed of everything that is random", bounds={"ge": 0})
    num_ctx: int | None = opt(
        None, "context length to ask the server for", unit="tokens", bounds={"ge": 64}
    )
    think: str | None = opt(
        None,
        "thinking: on, off, low, medium, high or max",
        bare="on",
        choices=_words("on", "off", "low", "medium", "high", "max"),
    )
    keep_alive: str = opt("5m", "how long the server keeps the model loaded afterwards")
    cache: str = opt(
        "bust",
        "prompt cache: bust (a fresh prefix per request) or warm",
        choices=_words("bust", "warm"),
    )
    kwh_rate: float | None = opt(
        None,
        "price of a kilowatt-hour, for costs",
        toml="cost.kwh_rate",
        bounds={"ge": 0, "le": 100_000},
    )
    tariff: tuple[str, ...] = opt(
        (),
        "another price for part of each day, as 22:00-06:00=0.08; repeatable",
        toml="cost.tariff",
    )
    currency: str = opt("$", "what prices are in", toml="cost.currency")
    pue: float = opt(
        1.0,
        "power of the whole site over that of its computers",
        toml="cost.pue",
        bounds={"ge": 1, "le": 10},
    )
    duty: float | None = opt(
        None,
        "share of the time under load, for a monthly cost beside the sustained one",
        toml="cost.duty",
        bounds={"ge": 0, "le": 1},
    )
    co2_g_per_kwh: float | None = opt(
        None,
        "grams of CO2 a kilowatt-hour of your grid stands for",
        toml="cost.co2_g_per_kwh",
        bounds={"ge": 0, "le": 5000},
    )
    profile: bool = opt(True, "read this machine's sensors while measuring")
    profile_interval: float = opt(
        0.5,
        "time between two entries of system_profile; power is read every 100 ms",
        unit="s",
        bounds={"ge": 0.02, "le": 60},
    )
    gpu_provider: str = opt(
        "auto", "where GPU sensors are read: auto, or one that llamaburn status lists"
    )
    sampler: str = opt(
        "auto",
        "read sensors in a thread, in a process, or auto: a process at high concurrency",
        choices=_words("auto", "thread", "process"),
    )
    allow_parallel: bool = opt(
        False, "measure even while another measurement runs; the file says contended"
    )


class Benchmark(Run):
    """Settings of `llamaburn benchmark`."""

    mode: str = opt(
        "standard",
        "standard, or correctness: write numbers in words, and be judged",
        scope="benchmark",
        choices=_words("standard", "correctness"),
    )
    numbers: int = opt(35, "numbers to ask for in correctness mode", bounds={"ge": 1})
    lang: str = opt("en", "language of the words in correctness mode")
    iterations: int = opt(
        5,
        "timed requests a model in total, spread over the prompts",
        toml="defaults.benchmark_iterations",
        bounds={"ge": 1},
    )
    warmup: int = opt(2, "requests discarded first", toml="defaults.warmup_runs", bounds={"ge": 0})
    repeats: int = opt(1, "independent runs, each with its own warm-up", bounds={"ge": 1})
    precision: float | None = opt(
        None,
        "go on until the mean of --precision-metric is known to this share, as 0.05",
        bounds={"gt": 0, "lt": 1},
    )
    precision_metric: str = opt("tokens_per_sec", "the metric that --precision is about")
    max_iterations: int = opt(
        200, "most timed requests with --precision or --budget", bounds={"ge": 1}
    )
    budget: float | None = opt(
        None, "go on for this long, as 3m, and stop when it is over", unit="s", bounds={"gt": 0}
    )
    threshold: tuple[str, ...] = opt(
        (), "a gate, as in 'ttft_ms.p95<500'; repeatable", toml="thresholds.*"
    )
    gate_mode: str = opt(
        "point",
        "gates compare the value itself (point) or its whole 95 % interval (certain)",
        choices=_words("point", "certain"),
    )
    max_failures: int = opt(
        5, "stop a run after this many failures of one kind in a row", bounds={"ge": 1}
    )
    resume: str | None = opt(
        None, "continue a run where it stopped: its run id, or last", record=False
    )
    start: str = opt(
        "warm",
        "warm, cold (unload before each timed request) or both",
        choices=_words("warm", "cold", "both"),
    )


class Display(Settings):
    """How progress and results are shown; never part of a result."""

    output: tuple[str, ...] = opt(
        (),
        "table, json, jsonl, csv, markdown, or a file whose suffix names one; repeatable",
        short="-o",
        record=False,
    )
    progress: str = opt(
        "auto",
        "auto, live, plain, json or none",
        choices=_words("auto", "live", "plain", "json", "none"),
        record=False,
    )


def kinds(base: type = Settings) -> set[type]:
    """Return all settings classes."""
    found = {base}
    children: list[type] = base.__subclasses__()
    for child in children:
        found |= kinds(child)
    return found


@cache
def options_of(kind: type) -> tuple[Option, ...]:
    """Return the options of a settings class, inherited ones first, each knowing its name."""
    found: dict[str, Option] = {}
    for base in reversed(kind.__mro__):
        for name, annotation in getattr(base, "__annotations__", {}).items():
            option = base.__dict__[name]
            option.name, option.annotation = name, annotation
            found[name] = option
    return tuple(found.values())


@cache
def model_of(kind: type) -> type[BaseModel]:
    """Return the frozen pydantic model that checks the values of a settings class."""
    from typing import get_type_hints

    from pydantic import ConfigDict, create_model

    hints = get_type_hints(kind)
    fields: dict[str, Any] = {o.name: _field(o, hints[o.name]) for o in options_of(kind)}
    config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    return create_model(kind.__name__, __config__=config, __doc__=kind.__doc__, **fields)


def _field(option: Option, hint: Any) -> tuple[Any, Any]:
    from typing import Annotated, cast

    from pydantic import AfterValidator, BeforeValidator, Field

    bounds = cast("Any", option.bounds)
    field: Any = Field(default=option.default, description=option.help, **bounds)
    if option.unit == "s":
        hint = Annotated[hint, BeforeValidator(seconds)]
    if option.choices:
        hint = Annotated[hint, AfterValidator(lambda word: _chosen(word, option))]
    return hint, field


def _chosen(word: str | None, option: Option) -> str | None:
    valid = option.choices() if option.choices else ()
    if word is not None and word not in valid:
        msg = f"must be one of {', '.join(valid)}"
        raise ValueError(msg)
    return word


def seconds(value: Any) -> Any:
    """Return a duration such as 90s, 15m, 1h or 250ms in seconds; other values as they are."""
    text = str(value).strip().lower()
    for suffix, scale in (("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)):
        if text.endswith(suffix):
            try:
                return float(text.removesuffix(suffix)) * scale
            except ValueError:
                break
    return value
