"""Providers that read the kernel's files, and libraries, against fakes of both."""

from __future__ import annotations

import errno
import threading
from collections import namedtuple
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.sensors import (
    BOARD,
    MEMORY,
    Clock,
    Fakes,
    known_values,
    listening_process,
    values_by_device,
)

from pytest_llamaburn.environment import OtherLoad
from pytest_llamaburn.telemetry import amd_sysfs, host, intel_sysfs, nvml, rapl
from pytest_llamaburn.telemetry._base import read_text

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_llamaburn.telemetry._base import Base


@pytest.fixture
def fakes(tmp_path: Path) -> Fakes:
    return Fakes(tmp_path)


def opened(provider: Base) -> Base:
    assert provider.probe().ok
    return provider


# --- amdgpu


def amd(fakes: Fakes, **fields: Any) -> amd_sysfs.Provider:
    return amd_sysfs.Provider(fakes.machine(**fields))


def test_amd_board_gives_all_its_files(fakes: Fakes) -> None:
    fakes.card(0, "03:00.0", **BOARD)
    provider = amd(fakes)
    (device,) = provider.probe().devices
    assert (device.id, device.scope, device.power_kind) == ("03:00.0", "gpu_board", "average")
    assert known_values(values_by_device(provider)["03:00.0"]) == {
        "power_w": 150.0,
        "util_pct": 42.0,
        "vram_used_mb": 8000.0,
        "vram_total_mb": 16000.0,
        "temp_c": 60.0,
        "temp_mem_c": 66.0,
        "power_limit_w": 300.0,
        "clock_mhz": 2100.0,
    }


def test_amd_newer_kernels_have_the_other_power_file_only(fakes: Fakes) -> None:
    fakes.card(0, "03:00.0", hwmon__power1_input="35000000", hwmon__power1_cap="300000000")
    provider = amd(fakes)
    assert provider.probe().devices[0].power_kind == "instant"
    assert known_values(values_by_device(provider)["03:00.0"]) == {
        "power_w": 35.0,
        "power_limit_w": 300.0,
    }


def test_amd_display_controllers_and_connectors_are_no_gpus(fakes: Fakes) -> None:
    fakes.card(0, "02:00.0", vendor="0x1a03")
    fakes.card(1, "03:00.0", **BOARD)
    fakes.files("sys/class/drm/card1-DP-1", {"device/vendor": "0x1002"})
    assert [d.id for d in amd(fakes).probe().devices] == ["03:00.0"]


def test_amd_suspended_gpu_is_left_asleep(fakes: Fakes) -> None:
    fakes.card(0, "03:00.0", **{**BOARD, "power__runtime_status": "suspended"})
    touched: list[str] = []

    def read(path: Path) -> str:
        touched.append(path.name)
        return read_text(path)

    provider = amd(fakes, read=read)
    probe = provider.probe()
    assert (probe.ok, probe.fields) == (True, frozenset())
    assert provider.read() == []
    assert ("suspended", "power_w") in provider.notes
    assert not {"gpu_busy_percent", "power1_average"} & set(touched)


def test_amd_field_the_kernel_does_not_support_costs_no_other(fakes: Fakes) -> None:
    fakes.card(0, "03:00.0", **BOARD)

    def read(path: Path) -> str:
        if path.name == "gpu_busy_percent":
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return read_text(path)

    values = values_by_device(opened(amd(fakes, read=read)))["03:00.0"]
    assert (values["util_pct"], values["power_w"]) == (None, 150.0)


@pytest.mark.parametrize("metrics", [b"\x80\x00\x02\x03", None], ids=["gpu_metrics", "no cap"])
def test_amd_apu_is_a_whole_chip_with_shared_memory(fakes: Fakes, metrics: bytes | None) -> None:
    gtt = {"mem_info_gtt_used": "1000000000", "mem_info_gtt_total": "14000000000"}
    more = {"hwmon__power1_average": "28000000", **({"hwmon__power1_cap": "1"} if metrics else {})}
    folder = fakes.card(0, "c1:00.0", **MEMORY, **gtt, **more)
    if metrics:
        (folder / "gpu_metrics").write_bytes(metrics)
    provider = amd(fakes)
    (device,) = provider.probe().devices
    assert (device.scope, device.memory_kind, device.integrated) == ("soc", "unified", True)
    values = values_by_device(provider)["c1:00.0"]
    assert (values["vram_used_mb"], values["vram_total_mb"]) == (9000.0, 30000.0)


