"""Damage: the divergence is the true one where it is known, and never above it where it is not."""

from __future__ import annotations

import asyncio
import json
import math
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.benchmark_documents import record
from support.rated_server import Rated
from support.single_runs import document, prepared
from support.telling import Tellers, Told, ranked

from pytest_llamaburn import grids
from pytest_llamaburn.errors import ServerError, SettingsError
from pytest_llamaburn.kinds import _limits, _several
from pytest_llamaburn.kinds._comparable import Choice
from pytest_llamaburn.kinds.damage import (
    KIND,
    charts,
    comparable,
    divergence,
    insights,
    places,
    plan,
    prefixes,
    result,
    table,
)
from pytest_llamaburn.kinds.damage import run as damage_run
from pytest_llamaburn.kinds.damage.run import DamageRun
from pytest_llamaburn.kinds.damage.settings import Damage
from pytest_llamaburn.option import model_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    Likely = list[tuple[str, float]]

TOKENS = [f" {letter}" for letter in "abcdefgh"]
ROUNDING = 1e-4  # from the smallest rest that is believed: a share of 1e-6 of it


@st.composite
def distributions(draw: st.DrawFn) -> dict[str, float]:
    """Return the probabilities of all tokens of a small vocabulary."""
    sizes = draw(st.lists(st.floats(1e-3, 1), min_size=len(TOKENS), max_size=len(TOKENS)))
    return {token: size / sum(sizes) for token, size in zip(TOKENS, sizes, strict=True)}


def true_kl(p: Mapping[str, float], q: Mapping[str, float]) -> float:
    return math.fsum(p[token] * math.log(p[token] / q[token]) for token in p)


def kl(p: Likely, q: Likely) -> float:
    return divergence.gap(p, q).kl


DAMAGES = [
    comparable.Comparison.column(name, "--metric") for name in ("kl_divergence", "changed_tokens")
]
counts = st.integers(1, len(TOKENS))


@given(distributions(), distributions())
def test_divergence_is_exact_if_all_tokens_are_told(
    p: dict[str, float], q: dict[str, float]
) -> None:
    found = kl(ranked(p, len(p)), ranked(q, len(q)))
    assert found == pytest.approx(true_kl(p, q), abs=ROUNDING)


@given(distributions(), distributions(), counts, counts)
def test_divergence_of_the_likeliest_tokens_is_a_lower_bound(
    p: dict[str, float], q: dict[str, float], k: int, m: int
) -> None:
    found = kl(ranked(p, k), ranked(q, m))
    assert 0 <= found <= true_kl(p, q) + ROUNDING


@given(distributions(), distributions(), counts)
def test_fewer_tokens_never_raise_the_divergence(
    p: dict[str, float], q: dict[str, float], m: int
) -> None:
    of_reference = [kl(ranked(p, k), ranked(q, m)) for k in range(1, len(p) + 1)]
    of_other = [kl(ranked(p, m), ranked(q, k)) for k in range(1, len(q) + 1)]
    for fewer, more in (*pairwise(of_reference), *pairwise(of_other)):
        assert fewer <= more + ROUNDING


@given(distributions(), distributions(), st.sets(st.sampled_from(TOKENS), min_size=2, max_size=7))
def test_merged_tokens_never_raise_the_divergence(
    p: dict[str, float], q: dict[str, float], merged: set[str]
) -> None:
    def merge(chances: dict[str, float]) -> Likely:
        return [("+" if token in merged else token, math.log(c)) for token, c in chances.items()]

    assert kl(merge(p), merge(q)) <= kl(ranked(p, 8), ranked(q, 8)) + ROUNDING


@given(distributions(), counts)
def test_a_model_has_no_divergence_from_itself(p: dict[str, float], k: int) -> None:
    found = divergence.gap(ranked(p, k), ranked(p, k))
    assert (found.kl, found.changed) == (0, False)


@given(distributions(), distributions(), counts)
def test_exchanged_models_change_the_same_tokens(
    p: dict[str, float], q: dict[str, float], k: int
) -> None:
    one = divergence.gap(ranked(p, k), ranked(q, k))
    other = divergence.gap(ranked(q, k), ranked(p, k))
    assert one.changed is other.changed


