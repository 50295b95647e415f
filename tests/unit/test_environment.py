"""Facts about a machine, read from a tree like its file system."""

from __future__ import annotations

import json
import os
import platform
from collections import namedtuple
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pytest_llamaburn import environment
from pytest_llamaburn.tables import room

if TYPE_CHECKING:
    from pathlib import Path

CPUINFO = "processor\t: 0\nvendor_id\t: Example\nmodel name\t: Example CPU @ 3 GHz\nflags\t: x\n"


@pytest.fixture(autouse=True)
def outside_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("container", raising=False)
    monkeypatch.setattr(platform, "processor", str)


def tree(root: Path, **files: str) -> Path:
    """Write files below a root; `__` in a name stands for a slash."""
    for name, text in files.items():
        put(root, name.replace("__", "/"), text)
    return root


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def facts(root: Path) -> dict[str, Any]:
    found = environment.facts(root)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def test_what_cannot_be_read_is_none_and_nothing_fails(tmp_path: Path) -> None:
    found = facts(tmp_path)
    assert (found["cpu"], found["governor"], found["gpus"]) == (None, None, [])
    assert found["container"] is False
    assert found["os_version"] == platform.version()


def test_cpu_and_system_have_the_names_the_kernel_gives(tmp_path: Path) -> None:
    tree(
        tmp_path,
        proc__cpuinfo=CPUINFO,
        sys__devices__system__cpu__cpu0__cpufreq__scaling_governor="powersave\n",
    )
    put(tmp_path, "etc/os-release", 'NAME="Example"\nPRETTY_NAME="Example Linux 12"\n')
    found = facts(tmp_path)
    assert found["cpu"] == "Example CPU @ 3 GHz"
    assert found["os_version"] == "Example Linux 12"
    assert found["governor"] == "powersave"
    assert (found["os"], found["machine"]) == (platform.system(), platform.machine())


def test_an_arm_board_is_named_by_its_hardware_line(tmp_path: Path) -> None:
    tree(tmp_path, proc__cpuinfo="processor : 0\nHardware\t: BCM2835\n")
    assert facts(tmp_path)["cpu"] == "BCM2835"


def test_a_cpu_without_a_model_name_has_the_platform_s_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "processor", lambda: "aarch64")
    tree(tmp_path, proc__cpuinfo="processor : 0\n")
    assert facts(tmp_path)["cpu"] == "aarch64"


def test_nvidia_gpus_are_named_by_their_driver(tmp_path: Path) -> None:
    for number, text in enumerate(["Model: \t\t Example RTX\nIRQ: 5\n", "IRQ: 6\nno colon\n"]):
        put(tmp_path, f"proc/driver/nvidia/gpus/0000:0{number}:00.0/information", text)
    assert facts(tmp_path)["gpus"] == [
        {"vendor": "nvidia", "name": "Example RTX"},
        {"vendor": "nvidia", "name": None},
    ]


def test_cards_of_amd_and_intel_are_found_and_their_connectors_are_not(tmp_path: Path) -> None:
    drm = "sys/class/drm"
    put(tmp_path, f"{drm}/card0/device/vendor", "0x1002\n")
    put(tmp_path, f"{drm}/card0/device/product_name", "Example Instinct\n")
    put(tmp_path, f"{drm}/card1/device/vendor", "0x8086\n")
    put(tmp_path, f"{drm}/card2/device/vendor", "0x1af4\n")
    put(tmp_path, f"{drm}/card3/device/other", "")
    put(tmp_path, f"{drm}/card0-DP-1/device/vendor", "0x1002\n")
    put(tmp_path, f"{drm}/renderD128/device/vendor", "0x1002\n")
    assert facts(tmp_path)["gpus"] == [
        {"vendor": "amd", "name": "Example Instinct"},
        {"vendor": "intel", "name": None},
    ]


