"""An eval run: a model answers every question of a set, and then its answers are scored.

While it answers, it has the machine to itself. Scoring begins when all questions are answered:
scorers work here, judges in the background (`judges.JudgeQueue`).
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pytest_llamaburn import gates, modalities
from pytest_llamaburn.backends._base import Server
from pytest_llamaburn.errors import DatasetError, SettingsError
from pytest_llamaburn.kinds import _probe
from pytest_llamaburn.kinds._shared import SharedRun
from pytest_llamaburn.kinds.eval import (
    KIND,
    answers,
    asking,
    checks,
    dispatch,
    measures,
    programs,
    room,
    scoring,
    task,
    told,
    variation,
)
from pytest_llamaburn.kinds.eval.answering import Answering, thought_in
from pytest_llamaburn.kinds.eval.judging import Judging, is_final
from pytest_llamaburn.option import changed
from pytest_llamaburn.progress import Event
from pytest_llamaburn.scorers.code import pass_at_k
from pytest_llamaburn.search import _choose
from pytest_llamaburn.store import journal, results

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.evalsets import Question
    from pytest_llamaburn.kinds.eval.documents import AnswerRow, ScoresRow
    from pytest_llamaburn.search._base import Search


class EvalRun(SharedRun):
    """A model that answers the questions of one set.

    With --compare-to another model answers first, in a run of its own: the opponent.
    """

    kind = KIND

    def __init__(self, settings: Any, identity: Any, *more: Any) -> None:
        """Take the arguments of Run; a variant may change a setting."""
        name, varied = variation.split(identity.variant)
        if varied:
            settings, identity = changed(settings, varied), identity._replace(variant=name)
        super().__init__(settings, identity, *more)
        self._answers = answers.Answers(self._progress, self.write)
        self._scores: dict[str, ScoresRow] = {}
        self._early: dict[tuple[str, int], Any] = {}  # scores that were needed before judging
        self._pictures: dict[str, str] = {}  # by question, until they are given to judges
        self._judging: Judging
        self._answering: Answering  # from the first server
        self._search: Search | None = None
        self._is_opponent = False
        self._is_limit_ours = False
        self._probed: Document | None = None  # the facts of a first medium
        self._notes: list[str] = []  # on media that differ from those of the set

    async def prepare(self, model: str | None, planned: dict[str, int], about: Document) -> None:
        """Prepare as a Run does; stored answers need no server."""
        if self.identity.worker.partition("-")[0] != "main":
            raise SettingsError("an eval runs in one process: leave out -n")
        checks.refuse_unscorable(self._questions)
        self._refuse_media()
        self._is_opponent = bool(self.settings.pairwise and model == self.settings.compare_to)
        self._judging = Judging(self.settings, about.pop("opponent_run", None))
        if self.settings.judge:
            await self._judging.seat(judges_follow=not self._is_opponent)
        self._tell_unsearched()
        if self.settings.rescore:
            self._reopen(planned)
            return
        if self.settings.web_search:
            self._search = _choose.choose(self.settings, os.environ)
        await super().prepare(model, planned, about)

    async def answer(self, question: Question, planned: Iterable[Question] = ()) -> list[AnswerRow]:
        """Ask the model a question --samples times; return the rows.

        Where several servers or machines share the questions, the first call asks all those
        planned.
        """
        return await self._answers.of(question, planned, self.settings.samples)

    def scores(self, question: Question) -> ScoresRow:
        """Score the answers to a question; return the row with the scorer's and judges' results.

        The first call submits all questions to the judges of this run. Raises DatasetError if
        the question has not been answered, UsageError if a judge cannot be opened.
        """
        rows = self._answers.rows.get(question.id)
        if not rows:
            raise DatasetError(f"question '{question.id}' was not answered: run its answers too")
        if question.id not in self._scores:
            self._begin_judging()
            self._scores[question.id] = self._scored(question, [*rows.values()])
            self.write("scores", self._scores[question.id])
        self._progress.tell("scored", told.scored(self._scores[question.id]))
        self._progress.step(Event(stage="scoring", unit=answers.UNIT))
        return self._scores[question.id]

    def gate_question(self, expressions: list[str], question: Question) -> list[str]:
        """Judge gates on one question alone; return the sentences of those not passed."""
        record = journal.read(self.folder)
        mine = [row for row in record.rows if row["prompt_id"] == question.id]
        document = results.build(record._replace(rows=mine))
        table, mode = measures.of(document), self.settings.gate_mode
        verdicts = gates.judged(document, table, expressions, mode)
        for verdict in verdicts:
            self.write("gate", verdict)
        return gates.not_passed(verdicts)

    async def finish(self, reason: str) -> None:
        """End the judging, then end as every run does."""
        if hasattr(self, "_judging"):
            self._judging.close()
            if self._judging.notes:
                self.write("facts", {"judge_notes": self._judging.notes})
        await super().finish(reason)

    @property
    def _questions(self) -> tuple[Question, ...]:
        return task.load(self.settings, self.identity.variant).questions

    @property
    def _modality(self) -> Any:
        """The module of the modality of the set's media, or None."""
        about = task.load(self.settings, self.identity.variant).about
        name = about.get("modality")
        return modalities.named(name) if name else None

    def _refuse_media(self) -> None:
        """Raise UsageError for media that cannot be used, before anything is asked."""
        if self._modality is not None and not self.settings.rescore:
            self._modality.ready()
            if hasattr(self._modality, "TELLER"):
                self._modality.TELLER.say = self._progress.say
                self._modality.TELLER.tell = self._progress.tell
                self._modality.check_source(self.settings)
            self._notes += modalities.check_all(question.media for question in self._questions)

    def _tell_unsearched(self) -> None:
        """Tell the user if an option asks for a search that will not happen."""
        options, name = self.settings, self.identity.variant
        allowed = any(question.allow_web_search for question in self._questions)
        source = "--corpus" if options.corpus else options.search_replay and "--search-replay"
        if options.rescore and options.web_search:
            self._progress.say("--with-web-search is not used: --rescore asks no model")
        elif options.web_search and not allowed:
            self._progress.say(f"no question of {name} allows a search: they are asked without one")
        elif allowed and source and not (options.web_search or options.rescore):
            self._progress.say(f"{source} is not used: add --with-web-search")

    def check(self) -> None:
        """Raise UsageError for a judge, an opponent or media that do not suit this model."""
        self._judging.refuse_self(self.model.id)
        if not self._is_opponent:
            task.refuse_itself(self.settings, self.model.id)
        if self._modality is not None:
            _probe.check_capability(self.model, self.server, self._modality)
        ask = self._asking
        self._decide(ask.system_prompt)
        self._answering = Answering(
            self.settings,
            self.backend,
            self.model,
            self.server,
            ask,
            self._search,
            self.messages,
            self._modality,
            tell=self._progress.say,
            clock=self.clock,
        )

    def _decide(self, system_prompt: str | None) -> None:
        """Set the values that the user left open, so that the result file records them."""
        self._is_limit_ours = self.settings.max_tokens is None
        thinks = asking.can_think(self.settings, self.model)
        shown = _probe.settled(self.settings, self.model, self.server, self._modality)
        decided = {**shown, "system_prompt": asking.recorded(system_prompt)}
        self._limit(thinks, "can think", **decided)

    def _limit(self, thinks: bool, seen: str, **decided: Any) -> None:
        """Set the token limit unless the user did; tell the limit of a model that thinks."""
        if self._is_limit_ours:
            limits = asking.limits(self.settings, self.model, self.server, thinks=thinks)
            decided |= limits
        limit = decided.get("max_tokens", self.settings.max_tokens)
        self.settings = self.backend.settings = changed(self.settings, decided)
        if thinks and self._is_limit_ours and limit != asking.LIMIT:
            self._progress.say(
                f"{self.model.id} {seen} before it answers: an answer may have up to {limit} "
                "tokens; --max-tokens sets another limit"
            )
        elif thinks and limit < asking.FEW_TO_THINK:
            self._progress.say(
                f"{self.model.id} {seen} before it answers: {limit} tokens may end before the "
                f"answer begins; --max-tokens {asking.THINKING_LIMIT} gives it room"
            )

    async def _find_way(self) -> None:
        """Have the modality decide how its questions are asked, and say how."""
        if not hasattr(self._modality, "way"):
            return
        asked = (self.backend, self.server, self._questions, self.settings)
        chosen, words = await self._modality.way(*asked)
        self._progress.say(words)
        self.settings = self.settings.model_copy(update=chosen)
        self._limit(asking.can_think(self.settings, self.model), "can think")
        self._answering.settings = self.settings

    async def _warm_up(self) -> None:
        await self._find_way()
        await super()._warm_up()
        if thought_in(self._last) and not asking.can_think(self.settings, self.model):
            self._limit(True, "thinks")
            self._answering.settings = self.settings
            self._settle_others()
            if self.server.kind == "ollama":  # another size of the context loads the model again
                await self.send_untimed("Say hello.")
                await self._send_to_others("Say hello.")
        modality, asked = self._modality, self._questions
        sends = hasattr(modality, "probe")  # not where the answers are programs
        if sends and not all(modalities.asks(modality, one, self.settings) for one in asked):
            self._probed = await _probe.sent(self.backend, self.model, self._modality)
            self._answering.room = room.of(self._probed)
        await self._answering.check(self._questions)
        self._answers.keeper, self._answers.config = self._answering.keeper, self._asked_with
        self._answers.dispatch = await dispatch.opened(
            self._answering, self._replicas, self._machines, self._questions
        )

    def _asked_with(self) -> Document:
        return {**self._config(), "sent": self.backend.body(self.model, [])}

    def _config(self) -> Document:
        config = super()._config()
        if self._judging.panel is None:
            config |= {"judge": [], "pairwise": False, "compare_to": None}
        if self._is_opponent:
            config["threshold"] = []
        return config

    @cached_property
    def _asking(self) -> asking.Asking:
        found = task.eval_set(self.settings, self.identity.variant)
        return asking.Asking(self.settings, found, self._questions)

    def _about(self) -> Document:
        about = task.load(self.settings, self.identity.variant).about
        if self.settings.rescore:  # the answers and their examples are those of the file
            return {"eval_set": about}
        return {
            **super()._about(),
            "eval_set": {**about, "few_shot_sha256": self._asking.few_shot_sha256},
            "few_shot_examples": self._asking.few_shot_examples,
        }

    def _at_once(self) -> int:
        senders = self._machines.remotes if self._machines else ()
        return max(len(self._servers.backends), len(senders))

    def _begin(self, requests: int) -> None:
        for facts in self._machines.facts() if self._machines else ():
            self.write(dispatch.NODE, facts)
        if self._probed is not None:
            self.write("facts", {"media_probe": self._probed})
        for note in self._notes:
            self._progress.say(note)
        self._progress.say(f"{requests} {answers.UNIT} of {self.model.id}")

    def _reopen(self, planned: dict[str, int]) -> None:
        """Begin with the answers of a result file, as if the model had just given them."""
        stored = task.stored(self.settings.rescore)
        self._judging.refuse_self(stored["model"]["id"])
        self.server = Server(**{n: stored["server"][n] for n in Server._fields})
        kept = ("model", "server", "contended", "environment")
        config = {**stored["config"], **task.scoring_options(self._config())}
        header = {
            **self._opening(),
            **{name: stored[name] for name in kept},
            "config": {**config, "rescore": self.settings.rescore},
            "eval_set": stored["results"]["eval_set"],
            "few_shot_examples": stored["results"].get("few_shot_examples", []),
        }
        asked = {question.id: question for question in self._questions}
        items = [i for i in stored["results"]["items"] if i["question"]["id"] in asked]
        rows = [
            cast("AnswerRow", {**row, "question": asked[row["prompt_id"]]._asdict()})
            for item in items
            for row in task.rows_of(item)
        ]
        self._open_journal(header, {**planned, "stored": len(rows)})
        for row in rows:
            if row["iteration"] not in self._answers.rows.setdefault(row["prompt_id"], {}):
                self._answers.rows[row["prompt_id"]][row["iteration"]] = row
                self.write("request", row)

    def take_over(self, record: journal.Record) -> None:
        """Take over answers and judgments; raises SettingsError for another set."""
        header: Any = record.opened
        before, now = header["eval_set"], self._about()["eval_set"]
        for name, what in {"sha256": "eval set was", "few_shot_sha256": "examples were"}.items():
            was, is_now = before.get(name), now.get(name)
            if was != is_now:
                raise SettingsError(
                    f"--resume: the {what} {was}, now {is_now}: undo the change of the file, or "
                    "start a new run without --resume"
                )
        for row in record.rows:
            if row["error"] is None:
                self._answers.rows.setdefault(row["prompt_id"], {})[row["iteration"]] = row
        failed = {row["prompt_id"] for row in record.rows if row["error"] is not None}
        for row in record.others.get("scores", []):
            if is_final(row) and row["question_id"] not in failed:  # those are asked again
                self._scores[row["question_id"]] = row
        if self._judging.panel is not None:
            self._judging.panel.resume(record.others.get("judgment", []))

    def _begin_judging(self) -> None:
        """Submit all questions to the judges of this run, unless that is done."""
        if self._judging.needs_memory and hasattr(self, "backend"):
            self.backend.close()  # the judge needs the memory, and the model is done
        if self._judging.waits_for_pictures:
            for question in self._questions:
                rows = (
                    {} if question.id in self._scores else self._answers.rows.get(question.id, {})
                )
                if question.scorer == "render" and 0 in rows:
                    self._score(question, rows[0])
        self._judging.begin(self._answers.rows, self._scores, self.write, self._pictures)
        self._pictures = {}

    def _scored(self, question: Question, rows: list[AnswerRow]) -> ScoresRow:
        scores = [self._score(question, row) for row in rows]
        correct = [one["correct"] for one in scores if one and one["correct"] is not None]
        k = self.settings.pass_k
        passed = pass_at_k(len(correct), sum(correct), k) if k is not None and correct else None
        return {
            "question_id": question.id,
            "verdicts": scores,
            "pass_at_k": passed,
            **self._judging.scores(question.id),
        }

    def _score(self, question: Question, row: AnswerRow) -> Any:
        """Return the score of an answer; a picture of its rendering is stored beside the result."""
        place = (question.id, row["iteration"])
        if place in self._early:
            return self._early.pop(place)
        found = scoring.score(question, row)
        if question.scorer != "render":
            return found
        name = f"{question.id}-{row['iteration']}"
        home = Path(self.settings.results_dir)
        picture = programs.keep_picture(found, self._screenshots, name, home)
        if self._judging.waits_for_pictures:
            self._early[place] = found
            self._pictures |= {question.id: picture} if picture else {}
        return found

    @cached_property
    def _screenshots(self) -> Path:
        """The folder of this run's pictures, beside the result file."""
        about = task.load(self.settings, self.identity.variant).about
        home = Path(self.settings.results_dir) / self.kind.place({"eval_set": about})
        return home / programs.SCREENSHOTS / self.identity.run_id

    async def _end_journal(self, reason: str) -> None:
        if not self.settings.rescore:
            await super()._end_journal(reason)
        elif self.journal is not None:
            self.write("end", {"reason": reason})
            self.journal.close()
