"""Requests of plain texts, which no chat template surrounds: for the next token, and their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.backends._lenient import ServerFields

if TYPE_CHECKING:
    from pytest_llamaburn.backends._base import Body, Model

_ASCII = "root ::= [ -~]"


def of_openai(model: Model, text: str, count: int, seed: int, *, llama_cpp: bool) -> Body:
    """Return a request of OpenAI's older API for one token, and its likeliest alternatives.

    llama.cpp tells no probabilities if the token that it chooses is a part of a character. So it
    has to choose one of ASCII; the probabilities are those before that.
    """
    return {
        "model": model.id,
        "prompt": text,
        "max_tokens": 1,
        "temperature": 0,
        "seed": seed,
        "logprobs": count,
        "stream": False,
        **({"grammar": _ASCII} if llama_cpp else {}),
    }


def of_ollama(chat: Body, text: str, count: int) -> Body:
    """Return the same as a raw request of Ollama, with the options of a chat."""
    options = {**chat["options"], "num_predict": 1, "temperature": 0}
    kept = {name: chat[name] for name in ("model", "keep_alive")}
    asked = {"prompt": text, "raw": True, "logprobs": True, "top_logprobs": count}
    return {**kept, **asked, "options": options, "stream": False}


def echoed(answer: object, text: str) -> list[float] | None:
    """Return the log probability of each token of an echoed text after its first.

    Returns None if the answer does not begin with the text, or does not tell all of them.
    """
    fields = ServerFields(answer, "/completions", {})
    count = fields.part("usage").count("prompt_tokens")
    choice = next(iter(fields.each("choices")), None)
    if choice is None or count is None or not (choice.text("text") or "").startswith(text):
        return None
    told = choice.part("logprobs").logarithms("token_logprobs")[1:count]
    found = [value for value in told if value is not None]
    return found if len(found) == count - 1 > 0 else None