def test_amd_partitions_of_one_device_are_one(fakes: Fakes) -> None:
    for number in range(4):
        fakes.card(number, f"05:00.{number}", **BOARD)
    assert [d.id for d in amd(fakes).probe().devices] == ["05:00.0"]


def test_amd_card_without_an_address_is_called_by_its_place(fakes: Fakes) -> None:
    fakes.files("sys/class/drm/card7/device", {"vendor": "0x1002", "gpu_busy_percent": "1"})
    assert amd(fakes).probe().devices[0].id == "card7"


def test_amd_gpus_of_two_pci_domains_are_two(fakes: Fakes) -> None:
    fakes.card(0, "01:00.0", **BOARD)
    fakes.card(1, "01:00.0", **BOARD)
    fakes.files("sys/class/drm/card1/device", {"uevent": "PCI_SLOT_NAME=0009:01:00.0"})
    assert [d.id for d in amd(fakes).probe().devices] == ["01:00.0", "0009:01:00.0"]


def test_amd_gpu_that_vanishes_gives_nothing_more(fakes: Fakes, tmp_path: Path) -> None:
    fakes.card(0, "03:00.0", **BOARD)
    provider = opened(amd(fakes))
    (tmp_path / "root" / "sys").rename(tmp_path / "gone")
    assert provider.read() == []


def test_amd_gpu_that_shows_nothing_is_not_used(fakes: Fakes) -> None:
    assert amd(fakes).probe().reason == "no_device"
    fakes.card(0, "03:00.0")
    assert amd(fakes).probe().reason == "unsupported_field"


# --- which GPUs a server uses

KFD = "sys/class/kfd/kfd"


def client(gpu: str, number: int = 1, **sizes: str) -> str:
    """Return what the kernel says of a file that a process has opened on a GPU."""
    about = {"drm-driver": "amdgpu", "drm-client-id": str(number), "drm-pdev": f"0000:{gpu}"}
    held = {f"drm-{name.replace('_', '-')}": size for name, size in sizes.items()}
    return "\n".join(["pos:\t0", *(f"{k}:\t{v}" for k, v in {**about, **held}.items())])


def two_boards(fakes: Fakes, **fields: Any) -> amd_sysfs.Provider:
    fakes.card(0, "03:00.0", **BOARD)
    fakes.card(1, "0c:00.0", **MEMORY)
    provider = amd(fakes, server_pids=frozenset({7}), **fields)
    provider.probe()
    return provider


def test_gpu_on_which_a_process_of_the_server_holds_memory_is_used(fakes: Fakes) -> None:
    provider = two_boards(fakes)
    small = client("0c:00.0", memory_vram="2048 KiB", total_vram="2048 KiB")
    large = client("03:00.0", memory_vram="8192 KiB", total_vram="80000 KiB", total_gtt="1 MiB")
    fakes.files("proc/7/fdinfo", {"3": small, "4": large, "5": large, "6": "pos:\t0"})
    assert provider.uses() == {"03:00.0": 1.0, "0c:00.0": 0.0}


def test_client_of_a_gpu_that_opened_it_twice_counts_once(fakes: Fakes) -> None:
    provider = two_boards(fakes)
    half = client("03:00.0", memory_vram="40000 KiB")
    fakes.files("proc/7/fdinfo", {"3": half, "4": half})
    assert provider.uses() == {"03:00.0": 0.0, "0c:00.0": 0.0}
    fakes.files("proc/7/fdinfo", {"4": client("03:00.0", 2, memory_vram="40000 KiB")})
    assert provider.uses() == {"03:00.0": 1.0, "0c:00.0": 0.0}


