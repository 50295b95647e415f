"""Evals as their models see them: what is sent around a question, and what the file says of it."""

from __future__ import annotations

import json
import math
import re
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.comparisons import comparison_document
from support.eval_servers import Assessor, Pupil, eval_set, evals_in, question
from support.scripted import (
    LlamaCppFacade,
    OllamaFacade,
    Request,
    ScriptedServer,
    Steps,
    chunked,
    ollama_line,
    ollama_stream,
    openai_chunk,
    sized,
    sse,
)

from pytest_llamaburn.kinds.eval import table
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Iterator

SUITE = Path(__file__).parents[2] / "suites" / "eval"
QUIET = ("-p", "no:cacheprovider")
RED, BLUE = (question(name, scorer="includes") for name in ("red", "blue"))
GREEN = {"prompt": "What is green?", "answer": "right green"}
CITIES = [
    question(name, prompt=f"{name}?", reference=right, scorer="choice", choices=["x", "y"])
    for name, right in (("Rome", "A"), ("Paris", "B"))
]
TOLD = ("--llamaburn-progress=auto",)
THINKS = ("completion", "thinking")


@contextmanager
def session(pytester: pytest.Pytester, script: Any) -> Iterator[Any]:
    """Yield how an eval is run in this process: with its options, told its result and file."""
    with ScriptedServer(script) as server:

        def run(*options: str) -> tuple[pytest.RunResult, dict[str, Any]]:
            on = (f"--llamaburn-host={server.host}", "--llamaburn-model=tiny:latest")
            done = pytester.runpytest_inprocess(*QUIET, str(SUITE), *on, *options)
            found = evals_in(pytester.path / "results")
            assert all(results.check(document) is None for document in found)
            return done, found[-1] if found else {}

        yield run


def chosen(pytester: pytest.Pytester, *questions: Any, **fields: Any) -> str:
    path = Path(eval_set(pytester.path, *questions))
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    return f"--llamaburn-eval-set={path}"


def table_text(document: dict[str, Any]) -> str:
    sheets = table.sheets(document, Path("r.json"))
    parts = ((*sheet.facts, *(line for _, line in sheet.notes)) for sheet in sheets)
    return "\n".join(line for part in parts for line in part)


def test_system_prompt_and_examples_are_sent_and_recorded(pytester: pytest.Pytester) -> None:
    pupil = Pupil(answers={"red": "right red"})
    own = {"system_prompt": "Be kind.", "examples": [GREEN]}
    with session(pytester, pupil) as run:
        options = (chosen(pytester, RED, BLUE, **own), "--llamaburn-few-shot=1")
        _, document = run(*options)
        asked = {r["messages"][-1]["content"]: r["messages"][:-1] for r in pupil.asked}
        assert asked["What is red?"] == [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "What is green?"},
            {"role": "assistant", "content": "right green"},
        ]
        assert document["config"]["system_prompt"] == "Be kind."
        assert len(document["results"]["eval_set"]["few_shot_sha256"]) == 16
        shown = [{**GREEN, "category": None}]
        assert document["results"]["few_shot_examples"] == shown
        assert document["config"]["few_shot"] == 1
        said = table_text(document)
        assert "1 solved example before each question, a system prompt of 8 characters" in said
        _, again = run(*options)
        assert again["results"]["totals"]["cached"] == 2
        _, other = run(*options, "--llamaburn-system-prompt=Be brief.")
        assert other["results"]["totals"]["cached"] == 0
        (path, *_) = (pytester.path / "results" / "evals").iterdir()
        _, scored = run(f"--llamaburn-rescore={path}", f"--llamaburn-eval-set={path}")
        assert scored["results"]["few_shot_examples"] == shown


def test_a_fresh_prefix_stands_before_all_that_is_sent(pytester: pytest.Pytester) -> None:
    pupil = Pupil()
    with session(pytester, pupil) as run:
        run(chosen(pytester, RED), "--llamaburn-system-prompt=Be.", "--llamaburn-eval-cache=bust")
    system, asked = pupil.asked[0]["messages"]
    assert system["content"].endswith("\n\nBe.")
    assert asked["content"] == "What is red?"


def test_a_judge_sees_neither_examples_nor_system_prompt(pytester: pytest.Pytester) -> None:
    assessor = Assessor()
    prompts: list[str] = []

    def opinion(prompt: str, criterion: str) -> Any:
        prompts.append(prompt)
        return {"evidence": [], "reasoning": "so", "score": 3}

    assessor.opinion = opinion
    with ScriptedServer(assessor) as judge, session(pytester, Pupil()) as run:
        own = [{"prompt": "Solved?", "answer": "So."}]
        options = (
            chosen(pytester, RED, examples=own, system_prompt="Be kind."),
            "--llamaburn-few-shot=1",
        )
        run(*options, f"--llamaburn-judge=ollama:judge@{judge.host}")
    assert prompts
    assert not [p for p in prompts if "Solved?" in p or "Be kind." in p]


