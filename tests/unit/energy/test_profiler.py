"""The profiler keeps its schedule, outlives its sensors, and says what it cost."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.sensors import BOARD, Clock, Fakes, listening_process, path_with

from pytest_llamaburn import registry
from pytest_llamaburn.backends._base import Server
from pytest_llamaburn.energy import profiler, sampler
from pytest_llamaburn.energy.profiler import Profiler
from pytest_llamaburn.energy.sampler import Child, Loop
from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.option import model_of
from pytest_llamaburn.settings import Run
from pytest_llamaburn.telemetry import _detect
from pytest_llamaburn.telemetry._base import Base, Device, Machine, Probe, Reading
from pytest_llamaburn.telemetry._detect import Gauges, Plan

if TYPE_CHECKING:
    from pathlib import Path

MS = 1_000_000
PLAN = Plan("auto", 0.5, local=True, port=None)


@pytest.fixture
def fakes(tmp_path: Path) -> Fakes:
    return Fakes(tmp_path)


def settings(**values: Any) -> Run:
    made: Any = model_of(Run)(**values)
    return made  # type: ignore[no-any-return]


class Sensor(Base):
    """A sensor whose readings take some time on a clock of the test."""

    vendor = "test"

    def __init__(self, clock: Clock, *costs_ms: float) -> None:
        super().__init__(Machine())
        self.clock, self.costs = clock, list(costs_ms)
        self.times: list[int] = []

    def probe(self) -> Probe:
        return Probe(ok=True)

    def read(self) -> list[Reading]:
        self.times.append(self.clock.now)
        cost = self.costs.pop(0) if len(self.costs) > 1 else self.costs[0]
        if cost < 0:
            raise RuntimeError("bus error")
        self.clock.now += round(cost * MS)
        return [Reading("gpu", self.clock.now, cost, {"power_w": 100.0})]


def looped(sensor: Sensor, waits: int, **more: Any) -> tuple[Loop, list[int]]:
    """Return a loop after so many waits, and how many readings each publication had."""
    batches: list[int] = []
    loop = Loop(sensor, "test", PLAN, lambda b: batches.append(len(b)), sensor.clock, **more)
    left = iter(range(waits))

    def wait(seconds: float) -> bool:
        sensor.clock.now += round(seconds * 1e9)
        return next(left, None) is None

    loop.run(wait)
    return loop, batches


def test_schedule_is_absolute_and_does_not_drift() -> None:
    sensor = Sensor(Clock(0), 7, 1, 13, 2)
    loop, batches = looped(sensor, 100)
    assert sensor.times[:101] == [i * 100 * MS for i in range(101)]
    assert loop.facts() == {
        "provider": "test",
        "period_ms": 100.0,
        "stretched": False,
        "reads": 102,
        "missed_ticks": 0,
        "read_ms": 2.0,
    }
    assert sum(batches) == 102
    assert batches[0] == 6  # what is read within the interval is published together


def test_ticks_that_passed_are_missed_and_never_caught_up() -> None:
    sensor = Sensor(Clock(0), 1, 350, 1)
    loop, _ = looped(sensor, 3)
    assert [t // MS for t in sensor.times[:4]] == [0, 100, 500, 600]
    assert loop.missed_ticks == 3


def test_sensor_that_costs_too_much_is_read_less_often() -> None:
    sensor = Sensor(Clock(0), 60)
    loop, _ = looped(sensor, 10)
    assert (loop.stretched, loop.period_ns) == (True, 240 * MS)
    assert ("stretched_period", "test") in sensor.notes


def test_sensor_that_raises_is_noted_and_read_again() -> None:
    sensor = Sensor(Clock(0), 1, -1, 1)
    assert sum(looped(sensor, 2)[1]) == 3
    assert sensor.notes["provider_failed", "test"].message == "test failed: RuntimeError: bus error"


def test_slow_provider_sets_its_own_period() -> None:
    sensor = Sensor(Clock(0), 1)
    sensor.min_period_s = 2.0  # type: ignore[misc]
    assert looped(sensor, 1)[0].period_ns == 2000 * MS


# --- which sensors are read


def used(machine: Machine, provider: str = "auto", *, local: bool = True) -> list[str]:
    found, _ = _detect.choose(Plan(provider, 0.5, local, None), machine)
    for _, member, _ in found:
        member.close()
    return [name for name, _, _ in found]


ROCM = {"card0": {"Average Graphics Package Power (W)": "40.0", "PCI Bus": "0000:03:00.0"}}


def test_bare_machine_has_none(fakes: Fakes) -> None:
    assert used(fakes.machine()) == []


def test_first_of_a_vendor_that_works_is_used(fakes: Fakes) -> None:
    fakes.card(0, "03:00.0", **BOARD)
    fakes.says("rocm-smi", ROCM)
    assert used(fakes.machine()) == ["amd-sysfs"]


def test_power_that_the_first_lacks_comes_from_a_further_one(fakes: Fakes) -> None:
    fakes.card(0, "03:00.0", gpu_busy_percent="5")
    fakes.says("rocm-smi", ROCM)
    found, probes = _detect.choose(PLAN, fakes.machine())
    assert [name for name, _, _ in found] == ["amd-sysfs", "rocm-smi"]
    (device,) = _detect.summary(found)["devices"]
    assert (device["id"], device["power_kind"]) == ("03:00.0", "average")
    assert {p["name"] for p in probes} >= {"amd-sysfs", "amd-smi", "rocm-smi", "nvml", "rapl"}


def test_further_one_without_power_is_not_needed(fakes: Fakes) -> None:
    fakes.card(0, "03:00.0", gpu_busy_percent="5")
    fakes.says("rocm-smi", {"card0": {"GPU use (%)": "1", "PCI Bus": "0000:03:00.0"}})
    assert used(fakes.machine()) == ["amd-sysfs"]


def test_vendors_are_read_side_by_side(fakes: Fakes) -> None:
    fakes.card(0, "03:00.0", **BOARD)
    values = "00000000:01:00.0, Example, 595.10, 8.9, 150, 148, 3, 10, 20, 60, 350, 1800"
    fakes.nvidia_smi([values], "exec /bin/sleep 600")
    assert used(fakes.machine()) == ["amd-sysfs", "nvidia-smi"]


def test_suspended_gpu_is_not_asked_another_way(fakes: Fakes) -> None:
    fakes.card(0, "03:00.0", power__runtime_status="suspended")
    fakes.says("rocm-smi", ROCM)
    assert used(fakes.machine()) == ["amd-sysfs"]


def test_remote_server_has_no_sensors_here(fakes: Fakes) -> None:
    fakes.card(0, "03:00.0", **BOARD)
    assert used(fakes.machine(), local=False) == []


def test_forced_provider_stands_alone(fakes: Fakes) -> None:
    fakes.card(0, "03:00.0", **BOARD)
    fakes.says("rocm-smi", ROCM)
    assert used(fakes.machine(), "rocm-smi") == ["rocm-smi"]
    assert used(fakes.machine(), "host") == []


def test_forced_provider_that_is_absent_is_an_error_with_its_reason(fakes: Fakes) -> None:
    with pytest.raises(SettingsError, match="rocm-smi cannot be used: rocm-smi is not on PATH"):
        used(fakes.machine(), "rocm-smi")


def test_unknown_provider_lists_the_known_with_why_each_is_not_there(fakes: Fakes) -> None:
    with pytest.raises(SettingsError) as told:
        _detect.check("rocm-sim", fakes.machine())
    text = str(told.value)
    assert "did you mean 'rocm-smi'?" in text
    assert "amd-sysfs (the kernel shows no AMD GPU)" in text
    assert "host (ok)" in text
    assert all(name in text for name in registry.names("telemetry"))


def test_gauges_show_devices_and_what_providers_said(fakes: Fakes) -> None:
    fakes.card(0, "03:00.0", **BOARD)
    gauges = Gauges(fakes.machine())
    (device,) = gauges.read()
    assert (device["id"], device["power_w"], device["energy_j"]) == ("03:00.0", 150.0, None)
    assert {p["name"]: p["ok"] for p in gauges.probes}["amd-sysfs"] is True
    gauges.close()


# --- the whole

SAMPLERS = pytest.mark.parametrize("sampler", ["thread", "process"])


def watched(
    fakes: Fakes, enough: int, server: Any = None, **values: Any
) -> tuple[Profiler, list[dict[str, Any]]]:
    """Return a profiler that has stopped after so many readings were published, and its entries."""
    told: list[dict[str, Any]] = []
    done = threading.Event()

    def publish(entry: dict[str, Any]) -> None:
        told.append(entry)
        if sum(len(e.get("readings", ())) for e in told) >= enough:
            done.set()

    choice = settings(profile_interval=0.02, **values)
    with Profiler(choice, server, publish=publish, machine=fakes.machine()) as found:
        assert done.wait(60)
    return found, told


@SAMPLERS
def test_power_is_read_and_integrated(fakes: Fakes, sampler: str) -> None:
    fakes.card(0, "03:00.0", hwmon__power1_input="150000000", gpu_busy_percent="42")
    found, told = watched(fakes, 200, sampler=sampler)
    assert found.has_power
    if found.reason != "low_coverage":  # as it may be where this machine is overloaded
        assert found.reason is None
        assert found.energy_wh is not None
        assert found.power_draw_watts == pytest.approx(150)
        assert found.power_peak_watts == pytest.approx(150)
    assert {entry["segment"] for entry in told} == {found.segment}
    about = told[-1]["about"]
    assert about["sampler"] == sampler
    assert {loop["provider"] for loop in about["loops"]} == {"host", "amd-sysfs"}
    assert about["cpu_pct"] > 0
    assert about["devices"][0]["id"] == "03:00.0"
    profile = found.system_profile
    assert profile[-1]["gpus"][0]["util_pct"] == 42.0
    found.stop()  # a second time does nothing


@SAMPLERS
def test_nothing_to_read_is_null_with_a_reason(fakes: Fakes, sampler: str) -> None:
    found, _ = watched(fakes, 3, sampler=sampler)
    assert (found.energy_wh, found.power_draw_watts, found.power_peak_watts) == (None, None, None)
    assert found.reason == "no_provider"
    assert not found.has_power
    assert found.system_profile[0]["gpus"] == []


@SAMPLERS
def test_forced_provider_that_is_absent_ends_the_start(fakes: Fakes, sampler: str) -> None:
    choice = settings(sampler=sampler, gpu_provider="amd-sysfs")
    with pytest.raises(SettingsError, match="amd-sysfs cannot be used"):
        Profiler(choice, machine=fakes.machine()).start()


@SAMPLERS
def test_device_that_is_not_there_ends_the_start_with_those_that_are(
    fakes: Fakes, sampler: str
) -> None:
    fakes.card(0, "03:00.0", **BOARD)
    fakes.card(1, "0c:00.0", **BOARD)
    choice = settings(sampler=sampler, gpu=("0c:00.0", "amd:2"))
    words = "--gpu: this machine has no device 'amd:2'; it has: amd:0 .03:00.0., amd:1 .0c"
    with pytest.raises(SettingsError, match=words):
        Profiler(choice, machine=fakes.machine()).start()


@pytest.mark.parametrize(
    "name", ["1", "amd:1", "AMD:1", "0c:00.0", "0000:0C:00.0", "00000000:0c:00.0", "gpu-12ab"]
)
def test_device_is_chosen_by_each_of_its_names(name: str) -> None:
    first = Device("03:00.0", None, "amd")._asdict()
    second = Device("0c:00.0", None, "amd", uuid="GPU-12ab")._asdict()
    assert _detect.wanted([name], [first, second]) == ["0c:00.0"]


def test_no_device_can_be_chosen_where_none_is_read() -> None:
    with pytest.raises(SettingsError, match="it has: none with readable sensors"):
        _detect.wanted(["0"], [])


def test_remote_server_s_devices_are_not_chosen_from_those_here(fakes: Fakes) -> None:
    server = Server("openai", None, "http://192.0.2.1:8000", local=False)
    found, _ = watched(fakes, 1, server, gpu=("nvidia:7",))
    assert found.reason == "remote_server"


def test_what_the_server_uses_is_asked_every_few_seconds() -> None:
    class Using(Sensor):
        def uses(self) -> dict[str, float]:
            if self.clock.now > 6_000 * MS:
                raise RuntimeError("gone")
            return {"gpu": 1.0}

    sensor = Using(Clock(0), 1)
    told: list[Reading] = []
    loop = Loop(sensor, "test", PLAN, told.extend, sensor.clock)
    left = iter(range(120))

    def wait(seconds: float) -> bool:
        sensor.clock.now += round(seconds * 1e9)
        return next(left, None) is None

    loop.run(wait)
    said = [(r.t_ns // MS, r.values) for r in told if r.device_id == "server"]
    assert said == [(1, {"gpu": 1.0}), (5001, {"gpu": 1.0})]
    assert sensor.notes["provider_failed", "test"].message == "test failed: RuntimeError: gone"


def test_chosen_device_counts_alone(fakes: Fakes) -> None:
    for number, bus in enumerate(("03:00.0", "0c:00.0")):
        power = str((number + 1) * 50_000_000)
        fakes.card(number, bus, hwmon__power1_input=power, gpu_busy_percent="42")
    found, _ = watched(fakes, 200, gpu=("amd:1",), sampler="thread")
    line = found.timeline()
    assert [d["id"] for d in line.counted] == ["0c:00.0"]
    assert line.not_counted == [{"device": "03:00.0", "reason": "not_chosen"}]


def test_switched_off_nothing_is_read(fakes: Fakes) -> None:
    told: list[dict[str, Any]] = []
    with Profiler(settings(profile=False), publish=told.append, machine=fakes.machine()) as found:
        pass
    assert (found.reason, found.system_profile) == ("profile_off", [])
    assert told[0]["about"]["reason"] == "profile_off"


def test_remote_server_leaves_the_clients_own_values(fakes: Fakes) -> None:
    server = Server("openai", None, "http://192.0.2.1:8000", local=False)
    fakes.card(0, "03:00.0", **BOARD)
    found, told = watched(fakes, 3, server)
    assert found.reason == "remote_server"
    assert told[-1]["about"]["server_location"] == "remote"
    sample = found.system_profile[0]
    assert (sample["cpu_pct"], sample["ram_used_mb"], sample["server_rss_mb"]) == (None, None, None)
    assert told[-1]["about"]["cpu_pct_of"] is None
    assert (sample["client_rss_mb"] or 0) > 1


@SAMPLERS
def test_server_that_is_started_anew_is_watched_again(fakes: Fakes, sampler: str) -> None:
    (first, port), (second, new_port) = listening_process(), listening_process()
    told: list[dict[str, Any]] = []
    seen, moved_ns = threading.Event(), [time.perf_counter_ns() * 2]

    def publish(entry: dict[str, Any]) -> None:
        told.append(entry)
        for _, t_ns, _, values in entry.get("readings", ()):
            if t_ns > moved_ns[0] and "server_rss_mb" in values:
                seen.set()

    server = Server("embedded", None, f"http://127.0.0.1:{port}", local=True)
    choice = settings(profile_interval=0.02, sampler=sampler)
    with Profiler(choice, server, publish=publish, machine=fakes.machine()) as found:
        found.follow(None)
        first.communicate()
        moved_ns[0] = time.perf_counter_ns()
        found.follow(new_port)
        assert seen.wait(60)
    second.communicate()
    assert told[-1]["about"]["notes"] == []


def test_remote_server_is_followed_nowhere(fakes: Fakes) -> None:
    server = Server("ollama", None, "http://192.0.2.1:11434", local=False)
    machine = fakes.machine()
    with Profiler(settings(), server, machine=machine) as found:
        found.follow(1)
    assert machine.server_port is None


def test_high_concurrency_moves_the_sampler_out(fakes: Fakes) -> None:
    few, many = (
        Profiler(settings(), concurrency=n, machine=fakes.machine())
        for n in (profiler.PROCESS_ABOVE, profiler.PROCESS_ABOVE + 1)
    )
    assert not isinstance(few._sampler, Child)
    assert isinstance(many._sampler, Child)


def test_phases_are_named_and_disks_may_be_full(fakes: Fakes) -> None:
    def full(entry: dict[str, Any]) -> None:
        raise ResultsError("no space left")

    found = Profiler(settings(), publish=full, machine=fakes.machine()).start()
    with found.phase("load"):
        pass
    found.stop()
    ((name, began, ended),) = found.timeline().about["marks"]
    assert (name, began <= ended) == ("load", True)


def test_provider_that_dies_is_noted_and_its_last_value_not_repeated(fakes: Fakes) -> None:
    values = "00000000:01:00.0, Example, 595.10, 8.9, 150, 148, 3, 10, 20, 60, 350, 1800"
    line = "00000000:01:00.0, 150, 148, 3, 10, 20, 60, 350, 1800"
    fakes.nvidia_smi([values], f"echo '{line}'; echo '{line}'")
    found, told = watched(fakes, 60)
    assert told[-1]["about"]["notes"][0]["code"] == "provider_ended"
    assert found.reason in ("window_too_short", "low_coverage")
    assert sum(row[0] == "01:00.0" for e in told for row in e.get("readings", ())) == 2


def test_child_that_hangs_is_killed(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "PATIENCE_S", 0.01)
    child = Child(PLAN, fakes.machine(), lambda rows: None)
    child._process = subprocess.Popen(
        ["/bin/sleep", "600"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stop() == {}
    assert child._process.returncode != 0


def test_child_that_does_not_start_is_an_error(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(SettingsError, match="the sampler did not start"):
        Child(PLAN, fakes.machine(), lambda rows: None).start()


def test_child_outlives_a_parent_by_nothing(fakes: Fakes) -> None:
    task = {"plan": PLAN._asdict(), "root": str(fakes.home / "root")}
    command = [sys.executable, "-m", "pytest_llamaburn.energy.sampler", json.dumps(task)]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=True, timeout=60)
    first, *_, last = map(json.loads, done.stdout.splitlines())
    assert first["reason"] == "no_provider"
    assert last["loops"][0]["provider"] == "host"


def test_child_says_why_it_cannot_start(fakes: Fakes) -> None:
    plan = PLAN._replace(provider="apple" if sys.platform != "darwin" else "rapl")
    task = {"plan": plan._asdict(), "root": str(fakes.home / "root")}
    command = [sys.executable, "-m", "pytest_llamaburn.energy.sampler", json.dumps(task)]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=True, timeout=60)
    assert "cannot be used" in json.loads(done.stdout)["error"]


def test_clocks_of_processes_agree() -> None:
    code = "from time import perf_counter_ns; print(perf_counter_ns())"
    before = time.perf_counter_ns()
    theirs = int(
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    )
    assert before < theirs < time.perf_counter_ns()


def test_path_of_fakes_comes_first(fakes: Fakes) -> None:
    assert path_with(fakes).startswith(str(fakes.home / "bin"))
