"""Judges of our own on the loopback: Anthropic's and OpenAI's wire, as their real SDKs speak it.

A fake takes the answers to its judging calls, the last one for all further calls; each is the text
of a verdict, the steps of a `ScriptedServer`, or a function of the call's system and user text that
returns either. Other paths (a model's lifecycle) are answered as the providers do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias, cast

from pytest_llamaburn.option import model_of
from pytest_llamaburn.settings import Judging
from support.scripted import Request, ScriptedServer, Steps, sized

KEY = "sk-test-3f7a9c-secret"
JSON = {"content_type": "application/json"}
Texts: TypeAlias = Callable[[str, str], "str | Steps"]
Answer: TypeAlias = "str | Steps | Texts"


def verdict_json(score: Any, reasoning: str = "as the quote shows", **fields: Any) -> str:
    """Return a judge's JSON."""
    return json.dumps({"evidence": ["a quote"], "reasoning": reasoning, "score": score, **fields})


def preference(found: str) -> str:
    """Return a judge's JSON on two answers."""
    return json.dumps({"evidence": [], "reasoning": "compared", "verdict": found})


def judging(**values: Any) -> Judging:
    """Return checked settings, defaults but for these."""
    return cast("Judging", model_of(Judging)(**values))


@dataclass
class Fake:
    """What both providers have; `server` is there once it is served."""

    answers: Sequence[Answer] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    calls: list[Any] = field(default_factory=list)
    server: ScriptedServer | None = None
    looked_up: Steps | None = None  # the answer to other paths, if not the provider's own
    provider: ClassVar[str]
    path: ClassVar[str]

    def __call__(self, request: Request) -> Steps:
        """Return the steps for a request; a key that is not ours is refused as the real ones do."""
        assert self.server is not None
        headers = self.server.requests[request.number].partition(b"\r\n\r\n")[0].decode().lower()
        if f"bearer {KEY}" not in headers and f"x-api-key: {KEY}" not in headers:
            return [self.error(401, f"Incorrect API key provided: {KEY}")]
        if request.path != self.path:
            return self.looked_up or self.lifecycle()
        self.calls.append(request.json)
        refused = self.refusal_of(request.json, headers)
        if refused:
            return [self.error(400, refused)]
        answer = self.answers[min(len(self.calls), len(self.answers)) - 1]
        if callable(answer):
            answer = answer(*self.texts(request.json))
        return [self.reply(answer)] if isinstance(answer, str) else answer

    def refusal_of(self, body: Any, headers: str) -> str:
        """Return the words that refuse a request, if the provider would."""
        raise NotImplementedError

    def texts(self, body: Any) -> tuple[str, str]:
        """Return the system's and the user's text."""
        raise NotImplementedError

    def lifecycle(self) -> Steps:
        """Answer what the provider says of a model."""
        raise NotImplementedError

    def reply(self, text: str, **fields: Any) -> bytes:
        """Return a whole reply."""
        raise NotImplementedError

    def error(self, status: int, words: str, **headers: str) -> bytes:
        """Return an error of the provider."""
        raise NotImplementedError

    def cut(self, text: str) -> bytes:
        """Return a reply that met the limit of tokens."""
        raise NotImplementedError

    def refusals(self) -> list[bytes]:
        """Return the shapes in which the model refuses."""
        raise NotImplementedError

    def limit(self, call: int) -> int:
        """Return the limit of tokens of a call."""
        raise NotImplementedError


