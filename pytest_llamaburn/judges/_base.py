"""What all judges have in common: a name, options, and a call with classified failures."""

from __future__ import annotations

import asyncio
import json
import os
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

import msgspec

from pytest_llamaburn import registry
from pytest_llamaburn.backends._secrets import key_of, redacted, without
from pytest_llamaburn.errors import LlamaBurnError, MissingKeyError, SettingsError
from pytest_llamaburn.texts import dumps, whole

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pytest_llamaburn.judges._documents import Parameters, Schema
    from pytest_llamaburn.judges._shown import Seen, Shown

WORDS_LIMIT = 300
# Kinds of errors after which a repeated call may succeed.
TRANSIENT = frozenset(
    ("rate_limit", "overloaded", "server_error", "timeout", "connection", "conflict")
)
# Kinds of errors after which no further call to the same judge can succeed.
FATAL = frozenset(("auth", "billing", "not_found"))
_STATUS = {
    401: "auth",
    402: "billing",
    403: "auth",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    429: "rate_limit",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
# How providers describe an account or a key with which no call can succeed.
_WORDS = {
    "billing": re.compile(
        r"insufficient[_ ](quota|credit|balance|fund)|credit balance is too low|out of credit"
        r"|billing[_ ](hard[_ ]limit|error|not[_ ]active)|payment[_ ]required|account is not active"
        r"|exceeded_current_quota|all available credits|credits? (is|are|has been|have been) "
        r"(depleted|exhausted|used up)|exceeded (its|your) monthly (included )?credits"
        r"|reached (its|your) [a-z ]{0,30}(usage|spend|spending|credit) limit|good standing"
    ),
    "auth": re.compile(
        r"(invalid|incorrect|expired|revoked|disabled)[_ ](x-)?api[_ -]?key"
        r"|api[_ -]?key (is )?(not valid|not found|invalid|expired|disabled)"
        r"|authentication[_ ]error|permission[_ ](error|denied)"
        r"|(organization|account|project|workspace)\b[^.]{0,60} (is|was|has been) "
        r"(disabled|deactivated|archived|restricted|suspended|blocked|terminated)"
        r"|(organization|account|project)[_ ](disabled|deactivated|archived|restricted|suspended)"
    ),
    "not_found": re.compile(r"model[_ ]not[_ ]found"),
}
_MEDIA = {"audio": "recordings", "image": "images"}
_REFUSED = {
    "audio": re.compile(r"audio|multi-?modal", re.IGNORECASE),
    "image": re.compile(r"image|picture|vision|multi-?modal|mmproj", re.IGNORECASE),
}
_REFUSALS = (400, 415, 422, 500)
Struct = TypeVar("Struct")


class Spec(NamedTuple):
    """A judge as named on the command line."""

    provider: str
    model: str | None
    url: str | None

    def __str__(self) -> str:
        """Return `PROVIDER[:MODEL][@URL]`."""
        model = f":{self.model}" if self.model else ""
        return f"{self.provider}{model}" + (f"@{self.url}" if self.url else "")


def parse(text: str) -> Spec:
    """Return the judge that `PROVIDER[:MODEL][@URL]` names; a model may contain colons.

    Raises SettingsError for an unknown provider or an invalid URL.
    """
    before, at, url = text.strip().partition("@")
    provider, colon, model = before.partition(":")
    if provider not in registry.names("judges"):
        sentence = registry.unknown("provider", provider, registry.names("judges"))
        raise SettingsError(f"--judge: {sentence}; write PROVIDER[:MODEL][@URL]")
    if colon and not model:
        raise SettingsError(f"--judge: '{before}' names no model after its colon")
    if at and not re.match(r"https?://[^/@]+(/|$)", url):
        raise SettingsError(
            f"--judge: what follows the @ of '{before}@…' is refused: write http://HOST[:PORT], "
            "without a user or password"
        )
    return Spec(provider, model or None, url.rstrip("/") or None)


@dataclass
class Usage:
    """Tokens of one or more calls; None if the server does not say.

    `input` includes the tokens of images, but not tokens read from or written to the prompt cache,
    nor those of `audio`, whose price is another one; `output` includes `reasoning`.
    """

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None
    audio: int | None = None

    def __add__(self, other: Usage) -> Usage:
        """Return the sums; a side that is not known counts as 0 if the other is known."""
        both = zip(vars(self).values(), vars(other).values(), strict=True)
        return Usage(*(b if a is None else a if b is None else a + b for a, b in both))


class Ask(NamedTuple):
    """One call to a judge: the texts, the schema of the reply and its limits."""

    system: str
    user: str
    schema: Schema
    max_tokens: int
    temperature: float = 0.0
    shown: tuple[Shown, ...] = ()  # media for judges that take them
    seen: tuple[Seen, ...] = ()  # those that this judge gets


class Reply(NamedTuple):
    """The reply of a judge; `stop` is end, length or refusal."""

    text: str
    stop: str
    usage: Usage
    model: str | None = None
    request_id: str | None = None
    sent: Mapping[str, Any] = {}
    words: str = ""
    seen: tuple[str, ...] = ()  # the kinds of the media that the judge got


class CallError(Exception):
    """A call to a judge failed: `kind` is the kind of failure, `words` the server's message.

    `Judge.send` limits the words and removes the key from them. `sent` is False if LlamaBurn itself
    refused the call.
    """

    sent = True

    def __init__(self, kind: str, words: str, status: int | None = None) -> None:
        """Take the kind, the words and the HTTP status if one was received."""
        super().__init__(kind)
        self.kind, self.words, self.status = kind, words, status
        self.retry_after_s: float | None = None
        self.transient = kind in TRANSIENT

    @property
    def free(self) -> bool:
        """Whether the call certainly cost nothing; a call that was cut off may have been billed."""
        refused = (self.status or 200) >= 400 and self.kind != "timeout"
        return refused or not self.sent

    def hide(self, key: str) -> None:
        """Remove the key and similar strings from the words, and limit their length."""
        self.words = whole(redacted(self.words, key)).strip()[:WORDS_LIMIT]


class Judge(ABC):
    """One judging model at one provider."""

    provider: ClassVar[str]
    key_variable: ClassVar[str | None] = None
    default_model: ClassVar[str | None] = None
    local: ClassVar[bool] = False
    takes: ClassVar[tuple[str, ...]] = ("image",)  # kinds of media that its API has
    # The optional parameters, each with a pattern that recognises its refusal.
    parameters: ClassVar[Mapping[str, str]] = {}

    def __init__(self, spec: Spec, timeout_s: float = 300.0) -> None:
        """Take the model and address; open nothing. Raises SettingsError without model or key."""
        model = spec.model or self.default_model
        if model is None:
            raise SettingsError(f"--judge {spec}: no model is named: write {spec.provider}:MODEL")
        self.model, self.url, self.timeout_s = model, spec.url, timeout_s
        self.backstop_s = 2 * timeout_s  # deadline of the HTTP client, which must not expire first
        self.name = str(Spec(spec.provider, model, spec.url))
        self.rejected: dict[str, str] = self.known_refusals()
        self.notes: dict[str, None] = {}  # sentences about the model, each once, in order
        self.key = self._key()

    def _key(self) -> str:
        if self.key_variable is None:
            return ""
        key = key_of(os.environ, self.key_variable)
        if not key:
            raise MissingKeyError(
                f"--judge {self.name}: no key: set the environment variable {self.key_variable}"
            )
        return key

    async def probe(self) -> None:  # noqa: B027 - some judges cannot be looked up
        """Raise UsageError if the judge is certainly not available; loads and bills nothing.

        A temporary error, such as a failing network, does not raise.
        """

    async def open(self) -> None:  # noqa: B027 - some judges have nothing to open
        """Prepare for calls; raises UsageError if the judge is not available."""

    async def close(self) -> None:  # noqa: B027
        """Release what `open` opened."""

    def known_refusals(self) -> dict[str, str]:
        """Return the optional parameters that this model is known to refuse, with reasons."""
        return {}

    @abstractmethod
    def options(self, ask: Ask) -> Parameters:
        """Return all optional parameters, for a model that accepts all of them."""

    @abstractmethod
    async def _send(self, ask: Ask, options: Parameters) -> Reply:
        """Send one call; raises CallError for every failure of network and server."""

    async def send(self, ask: Ask) -> Reply:
        """Send one call within the deadline and return the reply; a key in the reply is removed.

        Raises only CallError. Its kind is `parameter` if the server refused an optional parameter;
        that parameter is not sent to this model again.
        """
        options = {n: v for n, v in self.options(ask).items() if n not in self.rejected}
        ask = ask._replace(seen=self._seen(ask))
        try:
            async with asyncio.timeout(self.timeout_s):
                reply = await self._send(ask, options)
                text, words = (without(text, self.key) for text in (reply.text, reply.words))
                kinds = tuple(one.kind for one in ask.seen)
                return reply._replace(text=text, words=words, seen=kinds)
        except TimeoutError:
            words = f"no whole answer within {self.timeout_s:g} s"
            raise CallError("timeout", words) from None
        except CallError as err:
            err.hide(self.key)
            self._learn(err, options)
            self._learn_limits({one.kind for one in ask.seen}, err)
            raise

    def _learn(self, err: CallError, options: Parameters) -> None:
        if err.status not in (400, 422):
            return
        for name in options:
            if re.search(self.parameters[name], err.words, re.IGNORECASE):
                self.rejected[name] = f"the model refused it: {err.words}"
                err.kind, err.transient = "parameter", True
                return

    def _seen(self, ask: Ask) -> tuple[Seen, ...]:
        """Return the media of a call that this judge takes; a note tells of an unreadable one."""
        found = []
        for one in ask.shown:
            if one.kind not in self.takes or one.kind in self.rejected:
                continue
            try:
                found.append(one.seen())
            except LlamaBurnError as err:
                self.notes[f"{self.name} judged without a medium: {err}"] = None
        return tuple(found)

    def _learn_limits(self, kinds: Collection[str], err: CallError) -> None:
        """After a refusal that mentions a kind of media, send no more of it and note it."""
        for kind, words in _REFUSED.items():
            if kind in kinds and err.status in _REFUSALS and words.search(err.words):
                self.rejected[kind] = err.words
                err.kind, err.transient = "parameter", True
                self.notes[
                    f"{self.name} does not accept {_MEDIA[kind]}: it judged the texts alone"
                ] = None
                return


def decoded(body: bytes, kind: type[Struct], what: str) -> Struct:
    """Return a decoded body; raises CallError `malformed` if it is not a valid `what`.

    Half a surrogate pair and bytes that are not UTF-8 are replaced, because the verdict is already
    paid for.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as err:
        reason: Exception = err
    sound: Any = None
    try:
        sound = json.loads(dumps(json.loads(body.decode(errors="replace"))))
        return msgspec.convert(sound, kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        malformed = CallError("malformed", f"the reply is not a {what}: {reason}", 200)
        raise _error_of(sound) or malformed from None


def _error_of(content: object) -> CallError | None:
    """Return the error in a reply with status 200, as some servers send it; None without one.

    Its status is None, because the call may have been billed.
    """
    from pytest_llamaburn.backends._failures import error_in

    found = error_in(content) if isinstance(content, dict) else None
    if found is None:
        return None
    code = found.get("code") if isinstance(found, dict) else None
    err = failed(code if isinstance(code, int) and 400 <= code < 600 else 400, content, {})
    err.status = None
    return err


def failed(status: int, body: object, headers: Mapping[str, str]) -> CallError:
    """Return the classified error of a reply that is not 200."""
    from pytest_llamaburn.backends._failures import classify, retry_after

    kind, words = classify(status, body)
    if kind != "context_overflow":
        by_status = _STATUS.get(status, "server_error" if status >= 500 else "bad_request")
        kind = _fatal(status, str(body)) or by_status
    err = CallError(kind, words, status)
    err.retry_after_s = retry_after(headers)
    should = headers.get("x-should-retry")
    if should is not None and kind not in FATAL:
        err.transient = should == "true"
    return err


def _fatal(status: int, said: str) -> str | None:
    """Return the kind of an error after which no call can succeed; None for another error."""
    if not 400 <= status < 500:
        return None
    return next((kind for kind, words in _WORDS.items() if words.search(said.lower())), None)
