"""The tables and rows of an eval, for all output formats."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from pytest_llamaburn.criteria import NOT_APPLICABLE
from pytest_llamaburn.grids import printable
from pytest_llamaburn.kinds.eval import measured as _measured
from pytest_llamaburn.kinds.eval import senders, shown, structure, timing
from pytest_llamaburn.kinds.eval import transcript as _transcript
from pytest_llamaburn.kinds.eval.scores import why_unavailable
from pytest_llamaburn.tables import (
    ABSENT,
    FILE,
    Sheet,
    failures,
    machine,
    number,
    server,
    title,
    under,
    verdicts,
)
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_llamaburn.documents import Document


_SCORES = (
    *("score", "unit", "mean", "95 % interval", "scored", "of"),
    *("worst case", "best case"),  # if all missing scores were the lowest, and the highest
)
_LEAST = ("unit", "of", "worst case", "best case", "3", "2", "4", "1", "5")
_HISTOGRAM = ("1", "2", "3", "4", "5")
_GRADES_SHOWN = ("graded_correct", "not_attempted", "f_score")  # for each category
_OF_SOME = ("correct_of_parsed", "correct_given_attempted")  # shares of a part of the answers
_PAIRS = (
    *("against", "verdict", "won", "lost", "tied", "scored", "of", "win rate", "95 % interval"),
    *("of decisive", "at equal length", "consistent", "first picked"),
)
_LEAST_PAIRS = ("first picked", "consistent", "at equal length", "of decisive", "of", "scored")
_LOW_MASS = 0.5  # share of the probability; with less, the model tends to say something else


def sheets(document: Document, path: Path) -> Iterator[Sheet]:
    """Yield the scores, the comparison if there is one, the categories, and the timing."""
    found = document["results"]
    facts = [server(document), machine(document["environment"]), *facts_of(document)]
    about = f"{title(document)} on {found['eval_set']['name']}"
    rows = [*_criteria(found["criteria"]), *_shares(found)]
    notes = [*_notes(document), (FILE, f"file {path}")]
    columns, rows = shown.filled((*_SCORES, *_HISTOGRAM), rows)
    yield Sheet(about, facts, rows, notes, columns, least=_LEAST, empty="nothing was scored")
    if found["pairwise"]:
        yield _pairs(found["pairwise"])
    yield _categories(found)
    yield from shown.sheets(found)
    if found.get("measured"):
        yield _measured.sheet(found["measured"])
    if not _measured.is_all(found):
        yield timing.sheet(found)
    yield from senders.sheets(found)


def rows(document: Document) -> Iterator[Document]:
    """Yield one flat row for each question, for spreadsheets."""
    about = {"model": document["model"]["id"], "run_id": document["run_id"]}
    for item in document["results"]["items"]:
        question = item["question"]
        yield {
            **about,
            "question_id": question["id"],
            "category": question["category"],
            "prompt": question["prompt"],
            "reference": question["reference"],
            "answer": structure.said(item) if item.get("tool_calls") else item["answer"],
            "correct": item["correct"],
            "scorer_state": item["verdict"] and item["verdict"]["state"],
            **{k: v for name, one in item["scores"].items() for k, v in _score(name, one).items()},
            "comparison": _joined(item["comparisons"], "verdict"),
            "flags": item["flags"],
            **{name: item[name] for name in ("host", "node") if name in item},
            "error": item["error"],
            **item["timing"],
        }


def transcript(document: Document) -> Iterator[str]:
    """Yield the lines of the transcript."""
    yield from map(printable, _transcript.lines(document))


def _criteria(criteria: Document) -> Iterator[tuple[str, ...]]:
    for name, found in criteria.items():
        histogram = found["histogram"] or dict.fromkeys(_HISTOGRAM, ABSENT)
        counts = [str(histogram[score]) for score in _HISTOGRAM]
        yield (
            name,
            found["unit"],
            number(found["mean"]),
            _interval(found),
            *_n(found),
            *_bounds(found),
            *counts,
        )


def _shares(found: Document) -> Iterator[tuple[str, ...]]:
    """Yield the rows of grades, of the shares of right answers, and of rates."""
    passed = found["pass_at_k"]
    shares = {**found["grades"], **{name: found[name] for name in _shares_of(found)}}
    shares |= found.get("rates", {})
    shares |= {f"pass@{passed['k']}": passed} if passed else {}
    for name, one in shares.items():
        mean = (number(one["mean"]), _interval(one))
        yield (name, "share", *mean, *_n(one), *_bounds(one), *(ABSENT,) * len(_HISTOGRAM))


def _shares_of(found: Document) -> tuple[str, ...]:
    """Return the shares to show; unread and unattempted answers have shares if there are any."""
    if not found["correct"]["n_total"]:
        return ()
    unread, untried = (found[name]["count"] for name in ("unparsable", "not_attempted"))
    return (
        "correct",
        *(("correct_of_parsed", "unparsable") if unread else ()),
        # A judge's grades have the same names, and more of them.
        *(("not_attempted", "correct_given_attempted") if untried and not found["grades"] else ()),
    )


def _pairs(found: Document) -> Sheet:
    row = (
        found["rival"],
        found["verdict"] or "none",
        *(str(found[name]) for name in ("wins", "losses", "ties", "n_scored", "n_total")),
        number(found["win_rate"]["value"]),
        _interval(found["win_rate"]),
        *(
            number(found[name]["value"])
            for name in (
                *("decisive_rate", "length_controlled_rate"),
                *("consistency", "first_position_rate"),
            )
        ),
    )
    p = number(found["sign_test_p"]["value"])
    said = (
        f"{found['inconsistent']} pairs have a different winner in the other order and count as "
        f"ties; sign test without ties: p = {p}; mean difference in length: "
        f"{number(found['length_delta']['value'])} characters"
    )
    notes = [said, *([found["reason"]] if found["reason"] else [])]
    told = [("comparison", note) for note in notes]
    return Sheet(f"compared with {found['rival']}", [], [row], told, _PAIRS, least=_LEAST_PAIRS)


def _categories(found: Document) -> Sheet:
    shares = [name for name in _shares_of(found) if name not in _OF_SOME]
    graded = [name for name in _GRADES_SHOWN if name in found["grades"]]
    passed = {"pass_at_k": f"pass@{found['pass_at_k']['k']}"} if found["pass_at_k"] else {}
    scores = [*shares, *passed, *graded, *found["criteria"]] or ["correct"]
    table = [
        (
            name,
            str(group["questions"]),
            *(number((group.get(name) or {}).get("mean")) for name in scores),
        )
        for name, group in found["by_category"].items()
    ]
    columns = ("category", "questions", *(passed.get(name, name) for name in scores))
    notes = [*under("mean over categories", _macro(found))]
    return Sheet("by category", [], table, notes, columns, 1, least=(), wrapped=("category",))


def _macro(found: Document) -> Iterator[str]:
    """Yield the mean over categories and the mean over answers, if there are several categories."""
    macro = found.get("correct_macro")
    if macro and macro["categories"] > 1:
        yield (
            f"correct: {number(macro['mean'])}{_within(macro)} is the mean over "
            f"{macro['categories']} categories (macro), {number(found['correct']['mean'])} over "
            "all answers (micro)"
        )


def facts_of(document: Document) -> Iterator[str]:
    """Yield the lines above the table of an eval."""
    found, config = document["results"], document["config"]
    totals, asked = found["totals"], found["eval_set"]
    answers = max(totals["requests"], totals.get("planned_answers") or 0)
    yield (
        f"{document['status']}: {totals['succeeded']} of {counted(answers, 'answer')} "
        f"({totals['cached']} from earlier runs) to {asked['used']} of "
        f"{counted(asked['available'], 'question')}, temperature {config['temperature']}, "
        f"up to {config['max_tokens']} tokens, seed {config['seed']}"
    )
    if asked_with := ", ".join(_asked(config)):
        yield asked_with
    if config["judge"]:
        repeats = f", each {config['judge_repeats']} times" if config["judge_repeats"] > 1 else ""
        yield f"judged by {', '.join(config['judge'])}{repeats}: {_spent(found['cost'])}"
    if found["evidence"]:
        yield _searched(found["evidence"])


def _asked(config: Document) -> Iterator[str]:
    """Yield what was sent with each question; files of earlier versions do not record it."""
    if config.get("few_shot"):
        yield f"{counted(config['few_shot'], 'solved example')} before each question"
    if system_prompt := config.get("system_prompt") or config.get("system"):
        yield f"a system prompt of {len(system_prompt)} characters"
    if config.get("choice_by") == "logprob":
        yield "choices read by the probability of their letters"
    if config.get("structured", "auto") != "auto":
        yield f"tools and schemas given by {config['structured']}"


def _spent(cost: Document) -> str:
    tokens = cost["tokens"]
    price = f"{cost['cost_usd']:.4f} USD" if cost["cost_usd"] is not None else cost["reason"]
    return (
        f"{counted(cost['calls'], 'call')}, {tokens['input'] or 0} tokens in, "
        f"{tokens['output'] or 0} out, {price}"
    )


def _searched(found: Document) -> str:
    share, n = found["reference_found"]["share"], found["reference_found"]["n"]
    reference = f"the reference was in the evidence of {share:.0%} of {n}, " if n else ""
    return (
        f"{counted(found['questions'], 'question')} with evidence from "
        f"{', '.join(found['backends'])}: {reference}"
        f"{found['cited']['share']:.0%} of the answers cite it"
    )


def _notes(document: Document) -> Iterator[tuple[str, str]]:
    """Yield the notes below the table, each with its heading."""
    found = document["results"]
    answers = [one for item in found["items"] for one in (item, *item["more_samples"])]
    yield from verdicts(document)
    yield from under("failures", failures(found["errors"], answers))
    yield from under("scoring", _scoring(document))
    yield from under("judges", _judged(found))
    yield from under("sound", _measured.sound(found["items"]))


def _judged(found: Document) -> Iterator[str]:
    """Yield the states of judges' verdicts, and how well the judges agree."""
    if found["n_total"]:
        states = _states(found["by_state"])
        yield f"{found['n_scored']} of {counted(found['n_total'], 'verdict')} of judges: {states}"
    yield from _judges(found["judging"])
    for name, one in found["criteria"].items():
        if one["jury_alpha"]:
            alpha = one["jury_alpha"]
            why = f": {alpha['reason']}" if alpha["reason"] else ""
            yield f"{name}: agreement of the judges, alpha {number(alpha['value'])}{why}"
        if one["flip_rate"] is not None:
            yield f"{name}: {one['flip_rate']:.0%} of a judge's repeats differ"
    yield from found["judging"]["notes"]


