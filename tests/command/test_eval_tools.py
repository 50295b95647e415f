"""`llamaburn eval` with tools and schemas, against servers whose models behave as known."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from support.command_line import run_cli
from support.eval_servers import evals_in
from support.scripted import Pause, ScriptedServer, ollama_stream
from support.sensors import Fakes
from support.tool_servers import (
    Answers,
    Said,
    ToolLlama,
    ToolOllama,
    endless_ollama,
    endless_openai,
    refused,
)

from pytest_llamaburn.evalsets import Question, load_eval_set
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from support.scripted import Request, Steps

VALUES = "00000000:01:00.0, Example RTX, 595.10, 8.9, 150, 148, 3, 10, 20, 60, 350, 1800"
CHANGING = """
n=0
while :; do
  n=$(( (n + 1) % 7 ))
  echo "00000000:01:00.0, $((150 + n)), 148, 3, 8000, 24000, 60, 350, 1800"
  /bin/sleep 0.1
done
"""
ASKED = {
    q.prompt: q for name in ("tool_calls", "structured_output") for q in load_eval_set(name)[2]
}


def question_of(prompt: str) -> Question:
    return ASKED[prompt.partition("\n\nYou may call these tools:")[0]]


def perfect(prompt: str) -> Said:
    question = question_of(prompt)
    text = " or ".join(question.options.get("says", ["You are welcome"]))
    calls: list[Any] = json.loads(str(question.reference))
    return calls or text


def once(steps: Steps) -> Answers:
    """Return what answers the first question with these bytes, and all others right."""
    begun: list[str] = []

    def says(prompt: str) -> Said:
        begun.append(prompt)
        return steps if len(begun) == 1 else perfect(prompt)

    return says


def wrong_tool(prompt: str) -> Said:
    right = perfect(prompt)
    return right if isinstance(right, str) else [{**call, "name": "nap"} for call in right]  # type: ignore[dict-item]


def wrong_arguments(prompt: str) -> Said:
    right = perfect(prompt)
    return right if isinstance(right, str) else [{**call, "arguments": {"x": 1}} for call in right]  # type: ignore[dict-item]


def always_calls(prompt: str) -> Said:
    right = perfect(prompt)
    tool = question_of(prompt).options["tools"][0]["name"]
    return [{"name": tool, "arguments": {}}] if isinstance(right, str) else right


def played(
    server: Any, cwd: Path, *options: str, asked: str = "tool_calls", check: int = 0
) -> tuple[Any, subprocess.CompletedProcess[str]]:
    """Return the result file of an eval of ten tasks, and the ended command."""
    cwd.mkdir(exist_ok=True)
    args = (f"--set={asked}", "--limit=10", "--no-cache-answers", *options)
    with ScriptedServer(server) as where:
        done = run_cli("eval", "tiny:latest", f"--host={where.host}", *args, cwd=cwd, check=check)
    files = evals_in(cwd / "results")
    for one in files:
        assert results.check(one) is None
    return (files[0] if files else None), done


def mean(document: Any, name: str) -> float | None:
    found = document["results"]
    value: float | None = (found["rates"].get(name) or found.get(name))["mean"]
    return value


@pytest.mark.parametrize(
    ("server", "says", "scores"),
    [
        # correct, right tools, right arguments: four of ten tasks need no call
        (ToolOllama, perfect, (1.0, 1.0, 1.0)),
        (ToolLlama, perfect, (1.0, 1.0, 1.0)),
        (ToolOllama, wrong_tool, (0.4, 0.4, None)),
        (ToolLlama, wrong_arguments, (0.4, 1.0, 0.0)),
        (ToolOllama, always_calls, (0.6, 0.6, 1.0)),
    ],
)
def test_a_server_of_known_behaviour_has_known_scores(
    server: Callable[..., Any], says: Answers, scores: tuple[float | None, ...], tmp_path: Path
) -> None:
    document, _ = played(server(says=says), tmp_path)
    names = ("correct", "right_tools", "right_arguments")
    assert tuple(mean(document, name) for name in names) == scores
    assert document["status"] == "complete"
    assert document["results"]["totals"]["failed"] == 0
    calls = [call for item in document["results"]["items"] for call in item["tool_calls"]]
    assert all(call["fault"] is None for call in calls)
    assert len(calls) > 6


@pytest.mark.parametrize(
    ("server", "begun"), [(ToolOllama, endless_ollama), (ToolLlama, endless_openai)]
)
def test_a_call_that_never_ends_is_a_failure_and_wrong(
    server: Callable[..., Any], begun: Callable[[], Steps], tmp_path: Path
) -> None:
    document, _ = played(server(says=once(begun())), tmp_path, "--timeout-idle=0.3s")
    (cut,) = [item for item in document["results"]["items"] if item["error"]]
    assert (cut["error"]["kind"], cut["correct"]) == ("timeout_idle", False)
    assert mean(document, "correct") == 0.9


def incapable(says: Answers = perfect) -> ToolOllama:
    return ToolOllama(says=says, capabilities=("completion",))


class Refusing(ToolOllama):
    """Ollama that says nothing of capabilities and refuses tools."""

    def __call__(self, request: Request) -> Steps:
        has_tools = request.path == "/api/chat" and "tools" in request.json
        return refused() if has_tools else super().__call__(request)


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (incapable(), "tiny:latest does not support tools, as http://"),
        (
            Refusing(capabilities=()),
            "refuses tools of tiny:latest: registry.ollama.ai",
        ),
        (ToolLlama(drops_tools=True), "its prompt has 40 tokens with and without"),
    ],
)
def test_a_server_without_tools_is_told_once_before_anything_is_asked(
    server: Any, words: str, tmp_path: Path
) -> None:
    document, done = played(server, tmp_path, check=4)
    assert document is None
    assert server.asked == []
    assert words in done.stderr
    assert "use --structured prompt, which gives them to the model as text" in done.stderr


def as_text(prompt: str) -> Said:
    said = perfect(prompt)
    tags = "".join(f"<tool_call>{json.dumps(call)}</tool_call>\n" for call in said)
    return said if isinstance(said, str) else f"I call these.\n{tags}"


def test_calls_in_the_text_count_only_if_the_text_was_asked_for_them(tmp_path: Path) -> None:
    strict, _ = played(ToolOllama(says=as_text), tmp_path / "a")
    assert mean(strict, "correct") == 0.4  # of tasks where no call is due
    reasons = {item["verdict"]["reason"] for item in strict["results"]["items"]}
    assert any(why.startswith("the call stands in the text of the answer") for why in reasons)
    (insight,) = [one for one in strict["insights"] if one["id"] == "calls_in_text"]
    assert insight["evidence"] == {"in_text": 6, "of": 10}
    server = incapable(as_text)
    asked, _ = played(server, tmp_path / "b", "--structured=prompt")
    assert mean(asked, "correct") == 1.0
    assert not any("tools" in request for request in server.asked)
    assert "You may call these tools:" in server.asked[0]["messages"][-1]["content"]
    assert asked["config"]["structured"] == "prompt"


def test_a_sample_whose_tools_are_refused_is_a_failure_and_not_wrong(tmp_path: Path) -> None:
    document, _ = played(ToolOllama(says=once(refused())), tmp_path)
    (item,) = [one for one in document["results"]["items"] if one["error"]]
    assert (item["error"]["kind"], item["correct"]) == ("tools_refused", None)
    correct = document["results"]["correct"]
    assert (correct["mean"], correct["n_scored"], correct["n_total"]) == (1.0, 9, 10)


class Thinker(ToolOllama):
    """A model that is right only if it thinks, for which it needs 200 tokens more."""

    def __call__(self, request: Request) -> Steps:
        if request.path != "/api/chat" or not request.json["messages"]:
            return super().__call__(request)
        if "Say hello" in request.json["messages"][-1]["content"]:
            return super().__call__(request)
        right = str(question_of(request.json["messages"][-1]["content"]).reference)
        if request.json["think"]:
            counts = {"prompt_eval_count": 40, "eval_count": 210, "done_reason": "stop"}
            return ollama_stream([{"thinking": "Hm, hm."}, right], **counts)
        counts = {"prompt_eval_count": 40, "eval_count": 10, "done_reason": "stop"}
        return ollama_stream(["{}"], **counts)


def test_what_thinking_buys_and_costs_is_one_table(tmp_path: Path) -> None:
    server = Thinker(capabilities=("completion", "thinking"))
    _, done = played(server, tmp_path, "--vary=think=off,on", asked="structured_output")
    off, on = sorted(evals_in(tmp_path / "results"), key=lambda one: one["config"]["think"] == "on")
    assert [one["config"]["think"] for one in (off, on)] == ["off", "on"]
    assert [mean(one, "correct") for one in (off, on)] == [0.0, 1.0]
    (path,) = (tmp_path / "results" / "eval_comparisons").glob("*.json")
    found = json.loads(path.read_text(encoding="utf-8"))["results"]
    by_name = {one["mark"]: one for one in found["differences"]}
    assert (by_name["correct"]["difference"], by_name["correct"]["verdict"]) == (1.0, "better")
    tokens = by_name["output_sequence_length"]
    assert (tokens["baseline"], tokens["value"], tokens["difference"]) == (10, 210, 200)
    assert {"total_generation_ms", "tokens_per_sec", "joules_per_answer"} <= by_name.keys()
    energy = by_name["joules_per_answer"]
    assert (energy["value"], energy["reason"]) == (None, "no power sensor is read")
    assert "B: think is on, off in the baseline" in done.stdout
    assert "output_sequence_length" in done.stdout


@dataclass
class Slow(Thinker):
    """A thinker whose answers take a second, or two if it thinks."""

    def __call__(self, request: Request) -> Steps:
        steps = super().__call__(request)
        if request.path != "/api/chat" or not request.json["messages"]:
            return steps
        return [Pause(2.0 if request.json["think"] else 1.0), *steps]


def test_thinking_costs_energy_where_a_sensor_is_read(tmp_path: Path) -> None:
    fakes = Fakes(tmp_path)
    fakes.nvidia_smi([VALUES], CHANGING)
    options = ("--set=structured_output", "--limit=2", "--no-cache-answers", "--warmup=0")
    with ScriptedServer(Slow(capabilities=("completion", "thinking"))) as where:
        host = f"--host={where.host}"
        vary = ("--vary=think=off,on", "--gpu-provider=nvidia-smi")
        path = f"{fakes.home / 'bin'}:{os.environ['PATH']}"
        run_cli("eval", "tiny", host, *options, *vary, cwd=tmp_path, PATH=path)
    (file,) = (tmp_path / "results" / "eval_comparisons").glob("*.json")
    found = json.loads(file.read_text(encoding="utf-8"))["results"]["differences"]
    energy = next(one for one in found if one["mark"] == "joules_per_answer")
    assert energy["reason"] is None
    assert energy["questions"] == 2
    assert 75 < energy["difference"] < 600  # 150 W for a second; a busy machine waits


class Grammarian(ToolOllama):
    """A model that keeps to a schema only if the server holds it to the schema."""

    def __call__(self, request: Request) -> Steps:
        if request.path != "/api/chat" or not request.json["messages"]:
            return super().__call__(request)
        if "Say hello" in request.json["messages"][-1]["content"]:
            return super().__call__(request)
        self.asked.append(request.json)
        question = question_of(request.json["messages"][-1]["content"])
        held = request.json.get("format") == question.options["schema"]
        return ollama_stream([str(question.reference) if held else "Gladly!"], done_reason="stop")


def test_answers_with_and_without_the_schema_are_compared(tmp_path: Path) -> None:
    server = Grammarian()
    vary = "--vary=structured=prompt,server"
    _, done = played(server, tmp_path, vary, asked="structured_output")
    bare, held = sorted(evals_in(tmp_path / "results"), key=lambda e: e["config"]["structured"])
    assert [mean(one, "schema_valid") for one in (bare, held)] == [0.0, 1.0]
    assert [mean(one, "correct") for one in (bare, held)] == [0.0, 1.0]
    assert ["format" in request for request in server.asked] == [False] * 10 + [True] * 10
    assert "B: structured is server, prompt in the baseline" in done.stdout
    assert "tokens_per_sec" in done.stdout


def test_a_server_that_refuses_the_schema_is_told_once(tmp_path: Path) -> None:
    class Strict(Grammarian):
        def __call__(self, request: Request) -> Steps:
            held = request.path == "/api/chat" and "format" in request.json
            return [*refused()] if held else super().__call__(request)

    document, done = played(
        Strict(), tmp_path, "--structured=server", asked="structured_output", check=4
    )
    assert document is None
    assert "refuses the schema of answers" in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--vary=thnk=on,off",), "--vary: unknown setting 'thnk'"),
        (("--set=math", "--structured=server"), "--structured server is refused: no question of"),
    ],
)
def test_options_without_a_meaning_are_refused(
    options: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    done = run_cli("eval", "tiny", "--host=127.0.0.1:9", *options, cwd=tmp_path, check=4)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
