"""Results over HTTP: listed, read, removed, compared."""

from __future__ import annotations

import asyncio
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from support.web_api import keep, serving

from pytest_llamaburn import environment, registry
from pytest_llamaburn.store import results
from pytest_llamaburn.web import child, index
from pytest_llamaburn.web.index import Index

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio
BENCHMARK = "benchmark-complete"


def model(name: str) -> dict[str, str | None]:
    """Return the facts of a model."""
    names = ("quantization", "family", "parameter_size", "digest", "context_length")
    return {"id": name, "name": name, **dict.fromkeys(names)}


async def test_a_list_has_headline_measures_newest_first(tmp_path: Path) -> None:
    keep(tmp_path, BENCHMARK, "benchmarks", "old", timestamp="2026-01-01T00:00:00Z")
    keep(tmp_path, BENCHMARK, "benchmarks", "new", timestamp="2026-02-01T00:00:00Z")
    async with serving(tmp_path) as api:
        page = (await api.get("/results/benchmarks")).json()
    first, second = page["rows"]
    assert (first["id"], second["id"], page["total"], page["unread"]) == ("new", "old", 2, 0)
    assert first["type"] == "benchmarks"
    assert {*first["measures"]} == {"tokens_per_sec.p50", "time_to_first_token_ms.p50"}
    assert first["requests"]["succeeded"] <= first["requests"]["planned"]


@pytest.mark.parametrize(
    ("journal", "folder", "measure"),
    [("stress-complete", "stress", "failure_point"), ("eval-complete", "evals", "correct")],
)
async def test_each_kind_has_headlines_of_its_own(
    journal: str, folder: str, measure: str, tmp_path: Path
) -> None:
    keep(tmp_path, journal, folder, "one")
    async with serving(tmp_path) as api:
        (row,) = (await api.get(f"/results/{folder}")).json()["rows"]
    assert row["measures"][measure] > 0


async def test_the_types_of_results_are_listed_with_their_numbers(tmp_path: Path) -> None:
    keep(tmp_path, BENCHMARK, "benchmarks", "one")
    async with serving(tmp_path) as api:
        found = {one["type"]: one for one in (await api.get("/results")).json()}
    benchmarks = {
        "type": "benchmarks",
        "kind": "benchmark",
        "total": 1,
        "compared": True,
        "trended": True,
    }
    assert found["benchmarks"] == benchmarks
    assert found["stress_comparisons"]["total"] == 0
    assert not found["comparisons"]["compared"]


async def test_evals_of_media_are_a_list_of_their_own(tmp_path: Path) -> None:
    for modality in ("image", "audio"):
        keep(tmp_path, "eval-complete", f"multimodal/{modality}", "one")
    keep(tmp_path, "eval-complete", "multimodal/not.listed", "one")
    keep(tmp_path, "eval-complete", "multimodal", "loose")
    async with serving(tmp_path) as api:
        types = {one["type"]: one for one in (await api.get("/results")).json()}
        rows = (await api.get("/results/multimodal?sort=id")).json()["rows"]
        whole, tagged = [(await api.get(f"/results/multimodal/{row['id']}")) for row in rows]
    about = {"type": "multimodal", "kind": "eval", "total": 2, "compared": True, "trended": True}
    assert types["multimodal"] == about
    assert [row["id"] for row in rows] == ["audio.one", "image.one"]
    assert {row["type"] for row in rows} == {"multimodal"}
    assert rows[0]["measures"]["correct"] > 0
    assert whole.json() == tagged.json()
    assert whole.headers["etag"] != tagged.headers["etag"]


