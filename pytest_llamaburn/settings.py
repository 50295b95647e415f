"""The settings that several kinds of run or commands share, and what declares a setting.

Each setting is declared once: here, or in `settings.py` of its kind of run. One attribute gives the
command's flag, the pytest option, the environment variable, the `llamaburn.toml` key, the `config`
block of a result file and the docs table (`options.py` derives them). These are plain classes
because pytest imports them in every session of the environment; the pydantic model that checks
values is built on first use by `model_of`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ParamSpec

from pytest_llamaburn import files, registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import BaseModel

P = ParamSpec("P")
# Keys of the configuration file that belong to parts of the tool which read them themselves.
RESERVED_TOML = ("audio.",)


class Option:
    """One setting: its default, its help and how it is spelled in each place."""

    def __init__(  # noqa: PLR0913 - each is one fact of the declaration
        self,
        default: Any,
        help: str,  # noqa: A002 - as argparse
        *,
        group: str = "",
        short: str | None = None,
        scope: str | None = None,
        toml: str | None = None,
        join: str = "",
        example: Any = "",
        env: tuple[str, ...] = (),
        bounds: dict[str, float] | None = None,
        choices: Callable[[], tuple[str, ...]] | None = None,
        unit: str | None = None,
        bare: str | None = None,
        on: str = "",
        modes: tuple[str, ...] = (),
        unless: tuple[str, ...] = (),
        record: bool = True,
        resume: bool = False,
        path: bool = False,
        keys: str = "",
    ) -> None:
        """Take the default, one line of help, and what is special about this option.

        - `group`: the heading that lists it; the settings class that declares it by default.
        - `short`: a short flag.
        - `scope`: a prefix of the name everywhere but in the command's flag, for a name that two
          kinds of run use differently.
        - `toml`: the key; `table.*` is a whole table. Each of its entries is a key, `join` and a
          value, as in the line `example`.
        - `example`: a valid value, where there is no default.
        - `env`: further variables, after `LLAMABURN_<NAME>`.
        - `bounds`: pydantic's ge, gt, le, min_length.
        - `choices`: a function that returns the valid words.
        - `unit`: "s" also takes 90s, 15m, 1h.
        - `bare`: the value of the flag alone.
        - `on`: a prefix of the flag that turns a switch on.
        - `modes`: the modes that read it.
        - `unless`: options beside which it is not read.
        - `record=False`: it is not part of a result's `config`.
        - `resume=True`: a resumed run may have another value than before.
        - `path`: it names a file or directory, whose `~` is resolved.
        - `keys`: it may name a server, to which the keys in variables of this pattern are sent.
        """
        self.default, self.help, self.group = default, help, group
        self.short, self.scope, self.env = short, scope, env
        self.toml, self.join, self.example = toml, join, example
        self.bounds, self.choices, self.unit = bounds or {}, choices, unit
        self.bare, self.on, self.modes, self.unless = bare, on, modes, unless
        self.record, self.resume, self.path, self.keys = record, resume, path, keys
        self.name = self.annotation = ""  # `options_of` sets them

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


def _untyped(make: Callable[P, object]) -> Callable[P, Any]:
    """Return a class as a function whose result may be assigned to an attribute of any type."""
    return make


opt = _untyped(Option)


def _backends() -> tuple[str, ...]:
    return ("auto", *registry.names("backends"))


def _searches() -> tuple[str, ...]:
    return ("auto", *registry.names("search"))


def words(*valid: str) -> Callable[[], tuple[str, ...]]:
    """Return a function that returns these words, for `choices`."""
    return lambda: valid


MOST = 2**31 - 1  # of any number: servers count in 32 bits
MOST_CLIENTS = 100_000
MOST_S = 366 * 86_400.0


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
        keys="LLAMABURN_API_KEY",
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
        choices=words("on", "off", "low", "medium", "high", "max"),
        example="on",
    )
    slots: int = opt(
        1, "requests that the embedded engine works on at once", bounds={"ge": 1, "le": 64}
    )
    keep_alive: str = opt("5m", "how long the server keeps the model loaded afterwards")
    cache: str = opt(
        "bust",
        "prompt cache: bust (a fresh prefix per request) or warm",
        choices=words("bust", "warm"),
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
        choices=words("auto", "thread", "process"),
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
        choices=words("point", "certain"),
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
        keys="*_API_KEY",
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
        resume=True,
        bounds={"ge": 0},
        example=1.5,
    )
    max_judge_calls: int | None = opt(
        None,
        "most judging calls to send; --resume RUN with a higher limit judges only what is missing",
        resume=True,
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
        choices=words("auto", "live", "plain", "json", "none"),
        record=False,
    )


def classes(kinds: Iterable[str]) -> set[type]:
    """Return the settings classes of these kinds, and those that are of no kind."""
    for kind in kinds:
        if "settings" in registry.own(f"kinds.{kind}"):
            registry.load(f"kinds.{kind}", "settings")
    return _heirs(Settings)


def _heirs(base: type) -> set[type]:
    children: list[type] = base.__subclasses__()
    return {base}.union(*map(_heirs, children))


@cache
def options_of(kind: type) -> tuple[Option, ...]:
    """Return the options of a settings class, inherited ones first, each knowing its name."""
    found: dict[str, Option] = {}
    for base in reversed(kind.__mro__):
        for name, annotation in getattr(base, "__annotations__", {}).items():
            option = base.__dict__[name]
            option.name, option.annotation = name, annotation
            option.group = option.group or base.__name__
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
