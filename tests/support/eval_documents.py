"""Result documents of evals, and what they have of a question, as far as comparisons read them."""

from __future__ import annotations

from typing import Any


def eval_item(name: str = "q", **fields: Any) -> Any:
    """Return what a result file has of a question."""
    question: dict[str, Any] = {
        "id": name,
        "prompt": name,
        "reference": None,
        "rubric": None,
        "category": "c",
    }
    question["scorer"] = None
    made = {"question": question, "answer": "abc", "rival_answer": "ab", "scores": {}}
    rest: dict[str, Any] = {"comparisons": [], "verdict": None, "correct": None, "more_samples": []}
    return {**made, **rest, "pass_at_k": None, "search": None, **fields}


def eval_document(*items: dict[str, Any], **config: Any) -> dict[str, Any]:
    """Return what comparisons need of a result file; `sha256` is that of its eval set."""
    about = {"run_id": "r", "model": {}, "server": {}, "timestamp": "t", "status": "complete"}
    results = {"items": [*items], "eval_set": {"sha256": config.pop("sha256", "0")}}
    return {**about, "config": config, "results": results}
