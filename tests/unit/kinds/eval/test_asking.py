"""What a model is sent around a question: system message, solved examples, lettered choices."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.refusals import refusal

from pytest_llamaburn import datasets, evalsets
from pytest_llamaburn.backends._base import Model, Server
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.evalsets import EvalSet, Question
from pytest_llamaburn.kinds.eval import asking
from pytest_llamaburn.kinds.eval.asking import Asking
from pytest_llamaburn.kinds.eval.settings import Eval
from pytest_llamaburn.settings import model_of

if TYPE_CHECKING:
    from pathlib import Path

SUMS = [
    {"id": f"sum{n}", "prompt": f"{n} + 1?", "reference": str(n + 1), "category": "sums"}
    for n in range(8)
]
CITY = {
    "id": "city",
    "prompt": "Where is the Louvre?",
    "reference": "Paris",
    "category": "cities",
    "scorer": "choice",
    "choices": ["Rome", "Paris"],
}


def settings(**values: Any) -> Any:
    return model_of(Eval)(**values)


def written(directory: Path, *questions: Any, **fields: Any) -> EvalSet:
    path = directory / "mine.json"
    path.write_text(json.dumps({"name": "mine", "questions": questions, **fields}))
    return evalsets.load_eval_set(path)


def turns(found: EvalSet, name: str, **values: Any) -> list[tuple[str, str]]:
    """Return the roles and texts of the conversation that asks a question."""
    how = Asking(settings(**values), found)
    question = named(found, name)
    return [(m["role"], m["content"]) for m in how.messages(question, how.text(question))]


def named(found: EvalSet, name: str) -> Question:
    return next(q for q in found.questions if q.id == name)


def setting_refusal(**values: Any) -> str:
    return refusal(SettingsError, asking.check, settings(**values))


def test_without_options_a_question_is_asked_alone(tmp_path: Path) -> None:
    assert turns(written(tmp_path, *SUMS), "sum3") == [("user", "3 + 1?")]


def test_solved_examples_are_turns_of_a_conversation_before_the_question(tmp_path: Path) -> None:
    found = written(tmp_path, *SUMS, CITY)
    first, answer, *rest, last = turns(found, "sum3", few_shot=2)
    assert last == ("user", "3 + 1?")
    assert [first[0], answer[0], *(role for role, _ in rest)] == ["user", "assistant"] * 2
    assert int(first[1][0]) + 1 == int(answer[1])


@given(st.integers(0, 7), st.integers(1, 7), st.integers(0, 3))
def test_a_question_is_never_its_own_example_and_the_choice_is_the_seeds(
    asked: int, count: int, seed: int
) -> None:
    found = evalsets.eval_set({"name": "s", "questions": SUMS}, datasets.data_dir("none"))
    given, again = (turns(found, f"sum{asked}", few_shot=count, seed=seed) for _ in range(2))
    assert given == again
    prompts = [text for role, text in given if role == "user"]
    assert len(set(prompts)) == count + 1
    assert prompts[-1] == f"{asked} + 1?"


def test_questions_of_a_category_share_their_examples(tmp_path: Path) -> None:
    """The server's prompt cache lives on a common beginning."""
    found = written(tmp_path, *SUMS)
    begins = [turns(found, f"sum{n}", few_shot=1)[:2] for n in range(8)]
    assert max(begins.count(one) for one in begins) == 7


def test_another_seed_takes_other_examples(tmp_path: Path) -> None:
    found = written(tmp_path, *SUMS)
    assert len({str(turns(found, "sum0", few_shot=3, seed=seed)) for seed in range(4)}) > 1


def test_examples_are_of_the_same_category_and_have_a_reference(tmp_path: Path) -> None:
    bare = {"id": "bare", "prompt": "9 + 1?", "category": "sums"}
    found = written(tmp_path, SUMS[0], SUMS[1], CITY, bare)
    assert turns(found, "sum0", few_shot=1)[:2] == [("user", "1 + 1?"), ("assistant", "2")]
    said = setting_refusal(set=(str(found.path),), few_shot=2)
    assert said == (
        "--few-shot: 2 is refused: question 'sum0' of mine has 1 example, of the set "
        "or of other questions of its category 'sums' with a reference: set "
        "--few-shot 1 or less, or add examples to the set"
    )


def test_a_question_asked_twice_is_no_example_of_itself(tmp_path: Path) -> None:
    twin = {**SUMS[0], "id": "twin"}
    found = written(tmp_path, SUMS[0], twin, SUMS[1])
    assert ("user", "0 + 1?") not in turns(found, "sum0", few_shot=1)[:-1]


def test_the_sets_own_examples_come_first_in_their_order(tmp_path: Path) -> None:
    own = [
        {"prompt": "Say a.", "answer": "a"},
        {"prompt": "Name a city.", "answer": "Oslo", "category": "cities"},
        {"prompt": "Say b.", "answer": "b"},
    ]
    found = written(tmp_path, SUMS[0], CITY, examples=own)
    shown = turns(found, "sum0", few_shot=2)
    assert [text for _, text in shown] == ["Say a.", "a", "Say b.", "b", "0 + 1?"]
    assert len(turns(found, "city", few_shot=3)) == 7
    assert "has 2 examples" in setting_refusal(set=(str(found.path),), few_shot=3)


def test_a_choice_is_solved_by_its_letter(tmp_path: Path) -> None:
    other = {**CITY, "id": "other", "prompt": "Where is the Forum?", "reference": "Rome"}
    shown = turns(written(tmp_path, CITY, other), "other", few_shot=1)
    assert shown[:2] == [("user", "Where is the Louvre?"), ("assistant", "B")]


