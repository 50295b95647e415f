"""What a model is sent around a question: system prompt, solved examples, lettered choices."""

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
from pytest_llamaburn.errors import DatasetError, SettingsError
from pytest_llamaburn.evalsets import EvalSet, Question
from pytest_llamaburn.kinds.eval import asking
from pytest_llamaburn.kinds.eval.asking import Asking
from pytest_llamaburn.kinds.eval.settings import Eval
from pytest_llamaburn.option import model_of

if TYPE_CHECKING:
    from pathlib import Path

SUMS = [
    {"id": f"sum{n}", "prompt": f"{n} + 1?", "reference": str(n + 1), "category": "sums"}
    for n in range(8)
]
SOLVED = {"prompt": "9 + 1?", "answer": "10", "category": "sums"}
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


def turns(found: EvalSet, name: str, scored: Any = None, **values: Any) -> list[tuple[str, str]]:
    """Return the roles and texts of the conversation that asks a question."""
    asked = found.questions if scored is None else [named(found, one) for one in scored]
    how = Asking(settings(**values), found, asked)
    question = named(found, name)
    return [(m["role"], m["content"]) for m in how.messages(question, how.text(question))]


def named(found: EvalSet, name: str) -> Question:
    return next(q for q in found.questions if q.id == name)


def setting_refusal(**values: Any) -> str:
    return refusal(SettingsError, asking.check, settings(**values))


def test_without_options_a_question_is_asked_alone(tmp_path: Path) -> None:
    assert turns(written(tmp_path, *SUMS), "sum3") == [("user", "3 + 1?")]


def test_solved_examples_are_turns_of_a_conversation_before_the_question(tmp_path: Path) -> None:
    found = written(tmp_path, *SUMS, CITY, examples=[SOLVED])
    assert turns(found, "sum3", few_shot=1) == [
        ("user", "9 + 1?"),
        ("assistant", "10"),
        ("user", "3 + 1?"),
    ]


def test_another_set_gives_its_solved_questions_as_examples(tmp_path: Path) -> None:
    """They replace the set's own, keep their order, and go to the questions of their category."""
    bare = {"id": "bare", "prompt": "8 + 1?"}
    rows = [{**SUMS[1], "category": "cities"}, bare, SUMS[2], {**bare, "reference": "9"}]
    path = tmp_path / "dev.jsonl"
    path.write_text("".join(json.dumps({**row, "id": n}) + "\n" for n, row in enumerate(rows)))
    found = written(tmp_path, SUMS[0], examples=[SOLVED])
    shown = turns(found, "sum0", few_shot=2, examples=str(path))
    assert [text for _, text in shown] == ["2 + 1?", "3", "8 + 1?", "9", "0 + 1?"]


def test_a_choice_is_solved_by_its_letter_and_shown_as_it_is_asked(tmp_path: Path) -> None:
    path = written(tmp_path, CITY).path.rename(tmp_path / "dev.json")
    found = written(tmp_path, {**CITY, "prompt": "Where is the Forum?"})
    shown = turns(found, "city", few_shot=1, examples=str(path))
    assert shown[:2] == [("user", "Where is the Louvre?"), ("assistant", "B")]
    shown = turns(found, "city", few_shot=1, examples=str(path), choice_by="logprob")
    assert shown[0][1].startswith("Where is the Louvre?\n\nA) Rome\nB) Paris\n")


@given(st.sets(st.integers(0, 7), min_size=1), st.integers(0, 7))
def test_a_question_that_is_scored_is_never_an_example(scored: set[int], count: int) -> None:
    solved = [{"prompt": q["prompt"], "answer": q["reference"]} for q in SUMS]
    content = {"name": "s", "questions": SUMS, "examples": solved}
    found = evalsets.eval_set(content, datasets.data_dir("none"))
    names = [f"sum{n}" for n in sorted(scored)]
    every = [turns(found, name, names, few_shot=count) for name in names]
    shown = {text for one in every for role, text in one[:-1] if role == "user"}
    assert shown.isdisjoint(f"{n} + 1?" for n in scored)
    assert len(shown) == min(count, 8 - len(scored))


def test_with_a_limit_the_questions_left_out_may_be_examples(tmp_path: Path) -> None:
    path = str(written(tmp_path, *SUMS).path)
    asking.check(settings(set=(path,), limit=5, few_shot=3, examples=path))
    said = setting_refusal(set=(path,), limit=5, few_shot=4, examples=path)
    assert said.startswith(f"--few-shot: 4 is refused: {path} has 3 examples for question 'sum")