def test_too_few_examples_are_refused_before_anything_is_asked(pytester: pytest.Pytester) -> None:
    pupil = Pupil()
    with session(pytester, pupil) as run:
        done, document = run(chosen(pytester, RED, BLUE), "--llamaburn-few-shot=2")
    assert (done.ret, document, pupil.asked) == (4, {}, [])
    said = done.stderr.str() + done.stdout.str()
    assert "few-shot: 2 is refused: small has 0 examples for question 'red'" in said


def test_a_model_that_thinks_gets_more_tokens_unless_told(pytester: pytest.Pytester) -> None:
    pupil = Pupil(answers={"red": "right red"}, capabilities=THINKS)
    with session(pytester, pupil) as run:
        done, document = run(chosen(pytester, RED), *TOLD)
        options = pupil.asked[-1]["options"]
        assert (options["num_predict"], options["num_ctx"]) == (4096, 8192)
        assert document["config"]["max_tokens"] == 4096
        assert document["config"]["sent"]["options"] == options
        assert (
            "tiny:latest can think before it answers: an answer may have up to 4096 tokens; "
            "--max-tokens sets another limit"
        ) in done.stdout.str()
        done, _ = run(chosen(pytester, RED), "--llamaburn-eval-max-tokens=300", *TOLD)
        options = pupil.asked[-1]["options"]
        assert (options["num_predict"], options["num_ctx"]) == (300, 4096)
        assert "300 tokens may end before the answer begins" in done.stdout.str()


def test_a_model_that_thinks_in_its_warm_up_gets_more_tokens(pytester: pytest.Pytester) -> None:
    pupil = Pupil(answers={"red": "right red"}, greeting="<think>a greeting</think>Hello.")
    with session(pytester, pupil) as run:
        done, document = run(chosen(pytester, RED), *TOLD)
    options = pupil.asked[-1]["options"]
    assert (options["num_predict"], options["num_ctx"]) == (4096, 8192)
    assert document["config"]["max_tokens"] == 4096
    assert document["config"]["sent"]["options"] == options
    assert "tiny:latest thinks before it answers: an answer may have up to 4096 tokens" in (
        done.stdout.str()
    )


def test_answers_cut_while_thinking_are_told_during_the_run(pytester: pytest.Pytester) -> None:
    cut = ollama_stream([{"thinking": "well"}], done_reason="length", eval_count=100)
    asked = [question(f"red{n}", scorer="includes") for n in range(4)]
    with session(pytester, Pupil(answers={"red": cut}, capabilities=THINKS)) as run:
        done, document = run(chosen(pytester, *asked), "--llamaburn-eval-max-tokens=100", *TOLD)
    advice = (
        " answers were cut off at the limit of 100 tokens before they began; {} of them were all "
        "thinking. They count as wrong. No other finished. Use --max-tokens 512 or --think off."
    )
    said = done.stdout.str()
    assert f"3 of 3{advice.format(3)}" in said
    assert said.count("3 of 3 answers") == 1
    assert f"4 of 4{advice.format(4)}" in table_text(document)
    assert [found["id"] for found in document["insights"]] == ["cut_before_answer"]
    assert "cut off at the limit of 100 tokens: " not in table_text(document)


@dataclass
class Lettered(OllamaFacade):
    """Ollama, with the probabilities of the first token by a word of the question."""

    likely: Any = None
    calls: int = 0

    def __call__(self, request: Request) -> Steps:
        if request.path != "/api/chat" or not request.json["messages"]:
            return super().__call__(request)
        body = request.json
        text = body["messages"][-1]["content"]
        known = {**self.likely, "Which letter comes first": {"A": 0.9}} if self.likely else {}
        tokens = next((found for word, found in known.items() if word in text), None)
        if "logprobs" not in body:
            return ollama_stream(["The answer is B."])
        self.calls += 1
        assert (body["think"], body["options"]["num_predict"], body["top_logprobs"]) == (
            False,
            1,
            20,
        )
        top = [{"token": token, "logprob": math.log(p)} for token, p in (tokens or {}).items()]
        given = {"logprobs": [{"token": "The", "logprob": -1, "top_logprobs": top}]} if top else {}
        last = ollama_line(done=True, done_reason="length", eval_count=1)
        return chunked(ollama_line("The", **given), last)


