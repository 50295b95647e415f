"""Runs started over HTTP: their settings, and what is refused."""

from __future__ import annotations

import json
import shlex
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from support.web_api import GOLDEN, keep, serving

from pytest_llamaburn.kinds import _kind
from pytest_llamaburn.store import journal
from pytest_llamaburn.web import forms

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio
KINDS = [kind.name for kind in _kind.own()]


async def posted(tmp_path: Path, kind: str, body: Any) -> tuple[int, dict[str, Any]]:
    """Return the status and the answer to a run."""
    async with serving(tmp_path / "results") as api:
        answer = await api.post(f"/{kind}/run", json=body)
        found: dict[str, Any] = answer.json()
        if answer.status_code == 202:
            await api.over(found["id"])
    return answer.status_code, found


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve in an empty directory."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


async def test_a_run_tells_its_equals_in_a_terminal(tmp_path: Path) -> None:
    body = {"model": ["llama3.1:8b"], "iterations": 3, "profile": False, "budget": None}
    status, job = await posted(tmp_path, "benchmark", body)
    results = tmp_path / "results"
    assert status == 202
    assert shlex.split(job["command"]) == [
        *("llamaburn", "benchmark", "--model=llama3.1:8b", "--no-profile", "--iterations=3"),
        f"--results-dir={results}",
    ]
    assert "--llamaburn-iterations=3" in shlex.split(job["pytest"])
    assert job["kind"] == "benchmark"


async def test_a_dry_run_tells_what_judging_would_send(tmp_path: Path) -> None:
    body = {"model": "m", "set": "math", "judge": "embedded", "dry_run": True}
    status, job = await posted(tmp_path, "eval", body)
    assert (status, job["pytest"]) == (202, None)
    assert job["lines"]


@pytest.mark.parametrize("text", ["http://127.0.0.1:1/v1", "library/llama3.1:8b", "a.b<5", "x=1"])
async def test_addresses_names_and_gates_are_no_paths(text: str) -> None:
    assert not forms.means_path(text)


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_has_a_route_and_a_schema(kind: str, tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        schema = (await api.get(f"/schema/{kind}")).json()
        refused = await api.post(f"/{kind}/run", json={"modell": "x"})
        document = (await api.get("/openapi.json")).json()
    assert refused.status_code == 422
    assert "did you mean 'model'?" in refused.json()["detail"]
    assert refused.json()["field"] == "modell"
    asked = document["paths"][f"/{kind}/run"]["post"]["requestBody"]["content"]
    assert {*asked["application/json"]["schema"]["properties"]} == {*schema["properties"]}


async def test_a_schema_has_what_a_form_needs(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        fields = (await api.get("/schema/stress")).json()["properties"]
        unknown = await api.get("/schema/benchmarc")
    assert fields["cache"]["enum"] == ["bust", "warm"]
    assert {"enum": ["on", "off", "low", "medium", "high", "max"]} in fields["think"]["anyOf"]
    assert fields["max_tokens"]["x-unit"] == "tokens"
    assert fields["timeout_total"]["anyOf"][0] == {"type": "number"}
    assert fields["spikes"]["x-modes"] == ["spike"]
    assert fields["spikes"]["x-flag"] == "--spikes"
    assert fields["seed"]["description"]
    assert unknown.status_code == 404
    assert "did you mean 'benchmark'?" in unknown.json()["detail"]


async def test_a_kind_of_another_distribution_gets_its_route(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(_kind.RunKind):
        name, help, description = "other-kind", "h", "d"
        settings_class = _kind.named("stress").settings_class  # type: ignore[attr-defined]

    monkeypatch.setattr(_kind, "every", lambda: [Other()])
    async with serving(tmp_path) as api:
        assert (await api.get("/schema/other-kind")).status_code == 200
        assert (await api.post("/other-kind/run", json=[])).status_code == 422
        assert (await api.post("/benchmark/run", json={})).status_code == 404


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"iterations": 0}, "iterations", "--iterations: 0 is refused"),
        ({"iterations": "many"}, "iterations", "--iterations: 'many' is refused"),
        ({"cache": "hot"}, "cache", "must be one of bust, warm"),
        ({"results_dir": "/here"}, "results_dir", "set where llamaburn serve is started"),
        ({"output": "x"}, "output", "unknown setting 'output'"),
        ({"model": [1]}, "model", "should be a valid string"),
        ([], None, "the body must be an object"),
    ],
)
async def test_wrong_settings_are_refused_as_the_command_refuses_them(
    body: Any, field: str | None, words: str, tmp_path: Path
) -> None:
    status, problem = await posted(tmp_path, "benchmark", body)
    assert (status, problem["field"]) == (422, field)
    assert words in problem["detail"]


