"""Settings and their spellings: precedence, provenance, and the way back to flags."""

from __future__ import annotations

import argparse
import json
import math
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.benchmark_documents import benchmark_settings
from support.refusals import refusal

from pytest_llamaburn import options
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds.benchmark.settings import Benchmark
from pytest_llamaburn.kinds.eval.settings import Eval
from pytest_llamaburn.kinds.stress.settings import Stress
from pytest_llamaburn.option import Option, model_of, opt, options_of
from pytest_llamaburn.settings import Connection, Display, Run, Searching, Storage

PREFIXES = ["", "llamaburn-"]
NOWHERE = Path("/nonexistent")
SPECIFIED_TOML = """\
[defaults]
judge_provider = "claude"
benchmark_iterations = 5
warmup_runs = 2
stress_duration_sec = 60
temperature = 0.0

[ollama]
host = "http://localhost:11434"

[cost]
kwh_rate = 0.12
"""
OPTIONS = {o.name: o for o in options_of(Benchmark)}


@cache
def parser(kind: type, prefix: str = "") -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    options.declare(made.add_argument, kind, prefix=prefix)
    return made


def parsed(argv: list[str], kind: type = Benchmark, prefix: str = "") -> dict[str, Any]:
    return options.given(parser(kind, prefix).parse_args(argv), kind, prefix)


def resolved(
    *argv: str, environ: dict[str, str] | None = None, directory: Path = NOWHERE
) -> tuple[Benchmark, dict[str, str]]:
    return options.resolve(Benchmark, parsed(list(argv)), environ or {}, directory)


def option_refusal(*argv: str, kind: type = Benchmark, **sources: Any) -> str:
    environ, directory = sources.get("environ", {}), sources.get("directory", NOWHERE)
    given = parsed(list(argv), kind)
    return refusal(SettingsError, options.resolve, kind, given, environ, directory)


def configure(directory: Path, text: str) -> Path:
    path = directory / "llamaburn.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the user's own configuration file is looked for."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "llamaburn"


def test_a_listed_flag_that_is_repeated_adds_to_its_list(tmp_path: Path) -> None:
    settings, _ = resolved("--host=a:1", "--host=b:2,c:3")
    assert settings.host == "a:1,b:2,c:3"
    configure(tmp_path, '[ollama]\nhost = ["a:1", "b:2"]\n')
    assert resolved(directory=tmp_path)[0].host == "a:1,b:2"


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
awkward = st.sampled_from(["-x", "--model", "a=b", "=", "two words", " ", "gr\u00fcn \U0001f7e2"])
texts = awkward | words


def valid(option: Option) -> st.SearchStrategy[Any]:
    """Return any value that an option may have, by what its declaration says."""
    kind, _, optional = option.annotation.partition(" | ")
    bounds: Any = option.bounds
    if option.choices:
        values: st.SearchStrategy[Any] = st.sampled_from(option.choices())
    elif kind == "float":
        least, most = bounds.get("gt", bounds.get("ge")), bounds.get("lt", bounds.get("le"))
        values = st.floats(
            least,
            most,
            exclude_min="gt" in bounds,
            exclude_max="lt" in bounds,
            allow_infinity=False,
            allow_nan=False,
        )
    elif kind == "int":
        values = st.integers(bounds["ge"], bounds.get("le", 10**30))
    elif kind == "tuple[str, ...]":
        values = st.lists(texts, min_size=bounds.get("min_length", 0), max_size=4).map(tuple)
    else:
        least = bounds.get("min_length", 0)
        fitting = texts.filter(lambda text: len(text) >= least) if least else texts
        values = {"bool": st.booleans(), "str": fitting}[kind]
    return st.none() | values if optional else values


def otherwise(option: Option) -> Any:
    """Return a valid value, as files have it, that hardly any test would choose."""
    if option.choices:
        return option.choices()[-1]
    kind = option.annotation.partition(" | ")[0]
    number = int(min(987, option.bounds.get("le", 987)))
    values = {"float": 0.9875, "int": number, "bool": True, "str": "otherwise"}
    return ["otherwise"] if option.repeats else values[kind]


OTHERWISE = {name: otherwise(option) for name, option in OPTIONS.items()}