def test_a_choice_is_the_letter_with_the_greatest_probability(pytester: pytest.Pytester) -> None:
    likely = {"Rome": {"The": 0.4, "A": 0.2, " A": 0.15, "B": 0.25}, "Paris": {"The": 0.9}}
    with session(pytester, Lettered(likely=likely)) as run:
        options = (chosen(pytester, *CITIES, RED), "--llamaburn-choice-by=logprob")
        _, document = run(*options)
        assert document["results"]["correct"]["mean"] == 1 / 3
        rome, paris, red = document["results"]["items"]
        assert (rome["answer"], rome["correct"]) == ("A", True)
        assert rome["choice_logprobs"] == {
            "A": pytest.approx(math.log(0.35)),
            "B": pytest.approx(math.log(0.25)),
        }
        assert rome["choice_mass"] == pytest.approx(0.6)
        assert (paris["correct"], paris["verdict"]["state"]) == (False, "unparsable")
        assert paris["verdict"]["reason"] == ("no letter of a choice is among the likeliest tokens")
        assert (red["choice_mass"], red["answer"]) == (None, "The answer is B.")
        assert document["config"]["sent"]["options"]["num_predict"] == 512
        said = table_text(document)
        assert "choices read by the probability of their letters" in said
        assert (
            "choices read by probability: on average the letters had 30% of it in 2 answers, at "
            "least 0%: the model tends to say something else"
        ) in said
        assert "raise --max-tokens" not in said
        assert "letters: A 35.0%, B 25.0%" in [*table.transcript(document)]
        assert "letters: A –, B –" in [*table.transcript(document)]
        _, again = run(*options)
        assert again["results"]["totals"]["cached"] == 3
        assert again["results"]["items"][0]["choice_mass"] == pytest.approx(0.6)
        (path, *_) = (pytester.path / "results" / "evals").iterdir()
        _, marked = run(f"--llamaburn-rescore={path}", f"--llamaburn-eval-set={path}")
        told = [
            [(item["answer"], item["correct"], item["choice_logprobs"]) for item in found]
            for found in (marked["results"]["items"], again["results"]["items"])
        ]
        assert told[0] == told[1]


def test_without_log_probabilities_nothing_is_asked(pytester: pytest.Pytester) -> None:
    facade = Lettered()
    with session(pytester, facade) as run:
        done, document = run(chosen(pytester, *CITIES), "--llamaburn-choice-by=logprob")
    assert (done.ret, document, facade.calls) == (4, {}, 1)
    said = done.stderr.str() + done.stdout.str()
    assert "gave no log probabilities with an answer of tiny:latest: leave the option out" in said


@dataclass
class Fewer(LlamaCppFacade):
    """A server that gives the probabilities of 5 tokens at most, and stops giving them."""

    asked: int = 0
    most: int = 5
    ends_after: int = 9

    def __call__(self, request: Request) -> Steps:
        if request.path != "/v1/chat/completions" or "logprobs" not in request.json:
            return super().__call__(request)
        if request.json["top_logprobs"] > self.most:
            return [sized(400, {"error": {"message": f"top_logprobs must be <= {self.most}"}})]
        self.asked += 1
        piece = openai_chunk({"content": "B"})
        if self.asked <= self.ends_after:
            top = [{"token": "B", "logprob": -0.1}]
            piece["choices"][0]["logprobs"] = {"content": [{"token": "B", "top_logprobs": top}]}
        return chunked(sse(piece), sse(openai_chunk({}, finish="length")), sse("[DONE]"))


def test_a_server_that_takes_fewer_alternatives_is_asked_for_fewer(
    pytester: pytest.Pytester,
) -> None:
    with session(pytester, Fewer()) as run:
        _, document = run(chosen(pytester, *CITIES), "--llamaburn-choice-by=logprob")
    assert [item["answer"] for item in document["results"]["items"]] == ["B", "B"]


def test_a_server_that_refuses_log_probabilities_is_quoted(pytester: pytest.Pytester) -> None:
    with session(pytester, Fewer(most=0)) as run:
        done, document = run(chosen(pytester, *CITIES), "--llamaburn-choice-by=logprob")
    assert (done.ret, document) == (4, {})
    said = done.stderr.str() + done.stdout.str()
    assert "of tiny:latest (top_logprobs must be <= 0): leave the option out" in said


def test_an_answer_without_log_probabilities_is_a_failure_and_not_read(
    pytester: pytest.Pytester,
) -> None:
    with session(pytester, Fewer(ends_after=2)) as run:
        _, document = run(
            chosen(pytester, *CITIES),
            "--llamaburn-choice-by=logprob",
            "--llamaburn-max-unscored=1",
        )
    first, second = document["results"]["items"]
    assert first["choice_mass"] == pytest.approx(math.exp(-0.1))
    assert (second["error"]["kind"], second["correct"]) == ("no_logprobs", None)


