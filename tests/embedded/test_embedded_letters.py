"""A choice read by the probabilities that a real model gives its letters."""

from __future__ import annotations

import asyncio
import math
from itertools import cycle, permutations
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.command_line import run_cli
from support.eval_servers import eval_set, evals_in, question
from support.scripted import settings_for

from pytest_llamaburn.backends import _catalogue
from pytest_llamaburn.backends.embedded import Backend
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CAPITALS = {"France": "Paris", "Italy": "Rome", "Norway": "Oslo"}
ANSWER = "Answer with the letter of the right choice only."
CACHE_NOISE = 0.06  # of a probability: llama.cpp computes cached prompts in other batches
DEV = [("Spain", "Madrid", "A"), ("Japan", "Tokyo", "C")]


@pytest.fixture
def llama_cpp() -> Iterator[str]:
    backend = Backend(settings_for(host=None))
    asyncio.run(backend.open(str(_catalogue.fetch("smollm2-135m", quiet=True))))
    yield backend.address.url
    backend.close()


def choice(country: str, capital: str, choices: list[str], name: str) -> dict[str, Any]:
    asked = f"What is the capital of {country}?"
    return question(name, prompt=asked, reference=capital, scorer="choice", choices=choices)


def dev_set(directory: Path) -> str:
    solved = [choice(c, right, ["Madrid", "Cairo", "Tokyo"], c) for c, right, _ in DEV]
    return f"--examples={eval_set(directory, *solved, name='dev')}"


def conversation(country: str, choices: tuple[str, ...]) -> list[dict[str, str]]:
    """Return what is sent for a question, written by hand."""

    def asked(of: str, texts: tuple[str, ...]) -> dict[str, str]:
        lettered = "\n".join(f"{x}) {text}" for x, text in zip("ABC", texts, strict=True))
        words = f"What is the capital of {of}?\n\n{lettered}\n\n{ANSWER}"
        return {"role": "user", "content": words}

    turns = [{"role": "system", "content": "Be brief."}]
    for of, _, letter in DEV:
        turns += [
            asked(of, ("Madrid", "Cairo", "Tokyo")),
            {"role": "assistant", "content": letter},
        ]
    return [*turns, asked(country, choices)]


def probabilities(host: str, messages: list[dict[str, str]]) -> dict[str, float]:
    """Return the probability of each letter as llama.cpp's own endpoint has it, of 500 tokens."""
    with httpx.Client(base_url=host.removesuffix("/v1"), timeout=60, trust_env=False) as client:
        prompt = client.post("/apply-template", json={"messages": messages}).json()["prompt"]
        body = {"prompt": prompt, "n_predict": 1, "n_probs": 500, "temperature": 0}
        told = client.post("/completion", json=body).json()["completion_probabilities"]
    found = dict.fromkeys("ABC", 0.0)
    for one in told[0]["top_logprobs"]:
        letter = one["token"].strip(" (.)")
        if letter in found:
            found[letter] += math.exp(one["logprob"])
    return found


def test_the_embedded_model_chooses_by_the_probabilities_of_letters(tmp_path: Path) -> None:
    asked = [choice(c, right, ["Rome", "Paris", "Oslo"], c) for c, right in CAPITALS.items()]
    args = (f"--set={eval_set(tmp_path, *asked)}", "--choice-by=logprob", "--few-shot=2")
    shown = dev_set(tmp_path)
    done = run_cli("eval", "smollm2-135m", *args, shown, "--warmup=1", cwd=tmp_path)
    (document,) = evals_in(tmp_path / "results")
    assert results.check(document) is None
    assert document["results"]["correct"]["n_scored"] == len(asked)
    for item in document["results"]["items"]:
        letters = item["choice_logprobs"]
        assert set(letters) == {"A", "B", "C"}
        known = {letter: value for letter, value in letters.items() if value is not None}
        assert item["answer"] == max(known, key=lambda letter: known[letter])
        assert item["verdict"]["extracted"] == item["answer"]
        assert math.isclose(item["choice_mass"], sum(map(math.exp, known.values())))
        assert 0.2 < item["choice_mass"] <= 1  # two answers with letters stood before
        assert item["timing"]["output_sequence_length"] == 1
    assert "choices read by probability: on average the letters had " in done.stdout


def test_in_every_order_of_the_choices_the_figures_are_those_of_the_engine_itself(
    llama_cpp: str, tmp_path: Path
) -> None:
    orders = {
        "-".join(order): (country, order)
        for country, order in zip(cycle(CAPITALS), permutations(CAPITALS.values()), strict=False)
    }
    asked = [choice(c, CAPITALS[c], [*order], name) for name, (c, order) in orders.items()]
    args = (f"--set={eval_set(tmp_path, *asked)}", "--choice-by=logprob", "--few-shot=2")
    sent = (dev_set(tmp_path), "--system-prompt=Be brief.", f"--host={llama_cpp}", "--warmup=1")
    run_cli("eval", *args, *sent, cwd=tmp_path)
    (document,) = evals_in(tmp_path / "results")
    rights = 0
    for item in document["results"]["items"]:
        country, order = orders[item["question"]["id"]]
        expected = probabilities(llama_cpp, conversation(country, order))
        found = {x: math.exp(p) for x, p in item["choice_logprobs"].items() if p is not None}
        assert found == pytest.approx({x: expected[x] for x in found}, abs=CACHE_NOISE)
        best = max(found, key=lambda letter: found[letter])
        right = order["ABC".index(best)] == CAPITALS[country]
        assert item["correct"] is right
        rights += right
    assert document["results"]["correct"]["mean"] == pytest.approx(rights / len(orders))