def told(**chances: float) -> Likely:
    return [(token, math.log(p)) for token, p in chances.items()]


def test_a_token_that_the_other_model_does_not_tell_is_at_most_its_least_likely_one() -> None:
    found = kl(told(a=0.9), told(b=0.6, c=0.3))
    # The 10 % that are left are b and c too: a has at most 0.1, so all others have 0.9.
    assert found == pytest.approx(0.9 * math.log(0.9 / 0.1) + 0.1 * math.log(0.1 / 0.9), abs=1e-5)
    capped = kl(told(a=0.9), told(b=0.6, c=0.01))
    assert capped == pytest.approx(0.9 * math.log(90) + 0.1 * math.log(0.1 / 0.99), abs=1e-5)


def test_bytes_that_are_no_characters_are_among_all_other_tokens() -> None:
    broken = "\N{REPLACEMENT CHARACTER}"
    likely = [(broken, math.log(0.4)), ("a", math.log(0.5))]
    assert divergence.cells(likely) == pytest.approx({"a": 0.5})
    assert kl(likely, told(a=0.5)) == 0


@pytest.mark.parametrize("extra", [-9999.0, -math.inf])
def test_a_probability_of_nothing_is_not_divided_by(extra: float) -> None:
    found = kl(told(a=0.5, b=0.5), [*told(a=0.7), ("b", extra)])
    assert 0 < found < 1


# Runs


class Phases:
    segment = "a"

    def phase(self, _: str) -> Any:
        return nullcontext()


def texts(path: Path, count: int = 12) -> str:
    """Return a file with this many texts of two kinds, each with two places."""
    passages = [
        {
            "id": f"t{number}",
            "category": "even" if number % 2 == 0 else "odd",
            "parts": [f"Text {number} begins", " and goes on", " to its end."],
        }
        for number in range(count)
    ]
    path.write_text(json.dumps({"passages": passages}))
    return str(path)


def measured(
    tellers: Tellers,
    monkeypatch: pytest.MonkeyPatch,
    done: list[Any] | None = None,
    **asked: Any,
) -> dict[str, Any]:
    """Return what a run finds of two models in this process; `done` are rows of earlier parts."""
    monkeypatch.setattr(_several, "connect", tellers.connect)
    asked = {"model": (*tellers.speeds,), "max_tokens": 8, "iterations": 1, **asked}
    run = prepared(DamageRun, Rated(context=None), **asked)
    run._profiler = Phases()
    run.candidates = [asyncio.run(run._described(role)) for role in plan.ROLES]
    run.backend = asyncio.run(tellers.connect(run.settings, run.settings.model[0]))
    run.model = asyncio.run(run.backend.describe(run.settings.model[0]))
    run._turn = plan.REFERENCE
    run._continue(record(done or []))
    rows = asyncio.run(run.measure("k"))
    return {**result.found(rows, run.candidates, run.texts), "runs": rows}


SHARES = ({" x": 0.6, " y": 0.4}, {" x": 0.3, " y": 0.7}, {" x": 0.55, " y": 0.45})
DAMAGED = {"even": SHARES[1], "odd": SHARES[2]}


def tell(model: str, text: str) -> Told:
    """Return the probabilities after a text of `texts`, or after the run's own first one."""
    word = text.split()[1]
    kind = "even" if word.isdigit() and int(word) % 2 == 0 else "odd"
    return Told(SHARES[0] if model == "a" else DAMAGED[kind], len(text.split()))


def pair(**fields: Any) -> Tellers:
    return Tellers({"a": 10.0, "b": 5.0}, noise=0.01, **{"tell": tell, **fields})


def file_of(found: dict[str, Any], **asked: Any) -> dict[str, Any]:
    config = model_of(Damage)(model=("a", "b"), **asked).model_dump()
    made = document("damage", found, config, {"other_cpu_share": None})
    made["insights"] = insights.find(made)
    return made


