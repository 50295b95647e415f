"""Records the golden journals: `python tests/golden/record.py`, from the root of a clone.

Each is what one real run wrote: of every kind one that is complete; of benchmark, damage, stress
and eval also one whose server failed, one that was cut and one that was cut and resumed. `--render`
keeps the journals and only makes again what is made from them: the result files, their tables, and
comparisons of them. The tests compare all of that, numbers to nine digits, so that moving code
changes no result.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.embedding_server import EmbeddingFacade
from support.eval_servers import Assessor, Pupil, eval_set, question
from support.fleet import OllamaFleet
from support.gpu_server import Gpu, GpuOllama
from support.judge_servers import KEY, OpenAI, Sensitive, judge_server, worked
from support.rated_server import Rated, RatedFacade
from support.scripted import Hang, OllamaFacade, Request, ScriptedServer, Steps, sized
from support.slot_server import SlotServer
from support.stalling_server import Stalling
from support.telling import OllamaTellers, Told
from support.tuned_server import WordCounting

from pytest_llamaburn import registry
from pytest_llamaburn.commands import main
from pytest_llamaburn.store import journal, results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOME = Path(__file__).with_name("journals")
COMPARED = Path(__file__).with_name("comparisons")
AUDITED = Path(__file__).with_name("audit")
COMPARISONS = {
    "benchmark": ("benchmark-complete", "benchmark-resumed"),
    "benchmark-gates": ("benchmark-resumed", "benchmark-cut", "--fail-if=tps.mean:-5%"),
    "eval": ("eval-complete", "eval-resumed"),
    "eval-cut": ("eval-complete", "eval-cut"),
    "damage": ("damage-complete", "damage-resumed"),
    "stress": ("stress-resumed", "stress-failed"),
    "stress-gates": ("stress-complete", "stress-resumed", "--fail-if=requests_per_sec@2:-5%"),
}
_KEEP = (
    "import sys; from pytest_llamaburn.store import journal; "
    "journal.discard = lambda folder: None; "
    "from pytest_llamaburn.commands import main; sys.exit(main(sys.argv[1:]))"
)
_QUIET = "--gpu-provider=host"
# Of each further kind: what makes its server, and its arguments.
SINGLES: dict[str, tuple[Callable[[], Any], str]] = {
    "bakeoff": (OllamaFleet, "a b --warmup=0 --iterations=2 --rounds=2 --no-early-stop"),
    "chat": (lambda: RatedFacade(rated=Rated(context=2048)), "--turns=2 --isl=16 --osl=4"),
    "depth": (
        lambda: RatedFacade(rated=Rated(context=2048)),
        "--depths=0,128,2k --isl=16,32,48 --osl=4 --iterations=2",
    ),
    "embed": (EmbeddingFacade, "--batch=1,4 --isl=8,32 --iterations=3 --warmup=1"),
    "fit": (
        lambda: GpuOllama(gpu=Gpu(holds=9472)),
        "--edge=2048 --iterations=1 --osl=4 --max-ctx=16384",
    ),
    "tune": (
        WordCounting,
        (
            "tiny --option=num_thread=1,2 --iterations=3 --answers=1 --isl=40 --osl=4 --warmup=1 "
            "--objective=prefill"
        ),
    ),
}


def keeping(cwd: Path, *args: str) -> subprocess.Popen[bytes]:
    """Start the command in a process that never removes a journal."""
    return subprocess.Popen([sys.executable, "-c", _KEEP, *args], cwd=cwd)


def save(name: str, cwd: Path) -> None:
    """Store the run's journal and the file that is made from it."""
    (folder,) = (cwd / "results" / journal.FOLDER).glob("*/")
    target = HOME / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in folder.iterdir():
        if path.suffix in (".jsonl", ".rows"):
            shutil.copy(path, target / path.name)


def made_from(folder: Path) -> dict[str, str]:
    """Return the files that are made from a journal, by name: the result and its table."""
    document = results.build(journal.read(folder))
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    with directory() as cwd:
        path = cwd / "result.json"
        path.write_text(text, encoding="utf-8")
        table = registry.load("reports", "table").render([path]).replace(str(path), "FILE")
    return {"result.json": text, "table.txt": table}


def comparison_reports(name: str) -> dict[str, str]:
    """Return a comparison of golden files, as document and as table, without what is of today."""
    words = COMPARISONS[name]
    with directory() as cwd, contextlib.chdir(cwd):
        for word in words[:2]:
            shutil.copy(HOME / word / "result.json", f"{word}.json")
        args = ["compare", *(f"{word}.json" for word in words[:2]), *words[2:], "-o", "json"]
        with contextlib.redirect_stdout(io.StringIO()) as said:
            main(args)
        (path,) = Path("results").rglob("*.json")
        table = registry.load("reports", "table").render([path])
    return {
        f"{name}.json": _of_any_day(said.getvalue()),
        f"{name}.txt": _of_any_day(table),
    }


