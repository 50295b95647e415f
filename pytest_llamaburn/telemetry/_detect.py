"""Which sensors there are on a machine, and which of them are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import registry
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.telemetry._base import FIELDS, Base, Machine, Probe
from pytest_llamaburn.telemetry._parsing import pci

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FOLDER = "telemetry"
HOST = "host"
POWER_PERIOD_S = 0.1
POWER = {"power_w", "energy_j"}

Member = tuple[str, Base, Probe]
Used = list[Member]


class Plan(NamedTuple):
    """What is read and how often; `local` says that the server is on this machine.

    `gpus` are the devices whose energy is wanted, as a user names them; none means any.
    """

    provider: str
    interval_s: float
    local: bool
    port: int | None
    gpus: tuple[str, ...] = ()

    @property
    def power_period_s(self) -> float:
        """How often sensors are read."""
        return min(POWER_PERIOD_S, self.interval_s)


def provider(name: str, machine: Machine) -> Base:
    """Return a provider that has not looked at anything yet."""
    found: Base = registry.load(FOLDER, name).Provider(machine)
    return found


def choose(plan: Plan, machine: Machine) -> tuple[Used, list[dict[str, Any]]]:
    """Return the providers to read, and what each that was asked had to say.

    Of each vendor's the first that works, and a further one where that one has no power. A forced
    provider stands alone, and raises SettingsError with its reason if it has nothing to say.
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
            if any(_powered(probe) for probe in mine):
                continue
            found = member.probe()
            probes.append(_told(name, found))
            if found.ok and (not mine or _powered(found)):
                used.append((name, member, found))
            else:
                member.close()
    return used, probes


def check(name: str, machine: Machine | None = None) -> None:
    """Raise SettingsError for an unknown provider, saying of each known one why it is not there."""
    valid = registry.names(FOLDER)
    if name in ("auto", *valid):
        return
    said = [f"{row['name']} ({row['message'] or 'ok'})" for row in table(machine or Machine())]
    words = registry.unknown("provider", name, ["auto", *valid]).partition(" Known:")[0]
    raise SettingsError(f"--gpu-provider: {words} Known: auto, {', '.join(said)}")


def table(machine: Machine) -> list[dict[str, Any]]:
    """Return what each provider says of itself on this machine: name, ok, reason, message."""
    found = []
    for name in registry.names(FOLDER):
        member = provider(name, machine)
        found.append(_told(name, member.probe()))
        member.close()
    return found


class Gauges:
    """The sensors as they are now, for someone who looks at them again and again."""

    def __init__(self, machine: Machine) -> None:
        """Find the sensors; `probes` is what each provider that was asked said."""
        self._used, self.probes = choose(Plan("auto", 0.5, local=True, port=None), machine)

    def read(self) -> list[dict[str, Any]]:
        """Return what each device is and its last reading; power from a counter needs two calls."""
        found: dict[str, dict[str, Any]] = {}
        for _, member, probe in self._used:
            devices = {device.id: device._asdict() for device in probe.devices}
            found.update({name: {**devices[name]} for name in devices if name not in found})
            for reading in member.read():
                known = {k: v for k, v in reading.values.items() if v is not None}
                found.setdefault(reading.device_id, {"id": reading.device_id}).update(known)
        return [{**dict.fromkeys(FIELDS), **device} for device in found.values()]

    def close(self) -> None:
        """Give the sensors back."""
        for _, member, _ in self._used:
            member.close()


def _forced(name: str, machine: Machine) -> tuple[Used, list[dict[str, Any]]]:
    member = provider(name, machine)
    found = member.probe()
    if not found.ok:
        member.close()
        raise SettingsError(f"--gpu-provider: {name} cannot be used: {found.message}")
    if name == HOST:  # it is read anyway
        return [], [_told(name, found)]
    return [(name, member, found)], [_told(name, found)]


def _by_vendor(machine: Machine) -> dict[str, list[tuple[str, Base]]]:
    """Return the providers of each vendor, the preferred ones first."""
    found: dict[str, list[tuple[str, Base]]] = {}
    for name in registry.names(FOLDER):
        if name != HOST:
            member = provider(name, machine)
            found.setdefault(member.vendor, []).append((name, member))
    return {vendor: sorted(m, key=lambda one: one[1].rank) for vendor, m in found.items()}


def _powered(probe: Probe) -> bool:
    """Return whether power can be had; of a suspended GPU, which is not woken, it is assumed."""
    return probe.ok and (not probe.fields or bool(POWER & probe.fields))


def _told(name: str, probe: Probe) -> dict[str, Any]:
    return {"name": name, "ok": probe.ok, "reason": probe.reason, "message": probe.message}


def summary(used: Iterable[Member]) -> dict[str, Any]:
    """Return devices, providers and fields of the providers to read, each device once."""
    devices: dict[str, dict[str, Any]] = {}
    providers: list[dict[str, Any]] = []
    fields: set[str] = set()
    for name, _, probe in used:
        fields |= probe.fields
        ids = [device.id for device in probe.devices]
        providers.append({"name": name, "version": probe.version, "devices": ids})
        for device in probe.devices:
            known = devices.setdefault(device.id, device._asdict())
            known.update({k: v for k, v in device._asdict().items() if known[k] is None})
    return {"providers": providers, "devices": list(devices.values()), "fields": sorted(fields)}


def wanted(texts: Iterable[str], devices: Sequence[dict[str, Any]]) -> list[str]:
    """Return the ids of the devices that a user named.

    A device is named by its id (a PCI address or a UUID), by its place among those of its vendor,
    as in `amd:0`, or by its place among all of them, as in `0`. Raises SettingsError for a name
    that no device has, with the names of those there are.
    """
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    for place, device in enumerate(devices):
        number = counts[device["vendor"]] = counts.get(device["vendor"], -1) + 1
        names |= dict.fromkeys((str(place), f"{device['vendor']}:{number}"), device["id"])
    for device in devices:
        own = filter(None, (device["id"], device["uuid"]))
        names |= dict.fromkeys((name.lower() for name in own), device["id"])
    found = [names.get(text.lower()) or names.get(pci(text) or "") for text in texts]
    for text, name in zip(texts, found, strict=True):
        if name is None:
            there = [f"{n} ({d['id']})" for d in devices for n in _ordinals(d, names)]
            have = ", ".join(there) or "none whose sensors can be read"
            raise SettingsError(f"--gpu: '{text}' is no device of this machine; there are: {have}")
    return [name for name in found if name is not None]


def _ordinals(device: dict[str, Any], names: dict[str, str]) -> list[str]:
    return [n for n, own in names.items() if own == device["id"] and n.startswith(device["vendor"])]