@cache
def made(kind: type) -> st.SearchStrategy[Any]:
    """Return any valid settings of a kind."""
    values = {option.name: valid(option) for option in options_of(kind)}
    return st.fixed_dictionaries(values).map(lambda found: model_of(kind)(**found))


benchmarks = made(Benchmark)
KINDS = (Benchmark, Stress, Eval)


def round_trip(kind: type, prefix: str, values: Any) -> None:
    argv = options.to_argv(values, kind, prefix)
    again: Any
    again, origins = options.resolve(kind, parsed(argv, kind, prefix), {}, NOWHERE)
    assert again == values
    assert set(origins.values()) <= {f"--{o.flag}" for o in options_of(kind)}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_settings_turned_into_flags_and_read_again_are_the_same(
    kind: type, prefix: str, data: st.DataObject
) -> None:
    round_trip(kind, prefix, data.draw(made(kind)))


@pytest.mark.parametrize("prefix", PREFIXES)
def test_values_that_look_like_flags_come_back_as_they_were(prefix: str) -> None:
    odd = benchmark_settings(model=("-x", "a=b", "two words", ""), host="--host", prompts=("-",))
    round_trip(Benchmark, prefix, odd)


@pytest.mark.parametrize("prefix", PREFIXES)
@given(values=benchmarks)
def test_no_environment_or_file_changes_what_flags_say(
    tmp_path_factory: pytest.TempPathFactory, prefix: str, values: Benchmark
) -> None:
    directory = tmp_path_factory.getbasetemp()
    configure(directory, toml_of(OTHERWISE))
    environ = {OPTIONS[name].variables[0]: text_of(v) for name, v in OTHERWISE.items()}
    flags = parsed(options.to_argv(values, Benchmark, prefix), Benchmark, prefix)
    for variables, place in ((environ, NOWHERE), ({}, directory), (environ, directory)):
        again, _ = options.resolve(Benchmark, flags, variables, place)
        for name in flags:
            assert getattr(again, name) == getattr(values, name)
        for name in OTHERWISE.keys() - flags.keys():
            assert getattr(values, name) in (None, ())  # nothing to spell: weaker sources speak
            assert getattr(again, name) not in (None, ())


def toml_of(values: dict[str, Any]) -> str:
    lines = []
    for name, value in values.items():
        key = OPTIONS[name].toml_key
        if key.endswith(".*"):
            key, value = key.replace("*", "any"), f"<{value[0]}"  # noqa: PLW2901 - one key of a table
        lines.append(f"{key} = {json.dumps(value)}\n")
    return "".join(lines)


