"""Find the sensors of a machine and choose which to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, NotRequired, TypedDict

from pytest_llamaburn import registry
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.telemetry._base import FIELDS, Base, Machine, Probe
from pytest_llamaburn.telemetry._parsing import pci

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_llamaburn.documents import Document

FOLDER = "telemetry"
HOST = "host"
POWER_PERIOD_S = 0.1
POWER = {"power_w", "energy_j"}

Member = tuple[str, Base, Probe]
Used = list[Member]


class Plan(NamedTuple):
    """The provider to read and how often; `local` is True if the server runs on this machine.

    `gpus` are the devices of `--gpu`, whose energy is counted; empty means all.
    """

    provider: str
    interval_s: float
    local: bool
    port: int | None
    gpus: tuple[str, ...] = ()

    @property
    def power_period_s(self) -> float:
        """Seconds between two readings of power."""
        return min(POWER_PERIOD_S, self.interval_s)


class ProbeRow(TypedDict):
    """The state of a provider on this machine; `reason` and `message` say why it cannot be used."""

    name: str
    ok: bool
    reason: str | None
    message: str | None


class ProviderRow(TypedDict):
    """A provider that is read, and the ids of its devices."""

    name: str
    version: str | None
    devices: list[str]


class Summary(TypedDict):
    """The sensors of a run; `chosen` are the devices that --gpu names."""

    providers: list[ProviderRow]
    devices: list[Document]
    fields: list[str]
    chosen: NotRequired[list[str]]
    reason: NotRequired[str | None]
    probes: NotRequired[list[ProbeRow]]


def provider(name: str, machine: Machine) -> Base:
    """Return a provider that is not probed yet."""
    member: Base = registry.load(FOLDER, name).Provider(machine)
    return member


def choose(plan: Plan, machine: Machine) -> tuple[Used, list[ProbeRow]]:
    """Return the providers to read, and the result of each probe.

    For each vendor it is the first working provider; if that one reports no power, the next one is
    read too. A provider named by the user is read alone; raises SettingsError if it does not work.
    """
    check(plan.provider, machine)
    if not plan.local:
        return [], []
    if plan.provider != "auto":
        return _forced(plan.provider, machine)
    used: Used = []
    probes = []
    for members in _by_vendor(machine).values():
        for name, member in members:
            mine = [probe for _, other, probe in used if other.vendor == member.vendor]
            if any(map(_powered, mine)):
                continue
            probe = member.probe()
            probes.append(_row(name, probe))
            if probe.ok and (not mine or _powered(probe)):
                used.append((name, member, probe))
            else:
                member.close()
    return used, probes


def check(name: str, machine: Machine | None = None) -> None:
    """Raise SettingsError if a provider is unknown; the message lists the known ones."""
    valid = registry.names(FOLDER)
    if name in ("auto", *valid):
        return
    states = [f"{row['name']} ({row['message'] or 'ok'})" for row in table(machine or Machine())]
    words = registry.unknown("provider", name, ["auto", *valid]).partition(" Known:")[0]
    raise SettingsError(f"--gpu-provider: {words} Known: auto, {', '.join(states)}")


def table(machine: Machine) -> list[ProbeRow]:
    """Return the state of each provider on this machine: name, ok, reason, message."""
    rows = []
    for name in registry.names(FOLDER):
        member = provider(name, machine)
        rows.append(_row(name, member.probe()))
        member.close()
    return rows


class Gauges:
    """The current values of all sensors, for repeated display."""

    def __init__(self, machine: Machine) -> None:
        """Find the sensors; `probes` holds the result of each probe."""
        self._used, self.probes = choose(Plan("auto", 0.5, local=True, port=None), machine)

    def read(self) -> list[Document]:
        """Return each device with its last values; power from a counter needs two calls."""
        rows: dict[str, Document] = {}
        for _, member, probe in self._used:
            devices = {device.id: device._asdict() for device in probe.devices}
            rows.update({name: {**devices[name]} for name in devices if name not in rows})
            for reading in member.read():
                known = {k: v for k, v in reading.values.items() if v is not None}
                rows.setdefault(reading.device_id, {"id": reading.device_id}).update(known)
        return [{**dict.fromkeys(FIELDS), **row} for row in rows.values()]

    def close(self) -> None:
        """Close the sensors."""
        for _, member, _ in self._used:
            member.close()


def _forced(name: str, machine: Machine) -> tuple[Used, list[ProbeRow]]:
    member = provider(name, machine)
    probe = member.probe()
    if not probe.ok:
        member.close()
        raise SettingsError(f"--gpu-provider: {name} cannot be used: {probe.message}")
    if name == HOST:  # it is always read
        return [], [_row(name, probe)]
    return [(name, member, probe)], [_row(name, probe)]


def _by_vendor(machine: Machine) -> dict[str, list[tuple[str, Base]]]:
    """Return the providers of each vendor, by rank."""
    vendors: dict[str, list[tuple[str, Base]]] = {}
    for name in registry.names(FOLDER):
        if name != HOST:
            member = provider(name, machine)
            vendors.setdefault(member.vendor, []).append((name, member))
    return {vendor: sorted(m, key=lambda named: named[1].rank) for vendor, m in vendors.items()}


def _powered(probe: Probe) -> bool:
    """Return whether a provider reports power; assumed for a suspended GPU, which is not read."""
    return probe.ok and (not probe.fields or bool(POWER & probe.fields))


def _row(name: str, probe: Probe) -> ProbeRow:
    return {"name": name, "ok": probe.ok, "reason": probe.reason, "message": probe.message}


def summary(used: Iterable[Member]) -> Summary:
    """Return the devices, providers and fields of all providers to read; each device once."""
    devices: dict[str, Document] = {}
    providers: list[ProviderRow] = []
    fields: set[str] = set()
    for name, _, probe in used:
        fields |= probe.fields
        ids = [device.id for device in probe.devices]
        providers.append({"name": name, "version": probe.version, "devices": ids})
        for device in probe.devices:
            known = devices.setdefault(device.id, device._asdict())
            known.update({k: v for k, v in device._asdict().items() if known[k] is None})
    return {"providers": providers, "devices": list(devices.values()), "fields": sorted(fields)}


def wanted(texts: Iterable[str], devices: Sequence[Document]) -> list[str]:
    """Return the ids of the devices that a user named.

    A name is the id of a device (PCI address or UUID), its index among the devices of its vendor
    (`amd:0`), or its index among all devices (`0`). Raises SettingsError for an unknown name; the
    message lists the devices.
    """
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    for place, device in enumerate(devices):
        number = counts[device["vendor"]] = counts.get(device["vendor"], -1) + 1
        own_id: str = device["id"]
        names |= dict.fromkeys((str(place), f"{device['vendor']}:{number}"), own_id)
    for device in devices:
        own: Iterable[str] = filter(None, (device["id"], device["uuid"]))
        own_id = device["id"]
        names |= dict.fromkeys((name.lower() for name in own), own_id)
    ids = [names.get(text.lower()) or names.get(pci(text) or "") for text in texts]
    for text, device_id in zip(texts, ids, strict=True):
        if device_id is None:
            vendors = {device["id"]: device["vendor"] for device in devices}
            listed = [
                f"{n} ({own})" for n, own in names.items() if n.startswith(f"{vendors[own]}:")
            ]
            have = ", ".join(listed) or "none with readable sensors"
            raise SettingsError(f"--gpu: this machine has no device '{text}'; it has: {have}")
    return [device_id for device_id in ids if device_id is not None]