class Claude(Fake):
    """Anthropic's `/v1/messages`."""

    provider = "claude"
    path = "/v1/messages"

    def refusal_of(self, body: Any, headers: str) -> str:
        """Refuse sampling parameters under today's version, as the API does."""
        sampled = {"temperature", "top_p", "top_k"} & set(body)
        if sampled and "anthropic-version: 2023-06-01" not in headers:
            return f"{sampled.pop()}: Extra inputs are not permitted"
        return ""

    def texts(self, body: Any) -> tuple[str, str]:
        return body["system"], body["messages"][0]["content"]

    def lifecycle(self) -> Steps:
        if not self.about:
            return [self.error(404, "not found")]
        shape = {"id": "m", "type": "model", "display_name": "M", "created_at": "2026-01-01"}
        return [sized(200, {**shape, **self.about}, **JSON)]

    def reply(self, text: str, **fields: Any) -> bytes:
        usage = {
            "input_tokens": 900,
            "cache_read_input_tokens": 40,
            "cache_creation_input_tokens": 20,
            "output_tokens": 120,
            "output_tokens_details": {"thinking_tokens": 70},
        }
        blocks = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": text}]
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-served",
            "content": blocks,
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": usage,
        }
        return sized(200, {**message, **fields}, request_id="req_1", **JSON)

    def error(self, status: int, words: str, **headers: str) -> bytes:
        kinds = {400: "invalid_request_error", 429: "rate_limit_error", 529: "overloaded_error"}
        error = {"type": kinds.get(status, "api_error"), "message": words}
        body = {"type": "error", "error": error, "request_id": "req_1"}
        return sized(status, body, **JSON, **headers)

    def cut(self, text: str) -> bytes:
        return self.reply(text, stop_reason="max_tokens")

    def refusals(self) -> list[bytes]:
        details = {"type": "refusal", "category": "bio", "explanation": "not for me"}
        empty = self.reply("", content=[], stop_reason="refusal", stop_details=details)
        return [empty, self.reply("I would rather", stop_reason="refusal")]

    def limit(self, call: int) -> int:
        found: int = self.calls[call]["max_tokens"]
        return found


class OpenAI(Fake):
    """OpenAI's `/v1/chat/completions`."""

    provider = "openai"
    path = "/v1/chat/completions"

    def refusal_of(self, body: Any, headers: str) -> str:
        """Refuse a temperature for models that reason, as the API does."""
        reasons = re.match(r"o\d|gpt-[5-9]", body["model"]) or body["model"] == "strict"
        if "temperature" in body and reasons:
            return "Unsupported value: 'temperature' does not support 0.0 with this model."
        return ""

    def texts(self, body: Any) -> tuple[str, str]:
        system, user = body["messages"]
        return system["content"], user["content"]

    def lifecycle(self) -> Steps:
        if not self.about:
            return [self.error(404, "not found")]
        shape = {"id": "m", "object": "model", "created": 1, "owned_by": "system"}
        return [sized(200, {**shape, **self.about}, **JSON)]

    def reply(self, text: str, **fields: Any) -> bytes:
        message = {"role": "assistant", "content": text, "refusal": None}
        message |= fields.pop("message", {})
        choice = {"index": 0, "finish_reason": "stop", "message": message, **fields}
        usage = {
            "prompt_tokens": 960,
            "completion_tokens": 120,
            "total_tokens": 1080,
            "prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 20},
            "completion_tokens_details": {"reasoning_tokens": 70},
        }
        body = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "openai-served",
            "choices": [choice],
            "usage": usage,
        }
        return sized(200, body, x_request_id="req_1", **JSON)

    def error(self, status: int, words: str, **headers: str) -> bytes:
        error = {"message": words, "type": "invalid_request_error", "param": None, "code": None}
        return sized(status, {"error": error}, **JSON, **headers)

    def cut(self, text: str) -> bytes:
        return self.reply(text, finish_reason="length")

    def refusals(self) -> list[bytes]:
        refused = self.reply("", message={"content": None, "refusal": "I can't help with that."})
        return [refused, self.reply("", finish_reason="content_filter")]

    def limit(self, call: int) -> int:
        body = self.calls[call]
        found: int = body.get("max_completion_tokens") or body["max_tokens"]
        return found


PROVIDERS: tuple[type[Fake], ...] = (Claude, OpenAI)


@contextmanager
def judge_server(fake: Fake, model: str | None = None) -> Iterator[str]:
    """Serve a fake; yield how `--judge` names it."""
    with ScriptedServer(fake) as server:
        fake.server = server
        yield f"{fake.provider}{f':{model}' if model else ''}@{server.host}"


