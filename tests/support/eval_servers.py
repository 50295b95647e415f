"""A model that answers questions and a judge that marks them, on the loopback; small eval sets."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from support.scripted import Hang, OllamaFacade, Pause, Request, Steps, ollama_stream, sized

if TYPE_CHECKING:
    from pathlib import Path

CRITERIA = ("accuracy", "completeness", "coherence")
Opinion: TypeAlias = "Mapping[str, Any] | Steps"


@dataclass
class Pupil(OllamaFacade):
    """A model that gives a set answer to a question that contains a word, else the last one."""

    answers: Mapping[str, str | Steps] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    greeting: str = "Hello"

    def __call__(self, request: Request) -> Steps:
        if request.path != "/api/chat" or not request.json["messages"]:
            return super().__call__(request)
        text = request.json["messages"][-1]["content"]
        if "Say hello" in text:  # the warm-up
            return ollama_stream([self.greeting])
        self.asked.append(request.json)
        self.log.append("answer")
        found = next((a for word, a in self.answers.items() if word in text), "no idea")
        return ollama_stream([found], done_reason="stop") if isinstance(found, str) else found


@dataclass
class Pupils(Pupil):
    """Two models at one server, tiny and rival, each with its own answers."""

    by_model: Mapping[str, Mapping[str, str | Steps]] = field(default_factory=dict)

    def __call__(self, request: Request) -> Steps:
        if request.path == "/api/chat" and request.json["messages"]:
            self.answers = self.by_model.get(request.json["model"].partition(":")[0], {})
        return super().__call__(request)

    def _play(self, replies: Any, request: Request, **headers: str) -> Steps:
        (one,) = replies["/api/tags"]["models"]
        names = ("tiny:latest", "rival:latest")
        models = [{**one, "name": name, "digest": name[:4]} for name in names]
        return super()._play({**replies, "/api/tags": {"models": models}}, request, **headers)


def by_answer(prompt: str, criterion: str) -> Opinion:
    """Give 5 to a right answer and 2 to any other."""
    return verdict(5 if "right" in block(prompt, "ANSWER") else 2)


@dataclass
class Assessor(OllamaFacade):
    """A judge at Ollama; `opinion` gets the prompt and the criterion, and says the verdict."""

    model: str = "judge:latest"
    opinion: Callable[[str, str], Opinion] = by_answer
    calls: list[tuple[str, str]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    stop_at: int = 0  # this call is not answered, nor are later ones
    stopped: threading.Event = field(default_factory=threading.Event)
    latency_s: float = 0.0

    def __call__(self, request: Request) -> Steps:
        if request.path != "/api/chat" or not request.json["messages"]:
            return super().__call__(request)
        system, user = (message["content"] for message in request.json["messages"])
        criterion = criterion_of(system)
        self.calls.append((block(user, "QUESTION"), criterion))
        self.log.append("judgment")
        if self.stop_at and len(self.calls) >= self.stop_at:
            self.stopped.set()
            return [Hang()]
        said = self.opinion(user, criterion)
        steps = [sized(200, reply(json.dumps(said)))] if isinstance(said, Mapping) else said
        return [*([Pause(self.latency_s)] if self.latency_s else []), *steps]


def criterion_of(system: str) -> str:
    """Return which criterion a judging prompt is on."""
    if found := re.search(r"on one criterion, (\w+):", system):
        return found[1]
    about = {
        "one short answer": "grade",
        "claims are those of the ANSWER": "faithfulness",
        "claims are those of the REFERENCE": "context_recall",
    }
    return next((name for words, name in about.items() if words in system), "preference")


def grade(found: str) -> dict[str, Any]:
    """Return a judge's grade of one answer."""
    return {"evidence": [], "reasoning": f"{found} it is", "verdict": found}


def claims(*told: tuple[str, str, bool]) -> dict[str, Any]:
    """Return a judge's list of claims, each with its quote and whether it is supported."""
    listed = [{"claim": c, "quote": q, "supported": s} for c, q, s in told]
    return {"claims": listed, "reasoning": "as listed"}


def verdict(score: int) -> dict[str, Any]:
    """Return a judge's verdict on one answer."""
    return {"evidence": ["a quote"], "reasoning": f"worth {score}", "score": score}


def preference(found: str) -> dict[str, Any]:
    """Return a judge's verdict on two answers."""
    return {"evidence": [], "reasoning": f"{found} it is", "verdict": found}


def reply(text: str) -> dict[str, Any]:
    """Return Ollama's answer with a text."""
    message = {"role": "assistant", "content": text}
    counts = {"prompt_eval_count": 300, "eval_count": 40}
    return {
        "model": "judge:latest",
        "message": message,
        "done": True,
        "done_reason": "stop",
    } | counts


def block(prompt: str, name: str) -> str:
    """Return what stands in a block of a judging prompt."""
    found = re.search(rf"<<<{name} \w+>>>\n(.*?)\n<<<END {name}", prompt, re.DOTALL)
    return found[1] if found else ""


def question(name: str, **fields: Any) -> dict[str, Any]:
    """Return a question as a file has it."""
    made = {"id": name, "prompt": f"What is {name}?", "reference": f"right {name}"}
    return {**made, "category": "things", "allow_web_search": False, **fields}


def eval_set(directory: Path, *questions: Mapping[str, Any], name: str = "small") -> str:
    """Write an eval set and return its path."""
    path = directory / f"{name}.json"
    path.write_text(json.dumps({"name": name, "version": "1.0", "questions": [*questions]}))
    return str(path)


def evals_in(directory: Path) -> list[dict[str, Any]]:
    """Return the eval files of a results directory, by name."""
    paths = sorted((directory / "evals").glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]