@pytest.mark.parametrize(
    ("kind", "body", "field", "words"),
    [
        ("benchmark", {"threshold": "nothing<1"}, "threshold", "nothing"),
        ("benchmark", {"resume": "last"}, None, "no unfinished run"),
        ("stress", {"mode": "ramp", "spikes": 2}, "spikes", "does not use it, only spike"),
        ("eval", {"pairwise": True}, "pairwise", "--compare-to"),
        ("eval", {"set": "maths"}, "set", "unknown eval set 'maths'"),
        ("eval", {"judge": "clade"}, "judge", "did you mean 'claude'"),
        ("eval", {"judge": "openai@http://127.0.0.1:1"}, "judge", "OPENAI_API_KEY"),
        ("eval", {"model": "m", "judge": "ollama:m"}, "judge", "m would judge itself"),
        (
            "eval",
            {"set": "factual", "web_search": True, "search": "tavily"},
            "web_search",
            "TAVILY",
        ),
        ("benchmark", {"prompts": "defalt"}, "prompts", "unknown prompt set 'defalt'"),
        ("stress", {"prompts": "defalt"}, "prompts", "unknown prompt set 'defalt'"),
    ],
)
async def test_settings_that_only_the_run_can_refuse_are_refused_before_it(
    kind: str, body: Any, field: str | None, words: str, tmp_path: Path
) -> None:
    status, problem = await posted(tmp_path, kind, body)
    assert (status, problem["field"]) == (422, field)
    assert words in problem["detail"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[" * 5000, b'{"a": NaN}', b"\xff\xfe", b'"a" "b"']
)
async def test_a_body_that_is_not_json_is_refused(content: bytes, tmp_path: Path) -> None:
    headers = {"content-type": "application/json"}
    async with serving(tmp_path) as api:
        answer = await api.post("/benchmark/run", content=content, headers=headers)
        other = await api.post("/compare", content=content or b"{", headers=headers)
    assert (answer.status_code, other.status_code) in ((422, 422), (422, 400))
    assert answer.json()["detail"].startswith("the body is not JSON")
    assert other.json()["detail"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", ["/etc/model.gguf"]),
        ("model", "./model.gguf"),
        ("model", ["ok", "x/../../model"]),
        ("model", "here.gguf"),
        ("prompts", "~/mine.json"),
        ("prompts", "C:\\mine.json"),
        ("prompts", "here.gguf"),
        ("compare", "../other/result.json"),
        ("corpus", "documents"),
        ("system_prompt", "@/etc/passwd"),
        ("examples", "../dev.json"),
        ("judge", "embedded:/etc/model.gguf"),
        ("judge", "embedded:here.gguf"),
        ("criterion", "mine=~/text"),
    ],
)
async def test_a_client_names_no_file(name: str, value: Any, tmp_path: Path) -> None:
    (tmp_path / "here" / "here.gguf").write_bytes(b"GGUF")
    (tmp_path / "here" / "documents").mkdir()
    kind = (
        "eval"
        if name in ("corpus", "system_prompt", "examples", "judge", "criterion")
        else "benchmark"
    )
    status, problem = await posted(tmp_path, kind, {name: value})
    assert (status, problem["field"]) == (422, name)
    assert "a client can name no file of the server" in problem["detail"]