def _scoring(document: Document) -> Iterator[str]:
    """Yield why scores are missing, and how answers were read."""
    found = document["results"]
    yield from _reasons(found)
    yield from unread_of(document)
    yield from _letters(found["items"])
    yield from _unjudged(document)


def _reasons(found: Document) -> Iterator[str]:
    """Yield why scores have no mean, and to how many answers a criterion does not apply."""
    for name, one in {**found["criteria"], **found["grades"]}.items():
        if one["reason"] and one["n_total"]:
            yield f"{name}: {one['reason']}"
    if found["correct"]["reason"] and found["correct"]["n_total"]:
        yield f"correct: {found['correct']['reason']}"
    for name in dict.fromkeys(name for item in found["items"] for name in item["scores"]):
        scores = [item["scores"][name] for item in found["items"] if name in item["scores"]]
        left = [one for one in scores if one["state"] == NOT_APPLICABLE]
        if left:
            why = (left[0]["judgments"][0]["error"] or {}).get("words", "the text makes no claim")
            answers = counted(len(scores), "answer")
            yield f"{name}: does not apply to {len(left)} of {answers}: {why}"


def unread_of(document: Document) -> Iterator[str]:
    """Yield why answers were not read, and how many of them were cut at the limit of tokens."""
    found = document["results"]
    states = {k: v for k, v in found["correct"]["by_state"].items() if k != "scored"}
    if not states:
        return
    wrong = "; an answer that cannot be read is wrong" if found["unparsable"]["count"] else ""
    yield f"scorers: {_states(states)}{wrong}"
    answers = [one for item in found["items"] for one in (item, *item["more_samples"])]
    why = why_unavailable(one["verdict"] for one in answers)
    if why and not found["correct"]["reason"]:
        yield f"unavailable: {why}"
    known = any(insight["id"] == "cut_before_answer" for insight in document["insights"])
    told = ("unparsable",) if known else ("unparsable", "truncated")
    cut = sum(
        one["finish_reason"] == "length"
        and one["verdict"] is not None
        and one["verdict"]["state"] in told
        and one.get("choice_mass") is None  # one token is all that was asked for
        for one in answers
    )
    if cut:
        limit = document["config"]["max_tokens"]
        yield f"cut off at the limit of {limit} tokens: {cut} of them; raise --max-tokens"


