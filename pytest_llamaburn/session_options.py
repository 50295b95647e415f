"""The settings of one pytest session: what its flags, environment and files say.

Only a session with LlamaBurn's items or options imports this module.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_llamaburn import options
from pytest_llamaburn.settings import Audio, Display, Judging, Run

if TYPE_CHECKING:
    from argparse import Namespace

    from pytest_llamaburn.kinds._kind import RunKind

Settings = TypeVar("Settings")


class SessionOptions:
    """The checked settings of a session, each class read when it is first needed."""

    def __init__(self, flags: Namespace, prefix: str) -> None:
        """Take the flags that pytest has parsed, and the prefix of ours."""
        self._flags, self._prefix = flags, prefix

    def read(self, kind: type[Settings]) -> Settings:
        """Return the checked settings of a class; raises SettingsError."""
        return options.resolve(kind, self._given(kind))[0]

    def of_kind(self, kind: RunKind) -> tuple[Any, str | None]:
        """Return the checked settings of a kind of run, and the id of the session it resumes.

        The id is None for a new run. Raises SettingsError.
        """
        from pytest_llamaburn.store.resume import header_of, settled

        found: tuple[Any, dict[str, str]] = options.resolve(
            kind.settings_class, self._given(kind.settings_class)
        )
        settings = settled(kind, *found)[0]
        if not settings.resume:
            return settings, None
        return settings, header_of(Path(settings.results_dir), settings.resume)["session_id"]

    @cached_property
    def common(self) -> Run:
        """The settings that all kinds of run share; raises SettingsError."""
        return self.read(Run)

    @cached_property
    def display(self) -> Display:
        """The display settings; in pytest, the default of the progress is none."""
        given = {"progress": "none", **self._given(Display)}
        return options.resolve(Display, given, {})[0]

    @cached_property
    def judging(self) -> Judging:
        """The settings of the judges for the fixture `judge`; the default is claude."""
        settings = self.read(Judging)
        if settings.judge:
            return settings
        return options.resolve(Judging, {**self._given(Judging), "judge": ("claude",)})[0]

    @cached_property
    def audio(self) -> Audio:
        """The settings of the audio devices; raises SettingsError."""
        return self.read(Audio)

    def _given(self, kind: type) -> options.Values:
        return options.given(self._flags, kind, self._prefix)
