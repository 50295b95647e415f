"""A result file has the model of its server and, of a twin, the prediction beside the truth."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.stress_documents import Taken, saved_stress, stress_document
from support.virtual_llama import Llama, loaded

from pytest_llamaburn.capacity.users import Users
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds.stress import most_users, plan, twin
from pytest_llamaburn.kinds.stress.measures import MEASURES
from pytest_llamaburn.kinds.stress.settings import Stress
from pytest_llamaburn.load.step import CLIENTS, Step
from pytest_llamaburn.option import model_of
from pytest_llamaburn.reports import html, table
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from pathlib import Path

Document = dict[str, Any]
ASKED: Document = {"mode": "twin", "users": 12, "think_time": "1s-3s"}
LEVELS = [Step(1, CLIENTS, 10, pauses=False)] + [
    Step(n, CLIENTS, max(24, 8 * n), pauses=False) for n in (1, 2, 4)
]
USERS = Step(12, CLIENTS, 300)
FACTS = {"baseline": {"total_s": 0.6, "ttft_s": 0.1, "deadline_s": 10.0}}


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> list[Taken]:
    """Return a baseline, three levels and the load of users, of a server with two slots."""
    folder, rules = tmp_path_factory.mktemp("sent"), Llama(slots=2)
    (folder / "users").mkdir()
    users = loaded(folder / "users", rules, [USERS], 9, think_time="1s-3s")
    every = [*loaded(folder, rules, LEVELS), *users]
    return [*zip([*LEVELS, USERS], every, strict=True)]


@pytest.fixture(scope="module")
def document(sent: list[Taken], tmp_path_factory: pytest.TempPathFactory) -> Document:
    return stress_document(tmp_path_factory.mktemp("rows"), sent, facts=FACTS, **ASKED)


def test_a_twin_has_what_was_predicted_beside_what_was_measured(document: Document) -> None:
    assert results.check(document) is None
    found = document["results"]["twin"]
    assert (found["users"], found["think_time"], found["requests"]) == (12, "1s-3s", 300)
    for name in ("ttft_ms.p95", "itl_ms.p50", "itl_ms.p95", "requests_per_sec"):
        measured, predicted = found["measured"][name], found["predicted"][name]
        assert found["differences"][name] == pytest.approx(
            measured["value"] / predicted["value"] - 1, rel=1e-5
        )
        assert abs(found["differences"][name]) < 0.1
        assert predicted["ci95"][0] <= predicted["value"] <= predicted["ci95"][1]
    assert found["measured"]["ttft_ms.p95"]["n"] == 300
    assert found["holds"] is True
    assert found["broken_assumptions"] == []


def test_the_load_of_the_users_is_no_level_of_the_run(document: Document) -> None:
    found = document["results"]
    assert [level["concurrency"] for level in found["levels"]] == [1, 2, 4]
    assert all(level["excluded"] < level["requests"] for level in found["levels"])
    assert found["service"]["slots"] == 2
    assert [step["batch"] for step in found["service"]["decode"]] == [1, 2]


def test_gates_read_the_prediction_and_its_error(document: Document) -> None:
    found = document["results"]["twin"]
    predicted = found["predicted"]["ttft_ms.p95"]
    seen = MEASURES["predicted_ttft_ms"].observed(document, "p95")
    assert (seen.value, seen.interval) == (predicted["value"], predicted["ci95"])
    assert (
        MEASURES["predicted_itl_ms"].observed(document, "p50").value
        == (found["predicted"]["itl_ms.p50"]["value"])
    )
    error = MEASURES["prediction_error"].observed(document)
    assert error.value == abs(found["differences"]["ttft_ms.p95"])


def test_the_stored_model_predicts_the_same_again(document: Document) -> None:
    model = json.loads(json.dumps(document["results"]["service"]))
    assert twin.restored(model) == twin.restored(document["results"]["service"])
    asked = Users(12, (1.0, 3.0), 300, None, 10_000.0)
    assert twin.predicted(model, asked) == document["results"]["twin"]["predicted"]


def test_reports_show_the_users_with_the_model(sent: list[Taken], tmp_path: Path) -> None:
    path = saved_stress(tmp_path, sent, facts=FACTS, **ASKED)
    shown = table.render([path])
    assert "12 users, think time 1s-3s" in shown
    assert "TTFT p95 ms" in shown
    assert "the model holds: the measured TTFT p95 is" in shown
    assert "2 slots" in shown
    assert "12 users" in html.render([path])


def test_a_server_that_changed_before_the_users_came_is_noticed(
    sent: list[Taken], tmp_path: Path
) -> None:
    (tmp_path / "users").mkdir()
    slower = Llama(slots=2, read_ms=0.8)
    (rows,) = loaded(tmp_path / "users", slower, [USERS], 9, think_time="1s-3s")
    made = stress_document(tmp_path, [*sent[:-1], (USERS, rows)], facts=FACTS, **ASKED)
    found = made["results"]["twin"]
    assert found["holds"] is False
    assert found["differences"]["ttft_ms.p95"] > 0.3
    (broken,) = found["broken_assumptions"]
    assert broken["assumption"] == "prefill"
    assert "longer to read" in broken["sentence"]


def test_a_run_that_ended_before_its_users_has_no_prediction(
    sent: list[Taken], tmp_path: Path
) -> None:
    made = stress_document(tmp_path, sent[:-1], facts=FACTS, **ASKED)
    assert results.check(made) is None
    assert made["results"]["twin"]["reason"] == twin.NOT_SENT
    seen = MEASURES["predicted_ttft_ms"].observed(made, "p95")
    assert (seen.value, seen.reason) == (None, "no load of users was predicted")
    assert MEASURES["prediction_error"].observed(made).reason == twin.NOT_SENT


def test_a_sweep_has_the_model_and_one_level_has_a_reason(
    sent: list[Taken], tmp_path: Path
) -> None:
    for name, count in (("sweep", 4), ("level", 2)):
        (tmp_path / name).mkdir()
        found = stress_document(tmp_path / name, sent[:count], facts=FACTS)["results"]
        assert found["twin"] is None
        model, reason = found["service"], found["service_reason"]
        if name == "sweep":
            assert (model["slots"], reason) == (2, None)
        else:
            assert (model, reason) == (None, twin.ONE_LEVEL)


def test_the_most_users_are_those_at_which_the_slo_is_just_kept(document: Document) -> None:
    model = twin.restored(document["results"]["service"])
    asked = Users(1, (1.0, 3.0), deadline_ms=10_000.0)
    found = most_users.most_users(model, "ttft_ms<1000", asked)
    low, high = found["interval"]
    assert low <= found["users"] <= high
    for number, kept in ((found["users"] - 3, True), (found["users"] + 3, False)):
        seen = twin.predicted(
            document["results"]["service"], asked._replace(number=number, requests=600)
        )
        assert (seen["ttft_ms.p95"]["value"] < 1000) is kept


def test_an_slo_that_nobody_keeps_or_is_not_predicted_says_so(document: Document) -> None:
    model = twin.restored(document["results"]["service"])
    found = most_users.most_users(model, "ttft_ms<1", Users(1))
    assert (found["users"], found["reason"]) == (0, "a single user does not keep it")
    with pytest.raises(SettingsError, match="--slo: 'queue_ms<3' is refused: it is not predicted"):
        most_users.bounds_of("queue_ms<3")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "--mode twin is refused: it predicts what users will see: add --users 20"),
        ({"users": 3, "arrival": "poisson"}, "--arrival poisson is refused"),
        ({"users": 3, "levels": "4"}, "--mode twin is refused: one level does not show"),
        ({"users": 3, "max_concurrency": 1}, "--mode twin is refused: one level does not show"),
    ],
)
def test_a_twin_without_users_or_levels_is_refused(values: Document, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        plan.checked(model_of(Stress)(mode="twin", **values))  # type: ignore[arg-type]
