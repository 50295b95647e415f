"""Which server answers a question and which machine asks it, where machines and servers die."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fake_backend import FakeBackend

from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.evalsets import Question
from pytest_llamaburn.kinds.eval import KIND
from pytest_llamaburn.kinds.eval.dispatch import ELSEWHERE, NODE, Dispatch, Target
from pytest_llamaburn.kinds.eval.settings import Eval
from pytest_llamaburn.load.nodes import NodeLostError
from pytest_llamaburn.load.servers import LEAST_OUTSTANDING, ROUND_ROBIN, Servers
from pytest_llamaburn.option import model_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_llamaburn.backends._base import Backend
    from pytest_llamaburn.errors import LlamaBurnError
    from pytest_llamaburn.kinds.eval.answering import Answering

REFUSED = {"kind": "connect_refused", "phase": "connect"}
DIED = {"kind": "server_crash", "phase": "stream"}


class Machine:
    """A machine that dies at its n-th question; `held` counts what it has at once."""

    def __init__(self, name: str, dies_at: int | None = None) -> None:
        self.name, self._dies_at = name, dies_at
        self.asked = self.held = self.most = 0

    async def call(self, method: str, *given: Any) -> Any:
        self.asked += 1
        self.held += 1
        self.most = max(self.most, self.held)
        await asyncio.sleep(0)
        self.held -= 1
        if self._dies_at is not None and self.asked >= self._dies_at:
            raise NodeLostError("it died")


class Asker:
    """What asks one server, which is down from its n-th question on."""

    def __init__(self, down_from: int | None = None, unreadable: str = "", kills: str = "") -> None:
        self.via: Callable[[Any], Any] | None = None
        self.clock: Any = None
        self._down_from, self._unreadable, self._kills = down_from, unreadable, kills
        self.sent = [0]  # a copy for another machine counts here too

    async def row(self, question: Question, number: int) -> dict[str, Any]:
        if question.id == self._unreadable:
            raise DatasetError("its picture cannot be read")
        await (self.via({}) if self.via else asyncio.sleep(0))
        self.sent[0] += 1
        down = self._down_from is not None and self.sent[0] >= self._down_from
        about = {"prompt_id": question.id, "iteration": number, "cached": False}
        if question.id == self._kills:
            return {**about, "error": DIED}
        return {**about, "error": REFUSED if down else None}


class Heard:
    """What the run hears."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.lines: list[tuple[str, Mapping[str, Any]]] = []
        self.said: list[str] = []

    def asking(self, question: Question) -> None:
        """Hear nothing of it."""

    def answered(self, question: Question, row: Any) -> None:
        self.rows.append(row)

    def write(self, kind: str, fields: Mapping[str, Any]) -> None:
        self.lines.append((kind, fields))

    def say(self, text: str) -> None:
        self.said.append(text)

    def by(self, field: str) -> Counter[str]:
        return Counter(row[field] for row in self.rows)