def test_server_of_another_user_is_seen_where_it_uses_rocm(fakes: Fakes) -> None:
    provider = two_boards(fakes)
    assert provider.uses() == {}  # its files may not be looked at
    node = {"gpu_id": "51234", "properties": "simd_count 120\nlocation_id 768\ndomain 0"}
    fakes.files(f"{KFD}/topology/nodes/1", node)
    fakes.files(f"{KFD}/topology/nodes/0", {"gpu_id": "0", "properties": "cpu_cores_count 16"})
    assert provider.uses() == {}
    fakes.files(f"{KFD}/proc/7", {"vram_51234": "9000000000"})
    assert provider.uses() == {"03:00.0": 1.0, "0c:00.0": 0.0}


def test_without_a_server_no_gpu_is_said_to_be_unused(fakes: Fakes) -> None:
    fakes.card(0, "03:00.0", **BOARD)
    provider = amd(fakes)
    provider.probe()
    assert provider.uses() == {}


# --- Intel


def intel(fakes: Fakes, clock: Clock, **files: str) -> intel_sysfs.Provider:
    fakes.card(0, "03:00.0", vendor="0x8086", **files)
    return intel_sysfs.Provider(fakes.machine(clock=clock))


@pytest.mark.parametrize("name", ["hwmon__energy1_input", "hwmon__energy2_input"])
def test_intel_power_is_what_the_energy_counter_means(fakes: Fakes, name: str) -> None:
    clock = Clock()
    more = {"hwmon__power1_max": "190000000", "hwmon__temp1_input": "50000"}
    provider = intel(fakes, clock, **{name: "1000000"}, **more)
    (device,) = provider.probe().devices
    assert (device.power_kind, device.integrated) == ("counter", False)
    clock.now += 500_000_000
    fakes.card(0, "03:00.0", vendor="0x8086", **{name: "31000000"})
    values = known_values(values_by_device(provider)["03:00.0"])
    assert values == {"energy_j": 30.0, "power_w": 60.0, "power_limit_w": 190.0, "temp_c": 50.0}


def test_intel_counter_that_stands_at_0_is_none(fakes: Fakes) -> None:
    assert intel(fakes, Clock(), hwmon__energy1_input="0").probe().reason == "unsupported_field"


def test_intel_counter_that_goes_mad_gives_no_power(fakes: Fakes) -> None:
    clock = Clock()
    provider = opened(intel(fakes, clock, hwmon__energy1_input="1000000"))
    clock.now += 100_000_000
    fakes.card(0, "03:00.0", vendor="0x8086", hwmon__energy1_input="9000000000000")
    assert values_by_device(provider)["03:00.0"]["power_w"] is None
    assert ("implausible", "power_w") in provider.notes


def test_intel_gpu_that_the_server_uses(fakes: Fakes) -> None:
    provider = intel(fakes, Clock(), hwmon__energy1_input="1000000")
    provider.probe()
    provider.machine.server_pids = frozenset({7})
    fakes.files("proc/7/fdinfo", {"3": client("03:00.0", resident_vram0="900 MiB")})
    assert provider.uses() == {"03:00.0": 1.0}


def test_intel_gpu_that_vanishes_gives_nothing(fakes: Fakes, tmp_path: Path) -> None:
    provider = opened(intel(fakes, Clock(), hwmon__energy1_input="1000000"))
    (tmp_path / "root" / "sys").rename(tmp_path / "gone")
    assert provider.read() == []


def test_no_intel_gpu(fakes: Fakes) -> None:
    assert intel_sysfs.Provider(fakes.machine()).probe().reason == "no_device"


# --- RAPL

RANGE = {"max_energy_range_uj": "262143328850"}


def zone(fakes: Fakes, name: str, label: str, energy: int, folder: str = "intel-rapl") -> None:
    content = {"name": label, "energy_uj": str(energy), **RANGE}
    fakes.files(f"sys/class/powercap/{folder}:{name}", content)


