"""Draw the figures of the pages that explain, as SVG in docs/figures/.

    python scripts/figures.py

The data are recorded (docs/figures/*.json, tests/golden/), or follow from arithmetic.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

from pytest_llamaburn.charts import Axis, Chart, Forest, Line, Mark, Plot, Point, Span
from pytest_llamaburn.reports import _svg, html
from pytest_llamaburn.stats import agreement, samples

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "docs" / "figures"
GOLDEN = ROOT / "tests/golden/journals/stress-complete/result.json"
_PICTURE = re.compile(r'<svg viewBox="0 0 ([\d.]+) ([\d.]+)" role="img".*</svg>', re.DOTALL)
_ITEMS, _PEOPLE = 60, 3


def main() -> None:
    """Draw all figures."""
    for name, chart in charts().items():
        (FIGURES / f"{name}.svg").write_text(standalone(chart), encoding="utf-8")


def charts() -> dict[str, Chart]:
    """Return the charts by the name of their file."""
    return {
        "ttft": ttft(),
        "schedule": schedule(),
        "failure_point": failure_point(),
        "judges": judges(),
    }


def standalone(chart: Chart) -> str:
    """Return a chart as an SVG file, with the style of reports."""
    picture = _PICTURE.search(_svg.drawn(chart, 400))
    if picture is None:
        raise ValueError(chart.title)
    width, height = picture.groups()
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{2 * float(width):g}" role="img"'
    )
    drawn = picture[0].replace(f'<svg viewBox="0 0 {width} {height}" role="img"', head, 1)
    start = drawn.index(">") + 1
    paper = f'<rect width="{width}" height="{height}" style="fill: var(--card)"/>'
    return f"{drawn[:start]}<style>{html.style()}</style>{paper}{drawn[start:]}\n"


def ttft() -> Forest:
    """Return the errors of the time to the first token that tools made."""
    found = json.loads((FIGURES / "ttft.json").read_text("utf-8"))
    spans = [
        Span(t["name"], t["low"], t["middle"], t["high"], f"{t['low']:g} to {t['high']:g} ms")
        for t in found["tools"]
    ]
    return Forest("Error of the time to the first token", Axis("error", "ms", low=0.0), spans)


def schedule() -> Plot:
    """Return the latency of requests that are due every 50 ms, while a server stops for 2 s.

    A client that waits for each answer sends the next request when it is due or, if it is late,
    at once.
    """
    free_s, sent, due = 0.0, [], []
    for number in range(200):
        due_s = number * 0.05
        sent_s = max(due_s, free_s)
        free_s = (6.0 if 4.0 <= sent_s < 6.0 else sent_s) + 0.02
        sent.append(Point(due_s, 1e3 * (free_s - sent_s)))
        due.append(Point(due_s, 1e3 * (free_s - due_s)))
    lines = [Line("from sending", sent), Line("from the schedule", due)]
    marks = [Mark(4.0, "stops"), Mark(6.0, "goes on")]
    x = Axis("time at which a request was due", "s")
    return Plot("Latency", x, Axis("latency", "ms", low=0.0), lines, marks=marks)


def failure_point() -> Plot:
    """Return the share of failures by level of a recorded ramp, and the point that was found."""
    found = json.loads(GOLDEN.read_text("utf-8"))["results"]
    points = [_failed(level) for level in found["levels"]]
    at = found["failure_point"]["concurrency"]
    x = Axis("clients", at=[point.x for point in points])
    y = Axis("failed requests", "%", low=0.0, high=100.0)
    marks = [Mark(at, f"failure point {at:g}")]
    return Plot("Failed requests by clients", x, y, [Line("failed", points, "dots")], marks=marks)


def _failed(level: dict[str, Any]) -> Point:
    low, high = samples.wilson(level["failed"], level["requests"]) or (0.0, 1.0)
    share = level["failed"] / level["requests"]
    return Point(level["concurrency"], 100 * share, 100 * low, 100 * high)


def judges() -> Forest:
    """Return the agreement with people of two simulated judges, and of people with one another.

    A judge's score is the quality of an answer, times its sensitivity, plus noise.
    """
    luck = random.Random(7)  # noqa: S311 - no secret
    quality = [luck.uniform(1, 5) for _ in range(_ITEMS)]
    people = [[_rated(one, 1.0, 0.6, luck) for _ in range(_PEOPLE)] for one in quality]
    shared = [agreement.consensus(ratings) for ratings in people]
    spans = []
    for name, sensitivity in (("sensitive judge", 1.0), ("lenient judge", 0.3)):
        given = [_rated(one, sensitivity, 0.6, luck) for one in quality]
        found = agreement.with_interval(agreement.qwk, shared, given)
        low, high = found.ci95 or (0.0, 1.0)
        spans.append(_span(name, low, found.value or 0.0, high))
    best = agreement.ceiling(agreement.qwk, people).value or 0.0
    spans.append(_span("people with one another", best, best, best))
    return Forest("Agreement with people", Axis("weighted κ", low=0.0, high=1.0), spans)


def _rated(quality: float, sensitivity: float, noise: float, luck: random.Random) -> float:
    """Return a rating from 1 to 5; what a judge does not see, it takes for good."""
    seen = 4.5 + sensitivity * (quality - 4.5) + luck.gauss(0, noise)
    return float(min(5, max(1, round(seen))))


def _span(name: str, low: float, middle: float, high: float) -> Span:
    words = f"{middle:.2f}" if low == high else f"{middle:.2f} [{low:.2f}, {high:.2f}]"
    return Span(name, low, middle, high, words)


if __name__ == "__main__":
    main()