def asked(
    count: int,
    askers: Sequence[Asker],
    machines: Sequence[Machine] = (),
    balance: str = ROUND_ROBIN,
) -> tuple[Heard, dict[str, LlamaBurnError]]:
    servers = Servers([cast("Backend", FakeBackend())] * len(askers), balance)
    targets = [Target(n, f"server {n}", cast("Answering", one)) for n, one in enumerate(askers)]
    questions = [Question(f"q{n}", "Why?", None, "none") for n in range(count)]
    heard = Heard()
    dispatch = Dispatch(servers, targets, machines)
    broken = asyncio.run(dispatch.answer([(one, 0) for one in questions], cast("Any", heard)))
    assert all(one.most <= -(-dispatch.at_once // len(machines)) for one in machines) or heard.said
    return heard, broken


@pytest.mark.parametrize("balance", [ROUND_ROBIN, LEAST_OUTSTANDING])
def test_each_server_and_each_machine_gets_its_share(balance: str) -> None:
    machines = [Machine("a"), Machine("b")]
    heard, broken = asked(20, [Asker(), Asker()], machines, balance)
    assert heard.by("host") == {"server 0": 10, "server 1": 10}
    assert heard.by("node") == {"a": 10, "b": 10}
    assert not broken


def test_one_server_and_no_machine_are_not_named() -> None:
    heard, _ = asked(3, [Asker()])
    assert [row["prompt_id"] for row in heard.rows] == ["q0", "q1", "q2"]
    assert not any({"host", "node"}.intersection(row) for row in heard.rows)


def test_a_machine_has_one_question_at_a_time() -> None:
    machines = [Machine(name) for name in "abcd"]
    asked(40, [Asker()], machines)
    assert [one.most for one in machines] == [1, 1, 1, 1]


@given(
    count=st.integers(1, 30),
    deaths=st.lists(st.none() | st.integers(1, 8), min_size=1, max_size=4),
    downs=st.lists(st.none() | st.integers(1, 8), min_size=1, max_size=4),
)
def test_each_question_is_answered_once_while_a_machine_and_a_server_are_left(
    count: int, deaths: list[int | None], downs: list[int | None]
) -> None:
    machines = [Machine(f"m{n}", dies) for n, dies in enumerate([*deaths, None])]
    heard, broken = asked(count, [*map(Asker, [*downs, None])], machines)
    assert not broken
    assert heard.by("prompt_id") == {f"q{n}": 1 for n in range(count)}
    assert not any(row["error"] for row in heard.rows)
    lost = [fields["node"] for kind, fields in heard.lines if kind == NODE]
    assert {*lost} == {m.name for m in machines if m._dies_at and m.asked >= m._dies_at}
    elsewhere = [fields["failure"] for kind, fields in heard.lines if kind == ELSEWHERE]
    assert {*elsewhere} <= {"connect_refused"}


def test_without_a_machine_no_question_is_answered_and_none_is_wrong() -> None:
    heard, broken = asked(5, [Asker()], [Machine("a", 3), Machine("b", 1)])
    answered = heard.by("prompt_id")
    assert answered.total() + len(broken) == 5
    assert answered.total() >= 1
    assert broken.keys().isdisjoint(answered)
    assert all("continue the run with --resume" in str(err) for err in broken.values())
    assert "b was lost (it died): others ask its questions" in heard.said


def test_without_a_server_each_question_failed_at_all_of_them() -> None:
    heard, broken = asked(4, [Asker(1), Asker(1)])
    assert [row["error"] for row in heard.rows] == [REFUSED] * 4
    assert len(heard.lines) == 4
    assert not broken


def test_a_question_that_cannot_be_asked_leaves_the_others() -> None:
    heard, broken = asked(5, [Asker(unreadable="q2"), Asker(unreadable="q2")])
    assert heard.by("prompt_id") == dict.fromkeys(("q0", "q1", "q3", "q4"), 1)
    assert [*broken] == ["q2"]


def test_a_question_that_kills_servers_is_asked_of_two_at_most() -> None:
    heard, _ = asked(4, [Asker(kills="q1"), Asker(kills="q1"), Asker(kills="q1")])
    assert heard.by("prompt_id") == {f"q{n}": 1 for n in range(4)}
    assert [row["error"] for row in heard.rows if row["prompt_id"] == "q1"] == [DIED]
    assert [fields["failure"] for _, fields in heard.lines] == ["server_crash"]


def test_two_servers_or_machines_are_expected_to_take_half_the_time() -> None:
    seconds = [
        KIND.expected(model_of(Eval)(set=("math",), **given), 2.0).seconds or 0.0
        for given in ({"host": "a:1"}, {"host": "a:1,b:1"}, {"ray": "auto", "nodes": 2})
    ]
    assert seconds == [seconds[0], seconds[0] / 2, seconds[0] / 2]
    assert seconds[0] > 0