@pytest.mark.parametrize(
    ("given", "said"),
    [(None, "Be kind."), ("Be brief.", "Be brief."), ("", None), ("@@all", "@all")],
)
def test_the_option_replaces_the_sets_system_message(
    tmp_path: Path, given: str | None, said: str | None
) -> None:
    found = written(tmp_path, *SUMS, system="Be kind.")
    before = [text for role, text in turns(found, "sum0", system=given) if role == "system"]
    assert before == ([said] if said else [])


def test_a_system_message_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "persona.txt").write_text("\ufeffYou are\na clerk.\n", encoding="utf-8")
    found = written(tmp_path, *SUMS)
    path = f"@{tmp_path / 'persona.txt'}"
    assert turns(found, "sum0", system=path)[0] == ("system", "You are\na clerk.")
    assert asking.recorded("@all") == "@@all"
    assert asking.recorded("You") == "You"
    said = setting_refusal(set=(str(found.path),), system="@no.txt")
    assert said == (
        "--system: @no.txt cannot be read: No such file or directory: name a text file, or write "
        "@@ for a message that begins with @"
    )


def test_system_and_examples_are_part_of_what_a_set_is(tmp_path: Path) -> None:
    plain = written(tmp_path, *SUMS)
    with_system = written(tmp_path, *SUMS, system="Be kind.")
    with_example = written(tmp_path, *SUMS, examples=[{"prompt": "a", "answer": "b"}])
    assert len({plain.sha256, with_system.sha256, with_example.sha256}) == 3
    assert plain.sha256 == written(tmp_path, *SUMS, examples=[]).sha256


def test_by_letter_a_prompt_gets_the_choices_and_the_instruction_it_lacks(tmp_path: Path) -> None:
    lettered = "Which?\n\nA) Rome\n(B) Paris\n\nReply with the letter of the right answer only."
    other = {**CITY, "id": "whole", "prompt": lettered}
    found = written(tmp_path, CITY, other)
    how = Asking(settings(choice_by="logprob"), found)
    assert how.text(named(found, "whole")) == lettered
    assert how.text(named(found, "city")) == (
        "Where is the Louvre?\n\nA) Rome\nB) Paris\n\nAnswer with the letter of the right choice "
        "only."
    )
    assert how.text(found.questions[0]._replace(scorer="exact")) == "Where is the Louvre?"
    assert Asking(settings(), found).text(named(found, "city")) == "Where is the Louvre?"


def test_the_probability_of_a_letter_is_summed_over_its_spellings() -> None:
    question = Question("q", "?", "A", "c", scorer="choice", options={"choices": ["x", "y", "z"]})
    tokens = {"A": 0.2, " A": 0.1, "(A": 0.05, "B": 0.3, "D": 0.1, "The": 0.1, "AB": 0.01}
    found = asking.letter_of(question, [(t, math.log(p)) for t, p in tokens.items()])
    assert found["answer"] == "A"
    assert found["choice_logprobs"]["A"] == pytest.approx(math.log(0.35))
    assert found["choice_logprobs"]["B"] == pytest.approx(math.log(0.3))
    assert found["choice_logprobs"]["C"] is None
    assert found["choice_mass"] == pytest.approx(0.65)
    nothing = asking.letter_of(question, [("The", -0.1)])
    assert "answer" not in nothing
    assert nothing["choice_mass"] == 0


def test_choices_by_probability_need_a_choice_and_a_model_that_does_not_think(
    tmp_path: Path,
) -> None:
    path = (str(written(tmp_path, *SUMS).path),)
    assert setting_refusal(set=path, choice_by="logprob") == (
        f"--choice-by: logprob is refused: no question of {path[0]} has the scorer choice: leave "
        "the option out"
    )
    path = (str(written(tmp_path, CITY).path),)
    assert setting_refusal(set=path, choice_by="logprob", think="on").startswith(
        "--think: on is refused with --choice-by logprob: "
    )
    asking.check(settings(set=path, choice_by="logprob", think="off"))


THINKER = ("completion", "thinking")


@pytest.mark.parametrize(
    ("capabilities", "context", "kind", "given", "expected"),
    [
        ((), 8192, "ollama", {}, {"max_tokens": 512}),
        (THINKER, 8192, "ollama", {"think": "off"}, {"max_tokens": 512}),
        (THINKER, 40960, "ollama", {}, {"max_tokens": 4096, "num_ctx": 8192}),
        (THINKER, None, "ollama", {}, {"max_tokens": 4096, "num_ctx": 8192}),
        (THINKER, 2048, "ollama", {}, {"max_tokens": 1024, "num_ctx": 2048}),
        (THINKER, 40960, "ollama", {"num_ctx": 4096}, {"max_tokens": 2048, "num_ctx": 4096}),
        (THINKER, 40960, "ollama", {"num_ctx": 512}, {"max_tokens": 512, "num_ctx": 512}),
        (THINKER, 4096, "llama.cpp", {}, {"max_tokens": 2048}),
    ],
)
def test_a_model_that_thinks_may_answer_at_more_length(
    capabilities: tuple[str, ...],
    context: int | None,
    kind: str,
    given: dict[str, Any],
    expected: dict[str, int],
) -> None:
    model = Model("m", "m", capabilities=capabilities, context_length=context)
    server = Server(kind, None, "http://127.0.0.1:1", local=True)
    asked = settings(**given)
    thinks = asking.can_think(asked, model)
    assert asking.limits(asked, model, server, thinks=thinks) == expected
