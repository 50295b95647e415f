"""All scorers have names, needs and one verdict on silence."""

from __future__ import annotations

from typing import Any

import pytest
from support.questions import Asked

from pytest_llamaburn import registry
from pytest_llamaburn.errors import DatasetError

EVENTS = [{"start": 1.0, "end": 2.0, "event": "tone"}]


def test_scorers_are_named_as_in_eval_sets() -> None:
    named = (
        *(
            "abc",
            "cer",
            "choice",
            "code",
            "duration",
            "events",
            "exact",
            "facts",
            "fields",
            "includes",
        ),
        *("json-schema", "number", "regex", "render", "tool-call", "vqa", "wer"),
    )
    assert registry.names("scorers") == named
    for name in named:
        needs = registry.load("scorers", name).NEEDS
        if not needs:  # a scene is described by its prompt alone
            continue
        with pytest.raises(DatasetError, match=f"lacks '{needs[0]}'"):
            registry.load("scorers", name).score("18", Asked())


@pytest.mark.parametrize("silence", ["", " \n", "<think>It is 18.", "<think>18</think>\n"])
def test_silence_is_empty_and_wrong(silence: str) -> None:
    options: dict[str, Any] = {"choices": ["a", "b"], "schema": {}, "tests": "", "pattern": ""}
    options |= {"facts": ["a"], "fields": {"a": "b"}, "events": EVENTS, "seconds": 10, "tools": []}
    for name in registry.names("scorers"):
        reference = {"number": "1", "tool-call": "[]"}.get(name, "A")
        verdict = registry.load("scorers", name).score(silence, Asked(reference, options))
        assert verdict[:4] == (False, "empty", "the answer is empty", None)