def text_of(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


def test_without_any_source_defaults_hold_and_have_no_origin() -> None:
    values, origins = resolved()
    assert values == benchmark_settings()
    assert origins == {}


def test_each_source_outweighs_the_one_before(tmp_path: Path, user_file: Path) -> None:
    name, flag = "iterations", "--iterations"
    variable = "LLAMABURN_ITERATIONS"
    key = "defaults.benchmark_iterations"
    here = tmp_path / "here"

    def now(*argv: str, environ: dict[str, str] | None = None) -> tuple[int, str | None]:
        values, origins = resolved(*argv, environ=environ, directory=here)
        return values.iterations, origins.get(name)

    assert now() == (5, None)
    mine = configure(user_file, "[defaults]\nbenchmark_iterations = 11\n")
    assert now() == (11, f"{mine}: {key}")
    local = configure(here, "[defaults]\nbenchmark_iterations = 12\n")
    assert now() == (12, f"{local}: {key}")
    assert now(environ={variable: "13"}) == (13, variable)
    assert now(flag, "14", environ={variable: "13"}) == (14, flag)


def test_sources_are_merged_setting_by_setting(tmp_path: Path, user_file: Path) -> None:
    mine = configure(user_file, "defaults = { seed = 1, max_tokens = 2 }\n")
    local = configure(tmp_path, "[defaults]\nmax_tokens = 3\n")
    values, origins = resolved("--warmup=0", environ={"LLAMABURN_TOP_K": "4"}, directory=tmp_path)
    assert (values.seed, values.max_tokens, values.top_k, values.warmup) == (1, 3, 4, 0)
    assert origins == {
        "seed": f"{mine}: defaults.seed",
        "max_tokens": f"{local}: defaults.max_tokens",
        "top_k": "LLAMABURN_TOP_K",
        "warmup": "--warmup",
    }


def test_the_current_directory_and_environment_are_the_usual_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = configure(tmp_path, "[defaults]\nseed = 3\n")
    monkeypatch.setenv("LLAMABURN_WARMUP", "9")
    values, origins = options.resolve(Benchmark, {})
    assert (values.seed, values.warmup) == (3, 9)
    assert origins == {"seed": f"{path}: defaults.seed", "warmup": "LLAMABURN_WARMUP"}


def test_the_specified_configuration_file_is_read_as_written(tmp_path: Path) -> None:
    path = configure(tmp_path, SPECIFIED_TOML)
    values, origins = resolved(directory=tmp_path)
    assert (values.iterations, values.warmup, values.temperature) == (5, 2, 0.0)
    assert (values.host, values.kwh_rate) == ("http://localhost:11434", 0.12)
    assert origins == {
        "iterations": f"{path}: defaults.benchmark_iterations",
        "warmup": f"{path}: defaults.warmup_runs",
        "temperature": f"{path}: defaults.temperature",
        "host": f"{path}: ollama.host",
        "kwh_rate": f"{path}: cost.kwh_rate",
    }


def test_a_key_of_another_kind_of_settings_is_no_mistake(tmp_path: Path) -> None:
    configure(
        tmp_path, '[defaults]\nprogress = "plain"\nmax_tokens = 9\n[audio]\nsample_rate = 48000\n'
    )
    found, origins = options.resolve(Storage, {}, {}, tmp_path)
    assert found.results_dir == "results"
    assert origins == {}


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("[ollama]\nhots = 'x'", "ollama.hots", "did you mean 'ollama.host'?"),
        ("[defaults]\nwarmup = 2", "defaults.warmup", "did you mean 'defaults.warmup_runs'?"),
        ("defaults = 5", "defaults", "did you mean 'defaults."),
        ("zzz = 1", "zzz", "known keys: audio.buffer_size, audio."),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_one(
    tmp_path: Path, text: str, key: str, hint: str
) -> None:
    path = configure(tmp_path, text)
    assert option_refusal(directory=tmp_path).startswith(f"{path}: unknown key '{key}': {hint}")


def test_each_key_of_the_thresholds_is_a_gate(tmp_path: Path) -> None:
    text = '[thresholds]\n"ttft_ms.p95" = "<500ms"\ntokens_per_sec.p50 = ">= 20"\n'
    path = configure(tmp_path, text)
    values, origins = resolved(directory=tmp_path)
    assert values.threshold == ("ttft_ms.p95<500ms", "tokens_per_sec.p50>= 20")
    assert origins["threshold"] == f"{path}: thresholds"
    assert resolved("--threshold=ttft_ms<1", directory=tmp_path)[0].threshold == ("ttft_ms<1",)


@pytest.mark.parametrize("content", [b"[defaults\n", b"seed = ", b"\xff", b"a = 1\na = 2\n"])
def test_a_broken_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "llamaburn.toml"
    path.write_bytes(content)
    assert option_refusal(directory=tmp_path).startswith(f"{path}: not readable as TOML: ")


@pytest.mark.parametrize(
    ("environ", "expected", "origin"),
    [
        ({"OLLAMA_HOST": "a:1"}, "a:1", "OLLAMA_HOST"),
        ({"LLAMABURN_HOST": "b:1"}, "b:1", "LLAMABURN_HOST"),
        ({"OLLAMA_HOST": "a:1", "LLAMABURN_HOST": "b:1"}, "b:1", "LLAMABURN_HOST"),
        ({"OLLAMA_HOST": "a:1", "LLAMABURN_HOST": ""}, "a:1", "OLLAMA_HOST"),
        ({"OLLAMA_HOST": ""}, None, None),
    ],
)
def test_our_variable_outweighs_ollama_s(
    environ: dict[str, str], expected: str | None, origin: str | None
) -> None:
    values, origins = resolved(environ=environ)
    assert (values.host, origins.get("host")) == (expected, origin)


def test_a_host_flag_outweighs_both_variables_and_the_file(tmp_path: Path) -> None:
    configure(tmp_path, "[ollama]\nhost = 'file:1'\n")
    environ = {"OLLAMA_HOST": "a:1", "LLAMABURN_HOST": "b:1"}
    values, origins = resolved("--host=c:1", environ=environ, directory=tmp_path)
    assert (values.host, origins["host"]) == ("c:1", "--host")
    values, origins = resolved(environ=environ, directory=tmp_path)
    assert (values.host, origins["host"]) == ("b:1", "LLAMABURN_HOST")


def test_a_variable_lists_several_values_with_commas() -> None:
    values, _ = resolved(environ={"LLAMABURN_MODEL": "a:1,b", "LLAMABURN_PROMPTS": "coding"})
    assert (values.model, values.prompts) == (("a:1", "b"), ("coding",))


def test_a_list_replaces_a_weaker_list() -> None:
    values, _ = resolved("-m", "c", "-m", "d", environ={"LLAMABURN_MODEL": "a,b"})
    assert values.model == ("c", "d")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("1h", 3600), ("250ms", 0.25), ("7", 7)]
)
def test_durations_have_units_in_every_source(tmp_path: Path, text: str, seconds: float) -> None:
    configure(tmp_path, f"[defaults]\ntimeout_idle = '{text}'\n")
    found = [
        resolved(f"--timeout-idle={text}"),
        resolved(environ={"LLAMABURN_TIMEOUT_IDLE": text}),
        resolved(directory=tmp_path),
    ]
    assert [values.timeout_idle for values, _ in found] == [seconds] * 3


