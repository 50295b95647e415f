"""`llamaburn damage` as a child process, against loopback servers of known probabilities."""

from __future__ import annotations

import json
import math
from collections import Counter
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support.command_line import run_cli
from support.scripted import ScriptedServer
from support.telling import Echoing, OllamaTellers, Told

from pytest_llamaburn.store.results import check

if TYPE_CHECKING:
    from pathlib import Path

QUIET = ("--warmup=1", "--gpu-provider=host")
FEW = ("--rounds=2", "--iterations=1", "--max-tokens=4")
REFERENCE = {" mat": 0.5, " sofa": 0.3, " bed": 0.2}
PLACES = 3  # of each text
TEXTS = 40


def worse(number: int) -> dict[str, float]:
    """Return what the second model tells after the first part of a text."""
    mat = 0.2 + 0.004 * number
    return {" sofa": 0.8 - mat, " mat": mat, " bed": 0.2}


def tell(model: str, text: str) -> Told:
    words = text.split()
    is_damaged = model == "b:latest" and text.endswith("begins")
    return Told(worse(int(words[1])) if is_damaged else REFERENCE, len(words))


def tell_worse(model: str, text: str) -> Told:
    """Return what a model tells that is damaged at the second place of each text, too."""
    is_second = model == "b:latest" and text.endswith("goes on")
    return Told(worse(0), len(text.split())) if is_second else tell(model, text)


def texts(directory: Path) -> str:
    passages = [
        {
            "id": f"t{number}",
            "category": ("prose", "code")[number % 2],
            "parts": [f"Text {number} begins", " and goes on", " for long", " to its end."],
        }
        for number in range(TEXTS)
    ]
    path = directory / "texts.json"
    path.write_text(json.dumps({"passages": passages}))
    return f"--prefixes={path}"


def kept(directory: Path) -> Any:
    (path,) = (directory / "results" / "damages").glob("*.json")
    document = json.loads(path.read_text())
    assert check(document) is None
    return document