class ByText(LlamaCppFacade):
    """A model that finds each choice as likely as its text says, wherever it stands."""

    def __call__(self, request: Request) -> Steps:
        if request.path != "/v1/chat/completions" or "logprobs" not in request.json:
            return super().__call__(request)
        text = request.json["messages"][-1]["content"]
        told = re.findall(r"^([A-D])\) odds (\S+)", text, re.MULTILINE)
        found = {letter: float(odds) for letter, odds in told}
        top = [{"token": x, "logprob": math.log(p)} for x, p in (found or {"A": 0.9}).items()]
        piece = openai_chunk({"content": "I"})
        piece["choices"][0]["logprobs"] = {"content": [{"token": "I", "top_logprobs": top}]}
        return chunked(sse(piece), sse(openai_chunk({}, finish="length")), sse("[DONE]"))


def test_the_share_of_right_choices_is_exact_and_the_same_in_every_order(
    pytester: pytest.Pytester,
) -> None:
    """A sure right one, one that wins by a hair, a wrong one: 2 of 3, in each of 6 orders."""
    odds = {"sure": (0.8, 0.1, 0.05), "hair": (0.31, 0.3, 0.3), "wrong": (0.2, 0.3, 0.1)}
    asked = [
        question(
            f"{name}{number}",
            category=f"order {number}",
            prompt=f"{name} {number}?",
            reference=f"odds {right}",
            scorer="choice",
            choices=[f"odds {p}" for p in order],
        )
        for name, (right, *others) in odds.items()
        for number, order in enumerate(permutations((right, *others)))
    ]
    with session(pytester, ByText()) as run:
        _, document = run(chosen(pytester, *asked), "--llamaburn-choice-by=logprob")
    results_of = document["results"]
    assert results_of["correct"]["mean"] == 2 / 3
    assert {group["correct"]["mean"] for group in results_of["by_category"].values()} == {2 / 3}
    for item in results_of["items"]:
        texts = item["question"]["options"]["choices"]
        by_text = dict(zip(texts, item["choice_logprobs"].values(), strict=True))
        assert {t: math.exp(p) for t, p in by_text.items()} == {
            t: pytest.approx(float(t.split()[1])) for t in texts
        }


def test_another_set_of_the_session_may_have_no_choices(pytester: pytest.Pytester) -> None:
    facade = Lettered(likely={"Rome": {"A": 0.9}, "Paris": {"A": 0.9}})
    other = f"--llamaburn-eval-set={eval_set(pytester.path, RED, name='other')}"
    with session(pytester, facade) as run:
        done, _ = run(other, chosen(pytester, *CITIES), "--llamaburn-choice-by=logprob")
    assert done.ret == 0
    assert facade.calls == 3  # one of them to find out whether the server can


def test_compare_warns_of_what_was_sent_differently(pytester: pytest.Pytester) -> None:
    with session(pytester, Pupil()) as run:
        asked = chosen(pytester, RED, BLUE, examples=[GREEN])
        _, plain = run(asked)
        _, other = run(asked, "--llamaburn-few-shot=1", f"--llamaburn-system-prompt={'x' * 99}")
        asked = chosen(pytester, RED, BLUE, examples=[{**GREEN, "answer": "another"}])
        _, third = run(asked, "--llamaburn-few-shot=1", f"--llamaburn-system-prompt={'x' * 99}")
    for name in ("system_prompt", "few_shot", "choice_by"):
        del plain["config"][name]  # as earlier versions wrote it
    found = comparison_document("eval", plain, other)
    assert [warning["text"] for warning in found["results"]["warnings"]] == [
        f"system_prompt is {'x' * 60}…, none in the baseline",
        "few_shot is 1, 0 in the baseline",
    ]
    found = comparison_document("eval", other, third)
    assert [warning["text"] for warning in found["results"]["warnings"]] == [
        "the solved examples before the questions differ from those of the baseline"
    ]
    renamed = {**other["config"], "system": "x" * 99}  # as earlier versions called it
    del renamed["system_prompt"]
    assert not comparison_document("eval", {**other, "config": renamed}, other)["results"][
        "warnings"
    ]


def test_the_mean_over_categories_stands_beside_the_one_over_answers(
    pytester: pytest.Pytester,
) -> None:
    asked = [
        {**RED, "category": "a"},
        {**BLUE, "category": "a"},
        {**question("green", scorer="includes"), "category": "b"},
    ]
    with session(pytester, Pupil(answers={"green": "right green"})) as run:
        gate = "--llamaburn-eval-threshold=correct_macro>=0.5"
        _, document = run(chosen(pytester, *asked), gate)
    macro = document["results"]["correct_macro"]
    assert (macro["mean"], macro["categories"], macro["reason"]) == (0.5, 2, None)
    low, high = macro["ci95"]
    assert (
        f"correct: 0.500 [{low:.3f}, {high:.3f}] is the mean over 2 categories (macro), 0.333 over "
        "all answers (micro)"
    ) in table_text(document)
    told = [(gate["value"], gate["ci95"], gate["verdict"]) for gate in document["results"]["gates"]]
    assert told[0] == (0.5, [low, high], "pass")
