"""Cards to share: every format, what they contain, and what never leaves the machine."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from support.command_line import run_cli

JOURNALS = Path(__file__).parents[1] / "golden" / "journals"
FOLDERS = {"benchmark": "benchmarks", "stress": "stress", "eval": "evals"}
PRIVATE = ("lovelace", "secret-box", "10.1.2.3", "11434", "/home", "private")


def stored(tmp_path: Path, kind: str, change: Any = None) -> str:
    """Put a golden result into a results directory and return its id."""
    path = tmp_path / "results" / FOLDERS[kind] / "one.json"
    path.parent.mkdir(parents=True)
    shutil.copy(JOURNALS / f"{kind}-complete" / "result.json", path)
    if change:
        document = json.loads(path.read_text("utf-8"))
        change(document)
        path.write_text(json.dumps(document), "utf-8")
    return path.stem


def private(document: Any) -> None:
    document["model"] |= {
        "id": "/home/lovelace/private/tiny.gguf",
        "name": "/home/lovelace/private/tiny.gguf",
    }
    document["server"]["host"] = "http://10.1.2.3:11434"
    document["environment"]["hostname"] = "secret-box"
    document["config"]["results_dir"] = "/home/lovelace/results"


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_card_has_the_numbers_of_the_file_and_names_nobody(kind: str, tmp_path: Path) -> None:
    name = stored(tmp_path, kind, private)
    outputs = [f"card.{suffix}" for suffix in ("svg", "png", "md", "json")]
    run_cli("results", "card", name, *(f"-o={one}" for one in outputs), cwd=tmp_path)
    texts = [(tmp_path / one).read_text("utf-8") for one in outputs if one != "card.png"]
    for words in texts:
        assert "tiny.gguf" in words
        for secret in (*PRIVATE, platform.node(), str(tmp_path)):
            assert secret not in words.casefold().replace("llamaburn", "")
    assert ET.fromstring(texts[0]).tag.endswith("svg")  # noqa: S314 - we made it
    assert (tmp_path / "card.png").read_bytes().startswith(b"\x89PNG")
    card = json.loads(texts[2])
    assert (card["schema"], card["kind"]) == ("llamaburn/card", kind)
    assert card["headlines"]
    for headline in card["headlines"]:
        assert headline["value"] in texts[1]


def test_the_measures_of_a_card_are_those_of_the_file_with_their_intervals(tmp_path: Path) -> None:
    name = stored(tmp_path, "benchmark")
    run_cli("results", "card", name, "-o=card.json", cwd=tmp_path)
    card = json.loads((tmp_path / "card.json").read_text("utf-8"))
    source = json.loads((tmp_path / "results/benchmarks/one.json").read_text("utf-8"))
    summary = source["results"]["summary"]["time_to_first_token_ms"]
    assert card["measures"]["time_to_first_token_ms"] == {
        "value": summary["mean"],
        "unit": "ms",
        "ci95": summary["ci95"],
    }
    assert card["model"]["digest"] == source["model"]["digest"]
    assert card["llamaburn"] == source["environment"]["llamaburn"]


def test_a_card_without_an_output_is_printed_as_markdown(tmp_path: Path) -> None:
    done = run_cli("results", "card", stored(tmp_path, "benchmark"), cwd=tmp_path)
    assert done.stdout.startswith("**")
    assert "| time to first token, mean |" in done.stdout


def test_signs_in_names_are_shown_literally(tmp_path: Path) -> None:
    def named(document: Any) -> None:
        document["model"]["id"] = "<script>|*x*"

    name = stored(tmp_path, "benchmark", named)
    done = run_cli("results", "card", name, "-o=card.svg", cwd=tmp_path)
    assert "<script" not in (tmp_path / "card.svg").read_text("utf-8")
    done = run_cli("results", "card", name, cwd=tmp_path)
    assert r"\<script\>\|\*x\*" in done.stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("card",), "results card: name one file or id"),
        (("card", "one", "two"), "results card: name one file or id"),
        (("card", "one", "-o=card.gif"), "results card: '.gif' is no format of cards; known: .svg"),
        (("card", "one", "-o=none/card.svg"), "cannot be written"),
    ],
)
def test_a_card_that_cannot_be_made_is_refused(
    args: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    stored(tmp_path, "benchmark")
    done = run_cli("results", *args, cwd=tmp_path, check=4)
    assert words in done.stderr
    assert not [*tmp_path.glob("card*")]


def test_a_comparison_has_no_card(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    shutil.copy(JOURNALS.parent / "comparisons" / "stress.json", path)
    assert (
        "a stress-comparison has no card"
        in run_cli("results", "card", str(path), cwd=tmp_path, check=4).stderr
    )


def test_without_pillow_a_png_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_llamaburn.errors import MissingExtraError
    from pytest_llamaburn.reports import _card
    from pytest_llamaburn.store import results

    stored(tmp_path, "benchmark")
    document = results.load(tmp_path / "results/benchmarks/one.json")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pytest-llamaburn\[image\]'"):
        _card.rendered(document, ".png")