@pytest.mark.parametrize(
    ("given", "hidden"),
    [
        ({"host": "http://evil.example"}, ["LLAMABURN_API_KEY"]),
        ({"host": "http://ours.example"}, []),
        ({"judge": ["openai:x@http://evil.example"]}, ["*_API_KEY"]),
        ({"judge": ["claude", "ollama:x@http://ours.example"]}, []),
        ({"model": ["m"]}, []),
    ],
)
async def test_no_key_goes_to_a_server_that_a_client_names(
    given: dict[str, Any], hidden: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMABURN_HOST", "http://ours.example")
    monkeypatch.setenv("LLAMABURN_JUDGE", "ollama:x@http://ours.example")
    kind = _kind.named("eval")
    assert isinstance(kind, _kind.RunKind)
    assert forms.keys_to_hide(kind, given) == hidden


async def test_a_run_that_was_cut_is_offered_to_be_continued(tmp_path: Path) -> None:
    source = GOLDEN / "journals" / "benchmark-cut"
    lines = sorted(source.glob("*.jsonl"))
    folder = journal.directory(tmp_path, "2026-11-30T12-00-00-abcdef")
    folder.mkdir(parents=True)
    for path in lines:
        shutil.copy(path, folder)
    (tmp_path / journal.FOLDER / "damaged").mkdir()
    async with serving(tmp_path) as api:
        (cut,) = (await api.get("/jobs")).json()["unfinished"]
    assert cut["kind"] == "benchmark"
    assert cut["model"]
    assert cut["command"].startswith("llamaburn benchmark --resume ")


@pytest.mark.parametrize("name", ["", "-x", "--host=evil", "a b", "x" * 300])
async def test_a_model_to_fetch_has_a_name(name: str, tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.pull(name)
    assert (answer.status_code, answer.json()["field"]) == (422, "name")


async def test_an_unknown_job_or_path_is_told(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        job = await api.get("/jobs/20261130T120000-0a1b2c")
        odd = await api.get("/jobs/..%2Fx")
        wrong = await api.get("/jobs/last")
        path = await api.get("/nowhere")
        method = await api.delete("/jobs")
    assert [one.status_code for one in (job, wrong, path, method)] == [404, 422, 404, 405]
    assert odd.status_code in (404, 422)
    assert "/docs names all paths" in path.json()["detail"]
    assert method.json()["detail"] == "this path takes other methods"


async def checked(tmp_path: Path, kind: str, body: Any) -> Any:
    async with serving(tmp_path / "results") as api:
        answer = await api.post(f"/{kind}/check", json=body)
        assert answer.status_code in (200, 422)
        return answer.json()


async def test_the_kinds_are_listed_with_the_settings_that_a_form_shows_first(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as api:
        found = {kind["name"]: kind for kind in (await api.get("/kinds")).json()}
    assert [*found][:3] == ["benchmark", "stress", "eval"]
    assert found["stress"]["types"] == ["stress"]
    assert found["eval"]["types"] == ["evals", "multimodal"]
    assert found["eval"]["first"] == ["model", "set", "limit", "judge", "samples"]


async def test_settings_are_checked_without_a_run(tmp_path: Path) -> None:
    body = {"model": ["m"], "iterations": 3}
    found = await checked(tmp_path, "benchmark", body)
    assert found["command"].startswith("llamaburn benchmark --model=m --iterations=3")
    assert found["expected_s"] is None
    assert found["note"] == "no earlier run of m tells how long this takes"
    wrong = await checked(tmp_path, "benchmark", {"threshold": ["ttft<"]})
    assert wrong["field"] == "threshold"
    assert wrong["detail"].startswith("--threshold: 'ttft<' is refused")
    async with serving(tmp_path / "results") as api:
        assert (await api.get("/jobs")).json()["total"] == 0


@pytest.mark.parametrize(
    ("kind", "body", "requests", "more_s", "note"),
    [
        ("benchmark", {"iterations": 8}, 10, 0, None),
        ("benchmark", {"iterations": 8, "repeats": 3, "start": "both"}, 54, 0, None),
        ("benchmark", {"mode": "correctness", "numbers": 5, "warmup": 0}, 5, 0, None),
        (
            *("benchmark", {"iterations": 8, "precision": 0.05}, 10, 0),
            "longer if the precision needs it",
        ),
        ("stress", {"mode": "sustained", "duration": "2m", "warmup": 1}, 11, 120, None),
        ("eval", {"set": ["math"], "limit": 4, "samples": 2, "temperature": 1}, 8, 0, None),
        (
            *("eval", {"set": ["math"], "limit": 4, "judge": ["embedded"]}, 4, 0),
            "without the time of the judges",
        ),
    ],
)
async def test_the_time_of_a_run_is_told_from_the_newest_of_its_model(
    kind: str, body: Any, requests: int, more_s: float, note: str | None, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    path = keep(results, "stress-complete", "stress", "earlier")
    document = json.loads(path.read_text())
    request_s = document["results"]["baseline"]["total_generation_ms"]["mean"] / 1000
    found = await checked(tmp_path, kind, {"model": [document["model"]["id"]], **body})
    assert found["expected_s"] == pytest.approx(requests * request_s + more_s)
    assert found["note"] == note


@pytest.mark.parametrize(
    ("kind", "body", "note"),
    [
        ("stress", {"mode": "ramp"}, "how much the server carries"),
        ("benchmark", {"model": None, "host": "http://127.0.0.1:9"}, "no model is named"),
    ],
)
async def test_a_time_that_cannot_be_known_has_a_reason(
    kind: str, body: Any, note: str, tmp_path: Path
) -> None:
    keep(tmp_path / "results", "stress-complete", "stress", "earlier")
    found = await checked(tmp_path, kind, {"model": ["tiny"], **body})
    assert found["expected_s"] is None
    assert note in found["note"]


async def test_a_broken_result_tells_no_time(tmp_path: Path) -> None:
    path = keep(
        tmp_path / "results", "benchmark-complete", "benchmarks", "earlier", model={"id": "m"}
    )
    found = await checked(tmp_path, "benchmark", {"model": ["m"]})
    assert found["expected_s"] is None
    assert path.exists()


async def test_the_progress_of_a_run_is_read_from_its_begin(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        job = (await api.pull("once")).json()
        await api.job(job["id"], lambda job: job["progress"] is not None)
        (event,) = (await api.get(f"/jobs/{job['id']}/progress")).json()
        assert (event["done"], event["planned"]) == (1, 4)
        assert (await api.get("/jobs/20261130T142303-9c2432/progress")).status_code == 404


async def test_a_long_progress_is_thinned_and_keeps_its_last_event(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        job = (await api.pull("once")).json()
        await api.over(job["id"])
        lines = [json.dumps({"event": "progress", "done": number}) for number in range(5000)]
        (tmp_path / ".jobs" / f"{job['id']}.stderr").write_text("\n".join(lines) + "\n")
        found = (await api.get(f"/jobs/{job['id']}/progress")).json()
    assert len(found) <= 2000
    assert found[-1]["done"] == 4999
