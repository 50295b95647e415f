"""The media of one question, for tests: their files, and how a request carries them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import media_sets, modalities, registry
from pytest_llamaburn.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_llamaburn.evalsets import Question
    from pytest_llamaburn.media import Medium


class SampleMedia:
    """The media of a question: `paths` in their order, and the only one of a kind by its name."""

    def __init__(self, question: Question, settings: object) -> None:
        """Make what is missing; raises DatasetError for a medium that cannot be used."""
        self.question = question
        self._settings = settings
        modalities.check(question.media)
        self._found = [(one["kind"], modalities.located(one)) for one in question.media]

    @property
    def paths(self) -> list[Path]:
        """The files of all media."""
        return [path for _, path in self._found]

    @property
    def image(self) -> Path:
        """The file of the only image; raises SettingsError for none and for several."""
        return self._only("image")

    @property
    def audio(self) -> Path:
        """The file of the only recording; raises as `image`."""
        return self._only("audio")

    @property
    def video(self) -> Path:
        """The file of the only video; raises as `image`."""
        return self._only("video")

    def encoded(self) -> list[Medium]:
        """Return the media as a request carries them: `mime`, `raw`, `facts`."""
        return modalities.encoded(self.question.media, self._settings)

    def _only(self, kind: str) -> Path:
        found = [path for name, path in self._found if name == kind]
        if len(found) != 1:
            raise SettingsError(
                f"media: question '{self.question.id}' has {len(found)} media of the kind {kind}: "
                "use media.paths"
            )
        return found[0]


def named(sample: str) -> Question:
    """Return the question that `SET/ID` names; raises DatasetError or SettingsError."""
    name, _, number = sample.partition("/")
    known = {one.id: one for one in media_sets.load(name, None).questions}
    if number not in known:
        raise SettingsError(f"sample: {registry.unknown('question', number, [*known])}")
    return known[number]