def test_a_flag_that_may_stand_alone_has_its_bare_value() -> None:
    assert resolved("--think")[0].think == "on"
    assert resolved("--think=high")[0].think == "high"
    assert resolved()[0].think is None


def test_a_switch_can_be_turned_off_again() -> None:
    environ = {"LLAMABURN_ALLOW_PARALLEL": "true"}
    assert resolved(environ=environ)[0].allow_parallel
    assert not resolved("--no-allow-parallel", environ=environ)[0].allow_parallel


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_switch_may_have_a_word_before_it_that_turns_it_on(prefix: str) -> None:
    on, off = f"--{prefix}with-web-search", f"--no-{prefix}web-search"
    assert parsed([on], Searching, prefix) == {"web_search": True}
    assert parsed([off], Searching, prefix) == {"web_search": False}
    assert parsed([on, off], Searching, prefix) == {"web_search": False}
    assert parsed([], Searching, prefix) == {}
    for value, word in ((True, on), (False, off)):
        values: Any = model_of(Searching)(web_search=value)
        argv = options.to_argv(values, Searching, prefix)
        assert word in argv
        flags = parsed(argv, Searching, prefix)
        assert options.resolve(Searching, flags, {}, NOWHERE)[0] == values
    assert options.flag_name(Searching, "web_search") == "--with-web-search"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("iterations", "0", "input should be greater than or equal to 1"),
        ("iterations", "1000000000", "input should be less than or equal to 100000"),
        ("numbers", "999999999", "input should be less than or equal to 100000"),
        ("iterations", "1.5", "input should be a valid integer"),
        ("iterations", "many", "input should be a valid integer"),
        ("warmup", "-1", "input should be greater than or equal to 0"),
        ("temperature", "5.1", "input should be less than or equal to 5"),
        ("temperature", "nan", "input should be a finite number"),
        ("top_p", "0", "input should be greater than 0"),
        ("num_ctx", "63", "input should be greater than or equal to 64"),
        ("timeout_total", "soon", "input should be a valid number"),
        ("timeout_total", "-5s", "input should be greater than 0"),
        ("start", "hot", "must be one of warm, cold, both"),
        ("think", "hard", "must be one of on, off, low, medium, high, max"),
        ("backend", "vllm", "must be one of auto, embedded, ollama, openai"),
    ],
)
def test_a_refused_value_is_told_in_a_sentence_that_begins_with_its_origin(
    tmp_path: Path, name: str, text: str, reason: str
) -> None:
    option = next(o for o in options_of(Benchmark) if o.name == name)
    shown = -5.0 if text == "-5s" else text
    told = f": {shown!r} is refused: {reason}"
    flag, variable = f"--{option.spelling}", option.variables[0]
    assert option_refusal(f"{flag}={text}").startswith(flag + told)
    assert option_refusal(environ={variable: text}).startswith(variable + told)
    path = configure(tmp_path, f"{option.toml_key} = {text!r}\n")
    assert option_refusal(directory=tmp_path).startswith(f"{path}: {option.toml_key}{told}")


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        ("--max-tokens: '0' is refused", "LLAMABURN_MAX_TOKENS: '0' is refused"),
        ("--seed: 'x' is refused", "--seed: 'x' is refused"),
        ("--max-tokens and --osl exclude each other", "--max-tokens and --osl exclude each other"),
        ("max-tokens: no flag", "max-tokens: no flag"),
    ],
)
def test_a_refusal_of_a_flag_names_what_set_its_value(refusal: str, told: str) -> None:
    origins = {"max_tokens": "LLAMABURN_MAX_TOKENS"}
    assert options.blamed(refusal, origins) == told
    with pytest.raises(SettingsError, match=re.escape(told)), options.blaming(origins):
        raise SettingsError(refusal)