def test_rapl_counts_packages_only_and_knows_hex_names(fakes: Fakes) -> None:
    zone(fakes, "0", "package-0", 1_000_000)
    zone(fakes, "a", "package-10", 2_000_000)
    zone(fakes, "0:0", "core", 500_000)
    zone(fakes, "1", "psys", 9_000_000)
    zone(fakes, "0", "package-0", 7_000_000, folder="intel-rapl-mmio")
    clock = Clock()
    provider = rapl.Provider(fakes.machine(clock=clock))
    assert [d.id for d in provider.probe().devices] == ["package-0", "package-10"]
    clock.now += 1_000_000_000
    zone(fakes, "0", "package-0", 31_000_000)
    zone(fakes, "a", "package-10", 42_000_000)
    found = values_by_device(provider)
    assert (found["package-0"]["power_w"], found["package-10"]["power_w"]) == (30.0, 40.0)


def test_rapl_goes_on_where_the_register_wraps(fakes: Fakes) -> None:
    clock = Clock()
    zone(fakes, "0", "package-0", 262_143_328_850 - 5_000_000)
    provider = opened(rapl.Provider(fakes.machine(clock=clock)))
    clock.now += 1_000_000_000
    zone(fakes, "0", "package-0", 10_000_000)
    assert known_values(values_by_device(provider)["package-0"]) == {
        "energy_j": pytest.approx(15.0),
        "power_w": pytest.approx(15.0),
    }


def test_rapl_that_only_root_may_read_says_how_to_allow_it(fakes: Fakes) -> None:
    zone(fakes, "0", "package-0", 1)

    def read(path: Path) -> str:
        if path.name == "energy_uj":
            raise PermissionError(errno.EACCES, "Permission denied")
        return read_text(path)

    probe = rapl.Provider(fakes.machine(read=read)).probe()
    assert (probe.ok, probe.reason) == (False, "permission")
    assert "sudo chmod a+r" in probe.message


def test_rapl_without_packages_or_values(fakes: Fakes, tmp_path: Path) -> None:
    assert rapl.Provider(fakes.machine()).probe().reason == "no_device"
    fakes.files("sys/class/powercap/intel-rapl:0", {"name": "package-0"})
    assert rapl.Provider(fakes.machine()).probe().reason == "unsupported_field"


# --- NVML


class NotSupported(Exception):  # noqa: N818 - as the library's
    """What NVML raises for a field that a GPU lacks."""


class Struct:
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class Nvml:
    """pynvml with one GPU; a field in `missing` is not supported."""

    NVML_CLOCK_SM = 1

    def __init__(self, *missing: str, architecture: int | None = 8, instant: bool = True) -> None:
        self.missing, self.architecture, self.instant = set(missing), architecture, instant
        self.open = False
        self.energy_mj = 5_000_000

    def nvmlInit(self) -> None:  # noqa: N802
        self.open = True

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open = False

    def __getattr__(self, name: str) -> Any:
        if name in self.missing:
            raise NotSupported(name)
        instant = Struct(nvmlReturn=0 if self.instant else 3, value=Struct(uiVal=151_500))
        answers: dict[str, Any] = {
            "nvmlDeviceGetCount": 1,
            "nvmlSystemGetDriverVersion": b"595.10",
            "nvmlDeviceGetHandleByIndex": "handle",
            "nvmlDeviceGetPciInfo": Struct(busId=b"00000000:01:00.0"),
            "nvmlDeviceGetUUID": "GPU-1234",
            "nvmlDeviceGetName": b"Example",
            "nvmlDeviceGetArchitecture": self.architecture,
            "nvmlDeviceGetFieldValues": [instant],
            "nvmlDeviceGetPowerUsage": 140_000,
            "nvmlDeviceGetTotalEnergyConsumption": self.energy_mj,
            "nvmlDeviceGetUtilizationRates": Struct(gpu=88),
            "nvmlDeviceGetMemoryInfo": Struct(used=4_000_000_000, total=8_000_000_000),
            "nvmlDeviceGetTemperature": 66,
            "nvmlDeviceGetEnforcedPowerLimit": 300_000,
            "nvmlDeviceGetClockInfo": 1_900,
            "nvmlDeviceGetComputeRunningProcesses": [Struct(pid=7, usedGpuMemory=None)],
        }
        return lambda *_: answers[name]


