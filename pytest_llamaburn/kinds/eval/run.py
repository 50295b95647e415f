"""An exam: a model answers every question of a set, and then its answers are marked.

While it answers, it has the machine to itself. Marking begins when all is answered: scorers here,
judges in the background (`marking.py`).
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import datasets, gates, judges, registry
from pytest_llamaburn.backends._base import Server
from pytest_llamaburn.errors import DatasetError, ServerError, SettingsError, UsageError
from pytest_llamaburn.judges import _queue
from pytest_llamaburn.kinds._run import Run, row_of
from pytest_llamaburn.kinds.eval import KIND, answer_cache, asking, insights, measures, task
from pytest_llamaburn.progress import Event, of_request
from pytest_llamaburn.scorers._base import Verdict, unparsable
from pytest_llamaburn.scorers.code import pass_at_k
from pytest_llamaburn.search import _choose, _evidence, _record
from pytest_llamaburn.store import journal, results
from pytest_llamaburn.store.resume import ASKED_AGAIN
from pytest_llamaburn.texts import whole
from pytest_llamaburn.thinking import split_thinking
from pytest_llamaburn.trace import Failed, Sent, Trace, fold

if TYPE_CHECKING:
    from concurrent.futures import Future

    from pytest_llamaburn.backends._base import Likely, Message
    from pytest_llamaburn.datasets import Question
    from pytest_llamaburn.judges import Case, Comparison, Panel, Score
    from pytest_llamaburn.search._base import Hit, Search

    Row = dict[str, Any]

_LETTER_PROMPT = "Which letter comes first, A or B? Answer with the letter only."
_UNIT = "answers and scores"  # what progress counts
_WARNED_AFTER = 3  # answers that the limit cut before they began
_ALTERNATIVES = (20, 5)  # likeliest tokens to ask for: the first number that a server takes


class EvalRun(Run):
    """A model that answers the questions of a set."""

    kind = KIND

    def __init__(self, *args: Any) -> None:
        """Take what a Run takes."""
        super().__init__(*args)
        self._rows: dict[str, dict[int, Row]] = {}
        self._marked: dict[str, Row] = {}
        self._judged: dict[tuple[str, ...], judges.Judgment] = {}
        self._panel: Panel | None = None
        self._search: Search | None = None
        self._asking: asking.Asking
        self._alternatives = _ALTERNATIVES[0]
        self._warned = False
        self._marking: _queue.Marking | None = None
        self._pending: dict[str, Future[list[Score]] | Future[list[Comparison]]] = {}
        self._rivals: dict[str, Row] = {}
        self._rival = False  # the other model of a comparison: it only answers
        self._rival_run: str | None = None
        self._cache = answer_cache.Cache(Path(self.settings.results_dir))

    async def prepare(
        self, model: str | None, planned: dict[str, int], about: dict[str, Any]
    ) -> None:
        """Prepare as a Run does; stored answers need no server."""
        if self.identity.worker.partition("-")[0] != "main":
            raise SettingsError("an eval runs in one process: leave out -n")
        self._refuse_unscorable()
        self._rival_run = about.pop("rival_run", None)
        self._rival = bool(self.settings.pairwise and model == self.settings.compare_to)
        if self.settings.judge:
            await self._seat()
        if self.settings.web_search and not self.settings.answers:
            self._search = _choose.choose(self.settings, os.environ)
            self._tell_unsearched()
        if self.settings.answers:
            self._reopen(planned)
        else:
            self._asking = asking.Asking(
                self.settings, datasets.load_eval_set(self.identity.variant)
            )
            await super().prepare(model, planned, about)

    async def answer(self, question: Question) -> list[Row]:
        """Have the model answer a question, as often as --samples says; return the rows."""
        rows = self._rows.setdefault(question.id, {})
        for number in range(self.settings.samples):
            if number not in rows:
                rows[number] = await self._answered(question, number)
                self._journal("request", rows[number])
                self._warn_of_cuts(rows[number])
            self._progress.step(of_request(rows[number], stage="answering", unit=_UNIT))
        return [*rows.values()]

    def scores(self, question: Question) -> Row:
        """Mark the answers to a question; return the row with all verdicts.

        The first call submits every judgment of the exam. Raises DatasetError where the question
        has not been answered, UsageError where a judge cannot be had.
        """
        rows = self._rows.get(question.id)
        if not rows:
            raise DatasetError(f"question '{question.id}' was not answered: run its answers too")
        if question.id not in self._marked:
            self._begin_marking()
            self._marked[question.id] = self._mark(question, [*rows.values()])
            self._journal("scores", self._marked[question.id])
        self._progress.step(Event(stage="scoring", unit=_UNIT))
        return self._marked[question.id]

    def gate_question(self, expressions: list[str], question: Question) -> list[str]:
        """Judge gates on one question alone; return the sentences of those not passed."""
        record = journal.read(self.folder)
        mine = [row for row in record.rows if row["prompt_id"] == question.id]
        document = results.build(record._replace(rows=mine))
        table, mode = measures.of(document), self.settings.gate_mode
        verdicts = gates.judged(document, table, expressions, mode)
        for verdict in verdicts:
            self._journal("gate", verdict)
        return [gates.sentence(v) for v in verdicts if v["verdict"] != "pass"]

    async def finish(self, reason: str) -> None:
        """End the judging, then as every run."""
        if self._marking is not None:
            self._marking.close()
            self._marking = None
        if self._panel is not None and self._panel.notes:
            self._journal("facts", {"judge_notes": self._panel.notes})
        await super().finish(reason)

    @property
    def _directory(self) -> Path:
        return Path(self.settings.results_dir)

    def _refuse_unscorable(self) -> None:
        """Raise UsageError for a question that this machine cannot score, before any is asked."""
        asked = task.paper(self.settings, self.identity.variant).questions
        for name in sorted({q.scorer for q in asked if q.scorer}):
            if check := getattr(registry.load("scorers", name), "ready", None):
                check()

    async def _seat(self) -> None:
        """Choose the judges; raises UsageError where one would judge itself or cannot be had.

        That is found out before the first answers, which are the rival's, and by judges of their
        own: a connection belongs to the loop that it was opened in.
        """
        self._panel = judges.Panel.of(self.settings)
        try:
            for model in task.judged_models(self.settings):
                self._refuse_self(model)
            await self._panel.probe()
        finally:
            await self._panel.close()
        self._panel = None if self._rival else judges.Panel.of(self.settings)

    def _tell_unsearched(self) -> None:
        """Say where the search does not apply: another set of the session allows it."""
        name = self.identity.variant
        if not any(q.allow_web_search for q in task.paper(self.settings, name).questions):
            self._progress.say(f"no question of {name} allows a search: it is asked without")

    def _check(self) -> None:
        self._refuse_self(self.model.id)
        if not self._rival:
            task.refuse_itself(self.settings, self.model.id)
        self._decide()

    def _decide(self) -> None:
        """Put what the settings leave open into them, so that it is recorded."""
        decided: Row = {"system": asking.recorded(self._asking.system)}
        if self.settings.max_tokens is None:
            decided |= asking.limits(self.settings, self.model, self.server)
            if decided["max_tokens"] != asking.LIMIT:
                self._progress.say(
                    f"{self.model.id} can think before it answers: an answer may have up to "
                    f"{decided['max_tokens']} tokens; --max-tokens sets another limit"
                )
        self.settings = self.backend.settings = self.settings.model_copy(update=decided)

    async def _warm_up(self) -> None:
        await super()._warm_up()
        if self.settings.choice_by == "logprob":
            await self._try_logprobs()
            self.backend.settings = self.settings

    async def _try_logprobs(self) -> None:
        """Raise ServerError where the server lacks the log probabilities that a question needs."""
        asked = task.paper(self.settings, self.identity.variant).questions
        if not any(map(self._asking.by_letter, asked)):
            return  # another set of the session has choices
        messages = self.messages(_LETTER_PROMPT)
        for self._alternatives in _ALTERNATIVES:
            trace, likely = await self._sent(self._letter_body(messages, 0))
            if likely:
                return
            if trace.failure is None:
                break
        why = f" ({trace.failure.message})" if trace.failure else ""
        raise ServerError(
            f"--choice-by: logprob is refused: {self.server.host} gave no log probabilities with "
            f"an answer of {self.model.id}{why}: leave the option out, or use a server that gives "
            "them: llama.cpp, vLLM, SGLang, or Ollama from 0.12.11"
        )

    def _warn_of_cuts(self, row: Row) -> None:
        """Say once, after the first few, that answers are cut before they begin."""
        if self._warned or not insights.unbegun(row):
            return
        rows = [row for of_one in self._rows.values() for row in of_one.values()]
        config = {**self._config(), "sent": self.backend.body(self.model, [])}
        found = insights.cut_before_answer(rows, config, least=_WARNED_AFTER)
        if found is not None:
            self._warned = True
            self._progress.say(found["text"])

    def _refuse_self(self, model: str) -> None:
        if self._panel is not None and not self.settings.allow_self_judge:
            self._panel.refuse_self(model)

    def _config(self) -> dict[str, Any]:
        found = super()._config()
        if self._panel is None:
            found |= {"judge": [], "pairwise": False, "compare_to": None}
        if self._rival:
            found["threshold"] = []
        return found

    def _about(self) -> dict[str, Any]:
        return {"eval_set": task.paper(self.settings, self.identity.variant).about}

    def _begin(self, requests: int) -> None:
        self._progress.say(f"{requests} {_UNIT} of {self.model.id}")

    def _reopen(self, planned: dict[str, int]) -> None:
        """Begin with the answers of a result file, as if they had just been given."""
        stored = task.stored(self.settings.answers)
        self._refuse_self(stored["model"]["id"])
        self.server = Server(**{n: stored["server"][n] for n in Server._fields})
        kept = ("model", "server", "contended", "environment")
        config = {**stored["config"], **_scoring(self._config())}
        header = {
            **self._opening(),
            **{name: stored[name] for name in kept},
            "config": {**config, "answers": self.settings.answers},
            "eval_set": stored["results"]["eval_set"],
        }
        asked = {q.id: q for q in task.paper(self.settings, self.identity.variant).questions}
        items = [i for i in stored["results"]["items"] if i["question"]["id"] in asked]
        rows = [
            {**row, "question": asked[row["prompt_id"]]._asdict()}
            for item in items
            for row in task.rows_of(item)
        ]
        self._open_journal(header, {**planned, "stored": len(rows)})
        for row in rows:
            if row["iteration"] not in self._rows.setdefault(row["prompt_id"], {}):
                self._rows[row["prompt_id"]][row["iteration"]] = row
                self._journal("request", row)

    def _continue(self, record: journal.Record) -> None:
        before = (record.header or {})["eval_set"]["sha256"]
        now = task.paper(self.settings, self.identity.variant).about["sha256"]
        if before != now:
            raise SettingsError(f"--resume: the eval set was {before}, now it is {now}")
        for row in record.rows:
            if row["error"] is None:
                self._rows.setdefault(row["prompt_id"], {})[row["iteration"]] = row
        self._judged = _queue.restored(record.others.get("judgment", []))
        failed = {row["prompt_id"] for row in record.rows if row["error"] is not None}
        for row in record.others.get("scores", []):
            if _final(row) and row["question_id"] not in failed:  # those are asked again
                self._marked[row["question_id"]] = row
        if self._panel is not None:
            _queue.charge(self._panel, record.others.get("judgment", []))

    async def _answered(self, question: Question, number: int) -> Row:
        """Return the row of an answer, that of an earlier run if it can be no other."""
        about = {
            "prompt_id": question.id,
            "category": question.category,
            "prompt_sha256": question.sha256,
            "repeat": 0,
            "iteration": number,
            "start": "warm",
            "question": question._asdict(),
        }
        try:
            found = await self._looked_up(question)
        except ServerError as err:
            return {
                **about,
                **_facts(_unsearched(str(err)), question.prompt),
                **_cited(None, question, ""),
            }
        hits = [*(_record.hits_of(found) if found else ()), *task.documents(question)]
        prompt = _evidence.prompt_with(self._asking.text(question), hits)
        messages = self._messages(question, prompt)
        by_letter = self._asking.by_letter(question)
        make_body = self._letter_body if by_letter else self._body
        body = make_body(messages, number)
        key = answer_cache.key_of(self.model, self.server, body)
        facts = self._cache.get(key) if self.settings.cache_answers else None
        if facts is None:
            facts = await self._said(question, body)
            self._cache.put(key, facts)
        else:
            facts["cached"] = True
        return {**about, **facts, **_cited(found, question, facts["answer"] or "", hits)}

    async def _looked_up(self, question: Question) -> Any:
        if self._search is None or not question.allow_web_search:
            return None
        return await _record.look_up(self._search, question.prompt, self.settings.search_results)

    def _messages(self, question: Question, prompt: str) -> list[Message]:
        """Return the conversation that asks a question; a fresh prefix stands before all of it."""
        first, *rest = self._asking.messages(question, prompt)
        (fresh,) = self.messages(first["content"])
        return [{**first, "content": fresh["content"]}, *rest]

    def _body(self, messages: list[Message], number: int, **update: Any) -> Row:
        """Return the request for an answer."""
        update["seed"] = self.settings.seed + number
        self.backend.settings = self.settings.model_copy(update=update)
        return self.backend.body(self.model, messages)

    def _letter_body(self, messages: list[Message], number: int) -> Row:
        """Return the request for the probabilities of an answer's first token."""
        body = self._body(messages, number, **asking.ONE_LETTER)
        return {**body, "logprobs": True, "top_logprobs": self._alternatives}

    async def _said(self, question: Question, body: Row) -> Row:
        """Return what the model says to a request."""
        trace, likely = await self._sent(body)
        by_letter = self._asking.by_letter(question) and trace.failure is None
        if by_letter and trace.text and not likely:
            words = "the answer came without log probabilities"
            trace.failure = Failed(trace.end_ns, "no_logprobs", "stream", 200, words)
        facts = _facts(trace, "\n".join(message["content"] for message in body["messages"]))
        return facts | (asking.letter_of(question, likely) if by_letter and likely else {})

    async def _sent(self, body: Row) -> tuple[Trace, Likely]:
        """Send a request; return what it did, and the likeliest first tokens if asked for."""
        wire = self.backend.wire()
        try:
            if "logprobs" in body:
                return await self.backend.first_token(wire, body)
            return await self.backend.stream(wire, self.backend.request(body)), []
        finally:
            wire.close()

    def _begin_marking(self) -> None:
        """Submit every judgment of the exam, once."""
        if self._panel is None or self._marking is not None:
            return
        if any(caller.judge.local for caller in self._panel.callers) and hasattr(self, "backend"):
            self.backend.close()  # the judge needs the memory, and the model is done

        def note(row: dict[str, Any]) -> None:
            self._journal("judgment", row)

        self._marking = _queue.Marking(self._panel, note, self._judged)
        if self.settings.pairwise:
            self._rivals = self._rival_rows()
            given = {name: row["answer"] for name, row in self._rivals.items()}
            self._journal("rivals", {"answers": given})
        for name, rows in self._rows.items():
            if name not in self._marked:
                question = task.question(rows[0]["question"])
                if self.settings.pairwise:
                    self._submit_pair(question, rows[0])
                else:
                    self._pending[name] = self._marking.score(
                        name, _case(question, rows[0]), question.asked
                    )

    def _submit_pair(self, question: Question, row: Row) -> None:
        rival = self._rivals.get(question.id)
        texts = [_text(question, one) for one in (row, rival)]
        if self._marking is not None and None not in texts:
            pair = judges.Pair(
                question.prompt, str(texts[0]), str(texts[1]), question.reference, question.rubric
            )
            self._pending[question.id] = self._marking.compare(question.id, pair)

    def _mark(self, question: Question, rows: list[Row]) -> Row:
        verdicts = [_verdict(question, row) for row in rows]
        marks = [v["correct"] for v in verdicts if v is not None and v["correct"] is not None]
        k = self.settings.pass_k
        found = [one.as_dict() for one in self._awaited(question.id)]
        compared = self.settings.pairwise and self._panel is not None
        rival = self._rivals.get(question.id) if compared else None
        return {
            "question_id": question.id,
            "verdicts": verdicts,
            "pass_at_k": pass_at_k(len(marks), sum(marks), k) if k is not None and marks else None,
            "scores": {} if compared else {one["criterion"]: one for one in found},
            "comparisons": (found or [_UNCOMPARED]) if compared else [],
            "rival_answer": rival and rival["answer"],
        }

    def _awaited(self, name: str) -> list[Any]:
        future = self._pending.pop(name, None)
        return [] if future is None else [*future.result()]

    def _rival_rows(self) -> dict[str, Row]:
        """Return the first answers of the model to compare with, by question."""
        other = str(self.settings.compare_to)
        if task.is_file(other):
            items = task.stored(other)["results"]["items"]
            rows = [row for item in items for row in task.rows_of(item)]
        else:
            run_id = str(self._rival_run)
            rows = journal.read(journal.directory(self._directory, run_id)).rows
        asked = {name: row[0]["prompt_sha256"] for name, row in self._rows.items()}
        return {
            row["prompt_id"]: row
            for row in rows
            if row["iteration"] == 0 and asked.get(row["prompt_id"]) == row["prompt_sha256"]
        }

    async def _end_journal(self, reason: str) -> None:
        if not self.settings.answers:
            await super()._end_journal(reason)
        elif self.journal is not None:
            self._journal("end", {"reason": reason})
            self.journal.close()


