"""The evals that a bake-off holds of its models: each is an eval run with its own result file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import options
from pytest_llamaburn.errors import LlamaBurnError
from pytest_llamaburn.kinds import _kind
from pytest_llamaburn.kinds.bakeoff import quality
from pytest_llamaburn.kinds.bakeoff.settings import Bakeoff
from pytest_llamaburn.option import options_of
from pytest_llamaburn.store import journal
from pytest_llamaburn.store.finish import write_result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds._run import Identity
    from pytest_llamaburn.progress import Progress

_EVAL = "eval"
_NO_TIME = "--budget was used up before it was evaluated: --resume continues"


def settings_of(settings: Bakeoff, models: Sequence[str], resume: str | None = None) -> Any:
    """Return the settings of the evals of some models, as `llamaburn eval` would take them.

    What both kinds of run have is that of the bake-off; the rest is configured as for any eval.
    """
    wanted = _eval_kind().settings_class
    shared = {option.key for option in options_of(wanted)}
    flags = {o.name: getattr(settings, o.name) for o in options_of(Bakeoff) if o.key in shared}
    flags |= {"set": (settings.set,), "model": (*models,), "resume": resume}
    return options.resolve(wanted, flags)[0]


def check(settings: Bakeoff) -> None:
    """Raise UsageError for a set or judges that cannot be used, before anything is measured."""
    _eval_kind().check(settings_of(settings, settings.model))


class Evals:
    """The evals of a bake-off's models, one after another."""

    def __init__(
        self,
        settings: Bakeoff,
        identity: Identity,
        progress: Progress,
        over_budget: Callable[[], bool],
    ) -> None:
        """Take what the bake-off has; `over_budget` says whether its time is over."""
        self._settings, self._identity = settings, identity
        self._progress, self._over_budget = progress, over_budget

    async def score(self, name: str, number: int) -> Document:
        """Hold the eval of a model; return its quality, or the reason why it is not known.

        `number` is that of the model in the bake-off. An eval that was cut is continued.
        """
        identity = self._identity._replace(
            run_id=f"{self._identity.run_id}-{number}",
            worker="main-0",
            variant=self._settings.set or "",
        )
        results_dir = Path(self._settings.results_dir)
        begun = journal.directory(results_dir, identity.run_id).exists()
        resume = identity.run_id if begun else None
        try:
            in_time = await self._held(name, identity, resume)
            path = write_result(results_dir, identity.run_id)
        except LlamaBurnError as err:
            return quality.unknown(str(err))
        if path is None or not in_time:
            return quality.unknown(_NO_TIME)
        self._progress.say(f"wrote {path}")
        return quality.read(path)

    async def _held(self, name: str, identity: Identity, resume: str | None) -> bool:
        """Have a model answer all questions, and score them; return whether there was time."""
        kind, settings = _eval_kind(), settings_of(self._settings, (name,), resume)
        questions = kind.load("task.load")(settings, identity.variant).questions
        made: Any = kind.load(kind.run)(settings, identity, 0, self._progress)
        planned = {"answers": len(questions) * settings.samples, "scores": len(questions)}
        in_time, reason = True, "interrupted"
        try:
            await made.prepare(name, planned, {})
            self._progress.plan(sum(planned.values()))
            for question in questions:
                in_time = in_time and not self._over_budget()
                if in_time:
                    await made.answer(question)
            for question in questions if in_time else ():
                await asyncio.to_thread(made.scores, question)  # so that Ctrl-C is heard
            reason = "finished" if in_time else "interrupted"
        finally:
            await made.finish(reason)
            made.forget()
        return in_time


def _eval_kind() -> Any:
    return _kind.named(_EVAL)
