"""Power, energy and cost through the real command, on a machine without sensors and with fakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.command_line import COMMAND, results_in, run_cli
from support.processes import Process
from support.scripted import OllamaFacade, ScriptedServer
from support.sensors import Fakes, path_with

from pytest_llamaburn.store import journal, results

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.scripted import Request, Steps

VALUES = "00000000:01:00.0, Example RTX, 595.10, 8.9, 150, 148, 3, 10, 20, 60, 350, 1800"
CHANGING = """
n=0
while :; do
  n=$(( (n + 1) % 7 ))
  echo "00000000:01:00.0, $((150 + n)), 148, 3, 8000, 24000, 60, 350, 1800"
  /bin/sleep 0.1
done
"""
BARE = ("--gpu-provider=host",)  # the machine the tests run on may have sensors of its own


def zeros(value: Any, path: str = "") -> Iterator[str]:
    """Yield the place of every number that is 0 in a document, without indices."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from zeros(part, f"{path}.{name}")
    elif isinstance(value, list):
        for part in value:
            yield from zeros(part, path)
    elif isinstance(value, int | float) and not isinstance(value, bool) and value == 0:
        yield path.removeprefix(".")


TRUE_ZEROS = {
    *("config.temperature", "config.seed", "config.sent.options.temperature"),
    *("config.sent.options.seed", "results.runs.repeat", "results.runs.iteration"),
    *("results.energy_by_repeat.repeat", "results.totals.failed", "system_profile.active"),
    *("telemetry.profiler.loops.missed_ticks", "telemetry.missed_ticks"),
    *("telemetry.other_cpu_share", "telemetry.profiler.cpu_pct_of_one_core"),
    *(f"system_profile.{name}_cpu_pct" for name in ("server", "client")),
}
MAY_BE_ZERO = ("results.summary.", "results.between_runs.")  # spreads, and counts of samples


@pytest.fixture
def fakes(tmp_path: Path) -> Fakes:
    return Fakes(tmp_path)


@pytest.fixture
def fake_gpu(fakes: Fakes) -> Fakes:
    fakes.nvidia_smi([VALUES], CHANGING)
    return fakes


def benchmark(
    cwd: Path, *args: str, token_s: float = 0.002, path: str | None = None
) -> dict[str, Any]:
    with ScriptedServer(OllamaFacade(token_s=token_s)) as server:
        host = f"--host={server.host}"
        command = ("benchmark", "tiny", host, "--iterations=2", "--warmup=1", *args)
        run_cli(*command, cwd=cwd, PATH=path or os.environ["PATH"])
    (found,) = results_in(cwd / "results")
    return found


@pytest.mark.parametrize("args", [BARE, ("--no-profile",)], ids=["no sensor", "switched off"])
def test_without_a_sensor_all_is_null_and_no_0_stands_for_it(
    tmp_path: Path, args: tuple[str, ...]
) -> None:
    found = benchmark(tmp_path, *args, "--kwh-rate=0.12")
    reason = "no_provider" if args == BARE else "profile_off"
    telemetry, totals = found["telemetry"], found["results"]["totals"]
    assert (telemetry["reason"], telemetry["provider"], telemetry["scope"]) == (reason, None, None)
    assert found["results"]["cost"]["reason"] == reason
    for run in found["results"]["runs"]:
        assert run["null_reasons"]["energy_wh"] == run["null_reasons"]["power_draw_watts"] == reason
    assert all(totals[name] is None for name in totals if "energy" in name or "joule" in name)
    odd = {place for place in zeros(found) if not place.startswith(MAY_BE_ZERO)} - TRUE_ZEROS
    assert odd == set()
    assert bool(found["system_profile"]) is (args == BARE)
    assert results.check(found) is None


def test_samples_know_the_phase_they_were_taken_in(tmp_path: Path) -> None:
    found = benchmark(tmp_path, *BARE, "--profile-interval=20ms", token_s=0.2)
    phases = [sample["phase"] for sample in found["system_profile"]]
    assert {"warmup", "prompt_eval", "generate"} <= set(phases)
    assert {s["active"] for s in found["system_profile"]} == {0, 1}
    times = [sample["t_ms"] for sample in found["system_profile"]]
    assert times == sorted(times)
    assert found["telemetry"]["interval_ms"] == 20
    assert found["telemetry"]["cpu_pct_of"] == "host"


