"""Checks of the settings of an eval before anything is sent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pytest_llamaburn import gates, judges, modalities, registry
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds._kind import naming
from pytest_llamaburn.kinds.eval import asking, measures, structure, task, variation
from pytest_llamaburn.load import machines
from pytest_llamaburn.search import _choose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_llamaburn.evalsets import Question
    from pytest_llamaburn.kinds.eval.settings import Eval


def check(settings: Eval) -> None:
    """Raise SettingsError for settings that contradict each other or have no meaning."""
    _check_gates(settings)
    if settings.dry_run:
        raise SettingsError("--dry-run is refused in pytest: use llamaburn eval --dry-run")
    if settings.pass_k is not None and settings.pass_k > settings.samples:
        raise SettingsError(
            f"--pass-k: {settings.pass_k} is refused: pass@k is estimated from at least k answers "
            f"to each question: set --samples {settings.pass_k} or more"
        )
    if settings.samples > 1 and settings.temperature == 0:
        raise SettingsError(
            f"--samples: {settings.samples} is refused: at temperature 0 all answers to a question "
            "are the same: set --temperature 0.8"
        )
    if settings.pairwise != (settings.compare_to is not None):
        raise SettingsError("--pairwise and --compare-to MODEL need each other: give both")
    for model in settings.model:
        task.refuse_itself(settings, model)
    if settings.rescore and settings.compare_to and not settings.compare_to.endswith(".json"):
        raise SettingsError(
            f"--compare-to: {settings.compare_to} is refused: with --rescore, name a result "
            "file to compare with"
        )
    if settings.web_search and not settings.rescore:
        _check_searching(settings)
    if not settings.rescore:
        asking.check(settings)
    if settings.pairwise and not settings.judge:
        raise SettingsError(
            "--pairwise: no judge is named to compare the answers: add --judge claude"
        )
    _check_sharing(settings)
    _check_rendering(settings)
    _check_structure(settings)
    _check_here(settings)


def refuse_unscorable(questions: Iterable[Question]) -> None:
    """Raise UsageError for a question that this machine cannot score."""
    asked = [*questions]
    for name in sorted({q.scorer for q in asked if q.scorer}):
        module = registry.load("scorers", name)
        if check := getattr(module, "ready", None):
            check()
        if check := getattr(module, "ready_for", None):
            check([q for q in asked if q.scorer == name])


def _check_here(settings: Eval) -> None:
    """Raise UsageError for a scorer, search or judge that cannot be used on this machine."""
    refuse_unscorable(q for one in _asked(settings) for q in one.questions)
    if settings.web_search and not (settings.rescore or settings.search_replay):
        _choose.usable(settings, os.environ)
    panel = judges.Panel.of(settings)
    if not settings.allow_self_judge:
        for model in task.judged_models(settings):
            panel.refuse_self(model)


def _check_rendering(settings: Eval) -> None:
    """Raise SettingsError if --render is missing, or if no answer is rendered."""
    scorers = {q.scorer for one in _asked(settings) for q in one.questions}
    names = ", ".join(settings.set)
    if "render" in scorers and not settings.render:
        raise SettingsError(
            f"--set {names}: its answers are code that must run in a browser to be scored: add "
            "--render"
        )
    if settings.render and "render" not in scorers:
        raise SettingsError(
            f"--render: no answer of {names} is rendered: leave it out, or use --set threejs_gen"
        )


def _check_sharing(settings: Eval) -> None:
    """Raise SettingsError for machines that cannot ask the questions."""
    if fault := machines.contradiction(settings):
        raise SettingsError(fault)
    if settings.ray is None:
        return
    if settings.rescore:
        raise SettingsError("--ray is refused with --rescore: no model is asked: leave it out")
    for one in _asked(settings):
        modality = one.about.get("modality")
        module = modalities.named(modality) if modality else None
        if any(modalities.asks(module, question, settings) for question in one.questions):
            raise SettingsError(
                f"--ray is refused: this machine itself asks the questions of {one.about['name']}, "
                "because they are no chats: leave it out"
            )


def _check_structure(settings: Eval) -> None:
    """Raise SettingsError for a --vary or a --structured that has no meaning."""
    variation.check(settings)
    if settings.structured != "auto" or (settings.vary or "").startswith("structured"):
        structure.check(settings, [q for one in _asked(settings) for q in one.questions])


def _check_gates(settings: Eval) -> None:
    """Raise SettingsError for an invalid gate; a gate may name one of the user's own criteria."""
    if not settings.threshold and not settings.criteria and not settings.criterion:
        return
    asked = _asked(settings)
    own = [d for one in asked for q in one.questions for d in q.definitions]
    for expression in settings.threshold:
        gates.parse(expression, measures.with_own(own))


def _asked(settings: Eval) -> list[task.Task]:
    """Return the tasks of all sets."""
    with naming("--rescore" if settings.rescore else "--set"):
        return [task.load(settings, name) for name in settings.set]


def _check_searching(settings: Eval) -> None:
    """Raise SettingsError if a search is requested but no question allows one."""
    asked = _asked(settings)
    if not any(question.allow_web_search for one in asked for question in one.questions):
        raise SettingsError(
            f"--with-web-search: no question of {', '.join(settings.set)} allows a search: leave "
            'the option out, or write "allow_web_search": true beside the questions of your own set'
        )
