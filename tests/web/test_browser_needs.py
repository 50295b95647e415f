"""Without a browser or its page, the tests of the page skip; in CI they fail."""

from __future__ import annotations

import pytest
from _pytest.outcomes import Failed, Skipped
from support import chromium

from pytest_llamaburn.web import bundle


def unbuilt() -> None:
    raise bundle.BundleError(bundle.HOW)


@pytest.mark.parametrize(("ci", "outcome"), [("true", Failed), ("", Skipped)])
@pytest.mark.parametrize(
    ("gap", "words"),
    [
        ((chromium, "find_spec", lambda _: None), "pip install playwright"),
        ((chromium, "PATH", "/nowhere/chromium"), "apt install chromium"),
        ((bundle, "ensure", unbuilt), "the web page is not built, because that needs npm"),
    ],
)
def test_what_is_missing_skips_a_test_of_the_page_and_fails_it_in_ci(
    monkeypatch: pytest.MonkeyPatch,
    ci: str,
    outcome: type[BaseException],
    gap: tuple[object, str, object],
    words: str,
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(chromium, "find_spec", lambda _: object())
    monkeypatch.setattr(chromium, "PATH", "/bin/sh")
    monkeypatch.setattr(bundle, "ensure", lambda: None)
    chromium.require()
    monkeypatch.setattr(*gap)
    with pytest.raises(outcome, match=words):
        chromium.require()