@pytest.mark.parametrize("sampler", ["thread", "process"])
def test_fake_gpu_gives_energy_cost_and_a_gate(fake_gpu: Fakes, sampler: str) -> None:
    found = benchmark(
        fake_gpu.home,
        *("--gpu-provider=nvidia-smi", "--kwh-rate=0.12", f"--sampler={sampler}"),
        "--threshold=power_peak_watts<200",
        token_s=0.3,  # a request then lasts longer than the shortest window
        path=path_with(fake_gpu),
    )
    telemetry, totals = found["telemetry"], found["results"]["totals"]
    assert (telemetry["provider"], telemetry["counted"]) == ("nvidia-smi", ["01:00.0"])
    assert telemetry["profiler"]["sampler"] == sampler
    if telemetry["reason"] == "low_coverage":  # as it may be where this machine is overloaded
        return
    assert 150 <= totals["power_draw_watts"] <= totals["power_peak_watts"] <= 156
    assert 150 <= telemetry["idle_power_w"] <= 156
    joules = totals["energy_wh"] * 3600
    assert joules == pytest.approx(totals["power_draw_watts"] * totals["measured_s"])
    assert totals["joules_per_output_token"] == pytest.approx(joules / totals["output_tokens"])
    cost = found["results"]["cost"]
    assert cost["cost_per_run"] == pytest.approx(totals["energy_wh"] / 1000 * 0.12)
    assert [gate["verdict"] for gate in found["results"]["gates"]] == ["pass"]
    table = run_cli("results", "show", found["run_id"], cwd=fake_gpu.home).stdout
    assert "energy of the GPU board only: " in table
    assert "cost of that energy: $" in table


def stress(cwd: Path, *args: str, path: str | None = None) -> dict[str, Any]:
    with ScriptedServer(OllamaFacade(token_s=0.02)) as server:
        mode = ("--mode=sweep", "--levels=2", "--level-duration=1500ms", "--warmup-window=0s")
        command = ("stress", "tiny", f"--host={server.host}", *mode, "--cooldown-window=0s", *args)
        run_cli(*command, cwd=cwd, PATH=path or os.environ["PATH"])
    (found,) = (cwd / "results" / "stress").glob("*.json")
    content: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    return content


def test_levels_of_a_load_have_their_energy(fake_gpu: Fakes) -> None:
    found = stress(fake_gpu.home, "--gpu-provider=nvidia-smi", path=path_with(fake_gpu))
    (level,) = found["results"]["levels"]
    assert found["telemetry"]["provider"] == "nvidia-smi"
    if level["energy_reason"] in ("low_coverage", "window_too_short"):
        return  # as it may be where this machine is overloaded: the clients are not held together
    assert level["energy_reason"] is None
    assert "mixed" in {sample["phase"] for sample in found["system_profile"]}
    assert 150 <= level["power_draw_watts"] <= level["power_peak_watts"] <= 156
    tokens = level["energy_wh"] * 3600 / level["joules_per_output_token"]
    assert 4 <= tokens <= 4.001 * level["requests"]  # those inside the stretches that were held
    table = run_cli("results", "show", found["run_id"], cwd=fake_gpu.home).stdout
    assert "2 clients: " in table
    assert "energy of the GPU board only, from nvidia-smi" in table


def test_levels_without_a_sensor_are_null_with_a_reason(tmp_path: Path) -> None:
    found = stress(tmp_path, *BARE)
    (level,) = found["results"]["levels"]
    assert (level["energy_wh"], level["energy_reason"]) == (None, "no_provider")
    assert found["telemetry"]["reason"] == "no_provider"
    assert found["system_profile"]
    assert results.check(found) is None