def _letters(items: list[Document]) -> Iterator[str]:
    """Yield how much of the probability was on the letters of the choices."""
    answers = [one for item in items for one in (item, *item["more_samples"])]
    masses = [one["choice_mass"] for one in answers if one.get("choice_mass") is not None]
    if masses:
        low = "" if fmean(masses) >= _LOW_MASS else ": the model tends to say something else"
        yield (
            f"choices read by probability: on average the letters had {fmean(masses):.0%} of it in "
            f"{counted(len(masses), 'answer')}, at least {min(masses):.0%}{low}"
        )


def _unjudged(document: Document) -> Iterator[str]:
    """Yield how many answers have no score because there is no judge."""
    items = document["results"]["items"]
    asked = [one for one in items if not one["question"]["scorer"]]
    left = [one for one in asked if one["answer"] and not (one["scores"] or one["verdict"])]
    if left and not document["config"]["judge"]:
        yield f"{len(left)} of {counted(len(items), 'answer')} need a judge: add --judge"


def _judges(judging: Document) -> Iterator[str]:
    """Yield the states of each judge's verdicts if they differ, and the most frequent error."""
    each = list(judging["by_judge"].values())
    if any(states != each[0] for states in each):
        told = (f"{name} {_states(states)}" for name, states in judging["by_judge"].items())
        yield f"by judge: {'; '.join(told)}"
    if error := judging["commonest_error"]:
        who = f"most frequent error, {error['count']} × from {error['judge']}: {error['kind']}"
        yield from _transcript.said(who, error["words"])


def _states(counts: dict[str, int]) -> str:
    return ", ".join(f"{state} {count}" for state, count in counts.items())


def _score(name: str, one: Document) -> Document:
    reasons = " / ".join(j["reasoning"] for j in one["judgments"] if j["reasoning"])
    score = one["score"] if one["score"] is not None else one.get("verdict")
    return {name: score, f"{name}_state": one["state"], f"{name}_reasoning": reasons}


def _joined(entries: list[Document], field: str) -> str | None:
    return " ".join(str(entry[field]) for entry in entries) or None


def _interval(found: Document) -> str:
    return "[{}, {}]".format(*map(number, found["ci95"])) if found["ci95"] else ABSENT


def _within(found: Document) -> str:
    return f" {_interval(found)}" if found.get("ci95") else ""


def _bounds(found: Document) -> tuple[str, ...]:
    """Return the bounds of a mean if any score is missing."""
    if found["n_scored"] == found["n_total"] or "bounds" not in found:
        return ABSENT, ABSENT
    low, high = found["bounds"].values()
    return number(low), number(high)


def _n(found: Document) -> tuple[str, str]:
    return str(found["n_scored"]), str(found["n_total"])
