"""A choice read by the probabilities that a real model gives its letters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from support.command_line import run_cli
from support.eval_servers import eval_set, evals_in, question

from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from pathlib import Path


def test_the_embedded_model_chooses_by_the_probabilities_of_letters(tmp_path: Path) -> None:
    asked = [
        question(
            name,
            prompt=f"What is the capital of {name}?",
            reference=capital,
            scorer="choice",
            choices=["Rome", "Paris", "Oslo"],
        )
        for name, capital in (("France", "Paris"), ("Italy", "Rome"), ("Norway", "Oslo"))
    ]
    args = (f"--set={eval_set(tmp_path, *asked)}", "--choice-by=logprob", "--few-shot=2")
    done = run_cli("eval", "smollm2-135m", *args, "--warmup=1", cwd=tmp_path)
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
