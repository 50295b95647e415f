"""Servers with every model that the documentation names: of text, of judgments, of vectors."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from support.embedding_server import Embedder
from support.eval_servers import block, criterion_of, grade, preference, reply, verdict
from support.fleet import OllamaFleet
from support.gpu_server import INFO, TENSORS
from support.judge_servers import Claude, Fake, OpenAI
from support.rated_server import Rated
from support.scripted import (
    OLLAMA_FINAL,
    LlamaCppFacade,
    Pause,
    Request,
    ScriptedServer,
    Steps,
    chunked,
    ollama_line,
    ollama_stream,
    sized,
)
from support.telling import Echoing, Told, ranked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MODELS = (
    "codegen:latest",
    "llama3.1:8b",
    "llama3.1:8b-fp16",
    "llama3.1:8b-q4_0",
    "llama3.1:8b-q4_K_M",
    "llama3.1:8b-q8_0",
    "llava:13b",
    "mistral:7b",
    "nomic-embed-text:latest",
    "qwen2.5-coder:7b",
    "qwen3:32b",
    "qwen3:8b",
    "smollm2:135m",
    "video-llm:latest",
)
CAPABILITIES = ("completion", "tools", "vision")
CHANCES = {" mat": 0.5, " sofa": 0.3, " bed": 0.2}
CONTEXT = 32768
TOOL_TOKENS = 40
LONGEST = 16  # tokens of an answer
GAP_S = 0.004  # between two tokens, so that they come in reads of their own


def judged(system: str, user: str) -> Mapping[str, Any]:
    """Return what a judge says to a prompt: a grade, a preference or a score."""
    asked = criterion_of(system)
    if asked == "grade":
        return grade("correct")
    right = block(user, "REFERENCE")
    if asked == "preference":
        return preference("A" if block(user, "ANSWER A") == right else "B")
    return verdict(5 if block(user, "ANSWER") == right else 2)


@dataclass
class DocumentedOllama(OllamaFleet):
    """Ollama; each of its models can do everything. Its tokens are words."""

    names: tuple[str, ...] = MODELS
    embedder: Embedder = field(default_factory=Embedder)

    def __call__(self, request: Request) -> Steps:
        if request.path == "/api/show":
            info = {**INFO, "llama.context_length": CONTEXT}
            thinks = ["thinking"] * request.json["model"].startswith("qwen3")
            about = {"model_info": info, "tensors": TENSORS}
            return [sized(200, {**about, "capabilities": [*CAPABILITIES, *thinks]})]
        if request.path == "/api/embed":
            return [sized(*self.embedder.answer(request.path, request.json))]
        if request.path == "/api/generate":
            return [sized(200, _next_token(request.json))]
        if request.path == "/api/chat" and request.json["messages"]:
            return self._answered(request.json)
        return super().__call__(request)

    def _answered(self, asked: Mapping[str, Any]) -> Steps:
        messages = asked["messages"]
        if "<<<QUESTION" in messages[-1]["content"]:
            return [sized(200, reply(json.dumps(judged(*(one["content"] for one in messages)))))]
        options = asked.get("options", {})
        context = options.get("num_ctx", CONTEXT)
        cost = Rated(context=context).cost(messages, min(LONGEST, options.get("num_predict", 8)))
        if cost.failure:
            return [sized(400, {"error": cost.failure})]
        counts = {
            "prompt_eval_count": cost.prompt + TOOL_TOKENS * ("tools" in asked),
            "eval_count": cost.written,
        }
        if asked.get("logprobs"):
            top = {"token": "B", "logprob": -0.1}
            line = ollama_line("B", logprobs=[{**top, "top_logprobs": [top]}])
            return chunked(line, ollama_line("", done=True, **{**OLLAMA_FINAL, **counts}))
        words = [f"w{number} " for number in range(cost.written)]
        steps = ollama_stream(words, done_reason="length", **counts)
        return [step for one in steps for step in (Pause(GAP_S), one)]


def _next_token(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to a prompt whose next token's probabilities are asked for."""
    told = Told(CHANCES, len(asked["prompt"].split()))
    likely = ranked(told.chances, asked["top_logprobs"])
    top = [{"token": token, "logprob": logprob} for token, logprob in likely]
    counts = {"prompt_eval_count": told.tokens, "eval_count": 1, "done_reason": "length"}
    logprobs = [{**top[0], "top_logprobs": top}]
    return {"response": likely[0][0], "done": True, "logprobs": logprobs, **counts}


@contextmanager
def documented_servers() -> Iterator[dict[str, str]]:
    """Serve all of them; yield the address of each, and the address of each judge's API."""
    with ExitStack() as stack:
        ollama = stack.enter_context(ScriptedServer(DocumentedOllama()))
        second = stack.enter_context(ScriptedServer(DocumentedOllama()))
        llama = stack.enter_context(ScriptedServer(LlamaCppFacade(model="llama3.1:8b")))
        told = stack.enter_context(ScriptedServer(Echoing(names=("base", "small"))))
        found = {
            "ollama": ollama.host,
            "second": second.host,
            "llama.cpp": llama.host,
            "vllm": told.host,
        }
        for judge in (Claude, OpenAI):
            fake: Fake = judge([lambda system, user: json.dumps(judged(system, user))])
            fake.server = stack.enter_context(ScriptedServer(fake))
            found[judge.provider] = fake.server.host
        yield found