_MOST_REASON = 500  # characters of a reason that is another program's text

# An answer that says nothing but this is plainly no try; any other wording is left to a judge.
_NOT_ATTEMPTED = re.compile(
    r"\W*(?:(?:i['’]m|i am) (?:sorry|afraid),? (?:but )?)?i (?:do not|don['’]t) know"  # noqa: RUF001
    r"(?: the answer)?(?: to (?:this|that|the|your) question)?\W*",
    re.IGNORECASE,
)
_UNCOMPARED: Row = {
    "verdict": None,
    "state": "skipped_sut_error",
    "inconsistent": False,
    "first_picks": 0,
    "judgments": [],
}


def _scoring(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a rejudging that differ from those of the answers.

    Model and set are as this run calls them: by them it is known again when it goes on.
    """
    from pytest_llamaburn.settings import Judging, options_of

    own = {o.name for o in options_of(Judging)} | {"threshold", "gate_mode", "pairwise"}
    own |= {"compare_to", "pass_k", "answers", "model", "set", "criteria", "criterion"} | (
        {"limit"} if config["limit"] else set()
    )
    return {k: v for k, v in config.items() if k in own}


def _facts(trace: Trace, prompt: str) -> Row:
    """Return what a request's row says of the answer, its thinking kept apart."""
    text, thought = split_thinking(whole(trace.text))
    return {
        **row_of(trace, prompt),
        "answer": text or (None if trace.failure else ""),
        "thinking": whole(trace.thinking or thought) or None,
        "cached": False,
        "choice_logprobs": None,
        "choice_mass": None,
    }


def _cited(found: Any, question: Question, answer: str, hits: list[Hit] | None = None) -> Row:
    """Return the search of an answer and what became of it."""
    accept = question.options.get("accept", [])
    more = [accept] if isinstance(accept, str) else accept
    told = _evidence.reference_found(question.reference, more, hits or [])
    return {
        "search": found,
        "reference_found": told if found else None,
        "cited": _evidence.citations(answer, hits or []),
    }


def _unsearched(words: str) -> Trace:
    now = perf_counter_ns()
    return fold([Sent(now), Failed(now, "search_failed", "search", None, words)])


def _case(question: Question, row: Row) -> Case:
    return judges.Case(
        question.prompt,
        row["answer"] or "",
        question.reference,
        question.rubric,
        row["error"] and row["error"]["kind"],
        row["finish_reason"],
        task.evidence(question, row["search"]),
    )


def _text(question: Question, row: Row | None) -> str | None:
    """Return an answer as it is compared, None where there is none to compare."""
    if row is None:
        return None
    ruled = judges.by_rule(_case(question, row), "preference")
    return row["answer"] if ruled is None else "" if ruled.scored else None


def _verdict(question: Question, row: Row) -> Row | None:
    """Return what the question's scorer finds, None without one."""
    if question.scorer is None:
        return None
    ruled = judges.by_rule(_case(question, row), "correct")
    if ruled is not None:
        state = _silence(row) if ruled.scored else ruled.state
        reason = ruled.reasoning or (ruled.error or {})["words"]
        return Verdict(False if ruled.scored else None, state, reason, None, {})._asdict()
    if row.get("choice_mass") == 0:
        return unparsable("no letter of a choice is among the likeliest tokens")._asdict()
    verdict = _scored(question.scorer, row["answer"], question)
    if verdict.state == "unparsable" and _NOT_ATTEMPTED.fullmatch(row["answer"]):
        verdict = verdict._replace(state="not_attempted")
    return verdict._asdict()


def _scored(name: str, answer: str, question: Question) -> Verdict:
    """Return what a scorer finds; one that fails says so in its verdict and the run goes on.

    Raises UsageError for a faulty question and a missing extra.
    """
    try:
        verdict = Verdict._make(registry.load("scorers", name).score(answer, question))
        json.dumps(verdict, allow_nan=False)  # what no file can hold is no verdict either
        if not isinstance(verdict.correct, bool | None):
            raise TypeError(f"{verdict.correct!r} is neither true, false nor null")  # noqa: TRY301
    except UsageError:
        raise
    except Exception as err:  # noqa: BLE001 - a scorer of another distribution may raise anything
        reason = f"the scorer '{name}' failed: {type(err).__name__}: {err}"[:_MOST_REASON]
        return Verdict(None, "unavailable", reason, None, {})
    return verdict


def _silence(row: Row) -> str:
    """Return the state of an answer that the model did not give."""
    if row["error"] is not None:
        return "failed"
    return "truncated" if row["finish_reason"] == "length" else "empty"


def _final(row: Row) -> bool:
    """Return whether no mark of a row is to be tried again."""
    found = [*row["scores"].values(), *row["comparisons"]]
    states = {j["state"] for one in found for j in one["judgments"]}
    return states.isdisjoint(ASKED_AGAIN)
