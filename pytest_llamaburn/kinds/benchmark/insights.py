"""The insights of benchmarks: each is a sentence with an advice, and its evidence.

A rule is a function over the content of a result file. It returns a sentence and its evidence, or
None if the evidence is missing.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from pytest_llamaburn import flags
from pytest_llamaburn.insights import adding_to, evidenced, other_load
from pytest_llamaburn.stats import samples as stats
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.insights import Finding, Insight, Rule

CLOCK_TOLERANCE = 0.05
PROMPT_SHARE = 0.7  # share of the prompt processing in total_generation_ms
SLOW_FIRST = 2.0
WIDE_CV = 0.05
OUTLIER_IQRS = 3.0
HOT_C = 80.0
THROTTLED = 0.9  # clock or power when hot / when cool
AT_CAP = 0.97
FULL_VRAM = 0.95
IDLE_GPU, BUSY_CPU = 20.0, 100.0  # in percent; for the processors, of one core
IDLE_SHARE = 0.3
_FEW = 5

FLAG_TEXTS = {
    "truncated_prompt": "the server cut the prompt to fit its context: raise --num-ctx",
    "cache_hit": "part of the prompt came from the cache, so TTFT is too low: use --cache bust",
    "reloaded": "the model was loaded again although it was warm: keep num_ctx and other options "
    "the same for all clients, and raise --keep-alive",
    "cpu_spill": "{cpu_share} of the model runs on the CPU: use a smaller quantization or context",
    "coalesced": "several tokens came at once: use inter_token_latency_ms, not chunk_gap_ms",
    "early_stop": "the model ended before the limit of {max_tokens} tokens: compare TTFT and "
    "inter-token latency rather than totals",
    "implausible_counts": "the server sent counts or durations that are not numbers or cannot be "
    "true, so they are left out: update the server, or report it to its makers",
    "not_streamed": "the server sent the whole answer at once, so the time to the first token is "
    "not known: use a server or a proxy that streams",
    "repetition_guard": "the server ended an answer that repeated itself: raise --temperature or "
    "change the prompt",
}

RULES: list[Rule] = []
_rule = adding_to(RULES)


def find(document: Document) -> list[Insight]:
    """Return the insights into a benchmark's result file."""
    runs = document["results"]["runs"]
    names = dict.fromkeys(flag for run in runs for flag in run["flags"])
    return [*evidenced(RULES, document), *(_flagged(document, name) for name in names)]


def _flagged(document: Document, name: str) -> Insight:
    runs = document["results"]["runs"]
    count = sum(name in run["flags"] for run in runs)
    share = flags.cpu_share(document["config"], document["telemetry"])
    values = {**document["config"], "cpu_share": "part" if share is None else f"{share:.0%}"}
    evidence = {"cpu_share": share} if name == "cpu_spill" else {}
    return {
        "id": name,
        "text": f"{name} on {count} of {counted(len(runs), 'request')}: "
        f"{FLAG_TEXTS[name].format(**values)}.",
        "evidence": {"requests": count, "of": len(runs), **evidence},
    }


@_rule
def prompt_dominates(document: Document) -> Finding | None:
    """Compare the prompt's processing time with the total time; larger times are not counted."""
    names = ("prompt_eval_ms", "time_to_first_token_ms", "total_generation_ms")
    times = [[run[name] for name in names] for run in _good(document)]
    known = [spans for spans in times if all(spans) and spans[0] <= spans[2]]
    shares = [prompt / total for prompt, _, total in known]
    if not shares or median(shares) < PROMPT_SHARE:
        return None
    share = median(shares)
    of_first = median(min(1.0, prompt / first) for prompt, first, _ in known)
    text = (
        f"Processing the prompt is {of_first:.0%} of the time to the first token and {share:.0%} "
        "of the total time. Shorten the prompts, put the repeated text first so that it is cached, "
        "or raise the server's batch size."
    )
    evidence = {"median_share": share, "of_first_token": of_first, "requests": len(shares)}
    return text, evidence


@_rule
def first_run_slow(document: Document) -> Finding | None:
    """Compare the generation speed of the first warm request with that of the others."""
    runs = [r for r in _good(document) if r["start"] == "warm" and r["inter_token_latency_ms"]]
    if len(runs) < _FEW:
        return None
    first, *others = (run["inter_token_latency_ms"] for run in runs)
    if first < SLOW_FIRST * max(others):
        return None
    text = (
        f"The first request generated {first / median(others):.1f} times slower than the others. "
        "Raise --warmup."
    )
    return text, {"first_ms": first, "others_median_ms": median(others)}


