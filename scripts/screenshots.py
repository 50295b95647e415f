"""Take pictures of the web page: each tab, wide and narrow, light and dark.

    python scripts/screenshots.py FOLDER [TAB …] [--docs]

Servers that play a model and a judge are measured, and the embedded model by depth. `--docs` also
writes the pictures of docs/web.md. Take them while the machine does nothing else: they show what is
measured. It needs Chromium, Playwright, Pillow and npm; it takes five minutes.
"""

from __future__ import annotations

import argparse
import itertools
import random
import re
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from PIL import Image
from support.eval_servers import Assessor, block
from support.scripted import OllamaFacade, Pause, Request, ScriptedServer, Steps, ollama_stream
from support.served import Served, serving
from support.slot_server import SlotServer

from pytest_llamaburn.evalsets import load_eval_set

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

SIZES = {"wide": (1280, 900), "narrow": (360, 740)}
SCHEMES = ("light", "dark")
WAITS_MS = 120_000
DOCS = Path(__file__).parents[1] / "docs"
SHOWN = {"benchmark.png": "web-benchmark.png", "stress-live-wide-light.png": "web-stress.png"}
SET = "general_knowledge"


class Shot(NamedTuple):
    """A picture: its name, the address, and what to do on the page before."""

    name: str
    where: str
    prepare: str = ""


LOAD = {
    "model": ["tiny"],
    "mode": "sweep",
    "levels": "1,2,4,8,16,32,48",
    "level_duration": "8s",
}
SHOTS = (
    Shot("benchmark", "#/benchmark"),
    Shot("benchmark-form", "#/benchmark", "form"),
    Shot("stress", "#/stress"),
    Shot("eval", "#/eval"),
    Shot("eval-question", "#/eval", "question"),
    Shot("multi-modal", "#/multi-modal", "run"),
    Shot("depth", "#/depth", "view"),
    Shot("results", "#/results", "select"),
    Shot("comparison", "#/results", "compare"),
    Shot("system", "#/system", "wait"),
)


@dataclass
class Model(OllamaFacade):
    """A model that writes at a natural pace and answers two of three questions rightly."""

    model: str = "llama3.1:8b"

    def __call__(self, request: Request) -> Steps:
        """Return the steps for a request."""
        if request.path != "/api/chat" or not request.json["messages"]:
            return super().__call__(request)
        self.loaded = True
        text = request.json["messages"][-1]["content"]
        dice = random.Random(text)  # noqa: S311 - the same answer each time
        return [*_paced(ollama_stream(_words(text, dice)), dice)]


def _words(text: str, dice: random.Random) -> list[str]:
    questions = load_eval_set(SET).questions
    asked = next((one for one in questions if one.prompt in text), None)
    if asked is None:
        return [f"{word} " for word in ("A short answer of a model that is played. " * 3).split()]
    reference = asked.reference or "It depends on the place."
    right = dice.random() < 2 / 3
    said = reference if right else "I am not sure, but I think that it is Atlantis."
    return [f"{word} " for word in said.split()]


def _paced(chunks: list[bytes], dice: random.Random) -> Iterator[Any]:
    yield Pause(dice.uniform(0.04, 0.09))
    for chunk in chunks:
        yield Pause(dice.gauss(0.012, 0.002))
        yield chunk


def opinion(prompt: str, criterion: str) -> dict[str, Any]:
    """Return a judge's verdict on an answer."""
    answer = block(prompt, "ANSWER")
    lost = "Atlantis" in answer
    reasoning = (
        f"The answer does not agree with the reference, so its {criterion} is low."
        if lost
        else f"The answer says what the reference says; its {criterion} is high."
    )
    return {"evidence": [answer[:60]], "reasoning": reasoning, "score": 1 if lost else 5}


def measure(served: Served, servers: dict[str, str]) -> None:
    """Run one of each kind."""
    model = {"host": servers["model"], "model": ["llama3.1:8b"], "backend": "ollama"}
    judge = f"ollama:judge@{servers['judge']}"
    benchmark = {**model, "iterations": 40, "threshold": ["ttft_ms.p50<500"]}
    depths = {"depths": "0,512,1k", "iterations": 2, "osl": 16}
    runs: list[tuple[str, dict[str, Any]]] = [
        ("benchmark", benchmark),
        ("benchmark", benchmark),
        ("stress", {"host": servers["load"], "model": ["tiny"], "mode": "ramp"}),
        ("eval", {**model, "set": [SET], "judge": [judge], "limit": 30}),
        ("depth", {"model": ["smollm2-135m"], "backend": "embedded", **depths}),
    ]
    for kind, body in runs:
        job = served.client.post(f"/{kind}/run", json=body).raise_for_status().json()
        while (done := served.client.get(f"/jobs/{job['id']}").json())["state"] != "ended":
            time.sleep(1)
        print(f"{kind}: {done['meaning']}", *done["lines"][-1:], flush=True)


