"""Declarations of settings: complete, and without two for one spelling."""

from __future__ import annotations

from collections import Counter

import pytest

from pytest_llamaburn import registry, settings
from pytest_llamaburn.option import model_of, options_of
from pytest_llamaburn.settings import Connection

KINDS = sorted(settings.classes(registry.own("kinds")), key=lambda kind: kind.__name__)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@every_kind
def test_no_two_options_share_a_spelling(kind: type) -> None:
    options = options_of(kind)
    spellings = Counter(
        word for o in options for word in (f"--{o.spelling}", o.short, o.toml_key, *o.variables)
    )
    del spellings[None]
    assert [word for word, count in spellings.items() if count > 1] == []


@every_kind
def test_every_default_is_itself_valid(kind: type) -> None:
    model = model_of(kind)
    defaults = {o.name: o.default for o in options_of(kind)}
    assert model(**defaults) == model()


@every_kind
def test_every_option_has_a_line_of_help(kind: type) -> None:
    for o in options_of(kind):
        assert o.help
        assert "\n" not in o.help


def test_backends_are_the_members_of_their_folder_and_auto() -> None:
    choices = next(o.choices for o in options_of(Connection) if o.name == "backend")
    assert choices is not None
    assert choices() == ("auto", "embedded", "ollama", "openai", "whisper")