async def test_an_eval_of_media_is_removed_restored_and_compared(tmp_path: Path) -> None:
    path = keep(tmp_path, "eval-complete", "multimodal/image", "one")
    keep(tmp_path, "eval-resumed", "multimodal/image", "two")
    link = "/results/multimodal/image.one"
    async with serving(tmp_path) as api:
        gone = await api.delete(link)
        trash = [*(tmp_path / ".trash" / "multimodal" / "image").iterdir()]
        listed = (await api.get("/results/multimodal")).json()["total"]
        back = await api.post(f"{link}/restore")
        body = {"type": "multimodal", "ids": ["image.one", "image.two"]}
        compared = await api.post("/compare", json=body)
        exported = await api.get(f"{link}?format=csv")
    assert (gone.status_code, len(trash), listed) == (204, 1, 1)
    assert back.json() == {"type": "multimodal", "id": "image.one"}
    assert path.exists()
    assert compared.json()["result"]["type"] == "eval_comparisons"
    assert "image.one.csv" in exported.headers["content-disposition"]


@pytest.mark.parametrize(
    ("result_id", "status"),
    [("image.two", 404), ("one", 422), ("image", 422), (".one", 422), ("..%2Fimage.one", 404)],
)
async def test_an_id_of_media_names_its_folder(result_id: str, status: int, tmp_path: Path) -> None:
    keep(tmp_path, "eval-complete", "multimodal/image", "one")
    async with serving(tmp_path) as api:
        answer = await api.get(f"/results/multimodal/{result_id}")
    assert answer.status_code == status


