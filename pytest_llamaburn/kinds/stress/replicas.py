"""The servers of a load: connecting to each, and refusing those that cannot share one load."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn.backends._address import hosts_of
from pytest_llamaburn.backends._detect import connect, is_embedded
from pytest_llamaburn.errors import ModelError, SettingsError
from pytest_llamaburn.load.servers import Servers
from pytest_llamaburn.option import changed

if TYPE_CHECKING:
    from pytest_llamaburn.backends._base import Backend, Model, Server
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds.stress.settings import Stress


class Replicas(NamedTuple):
    """The servers of a load with what each of them said of itself, and their common model."""

    servers: Servers
    identities: list[Server]
    model: Model

    @property
    def identity(self) -> Server:
        """The first server; it is local only if all are, because sensors see one machine."""
        first = self.identities[0]
        return first._replace(local=all(one.local for one in self.identities))

    def facts(self) -> Document:
        """Return what the journal's header says of several servers; empty for one."""
        if len(self.identities) == 1:
            return {}
        hosts = [one._asdict() for one in self.identities]
        together = self.identity._replace(host=", ".join(one["host"] for one in hosts))
        return {"server": together._asdict(), "hosts": hosts}


async def met(settings: Stress, model: str | None) -> Replicas:
    """Return the servers that the settings name, after each has shown that it has the model.

    Raises UsageError before anything is sent.
    """
    hosts = hosts_of(settings.host)
    if len(hosts) < 2:
        own = await connect(settings, model)
        return await _described([own], settings, model)
    if settings.backend == "embedded" or is_embedded(model or ""):
        raise SettingsError(
            f"--host: '{settings.host}' is refused: the embedded model runs on this machine only"
        )
    backends = [await connect(changed(settings, {"host": host}), model) for host in hosts]
    return await _described(backends, settings, model)


async def _described(backends: list[Backend], settings: Stress, model: str | None) -> Replicas:
    identities = [await backend.server() for backend in backends]
    name = model or await backends[0].only_model()
    models = [await backend.describe(name) for backend in backends]
    for one, other in zip(identities[1:], models[1:], strict=True):
        _check_same(identities[0].host, models[0], one.host, other)
    return Replicas(Servers(backends, settings.balance), identities, models[0])


def _check_same(first: str, model: Model, host: str, other: Model) -> None:
    """Raise ModelError if two servers have different models of one name."""
    for what in ("id", "digest"):
        wanted, has = getattr(model, what), getattr(other, what)
        if None not in (wanted, has) and wanted != has:
            raise ModelError(
                f"--host: {host} has another model than {first}: its {what} is {has}, not {wanted}:"
                " give all servers the same model"
            )
