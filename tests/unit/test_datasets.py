"""Prompt sets: sound, and chosen from in a way that can be repeated."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.refusals import refusal

from pytest_llamaburn import datasets
from pytest_llamaburn.datasets import Planned, Prompt, load_prompts, plan
from pytest_llamaburn.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

BUILT_IN = ["coding", "creative", "default", "factual", "reasoning"]


def prompt_set(*entries: Any, **fields: Any) -> dict[str, Any]:
    return {"name": "mine", "prompts": list(entries), **fields}


def entry(**fields: Any) -> dict[str, Any]:
    return {"id": "one", "prompt": "Say hello.", **fields}


def saved(directory: Path, content: Any, name: str = "mine.json") -> str:
    path = directory / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def prompts_refusal(*names: str) -> str:
    return refusal(DatasetError, load_prompts, names)


def test_there_are_five_built_in_sets() -> None:
    assert datasets.shipped("prompts") == BUILT_IN


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_set_has_at_least_twenty_different_prompts(name: str) -> None:
    prompts = load_prompts([name])
    assert len(prompts) >= 20
    assert len({prompt.id for prompt in prompts}) == len(prompts)
    assert len({prompt.text for prompt in prompts}) == len(prompts)
    assert len({prompt.category for prompt in prompts}) >= 3


def test_all_built_in_sets_can_be_used_together() -> None:
    together = load_prompts(BUILT_IN)
    assert len(together) == sum(len(load_prompts([name])) for name in BUILT_IN)


def test_data_lies_beside_the_package_in_a_clone_and_inside_it_in_a_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "pytest_llamaburn"
    package.mkdir()
    monkeypatch.setattr(datasets, "__file__", str(package / "datasets.py"))
    assert datasets.data_dir("prompts") == tmp_path / "prompts"
    (package / "prompts").mkdir()
    assert datasets.data_dir("prompts") == package / "prompts"


def test_a_prompt_s_digest_is_of_its_text() -> None:
    prompt = Prompt("id", "category", "gr\u00fcn")
    assert prompt.sha256 == hashlib.sha256("gr\u00fcn".encode()).hexdigest()[:16]
    assert prompt.sha256 == prompt._replace(id="other").sha256
    assert prompt.sha256 != prompt._replace(text="rot").sha256


def test_a_file_of_one_s_own_is_read(tmp_path: Path) -> None:
    content = prompt_set(
        entry(), entry(id="two", category="zwei", expected_length="long", prompt=" Gr\u00fcn? ")
    )
    assert load_prompts([saved(tmp_path, content)]) == [
        Prompt("one", "custom", "Say hello."),
        Prompt("two", "zwei", "Gr\u00fcn?"),
    ]


def test_a_file_in_the_home_directory_may_be_written_with_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    saved(tmp_path, prompt_set(entry()), "MINE.JSON")
    assert [prompt.id for prompt in load_prompts(["~/MINE.JSON"])] == ["one"]


def test_the_same_prompt_in_two_sets_is_used_once(tmp_path: Path) -> None:
    first = saved(tmp_path, prompt_set(entry()), "a.json")
    second = saved(tmp_path, prompt_set(entry(), entry(id="two")), "b.json")
    assert [prompt.id for prompt in load_prompts([first, second, first])] == ["one", "two"]


def test_one_id_for_two_prompts_in_two_sets_is_refused(tmp_path: Path) -> None:
    first = saved(tmp_path, prompt_set(entry()), "a.json")
    second = saved(tmp_path, prompt_set(entry(prompt="Say goodbye.")), "b.json")
    assert prompts_refusal(first, second) == f"{second}: id 'one' is also in another prompt set"


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("", "is not JSON"),
        ("{]", "is not JSON"),
        ("\ufeff{}", "name: field required"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "prompts: there is none"),
        (prompt_set(), "prompts: there is none"),
        ({"name": "mine"}, "prompts: field required"),
        ({"prompts": [entry()]}, "name: field required"),
        (
            prompt_set(entry(prompt="")),
            "prompts[0] (id 'one'): prompt: string should have at least 1 char",
        ),
        (
            prompt_set(entry(prompt=" \n")),
            "prompts[0] (id 'one'): prompt: string should have at least 1 char",
        ),
        (
            prompt_set(entry(prompt=7)),
            "prompts[0] (id 'one'): prompt: input should be a valid string",
        ),
        (
            prompt_set(entry(prompt="\ud800")),
            "prompts[0] (id 'one'): prompt: input should be a valid string",
        ),
        (prompt_set(entry(), {"prompt": "Hi"}), "prompts[1]: id: field required"),
        (
            prompt_set(entry(promt="x")),
            "prompts[0] (id 'one'): promt: extra inputs are not permitted",
        ),
        (prompt_set(entry(), author="me"), "author: extra inputs are not permitted"),
        (
            prompt_set(entry(expected_length="vast")),
            "prompts[0] (id 'one'): expected_length: input should be",
        ),
        (prompt_set(entry(), entry()), "id 'one' is given twice"),
        (prompt_set("Say hello."), 'prompts[0]: "Say hello." is not an object with fields'),
    ],
)
def test_an_unsound_file_is_refused_by_file_entry_and_field(
    tmp_path: Path, content: Any, where: str
) -> None:
    path = saved(tmp_path, content)
    assert prompts_refusal(path).startswith(f"{path}: {where}")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(b"\xff\x00")
    assert prompts_refusal(str(path)).startswith(f"{path}: is not JSON: ")


def test_an_unknown_set_is_refused_with_the_nearest_and_all() -> None:
    message = prompts_refusal("codign")
    assert message.startswith("unknown prompt set 'codign'; did you mean 'coding'?")
    assert message.endswith(f"Known: {', '.join(BUILT_IN)}, or a .json, .jsonl, .csv or .txt file")


def test_a_file_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    assert prompts_refusal(str(path)) == f"prompt set: {path} does not exist"


def test_a_built_in_set_cannot_be_hidden_by_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path, prompt_set(entry()), "default")
    assert load_prompts(["default"])[0].id == "default-01"


pools = st.lists(st.sampled_from("abcd"), min_size=1, max_size=30).map(
    lambda categories: [Prompt(f"{i}", c, f"text {i}") for i, c in enumerate(categories)]
)


@given(pools, st.integers(1, 200), st.integers(0, 2**32))
def test_a_plan_spends_exactly_the_iterations_and_spreads_them_evenly(
    prompts: list[Prompt], iterations: int, seed: int
) -> None:
    planned = plan(prompts, iterations, seed)
    shares = [item.iterations for item in planned]
    assert sum(shares) == iterations
    assert min(shares) >= 1
    assert max(shares) - min(shares) <= 1
    assert len({item.prompt for item in planned}) == len(planned) == min(len(prompts), iterations)


@given(pools, st.integers(1, 30), st.integers(0, 2**32))
def test_a_choice_takes_from_each_category_in_turn(
    prompts: list[Prompt], iterations: int, seed: int
) -> None:
    have = Counter(prompt.category for prompt in prompts)
    chosen = Counter(item.prompt.category for item in plan(prompts, iterations, seed))
    assert len(chosen) == min(len(have), iterations)
    open_to_more = [chosen[name] for name in have if chosen[name] < have[name]]
    assert all(max(chosen.values()) - count <= 1 for count in open_to_more)


@given(pools, st.integers(1, 30), st.integers(0, 2**32))
def test_a_choice_is_fixed_by_its_seed(prompts: list[Prompt], iterations: int, seed: int) -> None:
    assert plan(prompts, iterations, seed) == plan(list(prompts), iterations, seed)


def test_of_no_prompts_none_is_chosen() -> None:
    assert datasets.stratified([], 0, seed=0) == []


def test_another_seed_chooses_other_prompts() -> None:
    prompts = load_prompts(["default"])
    choices = {tuple(item.prompt.id for item in plan(prompts, 5, seed)) for seed in range(5)}
    assert len(choices) > 1


def test_with_enough_iterations_the_prompts_keep_their_order() -> None:
    prompts = [Prompt(f"{i}", "a", f"text {i}") for i in range(3)]
    assert plan(prompts, 5, 0) == [
        Planned(prompts[0], 2),
        Planned(prompts[1], 2),
        Planned(prompts[2], 1),
    ]