async def test_a_list_is_filtered_sorted_and_paged(tmp_path: Path) -> None:
    for number, name in enumerate(("alpha", "beta", "Alphabet")):
        stamp = f"2026-01-0{number + 1}T00:00:00Z"
        status = "partial" if name == "beta" else "complete"
        about = {"model": model(name), "timestamp": stamp, "status": status}
        keep(tmp_path, BENCHMARK, "benchmarks", name, **about)

    async with serving(tmp_path) as api:

        async def names(**query: str | int) -> list[str]:
            answer = await api.get("/results/benchmarks", params=query)
            return [row["id"] for row in answer.json()["rows"]]

        assert await names(model="ALPHA") == ["Alphabet", "alpha"]
        assert await names(status="partial") == ["beta"]
        assert await names(since="2026-01-02") == ["Alphabet", "beta"]
        assert await names(until="2026-01-02") == ["alpha"]
        assert await names(sort="time") == ["alpha", "beta", "Alphabet"]
        assert await names(sort="model") == ["Alphabet", "alpha", "beta"]
        assert await names(sort="-id", limit=1, offset=1) == ["alpha"]
        assert len(await names(sort="tokens_per_sec.p50")) == 3
        assert len(await names(sort="of_nothing")) == 3
        assert await names(offset=3) == []


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=many", "offset=-1", "nothing=1", "offset=99999999999999999999"]
)
async def test_a_wrong_parameter_is_named(query: str, tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.get(f"/results/benchmarks?{query}")
    assert answer.status_code == 422
    assert answer.json()["field"] == query.partition("=")[0]


async def test_an_unknown_type_gets_the_nearest_one(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.get("/results/benchmark")
    assert answer.status_code == 404
    assert "did you mean 'benchmarks'?" in answer.json()["detail"]


async def test_broken_foreign_and_huge_files_are_listed_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "broken.json").write_text("{", encoding="utf-8")
    (folder / "foreign.json").write_text('{"a": 1}', encoding="utf-8")
    (folder / "huge.json").write_text(" " * 5000, encoding="utf-8")
    (folder / "a directory.json").mkdir()
    (folder / "nowhere.json").symlink_to(tmp_path / "gone")
    (folder / ".hidden.json").write_text("{}", encoding="utf-8")
    (folder / "notes.txt").write_text("hello", encoding="utf-8")
    monkeypatch.setattr(index, "_MOST_BYTES", 4500)
    async with serving(tmp_path) as api:
        rows = (await api.get("/results/benchmarks", params={"sort": "id"})).json()["rows"]
        broken = await api.get("/results/benchmarks/broken")
    reasons = {row["id"]: (row["status"], row["reason"]) for row in rows}
    assert {*reasons} == {"a directory", "broken", "foreign", "huge"}
    assert {status for status, _ in reasons.values()} == {"unreadable"}
    assert reasons["huge"][1] == "the file is too large to be listed"
    assert broken.status_code == 422
    assert "is not JSON" in broken.json()["detail"]


async def test_a_file_that_changed_is_never_shown_as_it_was(tmp_path: Path) -> None:
    path = keep(tmp_path, BENCHMARK, "benchmarks", "one", status="complete")
    async with serving(tmp_path) as api:
        for status in ("partial", "failed", "interrupted") * 2:
            keep(tmp_path, BENCHMARK, "benchmarks", "one", status=status)
            (row,) = (await api.get("/results/benchmarks")).json()["rows"]
            assert row["status"] == status
        path.unlink()
        assert (await api.get("/results/benchmarks")).json()["rows"] == []


async def test_a_file_changed_in_the_same_tick_is_read_again(tmp_path: Path) -> None:
    path = keep(tmp_path, BENCHMARK, "benchmarks", "one", status="partial")
    found = Index(tmp_path)
    assert found.rows("benchmarks")[0][0].status == "partial"
    was = path.stat()
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"partial"', '"failed" '), encoding="utf-8")
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert found.rows("benchmarks")[0][0].status == "failed"


async def test_what_is_not_read_in_time_is_counted_and_read_later(tmp_path: Path) -> None:
    for number in range(3):
        path = keep(tmp_path, BENCHMARK, "benchmarks", f"n{number}")
        old = time.time_ns() - 10**12 + number
        os.utime(path, ns=(old, old))
    found = Index(tmp_path)
    assert found.rows("benchmarks", patience_s=0) == ([], 3)
    rows, unread = found.rows("benchmarks", patience_s=60)
    assert ([row.id for row in rows], unread) == (["n2", "n1", "n0"], 0)


async def test_files_that_are_as_they_were_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_SETTLED_NS", -1)
    for number in range(20):
        keep(tmp_path, BENCHMARK, "benchmarks", f"n{number}")
    found = Index(tmp_path)
    before, _ = found.rows("benchmarks", patience_s=60)
    monkeypatch.setattr(index, "_row", None)
    assert found.rows("benchmarks") == (before, 0)


async def test_a_result_is_the_file_and_its_tag_spares_the_second_time(tmp_path: Path) -> None:
    path = keep(tmp_path, BENCHMARK, "benchmarks", "one")
    async with serving(tmp_path) as api:
        answer = await api.get("/results/benchmarks/one")
        tag = {"if-none-match": f'"other", {answer.headers["etag"]}'}
        same = await api.get("/results/benchmarks/one", headers=tag)
        other = await api.get("/results/benchmarks/one?format=csv", headers=tag)
        keep(tmp_path, BENCHMARK, "benchmarks", "one", status="partial")
        changed = await api.get("/results/benchmarks/one", headers=tag)
    assert answer.json()["schema"] == "llamaburn/benchmark"
    assert answer.headers["cache-control"] == "no-cache"
    assert (same.status_code, same.content) == (304, b"")
    assert other.status_code == changed.status_code == 200
    assert path.exists()


@pytest.mark.parametrize("form", registry.names("reports"))
async def test_a_result_comes_in_each_format(form: str, tmp_path: Path) -> None:
    keep(tmp_path, BENCHMARK, "benchmarks", "one")
    async with serving(tmp_path) as api:
        answer = await api.get("/results/benchmarks/one", params={"format": form})
    assert answer.status_code == 200
    assert answer.text
    assert ("content-disposition" in answer.headers) == (form != "json")


async def test_an_unknown_format_gets_the_nearest_one(tmp_path: Path) -> None:
    keep(tmp_path, BENCHMARK, "benchmarks", "one")
    async with serving(tmp_path) as api:
        answer = await api.get("/results/benchmarks/one?format=cvs")
    assert answer.status_code == 422
    assert "did you mean 'csv'?" in answer.json()["detail"]


@pytest.mark.parametrize(
    "result_id",
    ["..%2F..%2Fetc%2Fpasswd", ".hidden", "a%00b", "a%20b", "-x", "a%0Ab", "x" * 300, "%5Cx"],
)
async def test_an_id_is_no_path(result_id: str, tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    async with serving(tmp_path) as api:
        answers = [
            await api.get(f"/results/benchmarks/{result_id}"),
            await api.delete(f"/results/benchmarks/{result_id}"),
        ]
    assert {answer.status_code for answer in answers} <= {404, 405, 422}


async def test_a_link_that_leads_out_of_the_results_is_not_followed(tmp_path: Path) -> None:
    outside = keep(tmp_path / "outside", BENCHMARK, "benchmarks", "one")
    results = tmp_path / "results"
    (results / "benchmarks").mkdir(parents=True)
    (results / "benchmarks" / "link.json").symlink_to(outside)
    async with serving(results) as api:
        assert (await api.get("/results/benchmarks/link")).status_code == 404


async def test_a_view_is_what_reports_show_of_a_result(tmp_path: Path) -> None:
    path = keep(tmp_path, "stress-complete", "stress", "one")
    headers = {"content-type": "application/json"}
    async with serving(tmp_path) as api:
        own = await api.get("/results/stress/one/view")
        foreign = await api.post("/results/view", content=path.read_bytes(), headers=headers)
        none = await api.post("/results/view", content=b"{}", headers=headers)
    found = own.json()
    levels = json.loads(path.read_text(encoding="utf-8"))["results"]["levels"]
    assert found == foreign.json()
    assert none.status_code == 422
    points = found["charts"][0]["lines"][0]["points"]
    rates = [at["output_tokens_per_sec"] for at in levels]
    assert [point["x"] for point in points] == pytest.approx(rates)
    (table, *_) = found["tables"]
    assert len(table["rows"]) == len(levels)
    assert {len(row) for row in table["rows"]} == {len(table["columns"])}
    assert not {"gates", "insights", ""} & {*table["notes"]}


@pytest.mark.parametrize("kind", ["benchmark", "stress", "eval"])
async def test_each_kind_has_a_view(kind: str, tmp_path: Path) -> None:
    folder = results.folders()[kind]
    keep(tmp_path, f"{kind}-complete", folder, "one")
    async with serving(tmp_path) as api:
        found = (await api.get(f"/results/{folder}/one/view")).json()
    assert found["cards"][0]["value"]
    assert found["charts"][0]["title"]
    assert found["tables"][0]["rows"]
    assert bool(found["entries"]) == (kind == "eval")


async def test_a_removed_result_comes_back(tmp_path: Path) -> None:
    path = keep(tmp_path, BENCHMARK, "benchmarks", "one")
    text, link = path.read_text(encoding="utf-8"), "/results/benchmarks/one"
    async with serving(tmp_path) as api:
        gone = await api.delete(link)
        assert (await api.get("/results/benchmarks")).json()["total"] == 0
        assert (await api.delete(link)).status_code == 404
        back = await api.post(f"{link}/restore")
        assert (await api.post(f"{link}/restore")).status_code == 409
    assert (gone.status_code, back.json()) == (204, {"type": "benchmarks", "id": "one"})
    assert path.read_text(encoding="utf-8") == text


async def test_the_last_removed_of_two_with_one_id_comes_back_and_none_is_lost(
    tmp_path: Path,
) -> None:
    link = "/results/benchmarks/one"
    async with serving(tmp_path) as api:
        for status in ("partial", "complete"):
            keep(tmp_path, BENCHMARK, "benchmarks", "one", status=status)
            await api.delete(link)
        await api.post(f"{link}/restore")
        assert (await api.get(link)).json()["status"] == "complete"
        assert (await api.post("/results/benchmarks/two/restore")).status_code == 404
    assert len([*(tmp_path / ".trash" / "benchmarks").iterdir()]) == 1


async def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    path = keep(tmp_path, BENCHMARK, "benchmarks", "one")
    (tmp_path / ".trash").write_text("a file")
    async with serving(tmp_path) as api:
        removed = await api.delete("/results/benchmarks/one")
        (tmp_path / ".trash").unlink()
        await api.delete("/results/benchmarks/one")
        (tmp_path / "benchmarks").rmdir()
        (tmp_path / "benchmarks").write_text("a file")
        restored = await api.post("/results/benchmarks/one/restore")
    assert removed.status_code == restored.status_code == 503
    assert "cannot be" in removed.json()["detail"]
    assert not path.exists()


async def test_a_results_directory_that_vanished_is_empty(tmp_path: Path) -> None:
    results = tmp_path / "results"
    keep(results, BENCHMARK, "benchmarks", "one")
    async with serving(results) as api:
        assert (await api.get("/results/benchmarks")).json()["total"] == 1
        results.rename(tmp_path / "moved")
        assert (await api.get("/results/benchmarks")).json()["total"] == 0
        assert (await api.get("/results/benchmarks/one")).status_code == 404


async def test_a_comparison_is_given_and_kept(tmp_path: Path) -> None:
    keep(tmp_path, BENCHMARK, "benchmarks", "before")
    keep(tmp_path, BENCHMARK, "benchmarks", "after")
    body = {"type": "benchmarks", "ids": ["before", "after"], "gates": ["tps.mean:-5%"]}
    async with serving(tmp_path) as api:
        answer = await api.post("/compare", json=body)
        found = answer.json()
        kept = await api.get(answer.headers["location"])
        more = {"margin": "no", "baseline": "after"}
        wrong, missing = await asyncio.gather(
            api.post("/compare", json={**body, **more}),
            api.post("/compare", json={**body, "ids": ["before", "nothing"]}),
        )
    assert answer.status_code == 201
    assert found["result"]["type"] == "comparisons"
    assert found["document"] == kept.json()
    assert found["passed"] is (found["document"]["results"]["gates"][0]["verdict"] == "pass")
    assert (wrong.status_code, missing.status_code) == (422, 404)
    assert wrong.json()["detail"] == "--margin: 'no' is refused: write a percentage, as 3%"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "benchmarks", "ids": ["one"]}, "ids"),
        ({"type": "benchmarks", "ids": ["one", "../two"]}, "ids.1"),
        ({"type": "benchmarks", "ids": ["one", "two"], "gates": ["a\nb"]}, "gates.0"),
        ({"type": "benchmarks", "ids": ["one", "two"], "gate": []}, "gate"),
        ([], None),
    ],
)
async def test_a_wrong_comparison_names_the_field(
    body: object, field: str | None, tmp_path: Path
) -> None:
    async with serving(tmp_path) as api:
        answer = await api.post("/compare", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_a_file_of_anywhere_is_looked_at_and_not_kept(tmp_path: Path) -> None:
    path = keep(tmp_path / "elsewhere", BENCHMARK, "benchmarks", "one")
    results = tmp_path / "results"
    headers = {"content-type": "application/json"}
    async with serving(results) as api:
        answer = await api.post("/results/look", content=path.read_bytes(), headers=headers)
        assert (await api.get("/results/benchmarks")).json()["total"] == 0
    assert answer.status_code == 200
    assert answer.json()["schema"] == "llamaburn/benchmark"
    assert not (results / "benchmarks").exists()


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"{", 422, "the file is not JSON: "),
        (b"[" * 100_000, 422, "the file is not JSON: "),
        (b'{"a": 1}', 422, "the file is not a result file: it has no 'schema'"),
        (b'{"schema": "llamaburn/no"}', 422, "schema 'llamaburn/no' is unknown"),
        (b'{"schema": "llamaburn/benchmark"}', 422, "field required"),
        (b'{"a": "' + b"x" * 20_000_000 + b'"}', 413, "larger than 20,000,000 bytes"),
    ],
)
async def test_a_file_that_is_no_result_is_refused_with_the_reason(
    content: bytes, status: int, words: str, tmp_path: Path
) -> None:
    headers = {"content-type": "application/json"}
    async with serving(tmp_path) as api:
        answer = await api.post("/results/look", content=content, headers=headers)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


