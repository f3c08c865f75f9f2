"""Concludes each run of a suite when it has ended, so that its verdict is known while others still go on.

It is done in the slot of the run, before the next one starts there: it takes no processor from the runs beside it that
the run itself did not take. A run that failed or was cut off is left for the end, when all is known of it, and so is
one of a pair until the other is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from harness.journal.records import Journal
from harness.model.errors import HarnessError
from harness.runner.progress import OnProgress, Progress
from harness.suite.conclude import ConcludedRun, StoredRun, conclude, stored_run

if TYPE_CHECKING:
    from harness.runner.messages import RunOutcome


class EarlyConclusions:
    """The runs that were concluded so far, by their folder."""

    def __init__(self, on_progress: OnProgress) -> None:
        self.found: dict[Path, ConcludedRun] = {}
        self._on_progress = on_progress
        self._ended: dict[str, StoredRun] = {}
        self._lock = Lock()

    def ended(self, outcome: RunOutcome) -> None:
        """Conclude a run, if it can be by now, and the one whose control it is. Blocks."""
        if outcome.error is not None or outcome.interrupted:
            return
        with self._lock:  # several slots may be here at once
            stored = stored_run(outcome.run_dir)
            self._ended[outcome.plan.run] = stored
            for run, control in self._decided(outcome, stored):
                self._conclude(run, control)

    def _decided(self, outcome: RunOutcome, stored: StoredRun) -> Iterator[tuple[StoredRun, Journal | None]]:
        plan = outcome.plan
        if plan.control_of is not None:
            yield stored, None
            run = self._ended.get(plan.control_of)
            if run is not None and stored.journal is not None:
                yield run, stored.journal
        elif plan.paired:
            controls = (one for one in self._ended.values() if one.plan is not None and one.plan.control_of == plan.run)
            yield from ((stored, control.journal) for control in controls)
        else:
            yield stored, None

    def _conclude(self, stored: StoredRun, control: Journal | None) -> None:
        if stored.journal is None:
            return
        try:
            concluded = conclude(stored, control)
        except HarnessError:
            return  # it is met again at the end, and reported there
        self.found[stored.run_dir] = concluded
        if concluded.document is not None:
            from harness.report.table import outcome
            from harness.report.write import suite_scenario

            run = stored.run_dir.name
            text = outcome(suite_scenario(concluded.document, run, None))
            at_s = stored.journal.lines[-1].t_s if stored.journal.lines else 0.0
            data = {"verdict": str(concluded.document.verdict)}
            self._on_progress(Progress(run, at_s, "verdict", text, data))
