"""The command blocks of the documentation, and the directory in which their commands run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
PAGES = {
    page.name: page.read_text(encoding="utf-8")
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_RATES = {"--levels": "20,40", "--rate": "20"}  # an arrival in five seconds takes its time
_LENGTHS = {"--iterations": "6", "--duration": "1s", "--think-time": "0.02", "--budget": "1s"}
_SMALL = {
    "ANSWERS": "1",
    "AUDIT_ITEMS": "3",
    "BAKEOFF_ITERATIONS": "1",
    "CHAT_ISL": "16",
    "CHAT_OSL": "4",
    "CONVERSATIONS": "1",
    "DAMAGE_ITERATIONS": "1",
    "DAMAGE_ROUNDS": "2",
    "DEPTH_ITERATIONS": "1",
    "DEPTH_OSL": "4",
    "EDGE": "8192",
    "EMBED_ITERATIONS": "1",
    "EVAL_MAX_TOKENS": "16",
    "FIT_ITERATIONS": "1",
    "FIT_OSL": "4",
    "GPU_PROVIDER": "host",
    "ITERATIONS": "3",
    "LIMIT": "3",
    "MAX_ITERATIONS": "20",
    "MAX_TOKENS": "4",
    "MODEL": "llama3.1:8b",
    "OVERFLOW": "false",
    "ROUNDS": "2",
    "TUNE_ISL": "40",
    "TUNE_ITERATIONS": "3",
    "TUNE_OSL": "4",
    "WARMUP": "1",
}
_SMALL_LOADS = {
    "ramp": {"MAX_CONCURRENCY": "8", "LEVEL_REQUESTS": "80"},
    "sustained": {"DURATION": "1"},
    "sweep": {"LEVEL_REQUESTS": "10"},
    "twin": {"LEVEL_REQUESTS": "20", "DURATION": "1"},
}
_OF_RUNS = ("benchmarks", "evals", "stress", "image", "audits", "damages")
_PLACEHOLDERS = ("BEFORE", "AFTER", "RESULT", "MODEL_TIME.json", "FILE.json")


class Shown(NamedTuple):
    """A command of a page, as its words."""

    page: str
    line: int
    text: str

    @property
    def words(self) -> list[str]:
        """The words, without the comment."""
        return shlex.split(self.text, comments=True)


def blocks(*languages: str) -> Iterator[tuple[str, str, int, str]]:
    """Yield the page, language, line and text of each block in one of these languages."""
    for page, text in PAGES.items():
        for found in _BLOCK.finditer(text):
            if found[1] in languages:
                yield page, found[1], text[: found.start()].count("\n") + 1, found[2]


def commands() -> Iterator[Shown]:
    """Yield each command of the pages, in order: after `$ ` or `- run: `, or a line of sh."""
    marks = {"console": "$ ", "sh": "", "yaml": "- run: "}
    for page, language, line, text in blocks(*marks):
        mark, whole = marks[language], text.replace("\\\n", " ")
        for number, one in enumerate(whole.splitlines(), line + 1):
            if one.startswith(mark):
                yield Shown(page, number, one.removeprefix(mark))


def words_here(shown: Shown, place: Path, servers: Mapping[str, str]) -> list[str]:
    """Return the words of a command with our addresses, times and files in their places.

    A page names hosts that are not there, files whose names contain a time, minutes of load, many
    iterations, and rates at which few requests arrive.
    """
    words = shown.words
    for number, word in enumerate(words):
        flag = words[number - 1]
        if flag in ("--host", "--other-host"):
            words[number] = _address(word, servers, knows_all="damage" not in words)
        elif flag in _LENGTHS:
            words[number] = _LENGTHS[flag]
        elif flag in _RATES and "--arrival" in words:
            words[number] = _RATES[flag]
        elif word.endswith(_PLACEHOLDERS) or word.startswith("llama3.1_8b_2026"):
            words[number] = _result(place, word)
    return words


def _address(word: str, servers: Mapping[str, str], *, knows_all: bool) -> str:
    if ":808" in word and not knows_all:
        return servers["vllm"]
    if ":808" in word:
        return servers["llama.cpp"] + ("/v1" if word.endswith("/v1") else "")
    return servers["second" if "10.0.0.6" in word else "ollama"]


def _result(place: Path, named: str) -> str:
    """Return a result file: the newest, of the folder that is named; BEFORE is the one before."""
    folder = Path(named).parent if "/" in named else Path("results")
    found = [one for one in (place / folder).rglob("*.json") if one.parent.name in _OF_RUNS]
    found.sort(key=lambda one: one.stat().st_mtime_ns)
    alike = [one for one in found if one.parent == found[-1].parent]
    return str(alike[-2:][0] if named == "BEFORE" else alike[-1])


def settings_of(shown: Shown) -> dict[str, str]:
    """Return the variables that make a shown run a small one; its words win over them."""
    words, known = shown.words, dict(_SMALL)
    if "stress" in words:
        mode = words[words.index("--mode") + 1] if "--mode" in words else "ramp"
        known |= _SMALL_LOADS.get(mode, {})
    return {f"LLAMABURN_{name}": value for name, value in known.items()}


def prepare(place: Path) -> None:
    """Put the files in a directory that the pages suppose there."""
    choice = {"scorer": "choice", "choices": ["3", "4"], "reference": "B"}
    question = {"id": "q1", "prompt": "2 + 2?", **choice}
    examples = [{"prompt": f"{n} + 1?", "answer": str(n + 1)} for n in range(5)]
    solved = [{"id": one["answer"], "prompt": one["prompt"], "reference": "1"} for one in examples]
    proof = "Two and two are four, since three and one are four."
    worked = {"id": "q2", "prompt": "Why is 2 + 2 = 4?", "scorer": "exact", "reference": proof}
    said = {"question": "q", "response": "an answer", "criterion": "accuracy", "human": [4, 5]}
    gsm8k = {"question": "Tom has 2 apples and buys 3. How many?", "answer": "2 + 3 = 5\n#### 5"}
    tables = {
        "mmlu.json": {"name": "mmlu", "examples": examples, "questions": [question]},
        "my_prompts.json": json.loads((ROOT / "prompts" / "coding.json").read_text("utf-8")),
    }
    lines: dict[str, list[Any]] = {
        "dev.jsonl": solved,
        "gsm8k_test.jsonl": [gsm8k],
        "labels.jsonl": [{**said, "question": f"q{n}", "human": [n, n]} for n in range(1, 6)],
        "mine.jsonl": [question, worked],
    }
    files = {
        "documents/paris.txt": "Paris is in France.",
        "mmlu/dev/algebra_dev.csv": "2 + 2?,3,4,5,6,B\n",
        "mmlu/test/algebra_test.csv": "1 + 2?,3,4,5,6,A\n",
        "persona.txt": "Be brief.",
        **{name: json.dumps(table) for name, table in tables.items()},
        **{name: "\n".join(map(json.dumps, rows)) for name, rows in lines.items()},
    }
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text, encoding="utf-8")
    golden = ROOT / "tests" / "golden" / "journals" / "benchmark-complete" / "result.json"
    kept = golden.read_text("utf-8").replace("tiny:latest", "llama3.1:8b")
    for name in ("baseline.json", "results/benchmarks/llama3.1_8b_2026-01-13T10-30-00.json"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(kept, encoding="utf-8")
    shutil.copy(ROOT / "eval_sets" / "math.json", place / "mine.json")
    passages = ROOT / "pytest_llamaburn" / "kinds" / "damage" / "passages.json"
    shutil.copy(passages, place / "texts.json")
