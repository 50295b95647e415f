"""The shipped eval sets: sound, and right where a machine can tell."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections import Counter
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import accumulate, combinations, permutations, product
from typing import TYPE_CHECKING

import jsonschema
import pytest

from pytest_llamaburn import registry
from pytest_llamaburn.commands import schema
from pytest_llamaburn.evalsets import builtin_eval_sets, load_eval_set
from pytest_llamaburn.scorers import includes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _pytest.mark import ParameterSet

    from pytest_llamaburn.evalsets import Question

SETS = {name: load_eval_set(name) for name in builtin_eval_sets()}
ALL = [(name, question) for name, found in SETS.items() for question in found.questions]


def questions_by_id(name: str) -> dict[str, Question]:
    return {question.id: question for question in SETS[name].questions}


def of_scorers(*scorers: str) -> list[Question]:
    return [question for _, question in ALL if question.scorer in scorers]


def cases(*scorers: str) -> list[ParameterSet]:
    return [pytest.param(q, id=f"{name}-{q.id}") for name, q in ALL if q.scorer in scorers]


def accepted(question: Question) -> list[str]:
    return [str(question.reference), *question.options.get("accept", [])]


def says_words(text: str, words: str) -> bool:
    """Whether a text has these words, by the strictest reading: whole words only."""
    return re.search(rf"(?<!\w){re.escape(words.casefold())}(?!\w)", text.casefold()) is not None


def test_there_are_eight() -> None:
    subjects = ["coding", "factual", "general_knowledge", "math", "reasoning", "summarization"]
    structured = ["structured_output", "tool_calls"]  # test_structure_sets.py looks at them
    assert builtin_eval_sets() == sorted([*subjects, *structured])


@pytest.mark.parametrize("name", SETS)
def test_a_set_has_enough_different_questions_in_several_categories(name: str) -> None:
    questions = SETS[name].questions
    assert SETS[name].name == name
    assert len(questions) >= 32
    assert len({question.id for question in questions}) == len(questions)
    assert len({question.prompt for question in questions}) == len(questions)
    assert len({question.category for question in questions}) >= 3


@pytest.mark.parametrize("name", sorted(SETS.keys() - {"tool_calls"}))  # text shows no call
def test_a_set_has_solved_examples_that_are_none_of_its_questions(name: str) -> None:
    examples = SETS[name].examples
    assert len(examples) >= 3
    assert {one.prompt for one in examples}.isdisjoint(q.prompt for q in SETS[name].questions)
    assert {one.category for one in examples} == {None}  # they stand before every question


def test_the_solved_programs_run() -> None:
    programs = [one.answer.split("```")[1] for one in SETS["coding"].examples]
    names: dict[str, Callable[..., object]] = {}
    for program in programs:
        exec(program.removeprefix("python"), names)  # noqa: S102 - our own
    assert names["double_all"]([1, 3]) == [2, 6]
    assert names["initials"]("ada  lovelace") == "AL"
    assert (names["largest_key"]({"a": 1, "b": 2}), names["largest_key"]({})) == ("b", None)


@pytest.mark.parametrize("name", SETS)
def test_a_set_keeps_the_shipped_schema(name: str) -> None:
    text = (schema.SCHEMAS / "eval_set.schema.json").read_text(encoding="utf-8")
    jsonschema.validate(json.loads(SETS[name].path.read_text(encoding="utf-8")), json.loads(text))


def test_the_first_question_of_general_knowledge_is_the_known_one() -> None:
    first = SETS["general_knowledge"].questions[0]
    assert (first.id, first.prompt) == ("q1", "What is the capital of France?")
    assert (first.reference, first.category, first.allow_web_search) == ("Paris", "factual", False)


def test_some_facts_may_be_searched_for_and_no_sum_may() -> None:
    may = Counter(name for name, question in ALL if question.allow_web_search)
    assert may["factual"] >= 20
    assert may["general_knowledge"] >= 5
    assert may.keys() == {"factual", "general_knowledge"}


def test_a_question_only_a_judge_can_score_has_reference_and_rubric() -> None:
    judged = [question for _, question in ALL if question.scorer is None]
    assert len(judged) > 40
    assert all(question.reference and question.rubric for question in judged)


@pytest.mark.parametrize("question", cases("includes", "exact"))
def test_a_reference_is_accepted_and_the_bare_question_is_not(question: Question) -> None:
    answers = accepted(question)
    assert len({answer.casefold() for answer in answers}) == len(answers)
    assert any(says_words(f"It is the {question.reference}.", answer) for answer in answers)
    if question.scorer == "includes":
        assert not [answer for answer in answers if says_words(question.prompt, answer)]


@pytest.mark.parametrize(
    ("identifier", "answer"),
    [("q5", "Qomolangma."), ("q26", "The spiny anteater."), ("q26", "Spiny anteaters lay eggs.")],
)
def test_other_names_of_what_is_asked_for_are_accepted(identifier: str, answer: str) -> None:
    assert includes.score(answer, questions_by_id("factual")[identifier]).correct


def test_a_reference_is_right_by_its_own_scorer_and_the_bare_question_is_not() -> None:
    """Code and calls are left out: there are tests of them below and in test_structure_sets.py."""
    for name, question in ALL:
        if question.scorer in set(registry.own("scorers")) - {"code", "tool-call"}:
            score = registry.load("scorers", question.scorer).score
            assert all(score(answer, question).correct for answer in accepted(question)), name
            assert not score(question.prompt, question).correct, (name, question.id)


@pytest.mark.parametrize("question", cases("choice"))
def test_a_choice_is_lettered_in_its_prompt(question: Question) -> None:
    choices = question.options["choices"]
    lettered = [
        f"\n{letter}) {choice}\n" for letter, choice in zip("ABCDEF", choices, strict=False)
    ]
    assert all(line in question.prompt for line in lettered)
    assert str(question.reference) in "ABCDEF"[: len(choices)]


def test_right_letters_are_spread() -> None:
    letters = Counter(question.reference for question in of_scorers("choice"))
    assert len(letters) >= 4
    assert max(letters.values()) <= len(of_scorers("choice")) * 0.6


@pytest.mark.parametrize("question", cases("number"))
def test_a_tolerance_is_small_and_only_where_the_answer_is_rounded(question: Question) -> None:
    assert math.isfinite(float(str(question.reference)))
    assert question.options.get("tolerance", 0) <= 0.5


def test_each_coding_reference_passes_its_own_tests_and_a_wrong_one_does_not() -> None:
    """All in one child: they are ours, and a process each would take a minute."""
    program = """