def test_a_refused_member_of_a_list_is_told_by_the_list_s_origin(tmp_path: Path) -> None:
    path = configure(tmp_path, "[defaults]\nmodel = ['a', 7]\n")
    message = option_refusal(directory=tmp_path)
    assert message == f"{path}: defaults.model: 7 is refused: input should be a valid string"


def test_an_empty_list_of_prompt_sets_is_refused(tmp_path: Path) -> None:
    path = configure(tmp_path, "[defaults]\nprompts = []\n")
    assert option_refusal(directory=tmp_path).startswith(f"{path}: defaults.prompts: ")


def test_the_record_leaves_out_what_is_no_part_of_a_result() -> None:
    values = benchmark_settings(model=("a",), results_dir="/elsewhere", top_p=0.5)
    found = options.record(values, Benchmark)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["model"], found["top_p"], found["seed"]) == (["a"], 0.5, 0)
    assert "results_dir" not in found
    assert options.record(model_of(Display)(), Display) == {}


def test_short_flags_are_ours_on_the_command_line_only() -> None:
    assert parsed(["-m", "a"]) == {"model": ["a"]}
    _, left = parser(Benchmark, "llamaburn-").parse_known_args(["-m", "a"])
    assert left == ["-m", "a"]


def test_a_name_that_kinds_of_run_share_has_its_scope_in_pytest() -> None:
    words = [options.to_argv(benchmark_settings(), Benchmark, prefix) for prefix in PREFIXES]
    assert "--mode=standard" in words[0]
    assert "--llamaburn-benchmark-mode=standard" in words[1]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("kind", [Benchmark, Connection, Display, Run, Searching, Storage])
def test_help_can_be_shown_and_names_every_default(kind: type, prefix: str) -> None:
    shown = " ".join(parser(kind, prefix).format_help().split())
    for o in options_of(kind):
        assert f"--{prefix}{o.flag}" in shown
    if kind is Benchmark:
        assert "(default: 300.0 s)" in shown
        assert "repeatable (default: default)" in shown


def test_percent_signs_in_help_are_literal() -> None:
    class Loud:
        share: float = opt(0.5, "share in %s")

    assert "share in %s (default: 0.5)" in parser(Loud).format_help()


def test_a_flag_s_name_is_its_long_spelling() -> None:
    assert options.flag_name(Benchmark, "max_tokens") == "--max-tokens"


def test_floats_survive_their_spelling_exactly() -> None:
    tiny = math.nextafter(0, 1)
    argv = options.to_argv(benchmark_settings(temperature=0.1 + 0.2, kwh_rate=tiny), Benchmark)
    values, _ = resolved(*argv)
    assert (values.temperature, values.kwh_rate) == (0.1 + 0.2, tiny)


