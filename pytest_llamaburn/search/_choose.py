"""Choose the search of a run; without a usable search the run stops with an error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pytest_llamaburn import registry
from pytest_llamaburn.errors import UsageError
from pytest_llamaburn.search._record import Replay

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_llamaburn.search._base import Search
    from pytest_llamaburn.settings import Searching


def choose(options: Searching, environ: Mapping[str, str]) -> Search:
    """Return the replay, the named search, or with `auto` the first usable search by rank.

    Raises UsageError if there is none.
    """
    if options.search_replay:
        return Replay(Path(options.search_replay))
    return cast("Search", usable(options, environ).make(options, environ))


def usable(options: Searching, environ: Mapping[str, str]) -> Any:
    """Return the module of the named search, or with `auto` of the first usable one by rank.

    Raises UsageError, which lists the searches that were tried and why each cannot be used.
    """
    auto = options.search == "auto"
    names = registry.names("search") if auto else (options.search,)
    members = {name: registry.load("search", name) for name in names}
    tried: list[str] = []
    for name, member in sorted(members.items(), key=lambda m: (m[1].RANK, m[0])):
        reason = member.available(options, environ)
        if reason is None:
            return member
        tried.append(f"{name} ({reason})")
    raise UsageError(
        f"--with-web-search: no search can be used: {', '.join(tried)}; "
        "the simplest search is a directory of documents: --corpus DIR"
    )