class Run(NamedTuple):
    """A finished run: its file, what it printed, its page, and what the server noted."""

    document: Any
    stdout: str
    stderr: str
    page: str
    events: list[str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    directory = tmp_path_factory.mktemp("damage")
    facade = OllamaTellers(tell=tell)
    with ScriptedServer(facade) as server:
        asked = ("damage", "a", "b", f"--host={server.host}", texts(directory), *QUIET, *FEW)
        gates = ("--threshold=changed_tokens<40%", "--threshold=kl_divergence<0.01")
        shown = ("-o", "table", "-o", "page.html")
        done = run_cli(*asked, *gates, *shown, cwd=directory, check=1)
    page = (directory / "page.html").read_text()
    return Run(kept(directory), done.stdout, done.stderr, page, facade.events)


def test_divergence_is_the_known_one(run: Run) -> None:
    found = run.document["results"]
    each = fmean(
        sum(p * math.log(p / worse(number)[token]) for token, p in REFERENCE.items())
        for number in range(TEXTS)
    )
    assert run.document["status"] == "complete"
    assert found["kl_divergence"]["value"] == pytest.approx(each / PLACES, abs=1e-6)
    assert found["kl_divergence"]["n"] == PLACES * TEXTS
    assert found["changed_tokens"]["value"] == pytest.approx(1 / PLACES)
    assert found["changed_tokens"]["ci95"][0] < 1 / PLACES < found["changed_tokens"]["ci95"][1]
    assert found["same_tokens"]["value"] == found["shared_mass"]["value"] == 1
    assert {one["category"] for one in found["categories"]} == {"prose", "code"}
    changed = [place["id"] for place in found["places"] if place["changed"]]
    assert sorted(changed) == sorted(f"t{number}/1" for number in range(TEXTS))
    assert found["places"][0]["reference"] == " mat"


def test_both_models_are_loaded_in_turn_and_answer_for_their_speed(run: Run) -> None:
    found = run.document["results"]
    assert [event for event in run.events if not event.startswith("ask")] == [
        *("load a:latest", "unload a:latest", "load b:latest"),
        *("unload b:latest", "load a:latest"),
    ]
    assert found["totals"]["succeeded"] == found["totals"]["planned"] == 2 * (PLACES * TEXTS + 2)
    for role in ("reference", "other"):
        assert found[role]["summary"]["time_to_first_token_ms"]["n"] == 2
    assert run.document["model"]["id"] == "b:latest"
    assert run.document["config"]["model"] == ["a", "b"]


def test_what_was_not_measured_is_null_with_a_reason(run: Run) -> None:
    ratio = run.document["results"]["perplexity_ratio"]
    assert ratio["value"] is None
    assert ratio["reason"].startswith("the server of a gives no log probabilities of a given text")
    assert "– perplexity ratio: the server of a gives no log" in run.stdout


def test_gates_judge_the_damage(run: Run) -> None:
    verdicts = {gate["expression"]: gate["verdict"] for gate in run.document["results"]["gates"]}
    assert verdicts == {"changed_tokens<40%": "pass", "kl_divergence<0.01": "fail"}


def test_the_estimated_time_is_told_first_and_tables_and_page_name_both_models(run: Run) -> None:
    first = run.stderr.partition("/244 requests")[0]  # before any progress
    assert "244 requests to a, b: " in first
    assert "damage of b against a" in run.stdout
    assert "At 33.3 % of the places the likeliest token is another one" in run.stdout
    assert "likely" not in run.document["results"]["runs"][0]
    assert "KL divergence at each place" in run.page


def test_files_are_compared_if_the_reference_is_the_same(tmp_path: Path) -> None:
    def asked(facade: OllamaTellers, *more: str, code: int = 0) -> str:
        with ScriptedServer(facade) as server:
            host = f"--host={server.host}"
            done = run_cli(
                *("damage", "a", "b", host, texts(tmp_path), *QUIET, *FEW, *more),
                cwd=tmp_path,
                check=code,
            )
        return done.stdout

    asked(OllamaTellers(tell=tell_worse))
    gates = ("--fail-if=changed_tokens:+5%", "--fail-if=kl_divergence:+10%")
    better = asked(OllamaTellers(tell=tell), "--compare", *gates)
    assert better.count("better") == 2
    again = asked(OllamaTellers(tell=tell_worse), "--compare", *gates, code=1)
    assert again.count("worse") == 2


def test_perplexity_ratio_comes_from_a_server_that_echoes(tmp_path: Path) -> None:
    with (
        ScriptedServer(Echoing(per_token=-1.0)) as first,
        ScriptedServer(Echoing(per_token=-1.25)) as second,
    ):
        hosts = (f"--host={first.host}", f"--other-host={second.host}", "--backend=openai")
        run_cli("damage", "a", "b", *hosts, texts(tmp_path), *QUIET, *FEW, cwd=tmp_path)
    found = kept(tmp_path)["results"]
    assert found["perplexity_ratio"]["value"] == pytest.approx(math.exp(0.25))
    assert found["perplexity_ratio"]["n"] == TEXTS * 10
    assert found["kl_divergence"]["value"] == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("a",), "damage: name two models, the reference first; named: a"),
        (("a", "c"), "has no model 'c'"),
        (("a", "b", "--prefixes=none.json"), "--prefixes: none.json cannot be read"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    args: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    with ScriptedServer(OllamaTellers()) as server:
        done = run_cli("damage", *args, f"--host={server.host}", cwd=tmp_path, check=4)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("tells", [(), ("a:latest",)])
def test_server_without_probabilities_is_refused_in_one_sentence(
    tells: tuple[str, ...], tmp_path: Path
) -> None:
    facade = OllamaTellers(tell=tell, tells=tells)
    with ScriptedServer(facade) as server:
        asked = ("damage", "a", "b", f"--host={server.host}", texts(tmp_path), *QUIET, *FEW)
        done = run_cli(*asked, cwd=tmp_path, check=4)
        silent = "b:latest" if tells else "a:latest"
        if tells:
            _check_the_rest(server, facade, tmp_path)
    words = (
        f"llamaburn: damage: {server.host} gave no log probabilities with a token of {silent}: "
        "use a server that gives them: llama.cpp, vLLM, SGLang, or Ollama from 0.12.11"
    )
    assert words in done.stderr.splitlines()
    assert "Traceback" not in done.stderr
    if not tells:
        assert not (tmp_path / "results").exists()


def test_another_server_without_probabilities_is_refused_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    facade, silent = OllamaTellers(tell=tell), OllamaTellers(tell=tell, tells=())
    with ScriptedServer(facade) as server, ScriptedServer(silent) as other:
        hosts = (f"--host={server.host}", f"--other-host={other.host}")
        asked = ("damage", "a", "b", *hosts, texts(tmp_path), *QUIET, *FEW)
        done = run_cli(*asked, cwd=tmp_path, check=4)
    words = f"damage: {other.host} gave no log probabilities with a token of b:latest: use a server"
    assert words in done.stderr
    assert not (tmp_path / "results").exists()
    assert facade.events == []  # not even a load


def _check_the_rest(server: ScriptedServer, facade: OllamaTellers, directory: Path) -> None:
    """Check that the reference's answers are kept, and that a resumed run sends only the rest."""
    before = kept(directory)
    half = PLACES * TEXTS / 2 + 1
    assert (before["status"], before["results"]["totals"]["succeeded"]) == ("partial", half)
    assert before["results"]["kl_divergence"]["reason"] == "no place has an answer of both models"
    facade.tells, asked = ("a:latest", "b:latest"), len(server.requests)
    run_cli("damage", "--resume=last", cwd=directory)
    after = kept(directory)
    assert (after["status"], after["run_id"]) == ("complete", before["run_id"])
    assert after["config"]["model"] == ["a", "b"]
    bodies = [one.partition(b"\r\n\r\n")[2] for one in server.requests[asked:]]
    sent = [json.loads(body) for body in bodies if b'"raw"' in body]
    of_texts = [one for one in sent if one["prompt"].startswith("Text")]
    models = Counter(one["model"] for one in of_texts)
    assert models == {"a:latest": PLACES * TEXTS / 2, "b:latest": PLACES * TEXTS}