async def test_the_checks_of_the_doctor_are_told_even_if_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    async with serving(tmp_path) as api:
        checks = (await api.get("/system/doctor")).json()
    (reachable,) = [one for one in checks if one["id"] == "server.reachable"]
    assert reachable["level"] != "ok"
    assert reachable["fix"]


async def test_samples_of_this_machine_are_kept_for_those_who_come_later(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        assert (await api.get("/system/history")).json() == []
        api.service.sampler.history.append(api.service.sampler._read())
        (sample,) = (await api.get("/system/history")).json()
    assert sample["time"].endswith("Z")
    assert sample["ram_used_mb"] > 0


async def test_the_use_of_processors_does_not_depend_on_the_thread_that_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = iter([(0.0, 0.0), (1.0, 2.0), (4.0, 6.0), (4.0, 6.0)])
    monkeypatch.setattr(environment, "processor_seconds", lambda: next(readings))
    async with serving(tmp_path) as api:
        read = api.service.sampler._read
        with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
            found = [pool.submit(read).result() for pool in (first, second, first)]
    assert [one["cpu_percent"] for one in found] == [50.0, 75.0, None]


async def test_sets_are_listed_by_the_names_that_runs_take(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        prompts, sets = (await api.get("/prompts")).json(), (await api.get("/eval-sets")).json()
    assert {"default", "coding"} <= {one["name"] for one in prompts}
    assert {"math", "general_knowledge"} <= {one["name"] for one in sets}
    assert all(one["prompts"] and one["categories"] for one in prompts)
    assert all(one["questions"] and one["sha256"] for one in sets)


async def test_models_and_the_machine_are_what_the_command_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    async with serving(tmp_path) as api:
        models, status = await asyncio.gather(api.get("/models"), api.get("/system/status"))
    assert models.json()["models"][0]["where"] == "embedded"
    assert "127.0.0.1:1" in models.json()["complaint"]
    assert status.json()["server"] is None
    assert "127.0.0.1:1" in status.json()["null_reasons"]["server"]


async def test_a_command_that_fails_is_told_in_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMABURN_TIMEOUT_CONNECT", "soon")
    async with serving(tmp_path) as api:
        answer = await api.get("/models")
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("LLAMABURN_TIMEOUT_CONNECT: 'soon' is refused")


async def test_a_command_ends_with_the_request(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(child.run(["status", "--watch"]), 0.2)


async def test_a_file_that_vanishes_while_it_is_looked_at_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path, BENCHMARK, "benchmarks", "one")
    monkeypatch.setattr(index, "stamp", lambda _: None)
    async with serving(tmp_path) as api:
        assert (await api.get("/results/benchmarks/one")).status_code == 404
        assert (await api.get("/results/benchmarks")).json()["rows"] == []


async def test_a_folder_that_is_a_link_out_of_the_results_takes_nothing(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    results = tmp_path / "results"
    results.mkdir()
    (results / "benchmarks").symlink_to(outside)
    async with serving(results) as api:
        answer = await api.post("/results/benchmarks/one/restore")
    assert answer.status_code == 404


async def test_the_numbers_of_results_have_units_formulas_and_reasons(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        found = (await api.get("/measures")).json()
    ttft = found["measures"]["time_to_first_token_ms"]
    assert (ttft["label"], ttft["unit"], ttft["better"]) == ("time to first token", "ms", "lower")
    assert "first" in ttft["formula"]
    assert found["reasons"]["one_read"] == "the whole answer came in one read"


async def test_a_trend_of_stored_runs_is_made_kept_and_refused_in_a_sentence(
    tmp_path: Path,
) -> None:
    keep(tmp_path, "benchmark-complete", "benchmarks", "one")
    async with serving(tmp_path) as api:
        made = await api.post("/trend", json={"kind": "benchmark"})
        again = await api.get(made.headers["location"])
        refused = await api.post("/trend", json={"kind": "benchmark", "columns": "tokns_per_sec"})
        folders = {one["type"]: one["trended"] for one in (await api.get("/results")).json()}
    assert made.status_code == 201
    assert made.json()["document"]["schema"] == "llamaburn/trend"
    assert again.json() == made.json()["document"]
    assert refused.status_code == 422
    assert "did you mean 'tokens_per_sec'?" in refused.json()["detail"]
    assert (folders["benchmarks"], folders["audits"], folders["trends"]) == (True, False, False)