def audit_reports() -> dict[str, str]:
    """Return the golden audit with its findings made again from its verdicts, and its table."""
    from pytest_llamaburn.kinds.audit import findings

    path = AUDITED / "result.json"
    document = results.load(path)
    document["results"] |= findings.of(document["results"]["probes"])
    table = registry.load("reports", "table").render([path]).replace(str(path), "FILE")
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    return {"result.json": text, "table.txt": table}


def audit() -> None:
    """Record an audit of a judge of known sensitivity."""
    with directory() as cwd, judge_server(OpenAI([Sensitive(padded=1)]), "m") as name:
        content = json.dumps({"name": "fruit", "questions": worked(2)})
        (cwd / "fruit.json").write_text(content, encoding="utf-8")
        words = ("judge", "audit", f"--judge={name}", "--set=fruit.json")
        subprocess.run(
            [sys.executable, "-m", "pytest_llamaburn", *words],
            cwd=cwd,
            env={**os.environ, "OPENAI_API_KEY": KEY},
            check=True,
        )
        (path,) = (cwd / "results" / "audits").glob("*.json")
        AUDITED.mkdir(exist_ok=True)
        text = path.read_text(encoding="utf-8").replace(name, "openai:m@http://127.0.0.1:4000")
        (AUDITED / "result.json").write_text(text, encoding="utf-8")


def _of_any_day(text: str) -> str:
    text = re.sub(r'"(timestamp|run_id|session_id)": "[^"]*"', r'"\1": "…"', text)
    return re.sub(r"(comparison|compare)[\w-]*_?\d{4}-[\w-]+\.json", "COMPARISON", text)


def render() -> None:
    """Write what is made from the journals."""
    for folder in sorted(path for path in HOME.iterdir() if path.is_dir()):
        for name, text in made_from(folder).items():
            (folder / name).write_text(text, encoding="utf-8")
    for name, text in audit_reports().items():
        (AUDITED / name).write_text(text, encoding="utf-8")
    COMPARED.mkdir(exist_ok=True)
    for comparison in COMPARISONS:
        for name, text in comparison_reports(comparison).items():
            (COMPARED / name).write_text(text, encoding="utf-8")


class Broken(OllamaFacade):
    """Answers the warm-up and fails every timed request."""

    def __call__(self, request: Request) -> Steps:
        """Return the steps for a request."""
        if request.path == "/api/chat" and self.chats >= 2:
            return [sized(500, {"error": "llama runner process has terminated"})]
        return super().__call__(request)


class Cut(Stalling):
    """Hangs after some timed requests until it is told to go on."""

    going_on = False

    def __call__(self, request: Request) -> Steps:
        """Return the steps for a request."""
        return OllamaFacade.__call__(self, request) if self.going_on else super().__call__(request)


class CutTellers(OllamaTellers):
    """Tells this many places, then hangs until it is told to go on; a broken one fails instead."""

    going_on = False

    def __init__(self, most: int, *, broken: bool = False) -> None:
        super().__init__(tell=_told, token_s=0.002)
        self.stalled = threading.Event()
        self._left, self._broken = most, broken

    def __call__(self, request: Request) -> Steps:
        """Return the steps for a request."""
        if request.path == "/api/generate" and not self.going_on:
            self._left -= 1
            if self._left < 0 and self._broken:
                return [sized(500, {"error": "llama runner process has terminated"})]
            if self._left < 0:
                self.stalled.set()
                return [Hang()]
        return super().__call__(request)


def _told(model: str, text: str) -> Told:
    """Return probabilities that depend on the text; those of the second model are flatter."""
    size = 0.3 + 0.02 * (len(text) % 17)
    flat = 0.7 if model == "b:latest" else 1.0
    sizes = [size**flat, (0.9 - size) ** flat, 0.1**flat]
    tokens = (" red", " blue", " green")
    chances = {token: one / sum(sizes) for token, one in zip(tokens, sizes, strict=True)}
    return Told(chances, len(text.split()))