import json, sys
failed = []
for identifier, code, tests in json.load(sys.stdin):
    for statements in tests:
        try: exec(f"{code}\\n{statements}\\n", {})
        except Exception as err: failed.append([identifier, statements, repr(err)])
print(json.dumps(failed))
"""
    questions = SETS["coding"].questions
    right = [(q.id, q.reference, q.options["tests"]) for q in questions]
    wrong = [
        (q.id, f"def {q.options['entry_point']}(*_):\n    return object()", q.options["tests"][:1])
        for q in questions
    ]
    failed = []
    for jobs in (right, wrong):
        done = subprocess.run(
            [sys.executable, "-c", program],
            input=json.dumps(jobs),
            capture_output=True,
            text=True,
            check=True,
        )
        failed.append(json.loads(done.stdout))
    assert failed[0] == []
    assert len(failed[1]) == len(questions)


@pytest.mark.parametrize("question", cases("code"))
def test_a_coding_prompt_names_the_function_that_its_tests_call(question: Question) -> None:
    name = question.options["entry_point"]
    assert f"`{name}(" in question.prompt
    assert f"def {name}(" in str(question.reference)
    assert len(question.options["tests"]) >= 2
    assert all(f"{name}(" in statements for statements in question.options["tests"])


def test_summaries_keep_the_form_that_is_asked_for() -> None:
    for question in SETS["summarization"].questions:
        summary = str(question.reference)
        if "three bullet points" in question.prompt:
            lines = summary.splitlines()
            assert [line[:2] for line in lines] == ["- "] * 3
            assert max(len(line[2:].split()) for line in lines) <= 15
        if "at most ten words" in question.prompt:
            assert len(summary.split()) <= 10
        if "in one sentence" in question.prompt:
            assert summary.count(".") == 1


def test_figures_of_a_summary_are_in_its_text() -> None:
    for question in SETS["summarization"].questions:
        _, _, text = question.prompt.partition("\n\n")
        figures = set(re.findall(r"\d+(?:,\d+)*", str(question.reference)))
        assert figures <= set(re.findall(r"\d+(?:,\d+)*", text)), question.id


def primes(limit: int) -> list[int]:
    return [n for n in range(2, limit) if all(n % d for d in range(2, n))]


def whole(test: Callable[[int], bool], limit: int = 2000) -> int:
    (found,) = [n for n in range(-limit, limit) if test(n)]
    return found


def share(test: Callable[..., bool], cases: Iterable[tuple[object, ...]]) -> Fraction:
    outcomes = [test(*case) for case in cases]
    return Fraction(sum(outcomes), len(outcomes))


def fibonacci_above(limit: int) -> int:
    a, b = 1, 1
    while a <= limit:
        a, b = b, a + b
    return a


MATH: dict[str, Callable[[], float | Fraction]] = {
    "q1": lambda: 47 * 86,
    "q2": lambda: 9003 - 4578 + 267,
    "q3": lambda: Fraction(18 + 6 * 7, 4),
    "q4": lambda: 2**11 - 3**6,
    "q5": lambda: whole(lambda n: 12 * n - 45 == 303),
    "q6": lambda: Fraction(3, 8) + Fraction(5, 12),
    "q7": lambda: Fraction(120 * 85 * 110, 100 * 100),
    "q8": lambda: whole(lambda n: 125 * n == 100_000),
    "q9": lambda: Fraction(45, 250) * 100,
    "q10": lambda: Fraction(240 * 3, 5) / 4,
    "q11": lambda: whole(lambda x: 5 * x - 7 == 2 * x + 20),
    "q12": lambda: whole(lambda n: n + (n - 17) == 61),
    "q13": lambda: whole(lambda x: x > 0 and x * x - 5 * x - 84 == 0),
    "q14": lambda: next(
        x * y for x, y in product(range(50), repeat=2) if 3 * x + 2 * y == 31 and x - y == 2
    ),
    "q15": lambda: 2 * (-4) ** 2 - 3 * (-4) + 1,
    "q16": lambda: math.hypot(20, 21),
    "q17": lambda: next(w * (w + 3) for w in range(58) if 2 * (w + w + 3) == 58),
    "q18": lambda: (9 - 2) * 180,
    "q19": lambda: math.pi * 3**2 * 10,
    "q20": lambda: whole(lambda a: a > 0 and 6 * a * a == 294) ** 3,
    "q21": lambda: math.gcd(252, 198),
    "q22": lambda: math.lcm(12, 18, 30),
    "q23": lambda: 7**100 % 13,
    "q24": lambda: sum(360 % n == 0 for n in range(1, 361)),
    "q25": lambda: sum(primes(30)),
    "q26": lambda: sum(1 for _ in combinations(range(9), 3)),
    "q27": lambda: len(set(permutations("BANANA"))),
    "q28": lambda: sum(len(set(str(n))) == 3 for n in range(100, 1000)),
    "q29": lambda: sum(1 for _ in combinations(range(14), 2)),
    "q30": lambda: sum(seats[0] == 0 for seats in permutations(range(5))),
    "q31": lambda: share(lambda a, b: a + b == 9, product(range(1, 7), repeat=2)),
    "q32": lambda: share(lambda a, b: a < 5 and b < 5, permutations(range(8), 2)),
    "q33": lambda: share(lambda *throws: sum(throws) == 2, product((0, 1), repeat=4)),
    "q34": lambda: 180 / Fraction(9, 4),
    "q35": lambda: 1 / (Fraction(1, 6) + Fraction(1, 3)),
    "q36": lambda: 60 / (Fraction(30, 60) + Fraction(30, 30)),
    "q37": lambda: 24 * Fraction(24, 8),
    "q38": lambda: sum(range(1, 76)),
    "q39": lambda: range(4, 1000, 7)[19],
    "q40": lambda: sum(5 * 3**n for n in range(6)),
    "q41": lambda: fibonacci_above(1000),
}


def test_every_sum_is_worked_out_here() -> None:
    assert MATH.keys() == questions_by_id("math").keys()


@pytest.mark.parametrize("identifier", MATH)
def test_a_sum_has_this_result(identifier: str) -> None:
    question = questions_by_id("math")[identifier]
    result, given = MATH[identifier](), Fraction(str(question.reference))
    tolerance = question.options.get("tolerance", 0)
    decimals = len(str(question.reference).partition(".")[2])
    assert round(float(result), decimals) == float(given)
    assert abs(float(result) - float(given)) <= tolerance
    assert (tolerance > 0) == (decimals > 0)


def only(orders: Iterable[tuple[str, ...]], *rules: Callable[[Callable[[str], int]], bool]) -> str:
    """Return the one order that keeps all rules, as one text."""
    (found,) = [o for o in orders if all(rule(o.index) for rule in rules)]
    return " ".join(found)


def snail(depth: int) -> int:
    heights = list(accumulate([3, -2] * depth))
    return next(index // 2 + 1 for index, height in enumerate(heights) if height >= depth)


def letters_by_growing_steps(count: int) -> str:
    places = list(accumulate(range(2, 2 + count), initial=0))
    return "".join(chr(ord("A") + place) for place in places)


def clock(start: str, **later: float) -> str:
    moment = datetime.fromisoformat(f"2024-01-01 {start}") + timedelta(**later)
    return f"{moment:%H:%M}"


def day_after(name: str, days: int) -> str:
    first = next(d for d in (date(2024, 1, n) for n in range(1, 8)) if f"{d:%A}" == name)
    return f"{first + timedelta(days=days):%A}"


def liars(test: Callable[[bool, bool], bool]) -> tuple[bool, bool]:
    ((first, second),) = [pair for pair in product((True, False), repeat=2) if test(*pair)]
    return first, second


def painted_on_two_faces() -> int:
    cubes = product(range(3), repeat=3)
    return sum(sum(place in (0, 2) for place in cube) == 2 for cube in cubes)


NAMES = {
    "race": permutations(("Ada", "Ben", "Cyn", "Dov", "Eve")),
    "tall": permutations(("Pia", "Rui", "Sam", "Tom")),
    "books": permutations(("red", "blue", "green", "yellow")),
    "seats": permutations(("Hal", "Ivy", "Jon", "Kay", "Lea")),
    "queue": permutations(("Max", "Zoe", "Nina", "Olaf")),
}
RACE = only(
    NAMES["race"],
    lambda at: at("Cyn") < at("Ada") < at("Ben") < at("Dov"),
    lambda at: at("Eve") < at("Cyn"),
)
TALL = only(NAMES["tall"], lambda at: at("Tom") < at("Pia") < at("Rui") < at("Sam"))
BOOKS = only(
    NAMES["books"],
    lambda at: at("red") < at("blue") < at("green"),
    lambda at: at("red") < at("yellow") < at("blue"),
)
SEATS = only(
    NAMES["seats"],
    lambda at: (at("Hal"), at("Ivy")) == (2, 3),
    lambda at: at("Jon") in (0, 4) and abs(at("Jon") - at("Ivy")) > 1,
    lambda at: abs(at("Kay") - at("Jon")) == 1,
)
QUEUE = only(
    NAMES["queue"],
    lambda at: at("Max") == at("Zoe") + 1,
    lambda at: at("Nina") in (1, 2) and at("Olaf") == 3,
)
(COIN,) = [
    box
    for box in ("red", "blue", "green")
    if [box == "red", box != "blue", box != "red"].count(True) == 1
]
ANA = liars(lambda ana, bo: ana == (not ana and not bo))
KIM = liars(lambda kim, lu: kim == (not lu) and lu == (kim == lu))
KINDS = {(True, True): "A", (True, False): "B", (False, True): "C", (False, False): "D"}
REASONING: dict[str, object] = {
    "q7": KINDS[ANA],
    "q8": KINDS[KIM],
    "q9": "ABC"[("red", "blue", "green").index(COIN)],
    "q11": RACE.split()[2],
    "q12": TALL.split()[1],
    "q13": BOOKS.split()[2],
    "q14": SEATS.split().index("Lea") + 1,
    "q15": QUEUE.split()[0],
    "q16": day_after("Wednesday", 100),
    "q17": day_after("Monday", 4),
    "q18": clock("22:50", hours=3, minutes=25),
    "q19": clock("12:00", minutes=5 * (60 - 4)),
    "q20": (date(2024, 3, 2) - date(2024, 2, 27)).days,
    "q21": 2 * whole(lambda theo: theo + 6 + 2 * theo + 6 == 48),
    "q22": ("north", "east", "south", "west")[1 + 1 - 1],
    "q23": round(math.hypot(3, 4)),
    "q24": round(math.hypot(5 - 5, 3 - 1)),
    "q25": 7 - 2,
    "q26": painted_on_two_faces(),
    "q28": 18 + 15 - (30 - 4),
    "q30": snail(10),
    "q31": 37 - 1,
    "q32": sum(str(n).count("7") for n in range(1, 101)),
    "q34": whole(lambda pen: pen + pen + 300 == 330),
    "q35": whole(lambda day: day > 0 and 4 * 2**day == 2**12, 40),
    "q36": whole(lambda cats: cats * 100 == 100 * 5),
    "q40": 6 * 7,
    "q41": letters_by_growing_steps(4)[-1],
}


@pytest.mark.parametrize("identifier", REASONING)
def test_a_puzzle_has_this_solution(identifier: str) -> None:
    assert questions_by_id("reasoning")[identifier].reference == str(REASONING[identifier])


def test_patterns_begin_as_the_puzzles_say() -> None:
    questions = questions_by_id("reasoning")
    assert ", ".join(letters_by_growing_steps(3)) in questions["q41"].prompt
    assert ", ".join(str(n * (n + 1)) for n in range(1, 6)) in questions["q40"].prompt