def of_mode(*argv: str, directory: Path = NOWHERE, **environ: str) -> Any:
    flags = parsed([f"--{word}" for word in argv], Stress)
    return options.of_mode(Stress, *options.resolve(Stress, flags, environ, directory))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["mode=sweep", "concurrency=4"], "--concurrency: 4 is refused: --mode sweep does not"),
        (["mode=ramp", "level-duration=5s"], "--level-duration: 5.0 is refused"),
        (["duration=5s"], "--mode ramp does not use it, only sustained and spike"),
        (["mode=sweep", "spike-rate=5"], "--spike-rate: 5.0 is refused"),
        (["mode=sustained", "max-concurrency=8"], "only ramp and sweep"),
        (["mode=spike", "level-requests=8"], "--level-requests: 8 is refused"),
        (["levels=1,2"], "--levels: '1,2' is refused"),
        (
            ["mode=sweep", "level-requests=10", "level-duration=20s"],
            "--level-duration: 20.0 is refused: --level-requests replaces it",
        ),
        (["mode=sweep", "levels=1,2", "max-concurrency=8"], "--levels replaces it"),
        (["mode=sweep", "levels=1,2", "max-rate=8"], "--levels replaces it"),
        (["max-rate=9", "max-concurrency=8"], "--max-rate replaces it"),
        (["mode=spike", "spike-rate=9", "spike-concurrency=8"], "--spike-concurrency replaces it"),
    ],
)
def test_what_was_asked_of_a_run_and_its_mode_does_not_read_is_refused(
    argv: list[str], words: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        of_mode(*argv)
    assert words in str(caught.value)


def test_a_variable_that_the_mode_does_not_read_is_refused_by_its_name() -> None:
    with pytest.raises(SettingsError, match="LLAMABURN_SPIKES: 5 is refused"):
        of_mode(LLAMABURN_SPIKES="5")


def test_what_a_file_says_for_other_modes_is_left_out(tmp_path: Path) -> None:
    configure(tmp_path, '[defaults]\nspikes = 5\nlevels = "1,2"\nstress_duration_sec = 60\n')
    found = of_mode("mode=ramp", directory=tmp_path)
    assert (found.spikes, found.levels, found.duration) == (3, None, None)
    found = of_mode("mode=spike", directory=tmp_path)
    assert (found.spikes, found.levels, found.duration) == (5, None, 60)


@pytest.mark.parametrize(
    ("argv", "levels", "most"),
    [
        (["levels=1,2"], "1,2", 32),
        (["max-concurrency=8"], None, 8),
        ([], "3,4", 32),
    ],
)
def test_what_a_file_says_gives_way_to_what_was_asked_instead(
    argv: list[str], levels: str | None, most: int, tmp_path: Path
) -> None:
    configure(tmp_path, '[defaults]\nlevels = "3,4"\nmax_concurrency = 16\n')
    found = of_mode("mode=sweep", *argv, directory=tmp_path)
    assert (found.levels, found.max_concurrency) == (levels, most)


def test_a_default_and_a_run_that_is_continued_are_never_too_much() -> None:
    assert of_mode("mode=sustained", "max-concurrency=32", "spikes=3").mode == "sustained"
    assert of_mode("resume=last", "levels=1,2").levels == "1,2"


def test_each_option_of_some_modes_names_modes_and_options_that_there_are() -> None:
    found = {o.name: o for o in options_of(Stress)}
    modes = found["mode"].choices
    assert modes is not None
    for option in found.values():
        assert {*option.modes} <= {*modes()}
        assert {*option.unless} <= found.keys()


@pytest.mark.parametrize(("bound", "shown"), [("500", "500"), ('"500"', "'500'")])
def test_a_bound_without_an_operator_is_refused_and_the_right_spelling_told(
    tmp_path: Path, bound: str, shown: str
) -> None:
    path = tmp_path / "llamaburn.toml"
    path.write_text(f'[thresholds]\n"ttft_ms.p95" = {bound}\n')
    with pytest.raises(SettingsError) as caught:
        options.resolve(Benchmark, {}, environ={}, directory=tmp_path)
    assert str(caught.value) == (
        f"{path}: thresholds.ttft_ms.p95: {shown} is refused: write an operator before the bound, "
        'as in "<500"'
    )
