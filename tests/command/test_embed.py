"""`llamaburn embed` as a child process, against loopback servers of known behaviour."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support.command_line import run_cli
from support.embedding_server import Embedder, EmbeddingFacade, OllamaEmbedding
from support.scripted import Request, ScriptedServer, Steps, sized

from pytest_llamaburn.store.results import check

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

ASKED = ("--batch=1,4", "--isl=8", "--iterations=3", "--warmup=1", "--gpu-provider=host")


class Ended(NamedTuple):
    """A run of the command: its process, its file and what the server was asked."""

    done: subprocess.CompletedProcess[str]
    document: dict[str, Any]
    bodies: list[dict[str, Any]]


@pytest.fixture(scope="module")
def wrong_order(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Run against a server whose batches come in another order, with a gate on the checks."""
    cwd = tmp_path_factory.mktemp("embed")
    server = Embedder(fault=lambda _, vectors: vectors[::-1])
    with ScriptedServer(OllamaEmbedding(embedder=server)) as host:
        args = ("embed", "tiny", f"--host={host.host}", *ASKED, "--threshold=checks_failed<1")
        done = run_cli(*args, cwd=cwd, check=1)
    (path,) = (cwd / "results" / "embeddings").glob("*.json")
    sent = [request for request in host.requests if b"/api/embed" in request]
    bodies = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in sent]
    return Ended(done, json.loads(path.read_text()), bodies)


def test_the_file_of_an_ollama_run_is_valid_and_complete(wrong_order: Ended) -> None:
    document = wrong_order.document
    check(document)
    found = document["results"]
    assert document["status"] == "complete"
    assert found["totals"] == {"requests": 6, "succeeded": 6, "failed": 0, "planned": 6}
    assert [(cell["batch"], cell["tokens_per_text"]) for cell in found["cells"]] == [(1, 8), (4, 8)]
    assert document["config"]["sent"] == {
        "path": "/api/embed",
        "model": "tiny:latest",
        "truncate": False,
        "keep_alive": "5m",
        "options": {"num_ctx": 4096},
    }


def test_a_wrong_order_fails_the_gate_and_is_said_in_the_table(wrong_order: Ended) -> None:
    assert "warning: the check 'batch' failed" in wrong_order.done.stdout
    assert "in another order than its texts" in wrong_order.done.stdout
    assert "gate checks_failed<1: fail" in wrong_order.done.stdout


def test_every_request_carries_its_texts_and_the_time_is_estimated_first(
    wrong_order: Ended,
) -> None:
    assert [len(body["input"]) for body in wrong_order.bodies[-6:]] == [1, 4] * 3
    assert all(body["truncate"] is False for body in wrong_order.bodies)
    before, _, _ = wrong_order.done.stderr.partition("/6 requests")
    assert "6 requests to tiny:latest: about " in before


def test_a_llama_cpp_that_only_reranks_is_measured_as_a_reranker(tmp_path: Path) -> None:
    facade = EmbeddingFacade(embedder=Embedder(embeds=False))
    with ScriptedServer(facade) as host:
        done = run_cli("embed", f"--host={host.host}", *ASKED, "-o", "json", cwd=tmp_path)
    document = json.loads(done.stdout)
    check(document)
    assert document["results"]["task"] == "rerank"
    assert document["config"]["sent"] == {"path": "/rerank", "model": "tiny:latest"}


def test_a_model_that_does_not_embed_is_told_once_and_nothing_is_written(tmp_path: Path) -> None:
    facade = EmbeddingFacade(embedder=Embedder(embeds=False, reranks=False))
    with ScriptedServer(facade) as host:
        done = run_cli("embed", f"--host={host.host}", *ASKED, cwd=tmp_path, check=4)
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("llamaburn: "))
    assert "tiny:latest at" in line
    assert (
        "embeds no text: unsupported (501): This server does not support embeddings. Start" in line
    )
    assert not [*tmp_path.rglob("*.json")]


class NoBatches(OllamaEmbedding):
    """A server on which each request with several texts fails."""

    def __call__(self, request: Request) -> Steps:
        if request.path == "/api/embed" and len(request.json["input"]) > 1:
            return [sized(500, {"error": "out of memory"})]
        return super().__call__(request)


def test_a_run_of_which_half_failed_warns_and_its_exit_code_is_0(tmp_path: Path) -> None:
    with ScriptedServer(NoBatches(embedder=Embedder())) as host:
        asked = ("embed", "tiny", f"--host={host.host}", *ASKED, "-o", "json")
        done = run_cli(*asked, cwd=tmp_path, check=0)
    ((kind, count),) = json.loads(done.stdout)["results"]["errors"].items()
    assert count == 3
    words = f"llamaburn: warning: 3 of 6 requests failed ({kind} × 3), and the numbers are those"
    assert words in done.stderr