def nvidia(fakes: Fakes, library: Nvml) -> nvml.Provider:
    return nvml.Provider(fakes.machine(load=lambda _: library))


def test_nvml_gives_everything(fakes: Fakes) -> None:
    library = Nvml()
    provider = nvidia(fakes, library)
    probe = provider.probe()
    (device,) = probe.devices
    assert (probe.version, device.id, device.name) == ("595.10", "01:00.0", "Example")
    assert device.power_kind == "instant"
    assert known_values(values_by_device(provider)["01:00.0"]) == {
        "power_w": 151.5,
        "energy_j": 5000.0,
        "util_pct": 88.0,
        "vram_used_mb": 4000.0,
        "vram_total_mb": 8000.0,
        "temp_c": 66.0,
        "power_limit_w": 300.0,
        "clock_mhz": 1900.0,
    }
    provider.close()
    assert not library.open


@pytest.mark.parametrize(
    ("architecture", "kind"), [(8, "avg_1s"), (7, "avg_1s"), (None, "avg_1s"), (6, "instant")]
)
def test_nvml_without_instant_power_says_over_what_it_is_a_mean(
    fakes: Fakes, architecture: int | None, kind: str
) -> None:
    provider = nvidia(fakes, Nvml(architecture=architecture, instant=False))
    assert provider.probe().devices[0].power_kind == kind
    assert values_by_device(provider)["01:00.0"]["power_w"] == 140.0


def test_nvml_unified_memory_and_a_counter_that_is_missing_cost_no_power(fakes: Fakes) -> None:
    missing = ("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetTotalEnergyConsumption")
    provider = nvidia(fakes, Nvml(*missing, "nvmlDeviceGetFieldValues", "nvmlDeviceGetPciInfo"))
    (device,) = provider.probe().devices
    assert (device.id, device.memory_kind) == ("GPU-1234", "unified")
    values = values_by_device(provider)["GPU-1234"]
    assert (values["power_w"], values["energy_j"], values["vram_used_mb"]) == (140.0, None, None)


def test_nvml_gpu_that_falls_off_the_bus_gives_nothing_more(fakes: Fakes) -> None:
    library = Nvml()
    provider = opened(nvidia(fakes, library))
    library.missing = {f"nvmlDeviceGet{name}" for name in (
        "FieldValues", "PowerUsage", "TotalEnergyConsumption", "UtilizationRates", "MemoryInfo",
        "Temperature", "EnforcedPowerLimit", "ClockInfo",
    )}  # fmt: skip
    assert provider.read() == []


def test_nvml_lists_the_processes_of_the_server_unless_they_are_the_hosts(fakes: Fakes) -> None:
    provider = nvidia(fakes, Nvml())
    provider.probe()
    provider.machine.server_pids = frozenset({7})
    assert provider.uses() == {"01:00.0": 1.0}
    provider.machine.server_pids = frozenset({8})
    assert provider.uses() == {}


def test_nvml_without_a_driver_or_the_extra_says_so(fakes: Fakes) -> None:
    provider = nvidia(fakes, Nvml("nvmlDeviceGetCount"))
    assert provider.probe().reason == "no_driver"
    provider.close()
    missing = nvml.Provider(fakes.machine())
    assert missing.probe().reason == "missing_extra"
    assert "pytest-llamaburn[nvidia]" in missing.probe().message
    missing.close()


# --- host


class Later:
    """A clock on which time passes between probe and reading, as psutil's does."""

    def __init__(self) -> None:
        self.now = 10**9

    def __call__(self) -> int:
        self.now += 6 * 10**9
        return self.now


