"""Providers that ask command line tools, against tools that behave as real ones have."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.sensors import (
    NVIDIA_HELP,
    Clock,
    Fakes,
    known_values,
    readings_until,
    values_by_device,
)

from pytest_llamaburn.telemetry import _base, amd_smi, apple, nvidia_smi, rocm_smi

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_llamaburn.telemetry._base import Base


@pytest.fixture
def fakes(tmp_path: Path) -> Fakes:
    return Fakes(tmp_path)


# --- rocm-smi

ROCM_5 = {
    "card0": {
        "GPU ID": "0x73bf",
        "Temperature (Sensor edge) (C)": "43.0",
        "Temperature (Sensor junction) (C)": "45.0",
        "Temperature (Sensor memory) (C)": "50.0",
        "Average Graphics Package Power (W)": "41.0",
        "GPU use (%)": "7",
        "VRAM Total Memory (B)": "17163091968",
        "VRAM Total Used Memory (B)": "1000000000",
        "Card series": "Example RX",
        "PCI Bus": "0000:03:00.0",
    },
    "system": {"Driver version": "6.2"},
}
ROCM_61 = {
    "card0": {
        "Device Name": "Example MI",
        "Current Socket Graphics Package Power (W)": "150.0",
        "GPU use (%)": "98",
        "Temperature (Sensor junction) (C)": "71.0",
        "VRAM Total Memory (B)": "2000000000",
        "VRAM Total Used Memory (B)": "1500000000",
        "GPU Memory Allocated (VRAM%)": "75",
        "PCI Bus": "0000:0C:00.0",
    },
    "card1": {
        "Device Name": "N/A",
        "Card Series": "0x1002",
        "Card Model": "Example APU",
        "Average Graphics Package Power (W):": "12.5",
        "GPU use (%)": "0",
        "PCI Bus": "0000:0D:00.0",
    },
}
SECONDARY = {
    "card0": {
        "Current Socket Graphics Package Power (W)": "N/A (Secondary die)",
        "GPU use (%)": "3",
        "VRAM Total Memory (B)": "12868124672",
        "VRAM Total Used Memory (B)": "300000000",
        "PCI Bus": "0000:2D:00.0",
    }
}


def rocm(fakes: Fakes, text: Any, **more: Any) -> rocm_smi.Provider:
    fakes.says("rocm-smi", text, **more)
    return rocm_smi.Provider(fakes.machine())


def test_rocm_smi_of_version_5(fakes: Fakes) -> None:
    provider = rocm(fakes, ROCM_5)
    probe = provider.probe()
    assert probe.ok
    (device,) = probe.devices
    assert (device.id, device.name, device.power_kind) == ("03:00.0", "Example RX", "average")
    assert known_values(values_by_device(provider)["03:00.0"]) == {
        "power_w": 41.0,
        "util_pct": 7.0,
        "vram_used_mb": 1000.0,
        "vram_total_mb": pytest.approx(17163.091968),
        "temp_c": 43.0,
        "temp_mem_c": 50.0,
    }


def test_rocm_smi_of_version_6_names_power_differently_for_each_gpu(fakes: Fakes) -> None:
    provider = rocm(fakes, ROCM_61)
    assert [d.name for d in provider.probe().devices] == ["Example MI", "Example APU"]
    found = values_by_device(provider)
    assert (found["0c:00.0"]["power_w"], found["0c:00.0"]["temp_c"]) == (150.0, 71.0)
    assert (found["0d:00.0"]["power_w"], found["0d:00.0"]["util_pct"]) == (12.5, 0.0)


def test_rocm_smi_power_of_a_secondary_die_is_null_and_the_rest_stays(fakes: Fakes) -> None:
    provider = rocm(fakes, SECONDARY)
    assert "power_w" not in provider.probe().fields
    values = values_by_device(provider)["2d:00.0"]
    assert (values["power_w"], values["util_pct"]) == (None, 3.0)


def test_rocm_smi_second_die_of_a_card_is_covered_by_its_first(fakes: Fakes) -> None:
    first = {"Average Graphics Package Power (W)": "500.0", "PCI Bus": "0000:2C:00.0"}
    provider = rocm(fakes, {"card0": first, "card1": SECONDARY["card0"]})
    dies = {device.id: device.covered_by for device in provider.probe().devices}
    assert dies == {"2c:00.0": None, "2d:00.0": "2c:00.0"}
    assert rocm(fakes, SECONDARY).probe().devices[0].covered_by is None  # as a single card says it


def test_rocm_smi_of_2019_spells_temperatures_its_own_way(fakes: Fakes) -> None:
    card = {"Temperature (Sensor mem) (c)": "40.0", "GPU use (%)": "1", "PCI Bus": "nowhere"}
    provider = rocm(fakes, {"card3": card})
    assert provider.probe().devices[0].id == "rocm-smi:card3"
    assert values_by_device(provider)["rocm-smi:card3"]["temp_mem_c"] == 40.0


def test_rocm_smi_partitions_that_repeat_the_sockets_watts_are_one(fakes: Fakes) -> None:
    cards = {
        f"card{i}": {"Average Graphics Package Power (W)": "300.0", "PCI Bus": f"0000:05:00.{i}"}
        for i in range(8)
    }
    provider = rocm(fakes, cards)
    assert len(provider.probe().devices) == 1
    assert values_by_device(provider)["05:00.0"]["power_w"] == 300.0


WARNED = "WARNING: AMD GPU device(s) is/are in a low-power state [0]. {Check power control}\n\n"


def test_rocm_smi_warning_before_the_json_is_passed_over(fakes: Fakes) -> None:
    import json

    provider = rocm(fakes, WARNED + json.dumps(ROCM_5))
    assert provider.probe().ok


@pytest.mark.parametrize(
    ("text", "after", "code", "message"),
    [
        ("", "echo 'Driver not initialized' >&2", 0, "rocm-smi: Driver not initialized"),
        ("", "echo 'WARNING: No JSON data to report' >&2", 0, "No JSON data to report"),
        ("", "", 0, "rocm-smi: no output, exit code 0"),
        ("NOT_SUPPORTED: Cannot print JSON", "", 1, "rocm-smi: NOT_SUPPORTED"),
        ("GPU[0] : power 3 W", "", 0, "rocm-smi: GPU[0] : power 3 W"),
        ('{"card0": {"GPU use', "", 0, "rocm-smi: {"),
        ("[1, 2]", "", 0, "rocm-smi: [1, 2]"),
        ({"system": {"Driver version": "6"}}, "", 0, "rocm-smi: {"),
    ],
)
def test_rocm_smi_that_gives_nothing_says_why(
    fakes: Fakes, text: Any, after: str, code: int, message: str
) -> None:
    probe = rocm(fakes, text, after=after, code=code).probe()
    assert (probe.ok, probe.reason) == (False, "no_data")
    assert message in probe.message


def test_rocm_smi_without_a_value_is_not_used(fakes: Fakes) -> None:
    probe = rocm(fakes, {"card0": {"GPU use (%)": "N/A"}}).probe()
    assert (probe.ok, probe.reason) == (False, "unsupported_field")


def test_rocm_smi_is_also_found_in_rocm_itself(fakes: Fakes, tmp_path: Path) -> None:
    tool = fakes.says("rocm-smi", ROCM_5)
    place = tmp_path / "rocm" / "bin"
    place.mkdir(parents=True)
    tool.rename(place / "rocm-smi")
    machine = fakes.machine(environ={"ROCM_PATH": str(tmp_path / "rocm")})
    assert rocm_smi.Provider(machine).probe().ok
    assert rocm_smi.Provider(fakes.machine()).probe().reason == "no_tool"


def test_rocm_smi_that_dies_gives_no_old_values(fakes: Fakes) -> None:
    provider = rocm(fakes, ROCM_5)
    assert provider.probe().ok
    fakes.tool("rocm-smi", "exit 1")
    assert provider.read() == []


# --- amd-smi


def gpu(number: int, **sections: Any) -> dict[str, Any]:
    return {"gpu": number, **sections}


AMD_GPU = gpu(
    0,
    usage={"gfx_activity": {"value": 12, "unit": "%"}},
    power={"socket_power": {"value": 95, "unit": "W"}},
    temperature={"edge": "N/A", "hotspot": {"value": 60, "unit": "C"}, "mem": 55},
    mem_usage={"total_vram": {"value": 16384, "unit": "MB"}, "used_vram": 512},
    energy={"total_energy_consumption": {"value": 1234.5, "unit": "J"}},
)
LISTED = [{"gpu": 0, "bdf": "0000:03:00.0"}, {"gpu": 1, "bdf": "0000:43:00.0"}]


def amd(fakes: Fakes, metric: Any, listed: Any = LISTED, after: str = "") -> amd_smi.Provider:
    for name, said in (("metric", metric), ("list", listed)):
        fakes.says(f"amd-{name}", said)
    fakes.tool("amd-smi", f'/bin/cat "{fakes.home}/amd-$1.said"\n{after}')
    return amd_smi.Provider(fakes.machine())


@pytest.mark.parametrize("metric", [[AMD_GPU], {"gpu_data": [AMD_GPU]}], ids=["rocm6", "rocm7"])
def test_amd_smi_of_both_shapes(fakes: Fakes, metric: Any) -> None:
    provider = amd(fakes, metric)
    probe = provider.probe()
    assert probe.ok
    assert [d.id for d in probe.devices] == ["03:00.0"]
    assert known_values(values_by_device(provider)["03:00.0"]) == {
        "power_w": 95.0,
        "energy_j": 1234.5,
        "util_pct": 12.0,
        "vram_used_mb": 512.0,
        "vram_total_mb": 16384.0,
        "temp_c": 60.0,
        "temp_mem_c": 55.0,
    }


def test_amd_smi_section_that_is_a_text_or_absent_costs_no_other(fakes: Fakes) -> None:
    metric = {"gpu_data": [gpu(0, usage="N/A", power={"socket_power": 10}), gpu(1, usage={})]}
    provider = amd(fakes, metric)
    assert provider.probe().ok
    found = values_by_device(provider)
    assert known_values(found["03:00.0"]) == {"power_w": 10.0}
    assert known_values(found["43:00.0"]) == {}


def test_amd_smi_without_addresses_counts_its_gpus(fakes: Fakes) -> None:
    provider = amd(fakes, [AMD_GPU], listed="ERROR")
    assert provider.probe().devices[0].id == "amd-smi:0"


def test_amd_smi_text_around_the_json_and_doubled_json_are_passed_over(fakes: Fakes) -> None:
    import json

    one = json.dumps({"gpu_data": [AMD_GPU]})
    text = f"'CTRL' + 'C' to stop watching output:\n[WARNING] {{odd}}\n{one}\n{one}\n"
    assert amd(fakes, text).probe().ok


@pytest.mark.parametrize(
    ("metric", "after", "words"),
    [
        ("AMDSMI Tool: 24.6\n", "echo 'amdgpu not found in modules' >&2; exit 255", "not found"),
        ("", "", "N/A"),
        ([gpu(0, power="N/A", usage="N/A")], "", "N/A"),
    ],
)
def test_amd_smi_that_gives_nothing_says_why(
    fakes: Fakes, metric: Any, after: str, words: str
) -> None:
    probe = amd(fakes, metric, after=after).probe()
    assert (probe.ok, probe.reason) == (False, "unsupported_field")
    assert words in probe.message


def test_amd_smi_partitions_are_one_device(fakes: Fakes) -> None:
    listed = [{"gpu": i, "bdf": f"0000:05:00.{i}"} for i in range(4)]
    metric = {"gpu_data": [gpu(i, power={"socket_power": 300}) for i in range(4)]}
    provider = amd(fakes, metric, listed)
    assert [d.id for d in provider.probe().devices] == ["05:00.0"]


def test_amd_smi_that_is_absent(fakes: Fakes) -> None:
    assert amd_smi.Provider(fakes.machine()).probe().reason == "no_tool"


# --- nvidia-smi

ROW = "00000000:01:00.0, Example RTX, 595.10, 8.9"
VALUES = "150.00, 148.00, 35, 8000, 24000, 61, 350.00, 1800"
LINE = f"00000000:01:00.0, {VALUES}"


@pytest.fixture
def stream(fakes: Fakes) -> Iterator[Any]:
    made: list[Base] = []

    def start(script: str, rows: list[str] | None = None, **more: Any) -> nvidia_smi.Provider:
        fakes.nvidia_smi([f"{ROW}, {VALUES}"] if rows is None else rows, script, **more)
        provider = nvidia_smi.Provider(fakes.machine())
        made.append(provider)
        return provider

    yield start
    for provider in made:
        provider.close()


def test_nvidia_smi_streams_rows(stream: Any) -> None:
    provider = stream(f"echo '{LINE}'; echo '{LINE}'; exec /bin/sleep 600")
    probe = provider.probe()
    assert (probe.ok, probe.version) == (True, "595.10")
    (device,) = probe.devices
    assert (device.id, device.name, device.power_kind) == ("01:00.0", "Example RTX", "instant")
    first, second = readings_until(provider.read, 2)
    assert first.t_ns <= second.t_ns
    assert known_values(first.values) == {
        "power_w": 150.0,
        "util_pct": 35.0,
        "vram_used_mb": pytest.approx(8388.608),
        "vram_total_mb": pytest.approx(25165.824),
        "temp_c": 61.0,
        "power_limit_w": 350.0,
        "clock_mhz": 1800.0,
    }
    assert provider.notes == {}


def test_nvidia_smi_values_change_with_the_stream(stream: Any) -> None:
    other = LINE.replace("150.00", "90.5")
    provider = stream(f"echo '{LINE}'; echo '{other}'; exec /bin/sleep 600")
    provider.probe()
    assert [r.values["power_w"] for r in readings_until(provider.read, 2)] == [150.0, 90.5]


def test_nvidia_smi_that_vanishes_gives_nothing_more_and_says_so(stream: Any) -> None:
    provider = stream(f"echo '{LINE}'; printf '{LINE[:20]}'")
    provider.probe()
    assert len(readings_until(provider.read, 1)) == 1  # the line that was cut is none
    provider._stream._thread.join(10)
    assert provider.read() == []
    assert ("provider_ended", "power_w") in provider.notes


def test_nvidia_smi_warnings_and_garbage_in_the_stream_are_no_rows(stream: Any) -> None:
    noise = "echo 'WARNING: infoROM is corrupted'; echo ,,"
    provider = stream(f"{noise}; echo '{LINE}'; exec /bin/sleep 600")
    provider.probe()
    assert len(readings_until(provider.read, 1)) == 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("[N/A], 148.00, [N/A], [N/A], [N/A], 61, [N/A], [N/A]", ("avg_1s", "unified", 148.0)),
        ("11.17, [N/A], 0, [N/A], [N/A], 40, N/A, 208", ("instant", "unified", 11.17)),
        ("[Not Supported], [Unknown Error], 3, 10, 20, ERR!, , 300", ("avg_1s", "vram", None)),
        ("0.00, 0.00, 90, 10, 20, 61, 350, 300", ("instant", "vram", None)),
    ],
    ids=["Turing", "unified memory", "errors", "0 W under load"],
)
def test_nvidia_smi_field_that_is_missing_costs_no_other(
    stream: Any, values: str, expected: tuple[str, str, float | None]
) -> None:
    provider = stream(
        f"echo '00000000:01:00.0, {values}'; exec /bin/sleep 600", [f"{ROW}, {values}"]
    )
    (device,) = provider.probe().devices
    (reading,) = readings_until(provider.read, 1)
    assert (device.power_kind, device.memory_kind, reading.values["power_w"]) == expected


def test_nvidia_smi_second_board_without_power_is_there_without_it(stream: Any) -> None:
    blind = "[N/A], [N/A], [N/A], 10, 20, 61, 350, 300"  # as with MIG, or on a vGPU
    rows = [f"{ROW}, {VALUES}", f"{ROW.replace('01:', '02:')}, {blind}"]
    probe = stream("exec /bin/sleep 600", rows).probe()
    assert [device.id for device in probe.devices] == ["01:00.0", "02:00.0"]
    assert "power_w" in probe.fields


def test_nvidia_smi_that_knows_uuids_gives_them(stream: Any) -> None:
    row = f"{ROW}, GPU-1234, {VALUES}"
    (device,) = stream("exec /bin/sleep 600", [row], known=f'{NVIDIA_HELP}\n"uuid"').probe().devices
    assert (device.id, device.uuid) == ("01:00.0", "GPU-1234")


@pytest.mark.parametrize(
    ("generation", "kind"), [("7.5", "instant"), ("8.0", "instant"), ("8.6", "avg_1s")]
)
def test_nvidia_smi_power_draw_is_a_mean_from_ampere_on(
    stream: Any, generation: str, kind: str
) -> None:
    known_columns = '"compute_cap" "power.draw" "utilization.gpu"'
    rows = [f"00000000:01:00.0, Example, 470.1, {generation}, 20.0, 5"]
    (device,) = stream("exec /bin/sleep 600", rows, known=known_columns).probe().devices
    assert device.power_kind == kind


def test_nvidia_smi_too_old_for_its_own_help_is_asked_for_the_old_columns(stream: Any) -> None:
    rows = ["00000000:01:00.0, Old, 390.1, 20, 1, 10, 20, 50, [N/A], 75, 900"]
    (device,) = stream("", rows, known="").probe().devices
    assert device.power_kind == "avg_1s"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'NVIDIA-SMI has failed' ; exit 9", "nvidia-smi: NVIDIA-SMI has failed"),
        ("exit 0", "nvidia-smi: no output, exit code 0"),
        ("echo 'Field \"x\" is not a valid field to query.' >&2; exit 2", "not a valid field"),
    ],
)
def test_nvidia_smi_that_fails_says_why(fakes: Fakes, script: str, message: str) -> None:
    fakes.tool("nvidia-smi", script)
    probe = nvidia_smi.Provider(fakes.machine()).probe()
    assert (probe.ok, probe.reason) == (False, "no_data")
    assert message in probe.message


def test_nvidia_smi_that_is_absent_and_never_opened_closes(fakes: Fakes) -> None:
    provider = nvidia_smi.Provider(fakes.machine())
    assert provider.probe().reason == "no_tool"
    assert provider.read() == []
    provider.close()


# --- commands in general


def test_command_that_hangs_is_killed_with_its_children(fakes: Fakes) -> None:
    tool = fakes.tool("hangs", "/bin/sleep 600 & /bin/sleep 600")
    done = _base.run([str(tool)], 0.2)
    assert done.problem == "hangs did not end within 0.2 s"
    assert done.stdout == ""


def test_command_that_cannot_start_is_a_problem_and_no_exception(tmp_path: Path) -> None:
    assert "cannot be started: No such file" in _base.run([str(tmp_path / "none")]).problem


def test_windows_has_no_process_groups(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    child = _base.spawn([str(fakes.tool("waits", "exec /bin/sleep 600"))])
    monkeypatch.delattr(os, "killpg")
    _base.kill(child)
    _base.reap(child)
    assert child.returncode != 0


def test_stream_ends_with_its_thread(fakes: Fakes) -> None:
    tool = fakes.tool("streams", "echo one; exec /bin/sleep 600")
    before = threading.active_count()
    stream = _base.Stream(fakes.machine(), [str(tool)])
    assert not stream.ended
    stream.close()
    assert threading.active_count() == before


# --- Apple


class Monitor:
    """zeus-apple-silicon, its counters growing by a joule a look."""

    def __init__(self, *parts: int | None) -> None:
        self.parts = parts or (500, 300, 100, None)
        self.looks = 0

    def AppleEnergyMonitor(self) -> Monitor:  # noqa: N802 - the library's name
        return self

    def get_cumulative_energy(self) -> Any:
        self.looks += 1
        if self.looks > 3:
            raise RuntimeError("gone")
        names = ("cpu_total_mj", "gpu_mj", "dram_mj", "ane_mj")
        more = {n: p and p + 250 * self.looks for n, p in zip(names, self.parts, strict=True)}
        return type("Metrics", (), more)


def test_apple_module_gives_energy_and_the_power_it_means(fakes: Fakes) -> None:
    clock = Clock(step=500_000_000)
    machine = fakes.machine(platform="darwin", load=lambda _: Monitor(), clock=clock)
    provider = apple.Provider(machine)
    probe = provider.probe()
    (device,) = probe.devices
    assert (probe.ok, device.scope, device.power_kind) == (True, "soc", "counter")
    (values,) = values_by_device(provider).values()
    assert known_values(values) == {"energy_j": pytest.approx(0.75), "power_w": pytest.approx(0.75)}
    provider.read()
    assert provider.read() == []
    assert ("provider_ended", "power_w") in provider.notes
    provider.close()


def test_apple_chip_without_counters_is_not_used(fakes: Fakes) -> None:
    class Silent:
        def AppleEnergyMonitor(self) -> Silent:  # noqa: N802
            return self

        def get_cumulative_energy(self) -> object:
            return object()

    machine = fakes.machine(platform="darwin", load=lambda _: Silent())
    assert apple.Provider(machine).probe().reason == "unsupported_field"


MACMON = (
    '{"all_power": 12.5, "gpu_power": 0.0, "gpu_usage": [800, 0.25], '
    '"memory": {"ram_total": 16000000000, "ram_usage": 8000000000}, '
    '"temp": {"gpu_temp_avg": 45.5}}'
)


def test_macmon_streams_the_chips_power(fakes: Fakes) -> None:
    fakes.tool("macmon", f"echo '{MACMON}'\ncase \"$*\" in *'-s 0'*) exec /bin/sleep 600;; esac")
    provider = apple.Provider(fakes.machine(platform="darwin"))
    probe = provider.probe()
    assert (probe.ok, probe.devices[0].power_kind) == (True, "average")
    (reading,) = readings_until(provider.read, 1)
    assert known_values(reading.values) == {
        "power_w": 12.5,
        "util_pct": 25.0,
        "vram_used_mb": 8000.0,
        "vram_total_mb": 16000.0,
        "temp_c": 45.5,
        "clock_mhz": 800.0,
    }
    provider.close()


def test_macmon_that_ends_says_so(fakes: Fakes) -> None:
    fakes.tool("macmon", f"echo '{MACMON}'; echo garbage")
    provider = apple.Provider(fakes.machine(platform="darwin"))
    provider.probe()
    readings_until(provider.read, 1)
    assert provider._stream is not None
    provider._stream._thread.join(10)
    assert provider.read() == []
    assert ("provider_ended", "power_w") in provider.notes
    provider.close()


@pytest.mark.parametrize("script", [None, "echo '{}'"])
def test_mac_without_a_readable_sensor_says_what_to_install(
    fakes: Fakes, script: str | None
) -> None:
    if script:
        fakes.tool("macmon", script)
    probe = apple.Provider(fakes.machine(platform="darwin")).probe()
    assert not probe.ok
    assert "pytest-llamaburn[apple]" in probe.message


def test_other_systems_are_no_mac(fakes: Fakes) -> None:
    assert apple.Provider(fakes.machine(platform="linux")).probe().reason == "no_device"