def test_gpu_that_vanishes_is_noted_and_the_run_goes_on(fakes: Fakes) -> None:
    line = VALUES.replace("Example RTX, 595.10, 8.9, ", "")
    fakes.nvidia_smi([VALUES], f"for _ in 1 2 3; do echo '{line}'; /bin/sleep 0.05; done")
    args = ("--gpu-provider=nvidia-smi", "--profile-interval=20ms")
    found = benchmark(fakes.home, *args, token_s=0.1, path=path_with(fakes))  # its value gets old
    assert found["status"] == "complete"
    assert found["results"]["totals"]["energy_wh"] is None
    assert "provider_ended" in [note["code"] for note in found["telemetry"]["notes"]]
    assert found["system_profile"][-1]["gpus"][0]["power_w"] is None


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (
            ("--gpu-provider=rocm-smi",),
            "--gpu-provider: rocm-smi cannot be used: rocm-smi is not on PATH",
        ),
        (("--gpu-provider=rocm",), "--gpu-provider: unknown provider 'rocm'; did you mean"),
        (
            ("--profile-interval=10ms",),
            "--profile-interval: 0.01 is refused: input",
        ),
        (("--kwh-rate=-1",), "--kwh-rate: '-1' is refused"),
        (("--kwh-rate=1e9",), "--kwh-rate: '1e9' is refused"),
        (("--kwh-rate=nan",), "--kwh-rate: 'nan' is refused"),
        (("--pue=0.5",), "--pue: '0.5' is refused"),
        (("--duty=2",), "--duty: '2' is refused"),
        (("--tariff=night",), "--tariff: 'night' is refused: write FROM-TO=RATE"),
        (("--gpu=amd:77",), "--gpu: this machine has no device 'amd:77'; it has: "),
        (("--sampler=fibre",), "--sampler: 'fibre' is refused"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(
    tmp_path: Path, args: tuple[str, ...], words: str
) -> None:
    with ScriptedServer(OllamaFacade()) as server:
        command = ("benchmark", "tiny", f"--host={server.host}", *args)
        done = run_cli(*command, cwd=tmp_path, check=4, PATH="/bin", ROCM_PATH="/nowhere")
    assert words in done.stdout + done.stderr


def test_samples_survive_a_kill(tmp_path: Path) -> None:
    class Slow(OllamaFacade):
        """Kills the client in its fourth chat; two were warm-up."""

        def __call__(self, request: Request) -> Steps:
            if request.path == "/api/chat" and self.chats == 3:
                running.send_signal(signal.SIGKILL)
            return super().__call__(request)

    with ScriptedServer(Slow(token_s=0.1)) as server:
        args = (f"--host={server.host}", *BARE, "--profile-interval=20ms", "--iterations=9")
        running = Process[bytes](
            [*COMMAND, "benchmark", "tiny", *args],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert running.wait(60) == -signal.SIGKILL
    (folder,) = journal.leftovers(tmp_path / "results")
    found = results.build(journal.read(folder))
    assert found["status"] == "interrupted"
    assert found["system_profile"]
    assert "generate" in {sample["phase"] for sample in found["system_profile"]}


def command_output(fakes: Fakes, *args: str) -> str:
    env = {"PATH": path_with(fakes), "OLLAMA_HOST": "127.0.0.1:1"}
    return run_cli(*args, cwd=fakes.home, check=None, **env).stdout


def test_status_shows_gauges_and_why_others_are_not_there(fake_gpu: Fakes) -> None:
    text = command_output(fake_gpu, "status")
    assert "nvidia-smi: ok" in text
    assert "Example RTX 01:00.0: 3.00 % busy, 8,389 of 25,166 MB, 15" in text
    state = json.loads(command_output(fake_gpu, "status", "--output=json"))
    assert [sensor["id"] for sensor in state["sensors"]] == ["01:00.0"]
    assert state["sensors"][0]["energy_j"] is None
    assert {probe["name"] for probe in state["probes"]} >= {"amd-sysfs", "nvml", "nvidia-smi"}


def test_doctor_has_a_line_for_each_provider(fake_gpu: Fakes) -> None:
    said = json.loads(command_output(fake_gpu, "doctor", "--output=json"))
    found = {check["id"]: check for check in said}
    assert found["sensor.nvidia-smi"]["finding"] == "Example RTX"
    assert found["sensor.host"]["level"] == "ok"
    assert found["sensor.apple"]["finding"].startswith("not used: ")


HAND_MADE = """
import time

def test_by_hand(gpu_profiler):
    with gpu_profiler() as p:
        time.sleep(0.3)
    assert (p.energy_wh, p.power_draw_watts, p.reason) == (None, None, "no_provider")
    assert p.system_profile

def test_beside_a_model(llm, measure, gpu_profiler):
    with gpu_profiler() as p:
        measured = measure("Say hello.")
    assert p.timeline().about["server_location"] == "local"
    assert measured.runs[0]["null_reasons"]["energy_wh"] == "no_provider"
"""


def test_fixture_profiles_any_block(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(HAND_MADE)
    with ScriptedServer(OllamaFacade()) as server:
        options = [f"--llamaburn-{a}" for a in (f"host={server.host}", "model=tiny")]
        more = ["--llamaburn-gpu-provider=host", "--llamaburn-profile-interval=100ms"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "test_it.py", *options, *more],
            cwd=tmp_path,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 0, done.stdout