@pytest.mark.parametrize("mark", [".dockerenv", "run/.containerenv"])
def test_a_container_is_known_by_its_mark(tmp_path: Path, mark: str) -> None:
    put(tmp_path, mark, "")
    assert facts(tmp_path)["container"] is True


def test_a_container_is_known_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("container", "podman")
    assert facts(tmp_path)["container"] is True


def test_only_installed_libraries_have_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "LIBRARIES", ("pytest", "no-such-library"))
    assert environment.library_versions() == {"pytest": pytest.__version__}


def test_the_fingerprint_is_the_same_tomorrow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, proc__cpuinfo=CPUINFO)
    before = facts(tmp_path)["fingerprint"]
    put(tmp_path, "etc/os-release", 'PRETTY_NAME="Upgraded"\n')
    put(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance")
    put(tmp_path, ".dockerenv", "")
    monkeypatch.setattr(platform, "release", lambda: "99.0-upgraded")
    assert facts(tmp_path)["fingerprint"] == before


def test_other_hardware_has_another_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prints = [facts(tmp_path)["fingerprint"]]
    put(tmp_path, "proc/cpuinfo", CPUINFO)
    prints.append(facts(tmp_path)["fingerprint"])
    put(tmp_path, "sys/class/drm/card0/device/vendor", "0x1002")
    prints.append(facts(tmp_path)["fingerprint"])
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 999)
    prints.append(facts(tmp_path)["fingerprint"])
    assert len(set(prints)) == 4


def test_memory_that_firmware_takes_does_not_change_the_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for total in (16.1e9, 16.3e9, 32e9):

        class Memory:
            pass

        memory: Any = Memory()
        memory.total = total
        monkeypatch.setattr(psutil, "virtual_memory", lambda memory=memory: memory)
        found.append(facts(tmp_path))
    assert [one["ram_mb"] for one in found] == [16_100, 16_300, 32_000]
    assert found[0]["fingerprint"] == found[1]["fingerprint"] != found[2]["fingerprint"]


# What a container leaves of the machine