def prepare(page: Page, what: str) -> None:
    """Open what a picture is of."""
    if what == "form":
        page.get_by_role("button", name="New benchmark").click()
    if what == "question":
        page.locator(".questions summary").nth(1).click()
    if what == "run":
        page.get_by_role("button", name="Run").first.click()
        page.get_by_text(re.compile(r"\d frames/s")).wait_for()
    if what == "view":
        page.get_by_role("heading", name="All numbers").wait_for()
    if what in ("select", "compare"):
        for place in (1, 0):  # the older one is the baseline
            page.get_by_role("checkbox").nth(place).check()
    if what == "compare":
        page.get_by_role("button", name="Compare").click()
        page.get_by_role("heading", name="Verdicts").wait_for()
    if what == "wait":  # for the answers of the server under test and of the doctor
        page.get_by_role("group", name="Doctor").wait_for()


def pages(browser: Browser, served: Served) -> Iterator[tuple[str, Page]]:
    """Yield a page of each size and scheme, with the end of its pictures' names."""
    for (size, (width, height)), scheme in itertools.product(SIZES.items(), SCHEMES):
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # type: ignore[arg-type]
        )
        context.set_default_timeout(WAITS_MS)
        page = context.new_page()
        page.goto(served.address)
        page.get_by_role("tablist").wait_for()
        yield f"{size}-{scheme}.png", page
        context.close()


def shoot(browser: Browser, served: Served, folder: Path, wanted: list[str]) -> None:
    """Take the pictures."""
    shots = [s for s in SHOTS if not wanted or s.where.removeprefix("#/") in wanted]
    for end, page in pages(browser, served):
        for shot in shots:
            page.goto(f"{served.url}/{shot.where}")
            page.reload()
            page.get_by_role("tabpanel").wait_for()
            page.wait_for_timeout(1500)  # charts are drawn when their part has come
            prepare(page, shot.prepare)
            page.wait_for_timeout(500)
            page.screenshot(path=folder / f"{shot.name}-{end}", full_page=True)
            if end == "wide-light.png":  # what the guide shows: the first screen alone
                page.screenshot(path=folder / f"{shot.name}.png")


def shoot_load(browser: Browser, served: Served, folder: Path, host: str) -> None:
    """Take the pictures of a stress run that goes on."""
    served.client.post("/stress/run", json={**LOAD, "host": host}).raise_for_status()
    time.sleep(40)
    for end, page in pages(browser, served):
        page.goto(f"{served.url}/#/stress")
        page.get_by_role("heading", name="The load so far").wait_for()
        page.wait_for_timeout(1500)
        page.screenshot(path=folder / f"stress-live-{end}", full_page=True)


def pack(folder: Path) -> None:
    """Give each picture 256 colours, which are enough for it, so that it is small."""
    for path in folder.glob("*.png"):
        with Image.open(path) as picture:
            small = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE)
        small.save(path, optimize=True)


def main() -> None:
    """Measure, and take the pictures."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("tabs", nargs="*")
    parser.add_argument("--results-dir", type=Path, help="of an earlier time; it is made if absent")
    parser.add_argument("--docs", action="store_true", help="write the pictures of docs/web.md")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    home = arguments.results_dir or Path(tempfile.mkdtemp(prefix="llamaburn-pictures-"))
    home.mkdir(exist_ok=True)
    with ExitStack() as stack:
        served = stack.enter_context(serving(home, TMPDIR=str(home)))
        servers = {
            "model": stack.enter_context(ScriptedServer(Model())).host,
            "judge": stack.enter_context(ScriptedServer(Assessor(opinion=opinion))).host,
            "load": stack.enter_context(SlotServer(4, lambda n: 0.12 + n % 7 * 0.01)).host,
        }
        if not (home / "results").is_dir():
            measure(served, servers)
        playwright = stack.enter_context(sync_playwright())
        path = shutil.which("chromium") or "/usr/bin/chromium"
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=False)
        shoot(browser, served, arguments.folder, arguments.tabs)
        if not arguments.tabs or "stress" in arguments.tabs:
            shoot_load(browser, served, arguments.folder, servers["load"])
        browser.close()
    pack(arguments.folder)
    for name, shown in SHOWN.items() if arguments.docs else ():
        shutil.copy(arguments.folder / name, DOCS / shown)


if __name__ == "__main__":
    main()
