"""What search services send, in the shapes they send it, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from ddgs.exceptions import DDGSException, RatelimitException
from support.refusals import refusal
from support.scripted import Hang, Pause, Reset, ScriptedServer, Step, Steps, head, sized

from pytest_llamaburn.errors import ServerError, SettingsError
from pytest_llamaburn.option import model_of
from pytest_llamaburn.search import brave, ddgs, ollama, searxng, tavily
from pytest_llamaburn.search._base import Hit, Remote, Search
from pytest_llamaburn.settings import Searching

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "secret-key-123"
HITS = [Hit("Sky", "https://a.example/sky", "The sky is blue."), Hit("", "https://b.example", "b")]
RESULTS = [{"title": h.title, "url": h.url, "content": h.text} for h in HITS]
MODULES = {"searxng": searxng, "ollama": ollama, "proxy": ollama, "brave": brave, "tavily": tavily}
VARIABLES = {
    "searxng": {"SEARXNG_URL": "{}"},
    "ollama": {"OLLAMA_API_KEY": KEY, "OLLAMA_CLOUD_BASE_URL": "{}"},
    "proxy": {},
    "brave": {"BRAVE_API_KEY": KEY, "BRAVE_BASE_URL": "{}/"},
    "tavily": {"TAVILY_API_KEY": KEY, "TAVILY_BASE_URL": "{}"},
}
SEARXNG = {"query": "q", "number_of_results": 0, "results": RESULTS, "unresponsive_engines": []}
BRAVE = {
    "type": "search",
    "query": {"original": "q"},
    "web": {
        "type": "search",
        "results": [
            {"title": "Sky", "url": HITS[0].url, "description": "The sky is blue."},
            {"title": "", "url": HITS[1].url, "description": "b", "extra_snippets": None},
        ],
    },
}
ANSWERS: dict[str, dict[str, Any]] = {
    "searxng": SEARXNG,
    "ollama": {"results": RESULTS},
    "proxy": {"results": RESULTS},
    "brave": BRAVE,
    "tavily": {"query": "q", "answer": None, "results": RESULTS, "response_time": 0.9},
}
NOTHING: dict[str, dict[str, Any]] = {
    "ollama": {"results": []},
    "proxy": {"results": []},
    "tavily": {"query": "q", "results": []},
    "searxng": {"query": "q", "results": [], "unresponsive_engines": []},
    "brave": {"type": "search", "query": {"original": "q"}},
}
services = pytest.mark.parametrize("name", MODULES)


def options(**values: Any) -> Searching:
    return cast("Searching", model_of(Searching)(**values))


def service(name: str, host: str) -> Search:
    environ = {key: text.format(host) for key, text in VARIABLES[name].items()}
    assert "proxy" in name or MODULES[name].available(options(), environ) is None
    return cast("Search", MODULES[name].make(options(host=host), environ))


def search_exchange(name: str, steps: Steps, limit: int = 5) -> tuple[list[Hit], bytes]:
    """Return the hits for `q?`, and the request as it was sent."""
    with ScriptedServer(steps) as server:
        found = asyncio.run(service(name, server.host).find("q?", limit))
        return found, server.requests[0]


def search_refusal(name: str, *steps: Any) -> str:
    message = refusal(ServerError, search_exchange, name, steps)
    assert KEY not in message
    assert "failed: " in message
    return message


@services
def test_hits_are_read_in_their_order_and_bounded_in_number(name: str) -> None:
    answer = [sized(200, ANSWERS[name])]
    assert search_exchange(name, answer)[0] == HITS
    assert search_exchange(name, answer, limit=1)[0] == HITS[:1]


@services
def test_nothing_found_is_no_failure(name: str) -> None:
    assert search_exchange(name, [sized(200, NOTHING[name])])[0] == []


@pytest.mark.parametrize(
    ("name", "line", "header", "body"),
    [
        ("searxng", "GET /search?q=q%3F&format=json", None, None),
        (
            "ollama",
            "POST /api/web_search",
            f"authorization: bearer {KEY}",
            {"query": "q?", "max_results": 10},
        ),
        ("proxy", "POST /api/experimental/web_search", None, {"query": "q?", "max_results": 10}),
        (
            "brave",
            "GET /res/v1/web/search?q=q%3F&count=20&text_decorations=false",
            f"x-subscription-token: {KEY}",
            None,
        ),
        (
            "tavily",
            "POST /search",
            f"authorization: bearer {KEY}",
            {"query": "q?", "max_results": 20, "search_depth": "basic"},
        ),
    ],
)
def test_each_service_is_asked_as_it_wants_to_be(
    name: str, line: str, header: str | None, body: dict[str, Any] | None
) -> None:
    _, request = search_exchange(name, [sized(200, ANSWERS[name])], limit=99)
    head, _, sent = request.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == f"{line} http/1.1".lower()
    assert (KEY in head.decode()) == (header is not None)
    assert header is None or header in lines
    assert (json.loads(sent) if sent else None) == body


REFUSALS = {
    "searxng": "<!doctype html><title>403 Forbidden</title><h1>Forbidden</h1><p>No <b>access</b>.",
    "ollama": json.dumps({"error": "invalid key"}),
    "proxy": json.dumps({"error": "unauthorized", "signin_url": "https://ollama.com/connect"}),
    "brave": json.dumps(
        {
            "type": "ErrorResponse",
            "error": {
                "code": "SUBSCRIPTION_TOKEN_INVALID",
                "detail": "The provided subscription token is invalid.",
                "status": 422,
            },
        }
    ),
    "tavily": json.dumps({"detail": {"error": f"Unauthorized: invalid API key {KEY}."}}),
}


@pytest.mark.parametrize(
    ("name", "status", "told"),
    [
        ("searxng", 403, "HTTP 403 (Forbidden No access.); add json to search.formats"),
        ("searxng", 429, "; its limiter is on"),
        ("ollama", 401, "HTTP 401 (invalid key); check OLLAMA_API_KEY"),
        ("proxy", 401, "HTTP 401 (unauthorized); run `ollama signin`"),
        ("proxy", 404, "; this Ollama is too old for web search"),
        ("brave", 422, "(The provided subscription token is invalid.); check BRAVE_API_KEY"),
        ("brave", 429, "; its rate limit is reached: wait, or choose another search with --search"),
        ("tavily", 401, "(Unauthorized: invalid API key [key].); check TAVILY_API_KEY"),
        ("tavily", 432, "; the plan's limit is reached"),
        ("tavily", 500, "HTTP 500 (Unauthorized"),
    ],
)
def test_a_refusal_says_what_the_service_said_and_what_to_do(
    name: str, status: int, told: str
) -> None:
    assert told in search_refusal(name, sized(status, REFUSALS[name]))


def test_a_local_server_with_its_cloud_off_says_so() -> None:
    words = "ollama cloud is disabled: web search is unavailable"
    assert f"HTTP 403 ({words})" in search_refusal("proxy", sized(403, {"error": words}))


@services
@pytest.mark.parametrize("status", [204, 302, 500, 503])
def test_an_answer_without_a_body_is_told_by_its_status(name: str, status: int) -> None:
    assert search_refusal(name, sized(status, b"")).endswith(f"failed: HTTP {status}")


@services
@pytest.mark.parametrize(
    "body", [b"", b"<html>hello</html>", b'{"results": [', b"[]", b"7", b"[" * 100_000, b"\xff"]
)
def test_garbage_is_an_error_and_never_an_empty_result(name: str, body: bytes) -> None:
    assert search_refusal(name, sized(200, body)).endswith("the answer is not a JSON object")


@services
@pytest.mark.parametrize("found", [None, {}, "none", [1], [None]])
def test_an_answer_without_a_list_of_results_is_an_error(name: str, found: Any) -> None:
    body: dict[str, Any] = {"results": found}
    body = {"type": "search", "web": body} if name == "brave" else body
    assert "the answer has no list of results" in search_refusal(name, sized(200, body))


def test_an_answer_of_another_endpoint_is_none_of_brave_s_search() -> None:
    assert "is not a search result" in search_refusal("brave", sized(200, {"results": []}))


@services
def test_a_connection_that_breaks_is_an_error(name: str) -> None:
    assert "failed: " in search_refusal(name, Reset())


def test_results_without_text_are_left_out_and_strange_fields_are_empty() -> None:
    odd = [{"title": 7, "url": None, "content": "x"}, {"title": "no text", "url": "u"}]
    found, _ = search_exchange("tavily", [sized(200, {"results": odd})])
    assert found == [Hit("", "", "x")]


def test_texts_are_bounded_and_fit_in_a_file() -> None:
    text = {"title": "t\n" * 999, "url": "u" * 9999, "content": "\ud800a\x00" + "b" * 9999}
    found, _ = search_exchange("tavily", [sized(200, {"results": [text]})])
    assert [len(field) for field in found[0]] == [200, 2000, 2000]
    assert found[0].text.startswith("?ab")
    assert "\n" not in found[0].title
    json.dumps(found, ensure_ascii=False).encode()


def test_brave_s_entities_are_read_and_its_extra_snippets_added() -> None:
    entry = {"title": "A &amp; B", "url": "u", "description": "it&#x27;s", "extra_snippets": ["x"]}
    found, _ = search_exchange(
        "brave", [sized(200, {"type": "search", "web": {"results": [entry]}})]
    )
    assert found == [Hit("A & B", "u", "it's\nx")]


def test_no_result_because_no_engine_answered_is_a_failure() -> None:
    silent = [["google", "CAPTCHA"], ["bing", "timeout"], "qwant"]
    answer = {"results": [], "unresponsive_engines": silent}
    message = search_refusal("searxng", sized(200, answer))
    assert message.endswith("no engine answered: google CAPTCHA, bing timeout, qwant")


def test_a_silent_service_is_given_up_at_the_deadline() -> None:
    with ScriptedServer([Hang()]) as server:
        search = tavily.Tavily(server.host, KEY, timeout_s=0.05)
        with pytest.raises(ServerError, match=r"no answer within 0\.05 s"):
            asyncio.run(search.find("q", 1))


def test_an_answer_that_never_ends_is_given_up_at_the_deadline() -> None:
    drip: list[Step] = [b" ", Pause(0.01)]
    with ScriptedServer([head(200, content_length="99999"), *drip * 2000]) as server:
        search = tavily.Tavily(server.host, KEY, timeout_s=0.1)
        with pytest.raises(ServerError, match="failed: "):
            asyncio.run(search.find("q", 1))


@pytest.mark.parametrize("status", [429, 503])
def test_a_crowded_service_is_asked_once_more_after_the_wait_it_asks_for(status: int) -> None:
    crowded, good = sized(status, b"", retry_after="0"), sized(200, ANSWERS["brave"])
    with ScriptedServer(lambda request: [good if request.number else crowded]) as server:
        assert asyncio.run(service("brave", server.host).find("q", 5)) == HITS
    with ScriptedServer([crowded]) as server:
        with pytest.raises(ServerError, match=f"HTTP {status}"):
            asyncio.run(service("brave", server.host).find("q", 5))
        assert len(server.requests) == 2


def test_a_crowded_service_that_asks_for_a_long_wait_is_not_waited_for() -> None:
    with ScriptedServer([sized(429, b"", retry_after="11")]) as server:
        with pytest.raises(ServerError, match="HTTP 429"):
            asyncio.run(service("brave", server.host).find("q", 5))
        assert len(server.requests) == 1


def test_nobody_there_is_told_with_the_address() -> None:
    with ScriptedServer([]) as server:
        gone = server.host
    with pytest.raises(ServerError, match=f"search with searxng at {gone} failed: "):
        asyncio.run(service("searxng", gone).find("q", 1))


def test_a_password_in_the_address_is_sent_and_not_shown() -> None:
    with ScriptedServer([sized(500, b"")]) as server:
        named = server.host.replace("http://", f"http://me:{KEY}@")
        with pytest.raises(ServerError) as caught:
            asyncio.run(service("searxng", named).find("q", 1))
        assert b"authorization: basic" in server.requests[0].lower()
    assert KEY not in str(caught.value)
    assert server.host in str(caught.value)


@pytest.mark.parametrize(
    "address", ["localhost:8080", "ftp://a", "http://", "http://a:port", "me:pass@host", "http://["]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(
        SettingsError, match=r"^SEARXNG_URL: .* is refused: write a full URL"
    ) as told:
        service("searxng", address)
    assert "pass" not in str(told.value)


@pytest.mark.parametrize("key", ["two\nlines", "schl\u00fcssel"])
def test_a_key_that_fits_in_no_header_is_refused_unseen(key: str) -> None:
    with pytest.raises(SettingsError, match=r"^BRAVE_API_KEY is not a valid key") as caught:
        brave.make(options(), {"BRAVE_API_KEY": key})
    assert key not in str(caught.value)


def test_a_service_on_this_machine_is_not_asked_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ScriptedServer([]) as gone:
        nowhere = gone.host
    monkeypatch.setenv("HTTP_PROXY", nowhere)
    monkeypatch.setenv("http_proxy", nowhere)
    assert search_exchange("searxng", [sized(200, SEARXNG)])[0] == HITS


def test_a_service_elsewhere_is_asked_through_the_environment_s_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ScriptedServer([sized(200, SEARXNG)]) as proxy:
        monkeypatch.setenv("http_proxy", proxy.host)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        found = asyncio.run(service("searxng", "http://search.invalid").find("q", 5))
        assert proxy.requests[0].startswith(b"GET http://search.invalid/search?q=q&format=json")
    assert found == HITS


@pytest.mark.parametrize(
    ("reply", "usable"),
    [
        (sized(200, {"id": "1", "name": "me", "email": "me@a.example"}), True),
        (sized(401, {"error": "unauthorized", "signin_url": "https://ollama.com/c"}), False),
        (sized(200, b"null"), False),
        (sized(404, b"not found"), False),
        (sized(200, b"<html>"), False),
        (Reset(), False),
    ],
)
def test_a_local_ollama_searches_only_if_it_is_signed_in(reply: Any, *, usable: bool) -> None:
    with ScriptedServer([reply]) as server:
        reason = ollama.available(options(host=server.host), {})
        assert server.requests[0].startswith(b"POST /api/me ")
        told = f"OLLAMA_API_KEY is not set and no signed-in Ollama answers at {server.host}"
    assert reason == (None if usable else told)


def scraped(text: Callable[..., list[dict[str, Any]]]) -> list[Hit]:
    return asyncio.run(ddgs.Scraper(text).find("q", 1))


def test_scraped_results_are_hits() -> None:
    def text(query: str, max_results: int) -> list[dict[str, Any]]:
        assert (query, max_results) == ("q", 1)
        return [{"title": "Sky", "href": HITS[0].url, "body": HITS[0].text}]

    assert scraped(text) == HITS[:1]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (DDGSException("202 Ratelimit"), "search with ddgs failed: 202 Ratelimit; "),
        (RatelimitException(), "search with ddgs failed: RatelimitException; "),
    ],
)
def test_a_refused_scraper_is_an_error(error: Exception, told: str) -> None:
    def text(*_: Any, **__: Any) -> list[dict[str, Any]]:
        raise error

    with pytest.raises(ServerError, match=told):
        scraped(text)


def test_a_scraper_that_finds_nothing_finds_nothing() -> None:
    def text(*_: Any, **__: Any) -> list[dict[str, Any]]:
        raise DDGSException("No results found.")

    assert scraped(text) == []


def test_the_scraper_searches_with_the_installed_package() -> None:
    import ddgs as package

    search = ddgs.make(options(), {})
    assert search._text.__func__ is package.DDGS.text  # type: ignore[attr-defined]


def test_a_service_needs_no_key_to_be_built() -> None:
    assert Remote("http://a/").url == "http://a"
