"""The judging of an audit; its journal lies under `results/audits/`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import options
from pytest_llamaburn.judges import _kept
from pytest_llamaburn.kinds.audit import KIND, findings, material
from pytest_llamaburn.kinds.audit.settings import Audit
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_llamaburn.documents import Document


class AuditRun(_kept.KeptJudging):
    """Some judges, and the texts with which they are audited."""

    def __init__(self, settings: Audit, results_dir: Path, header: Document | None = None) -> None:
        """Take the settings, and the header of an audit to continue.

        Raises UsageError for a judge that is not available, or a set without worked answers.
        """
        self.settings = settings
        self.set, asked = material.questions(settings)
        self.probes = material.probes(asked, settings.seed)
        self._config: Document = options.record(settings, Audit)
        found = material.tasks(self.probes, with_reference=not settings.without_reference)
        run_id = header["run_id"] if header else None
        about = [self.set.sha256, str(settings.seed), str(settings.without_reference), *found]
        super().__init__(settings, found, results_dir / KIND.folder, run_id, about)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._timestamp = header["timestamp"] if header else now

    def run(self, finished: Callable[[str], None]) -> Document:
        """Return the content of the result file; `finished` gets the state of each new verdict.

        Raises UsageError if a judge cannot be opened.
        """
        header = {"timestamp": self._timestamp, "config": self._config}
        found = self.ask(finished, header, self.settings.budget)
        rows = [findings.row(probe, found.get(probe.name)) for probe in self.probes]
        set_sha256 = {"name": self.set.name, "version": self.set.version, "sha256": self.set.sha256}
        return {
            "schema": KIND.schema,
            "schema_version": results.SCHEMA_VERSION,
            "run_id": f"{self._timestamp[:23].replace(':', '-')}-{self.id[:6]}",
            "status": "partial" if self.unfinished else "complete",
            "timestamp": self._timestamp,
            "config": self._config,
            "results": {
                "set": set_sha256,
                "judges": [caller.judge.name for caller in self.panel.callers],
                **findings.of(rows),
                "spent": self.panel.spent(),
                "notes": [*self.panel.notes],
                "gates": [],
                "probes": rows,
            },
        }


def header_of(results_dir: Path, run: str) -> Document:
    """Return the header of the audit with this id that was cut, or of the `last` one.

    Raises ResultsError if there is none.
    """
    found: Any = _kept.header_of(results_dir, KIND.folder, run, {"timestamp"})
    return dict(found)
