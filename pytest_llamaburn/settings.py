"""The settings that several kinds of run share; `option.py` says what is derived from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import registry
from pytest_llamaburn.option import opt, words

if TYPE_CHECKING:
    from collections.abc import Iterable


def _backends() -> tuple[str, ...]:
    return ("auto", *registry.names("backends"))


def _searches() -> tuple[str, ...]:
    return ("auto", *registry.names("search"))


class Settings:
    """Base of all settings classes. Together they declare every key of `llamaburn.toml`."""


class Connection(Settings):
    """The server, and the time limits of its requests."""

    backend: str = opt("auto", "auto, ollama, openai or embedded", choices=_backends)
    host: str | None = opt(
        None,
        "address of the server, or base URL of its API; repeatable for stress and eval",
        toml="ollama.host",
        env=("OLLAMA_HOST",),
        example="http://127.0.0.1:11434",
        keys="LLAMABURN_API_KEY",
        listed=True,
    )
    timeout_connect: float = opt(5.0, "time limit to connect", unit="s", bounds={"gt": 0})
    timeout_first_token: float = opt(
        300.0, "time limit to the first token", unit="s", bounds={"gt": 0}
    )
    timeout_idle: float = opt(
        60.0, "time limit between two chunks of an answer", unit="s", bounds={"gt": 0}
    )
    timeout_total: float = opt(600.0, "time limit of the whole answer", unit="s", bounds={"gt": 0})


class Storage(Settings):
    """Where result files are stored."""

    results_dir: str = opt("results", "directory of the result files", record=False, path=True)


class Run(Connection, Storage):
    """The settings that every kind of run has: model, sampling, sensors, costs and gates."""

    model: tuple[str, ...] = opt(
        (), "model to measure; repeatable, with one result file per model", short="-m", path=True
    )
    temperature: float = opt(0.0, "sampling temperature", bounds={"ge": 0, "le": 5})
    top_p: float | None = opt(
        None,
        "nucleus sampling: sample from the most likely tokens whose probabilities add up to this",
        bounds={"gt": 0, "le": 1},
        example=0.9,
    )
    top_k: int | None = opt(
        None, "sample from the k most likely tokens", bounds={"ge": 0}, example=40
    )
    max_tokens: int = opt(128, "maximum length of an answer", unit="tokens", bounds={"ge": 1})
    seed: int = opt(0, "seed of all random choices", bounds={"ge": 0})
    num_ctx: int | None = opt(
        None,
        "context length to request from the server",
        unit="tokens",
        bounds={"ge": 64},
        example=8192,
    )
    think: str | None = opt(
        None,
        "whether or how much the model thinks: on, off, low, medium, high or max",
        bare="on",
        choices=words("on", "off", "low", "medium", "high", "max"),
        example="on",
    )
    slots: int = opt(
        1, "number of requests that the embedded engine serves at once", bounds={"ge": 1, "le": 64}
    )
    keep_alive: str = opt("5m", "how long the server keeps the model loaded after a request")
    cache: str = opt(
        "bust",
        "prompt cache: bust (a new prefix for each request prevents hits) or warm (hits allowed)",
        choices=words("bust", "warm"),
    )
    kwh_rate: float | None = opt(
        None,
        "electricity price per kilowatt-hour",
        toml="cost.kwh_rate",
        bounds={"ge": 0, "le": 100_000},
        example=0.3,
    )
    tariff: tuple[str, ...] = opt(
        (),
        "electricity price for a part of each day, such as 22:00-06:00=0.08; repeatable",
        toml="cost.tariff",
    )
    currency: str = opt("$", "currency of the electricity prices", toml="cost.currency")
    pue: float = opt(
        1.0,
        "power usage effectiveness (PUE): facility power / IT power",
        toml="cost.pue",
        bounds={"ge": 1, "le": 10},
    )
    duty: float | None = opt(
        None,
        "share of the time that the server is under load, for a second estimate of the monthly "
        "cost",
        toml="cost.duty",
        bounds={"ge": 0, "le": 1},
        example=0.5,
    )
    co2_g_per_kwh: float | None = opt(
        None,
        "carbon intensity of your grid, in g CO2 per kWh",
        toml="cost.co2_g_per_kwh",
        bounds={"ge": 0, "le": 5000},
        example=380,
    )
    profile: bool = opt(True, "read the sensors of this machine during the run")
    profile_interval: float = opt(
        0.5,
        "interval of the entries in system_profile; power is always read every 100 ms",
        unit="s",
        bounds={"ge": 0.02, "le": 60},
    )
    gpu_provider: str = opt(
        "auto", "provider of GPU sensors: auto, or one that llamaburn status lists"
    )
    gpu: tuple[str, ...] = opt(
        (),
        "count only the energy of this device: its id or place in llamaburn status, such as "
        "03:00.0 or amd:0; repeatable",
    )
    sampler: str = opt(
        "auto",
        "where sensors are read: in a thread, in a process, or auto (a process at high "
        "concurrency)",
        choices=words("auto", "thread", "process"),
    )
    allow_parallel: bool = opt(
        False, "measure while another measurement runs; the result file is marked as contended"
    )
    warmup: int = opt(
        2,
        "number of warm-up requests, which are not counted",
        toml="defaults.warmup_runs",
        bounds={"ge": 0},
    )
    threshold: tuple[str, ...] = opt(
        (),
        "a gate, such as 'ttft_ms.p95<500'; repeatable",
        toml="thresholds.*",
        example='ttft_ms.p95 = "<500"',
    )
    gate_mode: str = opt(
        "point",
        "what a gate compares with its bound: the value (point) or its 95 % interval (certain)",
        choices=words("point", "certain"),
    )
    resume: str | None = opt(
        None, "continue a run that stopped: its run id, or last", record=False, example="last"
    )


class Prompted(Run):
    """The settings of runs that send prompts."""

    prompts: tuple[str, ...] = opt(
        ("default",),
        "prompt set: a built-in name, or a JSON, JSONL, CSV or text file; repeatable",
        bounds={"min_length": 1},
    )


class Showing(Settings):
    """The settings of runs that send images, audio or video."""

    image_size: int | None = opt(
        None,
        "longest side of a sent image; larger ones are scaled down (default: no; 512 for videos)",
        unit="pixels",
        bounds={"ge": 16, "le": 65_536},
        example=1024,
    )
    video_rate: float = opt(
        1.0, "frames of each second of a video", unit="frames/s", bounds={"gt": 0, "le": 240}
    )
    video_frames: int = opt(
        16, "maximum number of frames of a video, spread evenly", bounds={"ge": 1, "le": 10_000}
    )
    video_as: str = opt(
        "frames", "what is sent of a video: frames or the file", choices=words("frames", "file")
    )
    video_sound: str = opt(
        "auto",
        "what is sent of its sound: auto (sound if the model hears), sound, transcript or none",
        choices=words("auto", "sound", "transcript", "none"),
    )
    mmproj: str | None = opt(
        None,
        "GGUF file of the projector with which the embedded model reads images or audio",
        path=True,
        example="mmproj.gguf",
    )


class Searching(Connection):
    """Whether to search for evidence before a question is asked, and where.

    API keys come only from the environment: BRAVE_API_KEY, TAVILY_API_KEY, OLLAMA_API_KEY. The
    connection is for a local Ollama server, which offers web search to users who signed in.
    """

    web_search: bool = opt(
        False,
        "search for evidence for each question that allows it, and add it to the question",
        on="with-",
    )
    search: str = opt(
        "auto",
        "search service: auto (the first one that is available), corpus, searxng (SEARXNG_URL), "
        "ollama, brave, tavily or ddgs",
        choices=_searches,
    )
    corpus: str | None = opt(
        None,
        "directory of text, Markdown, HTML and PDF files to search instead of the web",
        path=True,
        example="documents",
    )
    search_results: int = opt(5, "maximum number of sources for each question", bounds={"ge": 1})
    search_replay: str | None = opt(
        None,
        "use the recorded searches of a result file or a JSONL file instead of searching",
        path=True,
        example="searches.jsonl",
    )


class Judging(Settings):
    """The judges, and limits of their calls and costs."""

    judge: tuple[str, ...] = opt(
        (),
        "judge of the answers: PROVIDER[:MODEL][@URL], where PROVIDER is claude, openai, ollama or "
        "embedded; repeatable: several judges vote",
        toml="defaults.judge_provider",
        keys="*_API_KEY",
    )
    judge_model: tuple[str, ...] = opt(
        (),
        "default model of a judge provider, such as claude=claude-opus-5-5; repeatable",
        toml="judge.models.*",
        join="=",
        example='claude = "claude-opus-5-5"',
    )
    judge_price: tuple[str, ...] = opt(
        (),
        "price in USD per million tokens, such as claude-sonnet-5-5.input=3, for input, "
        "cache_read, cache_write, output and audio; repeatable",
        toml="judge.prices.*",
        join="=",
        example='"claude-sonnet-5-5".input = 3.0',
    )
    criterion: tuple[str, ...] = opt(
        (),
        "a criterion of your own for every answer, such as 'politeness=it stays polite' or "
        "'polite=yes/no: does it stay polite?'; repeatable",
        toml="criteria.*",
        join="=",
        example='politeness = "it stays polite, also where it declines"',
    )
    judge_concurrency: int = opt(
        4, "number of simultaneous calls to each judge", bounds={"ge": 1, "le": 10_000}
    )
    judge_repeats: int = opt(
        1, "number of judgments of each answer by each judge", bounds={"ge": 1, "le": 10_000}
    )
    judge_timeout: float = opt(300.0, "time limit of a call to a judge", unit="s", bounds={"gt": 0})
    judge_retries: int = opt(
        4, "number of times that a failed call to a judge is repeated", bounds={"ge": 0}
    )
    max_judge_cost: float | None = opt(
        None,
        "maximum cost of judging in USD, including resumed runs; needs --judge-price",
        resume=True,
        bounds={"ge": 0},
        example=1.5,
    )
    max_judge_calls: int | None = opt(
        None,
        "maximum number of calls to judges; --resume RUN with a higher limit judges only what is "
        "missing",
        resume=True,
        bounds={"ge": 0},
        example=100,
    )
    max_unscored: float = opt(
        0.1,
        "maximum share of missing scores, of judges or of scorers",
        bounds={"ge": 0, "le": 1},
    )
    allow_self_judge: bool = opt(False, "let a model judge its own answers")
    dry_run: bool = opt(
        False, "print the number of calls and the cost of judging, and stop", record=False
    )


class Audio(Settings):
    """The audio devices, and how they are opened."""

    input_device: str = opt(
        "default",
        "device that records: default, or its name or a part of it, as llamaburn audio list says",
        scope="audio",
        toml="audio.input_device",
        bounds={"min_length": 1},
    )
    output_device: str = opt(
        "default",
        "device that plays: default, or its name or a part of it",
        scope="audio",
        toml="audio.output_device",
        bounds={"min_length": 1},
    )
    sample_rate: int = opt(
        44100,
        "samples per second of a device",
        unit="Hz",
        scope="audio",
        toml="audio.sample_rate",
        bounds={"ge": 4000, "le": 384_000},
    )
    channels: int = opt(
        1,
        "channels to record and play; speech recognition uses one",
        scope="audio",
        toml="audio.channels",
        bounds={"ge": 1, "le": 32},
    )
    buffer_size: int = opt(
        1024,
        "samples of each channel in a block",
        scope="audio",
        toml="audio.buffer_size",
        bounds={"ge": 16, "le": 65_536},
    )


class Layout(Settings):
    """How tables are laid out. No result file contains these settings."""

    wide: bool = opt(
        False,
        "show all columns of tables, even if the terminal has fewer",
        record=False,
    )


class Display(Layout):
    """How progress and results are shown. No result file contains these settings."""

    output: tuple[str, ...] = opt(
        (),
        "format of the output: table, json, jsonl, csv, markdown, html or benchstat; or a file "
        "whose suffix names one; repeatable",
        short="-o",
        record=False,
        path=True,
    )
    progress: str = opt(
        "auto",
        "display of the progress: auto, live, plain, json or none",
        choices=words("auto", "live", "plain", "json", "none"),
        record=False,
    )


def classes(kinds: Iterable[str]) -> set[type]:
    """Return the settings classes of these kinds, and those that belong to no kind."""
    for kind in kinds:
        if registry.has(f"kinds.{kind}", "settings"):
            registry.load(f"kinds.{kind}", "settings")
    return _heirs(Settings)


def _heirs(base: type) -> set[type]:
    children: list[type] = base.__subclasses__()
    return {base}.union(*map(_heirs, children))
