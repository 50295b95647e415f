"""Every setting, declared once.

One attribute of a class here gives the command's flag, the pytest option, the environment
variable, the `llamaburn.toml` key, the `config` block of a result file and the docs table
(`options.py` derives them). These are plain classes because pytest imports them in every session
of the environment; the pydantic model that checks values is built on first use by `model_of`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import files

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

# Keys of the configuration file that belong to parts of the tool which read them themselves.
RESERVED_TOML = ("audio.",)


class Option:
    """One setting: its default, its help and how it is spelled in each place."""

    def __init__(self, default: Any, help: str, **traits: Any) -> None:  # noqa: A002 - as argparse
        """Take the default, one line of help and the traits below.

        `short` (flag), `scope` (stands before the name everywhere but in the command's flag: where
        kinds of run meet),
        `toml` (key; `table.*` is a whole table, each entry its key, `join` and value, as in the
        line `example`), `example` (a valid value where there is no default), `env` (further
        variables, after `LLAMABURN_<NAME>`), `bounds` (pydantic's ge, gt, le, min_length),
        `choices` (a function that lists the words), `unit` ("s" also takes 90s, 15m, 1h), `bare`
        (value of the flag alone), `on` (stands before the name in the flag that turns a switch on),
        `modes` (those that read it), `unless` (options beside which it is not read), `record=False`
        (not part of a result's `config`), `path` (it names a file or
        directory, whose `~` is resolved).
        """
        self.default = default
        self.help = help
        self.name = ""
        self.annotation = ""
        self.scope: str | None = traits.get("scope")
        self.short: str | None = traits.get("short")
        self.toml: str | None = traits.get("toml")
        self.join: str = traits.get("join", "")
        self.example: Any = traits.get("example", "")
        self.env: tuple[str, ...] = traits.get("env", ())
        self.bounds: dict[str, float] = traits.get("bounds", {})
        self.choices: Callable[[], tuple[str, ...]] | None = traits.get("choices")
        self.unit: str | None = traits.get("unit")
        self.bare: str | None = traits.get("bare")
        self.on: str = traits.get("on", "")
        self.modes: tuple[str, ...] = traits.get("modes", ())
        self.unless: tuple[str, ...] = traits.get("unless", ())
        self.record: bool = traits.get("record", True)
        self.path: bool = traits.get("path", False)

    @property
    def repeats(self) -> bool:
        """Whether the option may be given several times."""
        return self.annotation.startswith("tuple[")

    @property
    def switch(self) -> bool:
        """Whether the option is on or off."""
        return self.annotation == "bool"

    @property
    def key(self) -> str:
        """The name where all kinds of run meet."""
        return f"{self.scope}_{self.name}" if self.scope else self.name

    @property
    def spelling(self) -> str:
        """The name as it is part of flags."""
        return self.name.replace("_", "-")

    @property
    def flag(self) -> str:
        """The long flag without dashes and prefix, as it is given to set the option."""
        return self.on + self.spelling

    @property
    def toml_key(self) -> str:
        """The dotted key in `llamaburn.toml`; `table.*` takes all keys of a table."""
        return self.toml or f"defaults.{self.key}"

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that set it, strongest first."""
        return (f"LLAMABURN_{self.key.upper()}", *self.env)


def opt(default: Any, help: str, **traits: Any) -> Any:  # noqa: A002
    """Return an Option, typed so that the attribute it is assigned to keeps its own type."""
    return Option(default, help, **traits)


def _backends() -> tuple[str, ...]:
    from pytest_llamaburn import registry

    return ("auto", *registry.names("backends"))


def _searches() -> tuple[str, ...]:
    from pytest_llamaburn import registry

    return ("auto", *registry.names("search"))


def _modes() -> tuple[str, ...]:
    from pytest_llamaburn import registry

    return registry.names("kinds.stress.modes")


def _arrivals() -> tuple[str, ...]:
    from pytest_llamaburn import registry

    return tuple(registry.load("load", "arrivals").PATTERNS)


def _words(*words: str) -> Callable[[], tuple[str, ...]]:
    return lambda: words


MOST = 2**31 - 1  # of any number: servers count in 32 bits
MOST_CLIENTS = 100_000
MOST_S = 366 * 86_400.0
_MANY = 100_000  # requests of a benchmark; all are planned before the first is sent


class Settings:
    """Base of all settings classes; each key of `llamaburn.toml` belongs to one of them."""


class Connection(Settings):
    """Which server, and how long to wait for it."""

    backend: str = opt("auto", "auto, ollama, openai or embedded", choices=_backends)
    host: str | None = opt(
        None,
        "server address, or the root of its API, as http://HOST/v1",
        toml="ollama.host",
        env=("OLLAMA_HOST",),
        example="http://127.0.0.1:11434",
    )
    timeout_connect: float = opt(5.0, "deadline to connect", unit="s", bounds={"gt": 0})
    timeout_first_token: float = opt(
        300.0, "deadline to the first token", unit="s", bounds={"gt": 0}
    )
    timeout_idle: float = opt(60.0, "longest silence after it", unit="s", bounds={"gt": 0})
    timeout_total: float = opt(600.0, "deadline of the whole answer", unit="s", bounds={"gt": 0})


class Storage(Settings):
    """Where results are kept."""

    results_dir: str = opt("results", "directory of result files", record=False, path=True)


class Run(Connection, Storage):
    """What every kind of run needs besides: the model, how to ask and where to write."""

    model: tuple[str, ...] = opt(
        (), "model to measure; repeat it for several, each gets its own file", short="-m", path=True
    )
    temperature: float = opt(0.0, "sampling temperature", bounds={"ge": 0, "le": 5})
    top_p: float | None = opt(None, "nucleus sampling", bounds={"gt": 0, "le": 1}, example=0.9)
    top_k: int | None = opt(
        None, "sample from the k likeliest tokens", bounds={"ge": 0}, example=40
    )
    max_tokens: int = opt(128, "longest answer", unit="tokens", bounds={"ge": 1})
    seed: int = opt(0, "seed of everything that is random", bounds={"ge": 0})
    num_ctx: int | None = opt(
        None, "context length to ask the server for", unit="tokens", bounds={"ge": 64}, example=8192
    )
    think: str | None = opt(
        None,
        "thinking: on, off, low, medium, high or max",
        bare="on",
        choices=_words("on", "off", "low", "medium", "high", "max"),
        example="on",
    )
    slots: int = opt(
        1, "requests that the embedded engine works on at once", bounds={"ge": 1, "le": 64}
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
        example=0.3,
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
        example=0.5,
    )
    co2_g_per_kwh: float | None = opt(
        None,
        "grams of CO2 a kilowatt-hour of your grid stands for",
        toml="cost.co2_g_per_kwh",
        bounds={"ge": 0, "le": 5000},
        example=380,
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
    gpu: tuple[str, ...] = opt(
        (),
        "count the energy of this device alone: its id or place in llamaburn status, as 03:00.0 "
        "or amd:0; repeatable",
    )
    sampler: str = opt(
        "auto",
        "read sensors in a thread, in a process, or auto: a process at high concurrency",
        choices=_words("auto", "thread", "process"),
    )
    allow_parallel: bool = opt(
        False, "measure even while another measurement runs; the file says contended"
    )
    warmup: int = opt(2, "requests discarded first", toml="defaults.warmup_runs", bounds={"ge": 0})
    threshold: tuple[str, ...] = opt(
        (),
        "a gate, as in 'ttft_ms.p95<500'; repeatable",
        toml="thresholds.*",
        example='ttft_ms.p95 = "<500"',
    )
    gate_mode: str = opt(
        "point",
        "gates compare the value itself (point) or its whole 95 % interval (certain)",
        choices=_words("point", "certain"),
    )
    resume: str | None = opt(
        None, "continue a run where it stopped: its run id, or last", record=False, example="last"
    )


class Prompted(Run):
    """What runs that send prompts need besides."""

    prompts: tuple[str, ...] = opt(
        ("default",),
        "prompt set: a built-in name, or a JSON, JSONL, CSV or text file; repeatable",
        bounds={"min_length": 1},
    )


class Benchmark(Prompted):
    """Settings of `llamaburn benchmark`."""

    mode: str = opt(
        "standard",
        "standard, or correctness: write numbers in words, and be judged",
        scope="benchmark",
        choices=_words("standard", "correctness"),
    )
    numbers: int = opt(35, "numbers to ask for in correctness mode", bounds={"ge": 1, "le": _MANY})
    lang: str = opt("en", "language of the words in correctness mode")
    iterations: int = opt(
        5,
        "timed requests a model in total, spread over the prompts",
        toml="defaults.benchmark_iterations",
        bounds={"ge": 1, "le": _MANY},
    )
    repeats: int = opt(
        1, "independent runs, each with its own warm-up", bounds={"ge": 1, "le": 1000}
    )
    precision: float | None = opt(
        None,
        "go on until the mean of --precision-metric is known to this share, as 0.05",
        bounds={"gt": 0, "lt": 1},
        example=0.05,
    )
    precision_metric: str = opt("tokens_per_sec", "the metric that --precision is about")
    max_iterations: int = opt(
        200, "most timed requests with --precision or --budget", bounds={"ge": 1}
    )
    budget: float | None = opt(
        None,
        "go on for this long, as 3m, and stop when it is over",
        unit="s",
        bounds={"gt": 0},
        example="3m",
    )
    max_failures: int = opt(
        5, "stop a run after this many failures of one kind in a row", bounds={"ge": 1}
    )
    compare: str | None = opt(
        None,
        "compare with this result file or id; last: the model's newest earlier one",
        bare="last",
        record=False,
        path=True,
        example="last",
    )
    fail_if: tuple[str, ...] = opt(
        (),
        "with --compare, a gate on the change, as in 'tokens_per_sec.mean:-5%'; repeatable",
        record=False,
    )
    start: str = opt(
        "warm",
        "warm, cold (unload before each timed request) or both",
        choices=_words("warm", "cold", "both"),
    )


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


class Searching(Connection):
    """Whether questions are answered with evidence, and where it is searched for.

    Keys of search services come from the environment only: BRAVE_API_KEY, TAVILY_API_KEY,
    OLLAMA_API_KEY. The connection is that of Ollama, which searches for those who signed in.
    """

    web_search: bool = opt(
        False, "search for evidence for the questions that allow it, and answer with it", on="with-"
    )
    search: str = opt(
        "auto",
        "auto (the first of the following that is there), corpus, searxng (SEARXNG_URL), ollama, "
        "brave, tavily or ddgs",
        choices=_searches,
    )
    corpus: str | None = opt(
        None,
        "directory of text, Markdown, HTML and PDF files to search instead of the web",
        path=True,
        example="documents",
    )
    search_results: int = opt(5, "most sources to give to a question", bounds={"ge": 1})
    search_replay: str | None = opt(
        None,
        "replay the searches of a result file, or of a JSONL file of them",
        path=True,
        example="searches.jsonl",
    )


class Judging(Settings):
    """Which models judge answers, and what they may spend."""

    judge: tuple[str, ...] = opt(
        (),
        "judge of the answers: PROVIDER[:MODEL][@URL] with claude, openai, ollama or embedded; "
        "repeatable, several vote",
        toml="defaults.judge_provider",
    )
    judge_model: tuple[str, ...] = opt(
        (),
        "model of a provider named without one, as claude=claude-opus-5-5; repeatable",
        toml="judge.models.*",
        join="=",
        example='claude = "claude-opus-5-5"',
    )
    judge_price: tuple[str, ...] = opt(
        (),
        "USD per million tokens, as claude-sonnet-5-5.input=3, with input, cache_read, "
        "cache_write and output; repeatable",
        toml="judge.prices.*",
        join="=",
        example='"claude-sonnet-5-5".input = 3.0',
    )
    judge_concurrency: int = opt(
        4, "judging calls at once to each judge", bounds={"ge": 1, "le": 10_000}
    )
    judge_repeats: int = opt(
        1, "judgments of each answer by each judge", bounds={"ge": 1, "le": 10_000}
    )
    judge_timeout: float = opt(300.0, "deadline of a judging call", unit="s", bounds={"gt": 0})
    judge_retries: int = opt(4, "further tries of a judging call that failed", bounds={"ge": 0})
    max_judge_cost: float | None = opt(
        None,
        "most USD to spend on judging, with what --resume adds; needs prices",
        bounds={"ge": 0},
        example=1.5,
    )
    max_judge_calls: int | None = opt(
        None,
        "most judging calls to send; --resume RUN with a higher limit judges only what is missing",
        bounds={"ge": 0},
        example=100,
    )
    max_unscored: float = opt(
        0.1,
        "share of verdicts, of judges or of scorers, that may be missing",
        bounds={"ge": 0, "le": 1},
    )
    allow_self_judge: bool = opt(False, "let a model judge its own answers")
    dry_run: bool = opt(False, "say what judging would send and cost, and stop", record=False)


class Eval(Run, Judging, Searching):
    """Settings of `llamaburn eval`."""

    set: tuple[str, ...] = opt(
        ("general_knowledge",),
        "eval set: a built-in name, or a JSON, JSONL or CSV file; repeatable, with a file each",
        scope="eval",
        bounds={"min_length": 1},
    )
    limit: int | None = opt(
        None,
        "ask so many questions of a set, a fixed choice over its categories",
        bounds={"ge": 1},
        example=20,
    )
    system: str | None = opt(
        None,
        "system message before each question, instead of the set's: text, or @FILE",
        example="Answer in one sentence.",
    )
    few_shot: int = opt(0, "solved examples before each question", bounds={"ge": 0})
    choice_by: str = opt(
        "text",
        "how a choice is read: from the answer's text, or as the letter with the greatest "
        "probability (logprob)",
        choices=_words("text", "logprob"),
    )
    answers: str | None = opt(
        None,
        "score the answers of this result file again instead of asking a model",
        path=True,
        example="results/evals/earlier.json",
    )
    samples: int = opt(1, "answers to each question, for pass@k", bounds={"ge": 1, "le": 10_000})
    pass_k: int | None = opt(
        None, "k of pass@k: the chance that one of k answers is right", bounds={"ge": 1}, example=1
    )
    criteria: str | None = opt(
        None,
        "have judges mark every answer on these instead of what the set says, as "
        "accuracy,faithfulness",
        scope="eval",
        example="accuracy,faithfulness",
    )
    criterion: tuple[str, ...] = opt(
        (),
        "a criterion of your own to mark every answer on, as 'politeness=it stays polite'; "
        "repeatable",
        scope="eval",
        toml="criteria.*",
        join="=",
        example='politeness = "it stays polite, also where it declines"',
    )
    pairwise: bool = opt(
        False, "have the judge compare answers with those of --compare-to, not mark them"
    )
    compare_to: str | None = opt(
        None,
        "the other model of --pairwise, or the result file that has its answers",
        path=True,
        example="results/evals/other.json",
    )
    cache_answers: bool = opt(
        True, "take an answer from an earlier run of the same model, question and options"
    )
    max_tokens: int | None = opt(  # type: ignore[assignment]  # None: by what the model can do
        None,
        "longest answer, thinking included (default: 512; for a model that thinks up to 4096)",
        unit="tokens",
        scope="eval",
        bounds={"ge": 1},
        example=1024,
    )
    cache: str = opt(
        "none",
        "prompt cache: none (the question as it stands) or bust (a fresh prefix per request)",
        scope="eval",
        choices=_words("none", "bust"),
    )
    threshold: tuple[str, ...] = opt(
        (),
        "a gate, as in 'accuracy.mean>=4', 'correct.mean>0.8' or 'win_rate>0.5'; repeatable",
        scope="eval",
        toml="eval_thresholds.*",
        example='accuracy.mean = ">=4"',
    )


class Display(Settings):
    """How progress and results are shown; never part of a result."""

    output: tuple[str, ...] = opt(
        (),
        "table, json, jsonl, csv, markdown, or a file whose suffix names one; repeatable",
        short="-o",
        record=False,
        path=True,
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
            option.bounds = {**_most(option), **option.bounds}
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
    if "str" in option.annotation:
        hint = Annotated[hint, AfterValidator(_at_home if option.path else _readable)]
    if option.choices:
        hint = Annotated[hint, AfterValidator(lambda word: _chosen(word, option))]
    return hint, field


def _most(option: Option) -> dict[str, float]:
    """Return the highest value of a number that has no bound of its own.

    What is larger no server takes, and no clock, file or random generator holds.
    """
    if option.annotation.startswith("int"):
        return {"le": MOST}
    if option.annotation.startswith("float"):
        return {"le": MOST_S if option.unit == "s" else MOST}
    return {}


def _readable(value: Any) -> Any:
    """Return text as it is; raises ValueError for bytes of the command line that are none."""
    for text in value if isinstance(value, tuple) else (value or "",):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("it is not text in this locale's encoding") from None
    return value


def _at_home(value: Any) -> Any:
    """Return paths with their `~` resolved, as a shell does only for some spellings of a flag."""
    if isinstance(value, tuple):
        return tuple(map(_at_home, value))
    found = isinstance(value, str) and value.startswith("~")
    return str(files.home(value)) if found else value


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