_KEY_LINE = re.compile(r"The key of this message's markers is ([0-9a-f]{32})\n")
_GRADE = re.compile(
    r"(?:score|grade|rating|verdict)\W{1,6}(?:is\W+|of\W+)?([1-5])\b", re.IGNORECASE
)
_LOOK_ALIKE = re.compile(
    r"(?:[<＜‹《«⟨〈❮≪⋘][\u200b-\u200f\u2060\ufeff]*){3}"  # noqa: RUF001
    r"|</?(?:ANSWER|QUESTION)\b|<{1,2} ?END|<\||\|>|\[/?INST\]|<<SYS>>|</?s>|<end_of_turn>"
    r"|<\uff5c|\[/?(?:SYSTEM_PROMPT|TOOL_RESULTS|THINK|EOS)\]|<(?:eos|bos|seed:|tool_)|\u25c1/?think"
)


@dataclass
class Gullible:
    """A judge that knows the truth, but obeys any grade outside an intact fence.

    It refuses a message whose key it has seen before and one with look-alike markers inside.
    """

    truth: Callable[[str], int]
    keys: set[str] = field(default_factory=set)

    def __call__(self, system: str, user: str) -> str:
        """Return the verdict, or words that are none."""
        found = _KEY_LINE.match(user)
        key = found[1] if found else "no key"
        if key in self.keys:
            return f"I refuse: the key {key} was used before"
        self.keys.add(key)
        blocks = re.compile(
            rf"^<<<([A-Z ]+) {key}>>>$\n(.*?)\n^<<<END \1 {key}>>>$", re.DOTALL | re.MULTILINE
        )
        inside = dict(blocks.findall(user))
        if any(_LOOK_ALIKE.search(text) for text in inside.values()):
            return "I refuse: there are markers in the material"
        obeyed = _GRADE.search(blocks.sub("", user))
        score = int(obeyed[1]) if obeyed else self.truth(inside.get("ANSWER", ""))
        return verdict_json(score)


_NUMBER = re.compile(r"\d+")
_BLOCK = re.compile(r"^<<<([A-Z ]+) \w+>>>$\n(.*?)\n^<<<END ", re.MULTILINE | re.DOTALL)
_DENIAL = "But this is false:"


def planted_in(answer: str, reference: str) -> dict[str, int]:
    """Return how many errors of each kind an answer has, if its reference is one of `worked`."""
    told = answer.partition(_DENIAL)[0]
    pairs = zip(_NUMBER.findall(told), _NUMBER.findall(reference), strict=False)
    whole = told.count(".") >= reference.count(".")
    lines = [line for line in reference.split("\n") if line.rstrip(".") not in answer]
    return {
        "wrong_number": sum(one != other for one, other in pairs) if whole else 0,
        "contradiction": answer.count(_DENIAL),
        "missing": len(lines),
    }


@dataclass
class Sensitive:
    """A judge of known sensitivity, which is shown the reference.

    On accuracy it starts at `top` and takes `cost` points off for each wrong number and each
    contradiction; it adds `padded` points to an answer with 30 words more than the reference. On
    completeness it always gives 4. Of two answers, it takes the one on its `side`; without one, the
    right one.
    """

    cost: int = 1
    top: int = 5
    padded: int = 0
    side: str = ""

    def __call__(self, system: str, user: str) -> str:
        """Return the verdict."""
        blocks = dict(
            re.findall(r"^<<<([A-Z ]+) \w+>>>$\n(.*?)\n^<<<END ", user, re.MULTILINE | re.DOTALL)
        )
        reference = blocks["REFERENCE"]
        if "ANSWER" not in blocks:
            return preference(self.side or ("A" if blocks["ANSWER A"] == reference else "B"))
        return verdict_json(self.score(blocks["ANSWER"], reference, "accuracy:" in system))

    def score(self, answer: str, reference: str, accuracy: bool = True) -> int:
        """Return the score of an answer on accuracy, or on completeness."""
        if not accuracy:
            return 4
        found = planted_in(answer, reference)
        errors = found["wrong_number"] + found["contradiction"]
        longer = len(answer.split()) - len(reference.split()) > 30
        return max(1, min(5, self.top - self.cost * errors + self.padded * longer))


def worked(count: int) -> list[dict[str, str]]:
    """Return questions of an eval set whose references have four lines with a number each."""
    fruit = ("apples", "pears", "plums", "figs")
    return [
        {
            "id": f"q{i}",
            "prompt": f"How many fruits are in basket {i}?",
            "reference": "\n".join(
                f"There are exactly {10 * i + n + 100} {one} in it." for n, one in enumerate(fruit)
            ),
        }
        for i in range(count)
    ]