@_rule
def spread_wide(document: Document) -> Finding | None:
    """Compare the interval of the mean speed with ± 5 %."""
    speed = document["results"]["summary"]["tokens_per_sec"]
    if speed["n"] < _FEW or not speed["cv"]:
        return None
    half = stats.t_quantile(speed["n"] - 1) * speed["cv"] / speed["n"] ** 0.5
    if half <= WIDE_CV:
        return None
    needed = stats.needed(speed["cv"], WIDE_CV)
    more = "--numbers" if document["config"]["mode"] == "correctness" else "--iterations"
    text = (
        f"tokens_per_sec is known only to ± {half:.0%} (CV {speed['cv']:.0%}, n {speed['n']}). "
        f"About {needed} requests would give ± {WIDE_CV:.0%}: use {more} {needed}."
    )
    return text, {"cv": speed["cv"], "n": speed["n"], "half_width": half, "needed": needed}


@_rule
def outliers(document: Document) -> Finding | None:
    """Find requests whose inter-token latency is far outside the interquartile range."""
    values = [r["inter_token_latency_ms"] for r in _good(document) if r["inter_token_latency_ms"]]
    if len(values) < 2 * _FEW:
        return None
    far = stats.outliers(values, OUTLIER_IQRS)
    if not far:
        return None
    text = (
        f"{len(far)} of {counted(len(values), 'request')} generated far slower or faster than "
        f"the rest (up to {max(far):.3g} ms per token, median {median(values):.3g}). Look "
        "for other programs that ran, and use p50 instead of the mean."
    )
    return text, {"values_ms": far, "median_ms": median(values)}


RULES.append(other_load)


@_rule
def context_differs(document: Document) -> Finding | None:
    """Compare the requested context length with that of the loaded model."""
    asked = document["config"]["sent"].get("options", {}).get("num_ctx")
    loaded = {
        m["context_length"]
        for m in document["telemetry"].get("loaded_after") or ()
        if m["name"] == document["model"]["id"] and m["context_length"]
    }
    if asked is None or not loaded or loaded == {asked}:
        return None
    text = (
        f"num_ctx {asked} was requested, but the server loaded the model with "
        f"{', '.join(map(str, sorted(loaded)))}. Set --num-ctx to the value that the server uses."
    )
    return text, {"asked": asked, "loaded": sorted(loaded)}


@_rule
def clocks_disagree(document: Document) -> Finding | None:
    """Compare the client's generation speed with the server's own, request by request."""
    ratios = [
        run["tokens_per_sec"] / run["server_tokens_per_sec"]
        for run in _good(document)
        if run["tokens_per_sec"] and run["server_tokens_per_sec"]
    ]
    if not ratios or abs(median(ratios) - 1) <= CLOCK_TOLERANCE:
        return None
    percent = 100 * (median(ratios) - 1)
    text = (
        f"The client measured {abs(percent):.0f} % {'more' if percent > 0 else 'fewer'} tokens per "
        "second than the server reported. Look for a proxy between the two, or a busy client "
        "machine."
    )
    return text, {"median_ratio": median(ratios), "requests": len(ratios)}


@_rule
def thermal_throttling(document: Document) -> Finding | None:
    """Compare the clock or the power of a busy GPU while it is hot and while it is not."""
    for gpu in _gpus(document):
        for name in ("clock_mhz", "power_w"):
            hot, cool = (
                [s[name] for s in gpu if s[name] is not None and _is_hot(s) is is_hot]
                for is_hot in (True, False)
            )
            if min(len(hot), len(cool)) < _FEW or median(hot) >= THROTTLED * median(cool):
                continue
            words = {"clock_mhz": "clock", "power_w": "power"}[name]
            text = (
                f"GPU {gpu[0]['id']} throttled: its {words} fell from {median(cool):.4g} to "
                f"{median(hot):.4g} above {HOT_C:.0f} °C. Improve its cooling, or "
                "lower its power limit, and measure again."
            )
            return text, {"field": name, "cool": median(cool), "hot": median(hot)}
    return None