@pytest.fixture
def host_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand on a machine of two processors and 25.3 GB."""
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 2)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=25.3e9))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)


HALF = {"cpu.max": "50000 100000\n", "memory.max": "512000000\n"}
HALF_V1 = {
    "cpu/cpu.cfs_quota_us": "50000\n",
    "cpu/cpu.cfs_period_us": "100000\n",
    "memory/memory.limit_in_bytes": "512000000\n",
}
V1 = "4:memory:/{0}\n2:cpu,cpuacct:/{0}\n1:name=systemd:/x\n"


def limited(root: Path, groups: str, **files: dict[str, str]) -> tuple[float | None, int | None]:
    """Return quota and memory where the process is in these groups, with files by directory."""
    put(root, "proc/self/cgroup", groups)
    for folder, content in files.items():
        for name, text in content.items():
            put(root, f"sys/fs/cgroup/{folder.replace('__', '/')}/{name}", text)
    found = facts(root)
    return found["cpu_quota"], found["ram_limit_mb"]


@pytest.mark.usefixtures("host_of_two")
@pytest.mark.parametrize(
    ("groups", "files"),
    [
        ("0::/\n", {".": HALF}),
        ("0::/user.slice/app\n", {"user.slice__app": HALF}),
        ("0::/user.slice/app\n", {"user.slice": HALF, "user.slice__app": {"cpu.max": "max 1"}}),
        ("0::/docker/of-the-host\n", {".": HALF}),
        (V1.format(""), {".": HALF_V1}),
        (V1.format("docker/of-the-host"), {".": HALF_V1}),
        ("3:cpu,cpuacct:/a\n2:memory:/a\n0::/\n", {
            "cpu,cpuacct__a": {"cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "100000"},
            "memory__a": {"memory.limit_in_bytes": "512000000"},
        }),
        ("0::/a\n", {"unified__a": HALF}),
    ],
    ids=["v2", "v2 below", "v2 above", "v2 of host", "v1", "v1 of host", "v1 joined", "hybrid"],
)  # fmt: skip
def test_limits_of_control_groups_are_known(
    tmp_path: Path, groups: str, files: dict[str, dict[str, str]]
) -> None:
    assert limited(tmp_path, groups, **files) == (0.5, 512)


def test_memory_that_is_left_is_that_of_the_tightest_group(tmp_path: Path) -> None:
    put(tmp_path, "proc/self/cgroup", "0::/a/b\n")
    put(tmp_path, "sys/fs/cgroup/a/memory.max", "9000000")
    put(tmp_path, "sys/fs/cgroup/a/memory.current", "7000000")
    put(tmp_path, "sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 1500000\n")
    put(tmp_path, "sys/fs/cgroup/a/b/memory.max", "8000000")
    put(tmp_path, "sys/fs/cgroup/a/b/memory.current", "1000000")
    assert environment.memory_bytes(tmp_path) == 8_000_000
    assert environment.memory_left_bytes(tmp_path) == 9_000_000 - (7_000_000 - 1_500_000)


def test_without_a_group_the_memory_is_the_machines(tmp_path: Path) -> None:
    assert environment.memory_bytes(tmp_path) == psutil.virtual_memory().total
    assert 0 < environment.memory_left_bytes(tmp_path) < environment.memory_bytes(tmp_path)


@pytest.mark.usefixtures("host_of_two")
def test_tightest_of_all_groups_holds(tmp_path: Path) -> None:
    top = {"cpu.max": "150000 100000", "memory.max": "800000000"}
    below = {"cpu.max": "20000 10000", "memory.max": "900000000"}
    assert limited(tmp_path, "0::/a/b\n", a=top, a__b=below) == (1.5, 800)


@pytest.mark.usefixtures("host_of_two")
@pytest.mark.parametrize(
    "files",
    [
        {},
        {"cpu.max": "max 100000", "memory.max": "max"},
        {"cpu.max": "400000 100000", "memory.max": "30000000000"},
        {"cpu.max": "", "memory.max": "some"},
    ],
    ids=["no files", "max", "more than there is", "unreadable"],
)
def test_limit_that_leaves_the_whole_machine_is_none(tmp_path: Path, files: dict[str, str]) -> None:
    whole = facts(tmp_path)["fingerprint"]
    assert limited(tmp_path, "0::/\n", **{".": files}) == (None, None)
    none_v1 = {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}
    none_v1["memory/memory.limit_in_bytes"] = "9223372036854771712"
    assert limited(tmp_path, V1.format(""), **{".": none_v1}) == (None, None)
    assert facts(tmp_path)["fingerprint"] == whole


@pytest.mark.usefixtures("host_of_two")
def test_limits_are_part_of_the_fingerprint_and_of_the_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [facts(tmp_path)]
    limited(tmp_path, "0::/\n", **{".": HALF})
    seen.append(facts(tmp_path))
    put(tmp_path, "sys/fs/cgroup/memory.max", "2000000000")
    seen.append(facts(tmp_path))
    put(tmp_path, "sys/fs/cgroup/cpu.max", "max 100000")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1})
    seen.append(facts(tmp_path))
    assert len({found["fingerprint"] for found in seen}) == 4
    assert [room(found) for found in seen] == [
        "2 cores, 25.3 GB",
        "0.5 of 2 cores, 512 MB of 25.3 GB",
        "0.5 of 2 cores, 2.0 GB of 25.3 GB",
        "1 of 2 cores, 2.0 GB of 25.3 GB",
    ]
    assert [found["cpus_allowed"] for found in seen] == [2, 2, 2, 1]


@pytest.mark.usefixtures("host_of_two")
def test_system_without_affinity_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert facts(tmp_path)["cpus_allowed"] is None


# Other programs


class Process:
    """A process that has used this much processor time."""

    def __init__(self, name: str, seconds: float = 0.0) -> None:
        self.info = {"name": name}
        self.seconds: float | None = seconds
        self.children_s = 0.0

    def cpu_times(self) -> Any:
        if self.seconds is None:
            raise psutil.NoSuchProcess(1)
        ended = {"children_user": self.children_s, "children_system": 0.0}
        return SimpleNamespace(user=self.seconds, system=0.0, **ended)

    def children(self, *, recursive: bool) -> list[Process]:
        return []


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return a machine at rest: its busy and idle seconds, ourselves, a server and another."""
    made = SimpleNamespace(
        busy=0.0, idle=0.0, me=Process("python"), ollama=Process("ollama"), other=Process("game")
    )
    times = namedtuple("times", "user system idle iowait guest")  # noqa: PYI024 - as psutil's
    monkeypatch.setattr(psutil, "cpu_times", lambda: times(made.busy, 0.0, made.idle, 0.0, 0.0))
    monkeypatch.setattr(psutil, "Process", lambda: made.me)
    monkeypatch.setattr(psutil, "process_iter", lambda _: [made.me, made.ollama, made.other])
    return made