def test_too_few_examples_are_refused_with_the_way_out(tmp_path: Path) -> None:
    found = written(tmp_path, SUMS[0], CITY, examples=[SOLVED])
    assert setting_refusal(set=(str(found.path),), few_shot=1) == (
        "--few-shot: 1 is refused: mine has 0 examples for question 'city' of the category "
        "'cities'; questions that are scored do not count: leave it out, or name a set with more "
        "solved questions with --examples"
    )
    found = written(tmp_path, SUMS[0], examples=[SOLVED])
    said = setting_refusal(set=(str(found.path),), few_shot=2)
    assert "mine has 1 example for question 'sum0'" in said
    assert "do not count: set --few-shot 1 or less, or name a set" in said


def test_examples_that_cannot_be_read_name_the_option(tmp_path: Path) -> None:
    path = str(written(tmp_path, *SUMS).path)
    asked = settings(set=(path,), few_shot=1, examples="no.jsonl")
    said = refusal(DatasetError, asking.check, asked)
    assert said == "--examples: eval set: no.jsonl does not exist"


def test_the_digest_of_the_examples_is_of_those_that_are_shown(tmp_path: Path) -> None:
    more = [SOLVED, {**SOLVED, "prompt": "8 + 1?"}]

    def digest(*examples: Any, count: int = 1) -> str | None:
        found = written(tmp_path, *SUMS, examples=[*examples])
        return Asking(settings(few_shot=count), found, found.questions).few_shot_sha256

    assert digest(SOLVED) == digest(*more) != digest(*reversed(more))
    assert digest(*more, count=2) not in (digest(*more), None)
    assert digest(SOLVED, count=0) is None


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


@pytest.mark.parametrize(
    ("given", "said"),
    [(None, "Be kind."), ("Be brief.", "Be brief."), ("", None), ("@@all", "@all")],
)
def test_the_option_replaces_the_sets_system_prompt(
    tmp_path: Path, given: str | None, said: str | None
) -> None:
    found = written(tmp_path, *SUMS, system_prompt="Be kind.")
    before = [text for role, text in turns(found, "sum0", system_prompt=given) if role == "system"]
    assert before == ([said] if said else [])


def test_a_system_prompt_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "persona.txt").write_text("\ufeffYou are\na clerk.\n", encoding="utf-8")
    found = written(tmp_path, *SUMS)
    path = f"@{tmp_path / 'persona.txt'}"
    assert turns(found, "sum0", system_prompt=path)[0] == ("system", "You are\na clerk.")
    assert asking.recorded("@all") == "@@all"
    assert asking.recorded("You") == "You"
    said = setting_refusal(set=(str(found.path),), system_prompt="@no.txt")
    assert said == (
        "--system-prompt: @no.txt cannot be read: No such file or directory: name a text file, or "
        "write @@ for a prompt that begins with @"
    )


def test_the_system_prompt_is_part_of_what_a_set_is_and_examples_are_not(tmp_path: Path) -> None:
    """They are shown only with --few-shot, and have a digest of their own."""
    plain = written(tmp_path, *SUMS)
    assert written(tmp_path, *SUMS, system_prompt="Be kind.").sha256 != plain.sha256
    assert written(tmp_path, *SUMS, examples=[SOLVED]).sha256 == plain.sha256


def test_by_letter_a_prompt_gets_the_choices_and_the_instruction_it_lacks(tmp_path: Path) -> None:
    lettered = "Which?\n\nA) Rome\n(B) Paris\n\nReply with the letter of the right answer only."
    other = {**CITY, "id": "whole", "prompt": lettered}
    found = written(tmp_path, CITY, other)
    how = Asking(settings(choice_by="logprob"), found, found.questions)
    assert how.text(named(found, "whole")) == lettered
    assert how.text(named(found, "city")) == (
        "Where is the Louvre?\n\nA) Rome\nB) Paris\n\nAnswer with the letter of the right choice "
        "only."
    )
    assert how.text(found.questions[0]._replace(scorer="exact")) == "Where is the Louvre?"
    assert Asking(settings(), found, ()).text(named(found, "city")) == "Where is the Louvre?"


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