@_rule
def power_cap(document: Document) -> Finding | None:
    """Compare the power of a busy GPU with its limit."""
    for gpu in _gpus(document):
        shares = [
            s["power_w"] / s["power_limit_w"] for s in gpu if s["power_w"] and s["power_limit_w"]
        ]
        if len(shares) >= _FEW and median(shares) >= AT_CAP:
            text = (
                f"GPU {gpu[0]['id']} ran at {median(shares):.0%} of its power limit, which limits "
                "the speed. Raise the limit if cooling and power supply allow."
            )
            return text, {"median_share": median(shares), "samples": len(shares)}
    return None


@_rule
def vram_nearly_full(document: Document) -> Finding | None:
    """Compare the used memory of a GPU with its total memory."""
    samples = [gpu for sample in document["system_profile"] for gpu in sample["gpus"]]
    shares = {
        s["id"]: s["vram_used_mb"] / s["vram_total_mb"]
        for s in sorted(samples, key=lambda s: s["vram_used_mb"] or 0)
        if s["vram_used_mb"] and s["vram_total_mb"]
    }
    full = {name: share for name, share in shares.items() if share >= FULL_VRAM}
    if not full:
        return None
    name, share = max(full.items(), key=lambda item: item[1])
    text = (
        f"GPU {name} used {share:.0%} of its memory. A longer context or a second request may not "
        "fit: use a smaller quantization or --num-ctx."
    )
    return text, {"gpu": name, "share": share}


@_rule
def gpu_idle_cpu_busy(document: Document) -> Finding | None:
    """Compare the load of GPU and processors while tokens were generated."""
    samples = [s for s in document["system_profile"] if s["phase"] == "generate"]
    pairs = []
    for sample in samples:
        loads = [gpu["util_pct"] for gpu in sample["gpus"] if gpu["util_pct"] is not None]
        if loads and sample["server_cpu_pct"] is not None:
            pairs.append((max(loads), sample["server_cpu_pct"]))
    if len(pairs) < _FEW:
        return None
    gpu, cpu = (median(column) for column in zip(*pairs, strict=True))
    if gpu >= IDLE_GPU or cpu < BUSY_CPU:
        return None
    text = (
        f"While tokens were generated, the GPU was {gpu:.0f} % busy and the server used "
        f"{cpu / 100:.1f} processor cores. Layers are not offloaded: let the server use the GPU "
        "(num_gpu, a build with GPU support)."
    )
    return text, {"gpu_util_pct": gpu, "server_cpu_pct": cpu, "samples": len(pairs)}


@_rule
def idle_energy(document: Document) -> Finding | None:
    """Compare the energy of the run with that of an idle machine over the same time."""
    totals = document["results"]["totals"]
    gross, above = totals.get("energy_wh"), totals.get("energy_above_idle_wh")
    if not gross or above is None or 1 - above / gross < IDLE_SHARE:
        return None
    share = min(1.0, 1 - above / gross)
    text = (
        f"Idle power is {share:.0%} of the energy. Serve more requests at once to share it, or "
        "unload the model when it is not used."
    )
    return text, {"share": share, "energy_wh": gross}


@_rule
def device_not_counted(document: Document) -> Finding | None:
    """Name the GPUs whose energy is missing because they could not be read."""
    left_out = document["telemetry"].get("not_counted", ())
    blind = [o["device"] for o in left_out if o["reason"] in ("no_power_sensor", "low_coverage")]
    if not blind or not document["telemetry"]["counted"]:
        return None
    text = (
        f"The energy is only that of {', '.join(document['telemetry']['counted'])}: "
        f"{', '.join(blind)} could not be read all the time. If the server does not use them, "
        "select the used devices with --gpu."
    )
    return text, {"not_counted": blind}


@_rule
def one_slot(document: Document) -> Finding | None:
    """Read how many requests the server can serve at once."""
    if document["telemetry"].get("slots") != 1 or document["server"]["kind"] == "embedded":
        return None
    text = (
        "The server has one slot, so concurrent requests wait for each other. Start it with more "
        "slots (llama.cpp: --parallel) if several clients will use it."
    )
    return text, {"slots": 1}


def _gpus(document: Document) -> list[list[Document]]:
    """Return the samples of each GPU taken while requests were in flight."""
    samples: dict[str, list[Document]] = {}
    for sample in document["system_profile"]:
        for gpu in sample["gpus"] if sample["active"] else ():
            samples.setdefault(gpu["id"], []).append(gpu)
    return list(samples.values())


def _is_hot(sample: Document) -> bool | None:
    return None if sample["temp_c"] is None else sample["temp_c"] >= HOT_C


def _good(document: Document) -> list[Document]:
    return [run for run in document["results"]["runs"] if run["error"] is None]