def test_what_others_used_is_the_busy_time_that_is_neither_ours_nor_a_server_s(
    machine: SimpleNamespace,
) -> None:
    load = environment.OtherLoad()
    load.start()
    machine.busy, machine.idle = 60.0, 40.0
    machine.me.seconds, machine.ollama.seconds, machine.other.seconds = 10.0, 30.0, 20.0
    assert load.share() == pytest.approx(0.2)


def test_children_that_ended_meanwhile_are_no_others(machine: SimpleNamespace) -> None:
    load = environment.OtherLoad()
    load.start()
    machine.busy, machine.idle = 60.0, 40.0
    machine.me.children_s, machine.ollama.children_s = 30.0, 20.0
    assert load.share() == pytest.approx(0.1)


def test_counters_that_disagree_make_no_load_above_all(machine: SimpleNamespace) -> None:
    load = environment.OtherLoad()
    machine.me.seconds = 5.0
    load.start()
    machine.busy, machine.me.seconds = 10.0, 0.0
    assert load.share() == 1.0


def test_without_a_window_nothing_is_known_of_others(machine: SimpleNamespace) -> None:
    load = environment.OtherLoad()
    assert load.share() is None
    load.start()
    assert load.share() is None


def test_clocks_that_round_differently_make_no_negative_load(machine: SimpleNamespace) -> None:
    load = environment.OtherLoad()
    load.start()
    machine.busy, machine.idle, machine.me.seconds = 10.0, 10.0, 10.4
    assert load.share() == 0.0


def test_a_server_that_ended_meanwhile_is_no_error(machine: SimpleNamespace) -> None:
    load = environment.OtherLoad()
    load.start()
    machine.busy, machine.idle, machine.ollama.seconds = 10.0, 10.0, None
    assert load.share() == 0.5


def test_this_machine_has_a_load() -> None:
    load = environment.OtherLoad()
    load.start()
    load._since = (0.0, 0.0, 0.0)  # as if begun when the machine was
    share = load.share()
    assert share is not None
    assert 0 <= share <= 1


def test_versions_of_drivers_are_kept_apart_from_the_machine_s_fingerprint(tmp_path: Path) -> None:
    tree(tmp_path, proc__cpuinfo=CPUINFO)
    before = facts(tmp_path)
    put(
        tmp_path,
        "proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.124.06  Wed Feb 26 01:58:58 UTC 2025\n"
        "GCC version:  gcc version 12.2.0\n",
    )
    put(tmp_path, "sys/module/amdgpu/version", "6.8.5\n")
    after = facts(tmp_path)
    assert before["gpu_drivers"] == {}
    assert after["gpu_drivers"] == {"nvidia": "570.124.06", "amd": "6.8.5"}
    assert before["fingerprint"] == after["fingerprint"]
