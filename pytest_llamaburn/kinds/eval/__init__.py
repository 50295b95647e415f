"""Evals: a model answers the questions of a set, and then scorers and judges rate its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.errors import LlamaBurnError, SettingsError
from pytest_llamaburn.kinds._kind import Expected, Params, RunKind, or_broken, target_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds._kind import Item, Session
    from pytest_llamaburn.kinds._target import Target

QUESTION = "llm_question"  # the argument by which a test is parametrized with the questions


class _Eval(RunKind):
    description = "Ask a model the questions of an eval set; scorers and judges score its answers."
    name = "eval"
    folder = "evals"
    more_folders = ("multimodal/*",)
    settings = "settings.Eval"
    run = "run.EvalRun"
    help = "ask a model questions and score its answers"
    example = (
        "llamaburn eval llama3.1:8b --set factual --judge claude --threshold 'accuracy.mean>=4'"
    )
    first = ("set", "limit", "judge", "samples")
    fixture = "llm_eval"
    fixture_help = """Give the model that is asked the questions of an eval set, loaded and warm.

    Parametrized by model and set; session scope, so that each model is loaded once.
    """
    functions = {  # noqa: RUF012
        "llm_answer": (
            "calls.answer",
            "Return a function that has the model answer a question; it returns the answers' rows.",
        ),
        "llm_scores": (
            "calls.scores",
            """Return a function that scores the answers to a question: scorers, and judges if any.

    The thresholds of the marker are held against this question alone.
    """,
        ),
    }
    marker_help = "asks a model questions: thresholds=['accuracy.mean>=4'], sample='SET/ID' (media)"
    more_markers = ("llm_multimodal",)  # for tests with media
    several_servers = True
    variant_setting = "set"
    own_outputs = dict.fromkeys((".wav", ".flac", ".ogg", ".mp3"), "save_audio")

    @property
    def marker_keywords(self) -> dict[str, Callable[[str, Any], Any]]:
        """The keywords of the marker, each with a function that checks it."""
        return {**super().marker_keywords, "sample": _sample}

    def place(self, header: Mapping[str, object]) -> str:
        """Return the folder of a file; that of an eval with media is named after the modality."""
        modality = _set_of(header).get("modality")
        return f"multimodal/{modality}" if modality else self.folder

    def file_stem(self, header: Mapping[str, Any]) -> str:
        """Return what a file's name begins with: the model, and the set unless it has media."""
        about, model = _set_of(header), str(header["model"]["id"])
        varied: str = self.load("variation.suffix")(header["config"])
        return (model if about.get("modality") else f"{model}_{about['name']}") + varied

    def brief(self) -> type:
        """Return what lists read of a file's results."""
        found: type = self.load("brief.Results")
        return found

    def check(self, settings: object) -> None:
        """Raise SettingsError for settings that do not go together."""
        self.load("checks.check")(settings)

    def preview(self, settings: Any) -> Iterable[str] | None:
        """Return what judging would send and cost, with --dry-run."""
        if not settings.dry_run:
            return None
        lines: Iterable[str] = self.load("cost_estimate.lines")(settings)
        return lines

    def expected(self, settings: Any, request_s: float) -> Expected:
        """Return about how long a run will take if a request of its model takes `request_s`."""
        load = self.load("task.load")
        split = self.load("variation.split")
        sets = [split(variant)[0] for variant in self.variants(settings)]
        questions = sum(len(load(settings, name).questions) for name in sets)
        answers = 0 if settings.rescore else questions * settings.samples
        note = "without the time of the judges" if settings.judge else None
        at_once = max((settings.host or "").count(",") + 1, settings.nodes or 1)
        return Expected(len(self.models(settings)) * answers * request_s / at_once, note)

    def variants(self, settings: object) -> Sequence[str]:
        """Return the sets, each with each value of --vary."""
        found: Sequence[str] = self.load("variation.variants")(settings)
        return found

    def contrasts(self, session: Session) -> Sequence[tuple[Target, Target]]:
        """Return the runs of --vary that are compared."""
        found: Sequence[tuple[Target, Target]] = self.load("variation.pairs")(
            session.targets(self.name)
        )
        return found

    def models(self, settings: object) -> tuple[str | None, ...]:
        """Return the models that answer: the other one of a comparison is the first."""
        other = self._opponent(settings)
        return (*((other,) if other else ()), *super().models(settings))

    def parametrize(self, session: Session, fixtures: Sequence[str]) -> list[Params]:
        """Return the runs, each with each of its questions for a test that asks for one."""
        if QUESTION not in fixtures:
            return [self.runs(session)]
        pairs = or_broken(lambda: self._pairs(session))
        pairs = [(one, one) if isinstance(one, LlamaBurnError) else one for one in pairs]
        return [Params((self.fixture, QUESTION), pairs, [*map(_pair_id, pairs)], "session")]

    def wanted(self, item: Item, session: Session) -> bool:
        """Return whether an item is needed: answers of --rescore are there already."""
        answers = "llm_answer" in item.fixtures and item.target is not None
        return not (answers and session.settings(self.name).rescore)

    def planned(self, item: Item, session: Session) -> int:
        """Return how many rows an item writes: one for each sample, and one for all scores."""
        if "llm_scores" in item.fixtures:
            return 1
        if "llm_answer" not in item.fixtures:
            return 0
        if QUESTION in item.params:  # the questions that several servers share
            by_target = session.memory.setdefault(self.name, {})
            by_target.setdefault(item.target, []).append(item.params[QUESTION])
        return int(session.settings(self.name).samples)

    def order(self, items: list[Item], session: Session) -> list[Item]:  # noqa: ARG002
        """Put evals one after another, in each all answers before the first score."""
        targets = list(dict.fromkeys(item.target for item in items))
        return sorted(
            items, key=lambda item: (targets.index(item.target), "llm_scores" in item.fixtures)
        )

    def header(self, target: Target, session: Session) -> Document:
        """Return which run has the answers that these are compared with."""
        other = self._opponent(session.settings(self.name))
        return {"opponent_run": session.run_id(target._replace(model=other))} if other else {}

    def resumable(self, results: Mapping[str, Any]) -> bool:
        """Return whether judgments failed on the way, or found no room in their budget."""
        from pytest_llamaburn.store.resume import ASKED_AGAIN

        items = results["items"]
        scores = [s for item in items for s in (*item["scores"].values(), *item["comparisons"])]
        return any(one["state"] in ASKED_AGAIN for score in scores for one in score["judgments"])

    def _opponent(self, settings: Any) -> str | None:
        """Return the other model of a comparison, None if there is none or it is a file."""
        other: str | None = settings.compare_to
        return None if other is None or self.load("task.is_file")(other) else other

    def _pairs(self, session: Session) -> list[Any]:
        load, split = self.load("task.load"), self.load("variation.split")
        settings = session.settings(self.name)
        return [
            (target, question)
            for target in session.targets(self.name)
            for question in load(settings, split(target.variant)[0]).questions
        ]


def _sample(marker: str, value: object) -> str:
    """Return the question that `sample` names; raises SettingsError unless it is SET/ID."""
    if not isinstance(value, str) or not all(value.partition("/")):
        raise SettingsError(
            f"{marker}: sample={value!r} is refused: name a set and a question, such as "
            "'image_qa/colour-1'"
        )
    return value


def _set_of(header: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a journal's header or a file's content says of the set."""
    about: Mapping[str, Any] = header.get("eval_set") or header["results"]["eval_set"]
    return about


def _pair_id(pair: tuple[Any, Any]) -> str:
    target, question = pair
    return target_id(target) + ("" if isinstance(target, LlamaBurnError) else f"-{question.id}")


KIND = _Eval()