def test_divergence_changed_tokens_and_speed_are_those_of_the_models(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = measured(pair(), monkeypatch, prefixes=texts(tmp_path / "t.json"))
    even, odd = (true_kl(SHARES[0], other) for other in SHARES[1:])
    assert found["kl_divergence"]["value"] == pytest.approx((even + odd) / 2, abs=1e-5)
    assert found["kl_divergence"]["n"] == 24
    low, high = found["kl_divergence"]["ci95"]
    assert low < (even + odd) / 2 < high
    assert found["changed_tokens"]["value"] == 0.5
    assert found["changed_tokens"]["ci95"][0] < 0.5 < found["changed_tokens"]["ci95"][1]
    by_kind = {one["category"]: one["kl_divergence"]["value"] for one in found["categories"]}
    assert by_kind == pytest.approx({"even": even, "odd": odd}, abs=1e-5)
    assert found["speed_ratio"]["value"] == pytest.approx(2, rel=0.05)
    assert found["speed_ratio"]["n"] == 3
    assert found["reference"]["summary"]["tokens_per_sec"]["mean"] == pytest.approx(100, rel=0.05)
    assert found["summary"]["tokens_per_sec"]["mean"] == pytest.approx(200, rel=0.05)
    assert found["shared_mass"]["value"] == pytest.approx(1)


def test_both_models_meet_the_same_texts_in_the_same_order_and_alone_in_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tellers = pair()
    measured(tellers, monkeypatch, prefixes=texts(tmp_path / "t.json"))
    asked = [(model, text) for model, text in tellers.asked if text.startswith("Text")]
    of_a, of_b = ([text for model, text in asked if model == name] for name in "ab")
    assert of_a == of_b
    assert len({*of_a}) == 24
    assert [name for what, name in tellers.events if what == "load"] == ["b", "a", "b"]
    assert [plan.order(number)[0] for number in range(3)] == ["reference", "other", "reference"]


def test_resumed_run_asks_only_for_what_is_left_and_finds_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: Any = {"prefixes": texts(tmp_path / "t.json")}
    whole = measured(pair(), monkeypatch, **asked)
    tellers = pair()
    rest = measured(tellers, monkeypatch, whole["runs"][:29], **asked)
    known = [row["prompt_id"] for row in whole["runs"][:29] if row["role"] == "reference"]
    again = {text for model, text in tellers.asked if model == "a"}
    assert not again & {
        prefix.text
        for passage in prefixes.load(asked["prefixes"])
        for prefix in passage.prefixes
        if prefix.id in known
    }
    for figure in ("kl_divergence", "changed_tokens", "shared_mass"):
        assert rest[figure] == whole[figure]


def limited(
    tellers: Tellers, monkeypatch: pytest.MonkeyPatch, clock: Any, **asked: Any
) -> dict[str, Any]:
    """Return what a run of one round finds whose time is that of this clock."""
    monkeypatch.setattr(_limits, "perf_counter", clock)
    monkeypatch.setattr(damage_run, "perf_counter", clock)
    monkeypatch.setattr(DamageRun, "_switch_s", 1.0)
    return measured(tellers, monkeypatch, rounds=1, **asked)


def roles(found: dict[str, Any]) -> dict[str, list[str]]:
    """Return the places that each model answered."""
    return {
        role: [row["prompt_id"] for row in found["runs"] if row["role"] == role]
        for role in plan.ROLES
    }


@pytest.mark.parametrize("budget", [7, 12, 20])
def test_a_budget_holds_both_models_to_the_same_places(
    budget: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tellers = pair()

    def seconds() -> float:
        return float(len(tellers.asked))  # a switch asks once, too

    file = texts(tmp_path / "t.json")
    found = limited(tellers, monkeypatch, seconds, budget=budget, prefixes=file)
    asked = roles(found)
    assert asked["reference"] == asked["other"]
    assert found["kl_divergence"]["n"] == (budget - 1) // 2
    assert not any("alone" in one["text"] for one in file_of(found)["insights"])


def test_places_that_only_one_model_answered_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tellers = pair()

    def slow_b() -> float:
        return sum({"a": 1.0, "b": 3.0}[model] for model, _ in tellers.asked)

    file = texts(tmp_path / "t.json")
    found = limited(tellers, monkeypatch, slow_b, budget=24, prefixes=file)
    asked = roles(found)
    alone = [name for name in asked["reference"] if name not in asked["other"]]
    assert 0 < found["kl_divergence"]["n"] == len(asked["other"]) < len(asked["reference"])
    (said,) = (one for one in file_of(found)["insights"] if "alone" in one["text"])
    assert said["text"].startswith(f"a alone answered {len(alone)} places ({', '.join(alone[:3])}")
    assert said["evidence"] == {"only_reference": len(alone)}


def test_every_answer_counts_if_a_round_has_fewer_prompts_than_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prompt = tmp_path / "one.txt"
    prompt.write_text("Write a word.")
    few: Any = {"rounds": 2, "iterations": 4, "prompts": (str(prompt),)}
    asked = {"prefixes": texts(tmp_path / "t.json", 2), **few}
    whole = measured(pair(), monkeypatch, **asked)
    assert whole["speed_ratio"]["n"] == 8
    assert whole["speed_ratio"]["value"] == pytest.approx(2, rel=0.1)
    rest = measured(pair(), monkeypatch, whole["runs"][:4], **asked)  # two of four answers
    assert [row["part"] for row in whole["runs"][:4]] == ["token"] * 2 + ["answer"] * 2
    assert len({id(row) for row in rest["runs"]}) == len(whole["runs"])


@given(st.randoms())
def test_order_of_the_places_does_not_matter(luck: Any) -> None:
    rows = [
        {
            "role": role,
            "part": "token",
            "prompt_id": f"t{number}",
            "passage": f"t{number // 2}",
            "category": "x",
            "error": None,
            "input_sequence_length": 4,
            "likely": ranked(SHARES[0] if role == "reference" else SHARES[1 + number % 2], 9),
        }
        for number in range(20)
        for role in plan.ROLES
    ]
    before = result._figures(places.of(rows), None)
    luck.shuffle(rows)
    assert result._figures(places.of(rows), None) == before


def test_a_model_against_itself_is_undamaged_and_told_to_be_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tellers = Tellers({"a": 10.0}, tell=tell)
    found = measured(tellers, monkeypatch, prefixes=texts(tmp_path / "t.json"), model=("a", "a"))
    assert found["kl_divergence"]["value"] == found["changed_tokens"]["value"] == 0
    assert found["kl_divergence"]["reason"].startswith("an interval needs 5 texts")
    assert 0 < found["changed_tokens"]["ci95"][1] < 0.3
    made = [one["text"] for one in file_of(found)["insights"]]
    assert any(text.startswith("Both names are the same model") for text in made)
    assert any(text.startswith("The likeliest token is the same at all places") for text in made)


def test_models_with_other_tokens_are_compared_as_texts_as_far_as_they_share_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def longer(model: str, text: str) -> Told:
        found = tell(model, text)
        return found if model == "a" else found._replace(tokens=len(text))

    found = measured(pair(tell=longer), monkeypatch, prefixes=texts(tmp_path / "t.json"))
    assert found["same_tokens"]["value"] == 0
    assert found["kl_divergence"]["value"] is not None
    made = [one["text"] for one in file_of(found)["insights"]]
    assert any(text.startswith("The models split text into other tokens (100 %") for text in made)


def test_tokens_that_are_never_the_same_texts_have_no_divergence_but_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def without_space(model: str, text: str) -> Told:
        if model == "a":
            return tell(model, text)
        return Told({"x": 0.9, "y": 0.1}, len(text))

    found = measured(pair(tell=without_space), monkeypatch, prefixes=texts(tmp_path / "t.json"))
    words = (
        "the models split text into other tokens, and only 0% of the reference's probability is "
        "on tokens that both know, so their tokens cannot be compared"
    )
    for name in ("kl_divergence", "changed_tokens"):
        assert (found[name]["value"], found[name]["reason"]) == (None, words)
    assert found["speed_ratio"]["value"] == pytest.approx(2, rel=0.05)
    made = [one["text"] for one in file_of(found)["insights"]]
    assert f"{words[0].upper()}{words[1:]}." in made
    (sheet, _) = table.sheets(file_of(found), Path("x.json"))
    assert sheet.rows[0][1] == "–"


def test_a_cut_run_is_compared_at_the_places_that_both_files_have(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = measured(pair(), monkeypatch, prefixes=texts(tmp_path / "t.json"))
    rows = [row for row in whole["runs"] if row["category"] == "even"]
    cut = result.found(rows, [whole["reference"], whole["other"]], {})
    files = [("a", file_of(whole)), ("b", file_of({**cut, "runs": rows}))]
    compared = comparable.Comparison(files, Choice((*DAMAGES,)))
    for column in DAMAGES:
        found = compared.change(compared.others[0], column).estimate
        assert found.change == 0  # although the mean of the whole file is another one
        assert found.baseline == found.value


def test_perplexity_ratio_is_that_of_the_given_texts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: Any = {"prefixes": texts(tmp_path / "t.json")}
    tellers = pair(given=lambda model, _: [-1.0, -2.0] if model == "a" else [-1.1, -2.3])
    found = measured(tellers, monkeypatch, **asked)["perplexity_ratio"]
    assert found["value"] == pytest.approx(math.exp(0.2))
    assert found["n"] == 24
    found = measured(pair(), monkeypatch, **asked)["perplexity_ratio"]
    assert found["value"] is None
    assert found["reason"].startswith("the server of a gives no log probabilities of a given text")
    tellers = pair(given=lambda model, _: [-1.0] if model == "a" else [-1.0, -1.0])
    found = measured(tellers, monkeypatch, **asked)["perplexity_ratio"]
    assert found["reason"] == "the models split the texts into other numbers of tokens"


def test_a_place_without_probabilities_is_a_failure_and_no_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def sometimes(model: str, text: str) -> Told:
        return Told({}) if (model, text) == ("b", "Text 4 begins") else tell(model, text)

    found = measured(pair(tell=sometimes), monkeypatch, prefixes=texts(tmp_path / "t.json"))
    assert found["kl_divergence"]["n"] == 23
    (failed,) = [row for row in found["runs"] if row["error"]]
    assert (failed["prompt_id"], failed["error"]["kind"]) == ("t4/1", "no_logprobs")


def test_a_second_model_without_probabilities_ends_the_run_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def silent(model: str, text: str) -> Told:
        return tell(model, text) if model == "a" else Told({})

    with pytest.raises(ServerError, match="gave no log probabilities with a token of b: use a ser"):
        measured(pair(tell=silent), monkeypatch, prefixes=texts(tmp_path / "t.json"))


def test_table_cards_and_charts_show_damage_and_speed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = measured(pair(), monkeypatch, prefixes=texts(tmp_path / "t.json"))
    made = file_of(found)
    damage, speed = table.sheets(made, Path("x.json"))
    assert damage.title == "damage of b against a"
    fitted = grids.text(grids.Table(damage.columns, damage.rows, 1, damage.least), 80)
    assert max(map(len, fitted.splitlines())) <= 80
    assert [row[0] for row in damage.rows] == ["all", "even", "odd"]
    assert damage.rows[1][1] == "0.192"
    assert damage.rows[0][3] == "50.0"
    assert [row[:2] for row in speed.rows] == [("reference", "a"), ("other", "b")]
    assert any("times as fast as the reference, over 3 pairs" in line for _, line in speed.notes)
    shown = [*charts.charts(made)]
    assert [chart.title for chart in shown] == ["KL divergence at each place"]
    names = [line.name for line in shown[0].lines]  # type: ignore[union-attr]
    assert names == ["another likeliest token", "the same likeliest token"]
    assert [card.label for card in charts.cards(made)][:2] == ["KL divergence", "changed tokens"]


def test_texts_without_a_kind_have_one_row_and_a_missing_speed_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"passages": [{"parts": ["Text 1 begins", " and ends."]}]}))
    found = measured(pair(), monkeypatch, prefixes=str(path), iterations=0)
    made = file_of(found)
    damage, _ = table.sheets(made, Path("x.json"))
    assert [row[0] for row in damage.rows] == ["all"]
    assert [card.note for card in charts.cards(made)][-2:] == ["no request gave a value"] * 2


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.00001234, "0.0000123"), (0.0123, "0.0123"), (0.25, "0.250"), (None, "–")],
)
def test_small_numbers_have_three_digits(value: float | None, shown: str) -> None:
    assert table.small(value) == shown


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"model": ("a",)}, "damage: name two models, the reference first; named: a"),
        ({"model": ("a", "b", "c")}, "damage: name two models, the reference first; named: a, b"),
        ({"prompts": ("nothing",)}, "--prompts: "),
        ({"threshold": ("kl_divergance<1",)}, "'kl_divergance<1': unknown metric 'kl_divergance'"),
        ({"fail_if": ("kl_divergence:+1%",)}, "--fail-if needs a comparison"),
        ({"other_host": "x:y"}, "--other-host: 'x:y' is refused: its port is not a number"),
        ({"prefixes": "none.json"}, "--prefixes: none.json cannot be read: "),
    ],
)
def test_settings_without_a_meaning_are_refused(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        KIND.check(model_of(Damage)(**{"model": ("a", "b"), **asked}))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "it is no JSON"),
        ("[]", "it has no list 'passages' with a text"),
        ('{"passages": []}', "it has no list 'passages' with a text"),
        ('{"passages": ["x"]}', "text 1 has no list 'parts' of texts that are not empty"),
        ('{"passages": [{"parts": ["a", ""]}]}', "text 1 has no list 'parts'"),
        ('{"passages": [{"parts": ["a"]}]}', "text 1 has one part"),
        ('{"passages": [{"parts": [" ", "a"]}]}', "text 1 begins with a part of spaces only"),
        ('{"passages": [{"id": 1, "parts": ["a", "b"]}]}', "text 1 has an 'id' or a 'category'"),
        (
            '{"passages": [{"id": "x", "parts": ["a", "b"]}, {"id": "x", "parts": ["a", "b"]}]}',
            "the id 'x' is given twice",
        ),
    ],
)
def test_a_wrong_file_of_prefixes_is_refused_in_one_sentence(
    content: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "texts.json"
    path.write_text(content)
    with pytest.raises(SettingsError) as caught:
        prefixes.load(str(path))
    assert f"--prefixes: {path} is refused: {words}" in str(caught.value)
    assert ': write {"passages": ' in str(caught.value)


def test_our_own_texts_have_five_kinds_and_two_hundred_places_without_repeats() -> None:
    passages = prefixes.load(None)
    kinds = {passage.category for passage in passages}
    assert kinds == {"prose", "code", "arithmetic", "facts", "other languages"}
    every = [prefix for passage in passages for prefix in passage.prefixes]
    assert len({prefix.text for prefix in every}) == len(every) == 199
    assert not any(prefix.text != prefix.text.rstrip() for prefix in every)


def test_each_round_has_texts_of_all_kinds_and_each_text_is_in_one_round() -> None:
    passages = prefixes.load(None)
    rounds = [plan.of_round(passages, number, 3) for number in range(3)]
    ids = [prefix.id for prefixes_ in rounds for prefix in prefixes_]
    assert sorted(ids) == sorted(p.id for passage in passages for p in passage.prefixes)
    assert all(len({prefix.category for prefix in one}) == 5 for one in rounds)


def test_file_names_both_models() -> None:
    both = {"reference": {"model": {"id": "a"}}, "other": {"model": {"id": "b"}}}
    assert KIND.file_stem({"results": both}) == "b_against_a"
    header = {"candidates": [{"model": {"id": "a"}}, {"model": {"id": "b"}}]}
    assert KIND.file_stem(header) == "b_against_a"