def listening_port() -> tuple[Any, int]:
    import socket

    sock = socket.create_server(("127.0.0.1", 0))
    return sock, sock.getsockname()[1]


def test_host_reads_the_machine_and_ourselves(fakes: Fakes) -> None:
    provider = host.Provider(fakes.machine(clock=Later()))
    assert provider.probe().ok
    values = values_by_device(provider)["host"]
    assert values["ram_used_mb"] is not None
    assert values["client_rss_mb"] is not None
    assert values["client_rss_mb"] > 1
    assert values["server_rss_mb"] is None


def test_host_s_percentage_is_over_the_time_since_the_last_in_whatever_thread(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores, used = psutil.cpu_count() or 1, [10.0, 90.0]
    times = namedtuple("times", "user idle")  # noqa: PYI024 - as psutil's
    monkeypatch.setattr(psutil, "cpu_times", lambda: times(*used))
    provider = host.Provider(fakes.machine(clock=Later()))
    provider.probe()
    found = []

    def later(user: float, idle: float) -> None:
        used[:] = [used[0] + user * cores, used[1] + idle * cores]
        thread = threading.Thread(
            target=lambda: found.append(values_by_device(provider)["host"]["cpu_pct"])
        )
        thread.start()
        thread.join()

    later(0.01, 0.01)
    later(0.24, 0.74)
    later(0.5, 0.5)
    assert found == [None, pytest.approx(25), pytest.approx(50)]


def test_host_says_no_percentage_over_no_time(fakes: Fakes) -> None:
    provider = host.Provider(fakes.machine(clock=Clock()))
    provider.probe()
    assert provider.read() == []


def test_host_of_a_remote_server_is_not_the_servers(fakes: Fakes) -> None:
    provider = host.Provider(fakes.machine(clock=Later(), local=False))
    provider.probe()
    values = values_by_device(provider)["host"]
    assert set(known_values(values)) == {"client_cpu_pct", "client_rss_mb"}


def test_host_finds_the_server_by_its_port(fakes: Fakes) -> None:
    child, port = listening_process()
    provider = host.Provider(fakes.machine(clock=Later(), server_port=port))
    provider.probe()
    values = values_by_device(provider)["host"]
    rss = psutil.Process(child.pid).memory_info().rss / 1e6
    assert values["server_rss_mb"] == pytest.approx(rss, rel=0.5)
    assert values["server_cpu_pct"] is not None
    assert provider.machine.server_pids == {child.pid}
    child.communicate()
    after = values_by_device(provider)["host"]
    assert (after["server_rss_mb"], after["server_cpu_pct"]) == (None, None)


def test_host_reads_a_server_that_was_started_anew_at_once(fakes: Fakes) -> None:
    first, port = listening_process()
    clock = Clock()
    machine = fakes.machine(clock=clock, server_port=port)
    provider = host.Provider(machine)
    provider.probe()
    machine.server_port = None
    provider.moved()
    first.communicate()
    second, machine.server_port = listening_process()
    provider.moved()
    clock.now += 10**9  # less than until the next look for processes
    assert values_by_device(provider)["host"]["server_rss_mb"] is not None
    assert provider.notes == {}
    second.communicate()


def test_host_without_a_visible_server_says_so(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(kind: str) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", refused)
    monkeypatch.setattr(OtherLoad, "SERVERS", ("no such program",))
    provider = host.Provider(fakes.machine(clock=Later(), server_port=1))
    provider.probe()
    assert ("no_server_process", "server_rss_mb") in provider.notes


def test_host_falls_back_on_the_names_of_servers(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    sock, port = listening_port()
    sock.close()
    monkeypatch.setattr(OtherLoad, "SERVERS", (psutil.Process(1).name(),))
    provider = host.Provider(fakes.machine(clock=Later(), server_port=port))
    provider.probe()
    assert values_by_device(provider)["host"]["server_rss_mb"] is not None


def test_process_that_is_gone_has_no_tree() -> None:
    process = psutil.Popen(["/bin/true"])
    process.wait()
    assert host.tree(process) == []