@contextmanager
def directory() -> Iterator[Path]:
    """Give an empty directory for one run."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def benchmarks() -> None:
    """Record the four benchmarks."""
    for name, facade in (("complete", OllamaFacade()), ("failed", Broken())):
        with directory() as cwd, ScriptedServer(facade) as server:
            keeping(
                cwd, "benchmark", "tiny", f"--host={server.host}", "--iterations=9", _QUIET
            ).wait()
            save(f"benchmark-{name}", cwd)
    stalling = Cut()
    with directory() as cwd, ScriptedServer(stalling) as server:
        args = ("benchmark", "tiny", f"--host={server.host}", "--iterations=9", _QUIET)
        _cut_and_resume(
            "benchmark", cwd, args, stalling.stalled, lambda: setattr(stalling, "going_on", True)
        )


def _cut_and_resume(
    kind: str,
    cwd: Path,
    args: tuple[str, ...],
    reached: threading.Event,
    heal: Callable[[], None],
    *again: str,
) -> None:
    running = keeping(cwd, *args)
    assert reached.wait(120), f"{kind}: the moment to cut it never came"
    running.send_signal(signal.SIGINT)
    running.wait()
    save(f"{kind}-cut", cwd)
    heal()
    keeping(cwd, kind, "--resume=last", *again).wait()
    save(f"{kind}-resumed", cwd)


def loads() -> None:
    """Record the stress runs: a ramp, a sweep that fails, a sweep that is cut and resumed."""
    with directory() as cwd, SlotServer(3, lambda n: 0.02 + 0.001 * (n % 5), queue=6) as server:
        host = f"--host={server.host}"
        limits = ("--max-concurrency=12", "--requests=150", "--slo=ttft_ms<500")
        keeping(cwd, "stress", "tiny", host, *limits, "--mode=ramp", _QUIET).wait()
        save("stress-complete", cwd)
    with directory() as cwd, SlotServer(2, lambda _: 0.02, dies_after=60) as server:
        limits = (f"--host={server.host}", "--levels=1,2,4", "--requests=30")
        keeping(cwd, "stress", "tiny", "--mode=sweep", *limits, _QUIET).wait()
        save("stress-failed", cwd)
    reached = threading.Event()

    def service(number: int) -> float:
        if number == 45:
            reached.set()
        return 0.03

    with directory() as cwd, SlotServer(2, service) as server:
        args = (
            "stress",
            "tiny",
            f"--host={server.host}",
            "--mode=sweep",
            "--levels=1,2,4",
            "--requests=20",
        )
        _cut_and_resume("stress", cwd, (*args, _QUIET), reached, lambda: None)


def evals() -> None:
    """Record the evals: scorers and a judge, a dead model, a judge that hangs and is resumed."""
    names = ("red", "blue", "green", "white", "black", "grey", "pink")
    answers = {name: f"It is right {name}." for name in names[::2]}
    for name, pupil in (("complete", Pupil(answers=answers)), ("failed", Broken())):
        with (
            directory() as cwd,
            ScriptedServer(pupil) as model,
            ScriptedServer(Assessor()) as judge,
        ):
            keeping(cwd, *_eval(cwd, names, model.host, judge.host)).wait()
            save(f"eval-{name}", cwd)
    assessor = Assessor(stop_at=9)
    pupil, servers = Pupil(answers=answers), ScriptedServer
    with directory() as cwd, servers(pupil) as model, servers(assessor) as judge:
        args = _eval(cwd, names, model.host, judge.host)
        again = f"--judge=ollama:judge@{judge.host}"
        _cut_and_resume(
            "eval", cwd, args, assessor.stopped, lambda: setattr(assessor, "stop_at", 0), again
        )


def singles() -> None:
    """Record one run of each further kind."""
    for kind, (serve, words) in SINGLES.items():
        with directory() as cwd, ScriptedServer(serve()) as server:
            keeping(cwd, kind, *words.split(), f"--host={server.host}", _QUIET).wait()
            save(f"{kind}-complete", cwd)


def damages() -> None:
    """Record the damage runs: one that is complete, one of a dead server, one cut and resumed."""
    for name, most, is_broken in (("complete", 99, False), ("failed", 1, True), ("", 15, False)):
        tellers = CutTellers(most, broken=is_broken)
        with directory() as cwd, ScriptedServer(tellers) as server:
            (cwd / "texts.json").write_text(json.dumps({"passages": [*map(_passage, range(12))]}))
            args = ("damage", "a", "b", f"--host={server.host}", "--prefixes=texts.json")
            few = ("--rounds=2", "--iterations=2", "--max-tokens=4", _QUIET)
            if name:
                keeping(cwd, *args, *few).wait()
                save(f"damage-{name}", cwd)
            else:
                heal = partial(setattr, tellers, "going_on", True)
                _cut_and_resume("damage", cwd, (*args, *few), tellers.stalled, heal)


def _passage(number: int) -> dict[str, object]:
    parts = [f"Text {number} begins with {number * 'a '}word", " and goes on", " to its end."]
    return {"id": f"t{number}", "category": ("prose", "code")[number % 2], "parts": parts}


def _eval(cwd: Path, names: tuple[str, ...], model: str, judge: str) -> tuple[str, ...]:
    asked = eval_set(cwd, *(question(name, scorer="includes") for name in names))
    return (
        "eval",
        "tiny",
        f"--host={model}",
        f"--set={asked}",
        f"--judge=ollama:judge@{judge}",
        _QUIET,
    )


if __name__ == "__main__":
    if "--render" not in sys.argv:
        benchmarks()
        loads()
        evals()
        audit()
        damages()
        singles()
    render()
