"""How long a suite will still take, as far as its plans and the runs that are over tell."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model.plan import Plan
from harness.runner.planning.timeline import spans
from harness.runner.progress import Progress

START_S = 10.0
"""What the start of a stack and its gate are taken to need until a run has shown how long they do."""
LEAST_OBSERVED_S = 5.0


def planned_s(plan: Plan) -> float:
    """Return about how long a run takes: its start, its timeline, and what it is observed for at least."""
    ends_s = max((span.end_s for span in spans(plan.scenario.timeline).values()), default=0.0)
    return START_S + ends_s + max(plan.scenario.observe, LEAST_OBSERVED_S)


class TimeLeft:
    """Follows the progress of a suite."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._planned_s = {plan.run: planned_s(plan) for plan in plans}
        self._going_s: dict[str, float] = {}
        self._took_s: dict[str, float] = {}

    def note(self, step: Progress) -> None:
        """Take in one step of a run."""
        if step.what == "done":
            took_s = max(self._going_s.pop(step.run, 0.0), step.at_s)
            if step.run in self._planned_s:
                self._took_s[step.run] = took_s
        elif step.what != "verdict" and step.run in self._planned_s:
            self._going_s[step.run] = max(step.at_s, self._going_s.get(step.run, 0.0))

    def left_s(self) -> float | None:
        """Return how long it takes until all runs are over; None while none has begun, and once all are over."""
        left = [run for run in self._planned_s if run not in self._took_s]
        if not left or not (self._going_s or self._took_s):
            return None
        known = [run for run, took_s in self._took_s.items() if took_s > 0]
        rate = sum(self._took_s[run] for run in known) / sum(self._planned_s[run] for run in known) if known else 1.0
        needed_s = [max(self._planned_s[run] * rate - self._going_s.get(run, 0.0), 0.0) for run in left]
        return max(sum(needed_s) / max(len(self._going_s), 1), max(needed_s))
