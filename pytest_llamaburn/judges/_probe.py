"""Looking up a judge's model, to find out whether any call can succeed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.errors import ModelError, ServerError, SettingsError
from pytest_llamaburn.judges._base import failed

if TYPE_CHECKING:
    from pytest_llamaburn.judges._base import Judge

LOOK_UP_S = 10
# A missing model, not a missing path: many servers cannot look up single models.
_NO_MODEL = re.compile(r"(?<!/)\bmodel\b", re.IGNORECASE)


async def look_up(judge: Judge, client: Any, sdk: Any) -> None:
    """Look up a judge's model at its provider, which is free; raises UsageError as `Judge.probe`.

    `sdk` is the module of the client: the SDKs of both providers use the same names for errors.
    """
    try:
        await client.models.retrieve(judge.model, timeout=LOOK_UP_S)
    except sdk.APIStatusError as err:
        _answered(judge, err)
    except sdk.APIError as err:
        _unreachable(judge, err)


def _unreachable(judge: Judge, err: BaseException) -> None:
    """Raise ServerError if no server listens; other network failures may be temporary."""
    if refused(err):
        at = judge.url or "its provider"
        raise ServerError(f"--judge {judge.name}: no server at {at}: the connection is refused")


def _answered(judge: Judge, err: Any) -> None:
    """Raise UsageError if the server refuses the key or the model.

    A key that may judge but not look up models lacks a scope, which is not an error here.
    """
    found = failed(err.status_code, err.body, {})
    found.hide(judge.key)
    if found.kind == "auth" and "scope" not in found.words:
        raise SettingsError(
            f"--judge {judge.name}: the key in {judge.key_variable} is refused: {found.words}"
        )
    if found.kind == "not_found" and _NO_MODEL.search(found.words):
        raise ModelError(f"--judge {judge.name}: no such model: {found.words}")


def refused(err: BaseException | None) -> bool:
    """Return whether all causes are refused connections; a host may have two addresses."""
    if isinstance(err, BaseExceptionGroup):
        return all(map(refused, err.exceptions))
    if err is None or isinstance(err, ConnectionRefusedError):
        return err is not None
    return refused(err.__cause__ or err.__context__)
