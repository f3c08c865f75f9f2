"""Whether lines can be what a run wrote: numbered one by one, in the order of time, about moments that had passed.

A journal that lost, doubled or changed lines is refused: a verdict would rest on something else than what was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from harness.model.plan import Plan
from harness.model.readings import (
    Abort,
    AlertsSeen,
    Answer,
    Closed,
    Evidence,
    FaultSeen,
    Gap,
    GateSeen,
    Hit,
    Line,
    MachineSeen,
    Phase,
    ProcessSeen,
    Reading,
    Undo,
)

LONGEST_S = 30 * 86400.0
"""No run takes longer: such a time was read from another clock."""
ROUNDING_S = 1e-5
"""The times of lines are written with six decimals, moments in full."""

LATEST_WRITE_S = 10.0
"""A reading is written as soon as it is there; later than this, its moments are not those of this line."""
_PHASES = ("starting", "gate", "baseline", "fault", "observing", "observed", "healing", "stopping")
_STAGES = ("injecting", "injected", "confirmed", "reverting", "reverted")
_MOMENTS: dict[type[Any], Callable[[Any], tuple[float, ...]]] = {
    Reading: lambda seen: (seen.planned_s, seen.asked_s, seen.answered_s),
    AlertsSeen: lambda seen: (seen.planned_s, seen.asked_s, seen.answered_s),
    Answer: lambda seen: (seen.due_s, seen.sent_s, seen.done_s),
    FaultSeen: lambda seen: (seen.lo_s, seen.hi_s),
    GateSeen: lambda seen: (seen.at_s,),
    ProcessSeen: lambda seen: (seen.at_s,),
    Gap: lambda seen: (seen.from_s,),
    MachineSeen: lambda seen: (seen.from_s, seen.to_s),
    Abort: lambda seen: (seen.from_s, seen.at_s),
}
"""The moments in each record that had passed when it was written, in their order."""


def first_damage(lines: Sequence[Line], plan: Plan) -> tuple[int, str] | None:
    """Return the position of the first line that no run of the plan can have written there, and why; None for none."""
    order = _Order(plan)
    for position, line in enumerate(lines):
        due = position + 1
        if line.n != due:
            return position, f"it has the number {line.n}, and {due} is due: lines are missing, doubled or moved"
        why = order.broken_by(line)
        if why is not None:
            return position, why
    return None


class _Order:
    """What may come next in the journal of a run."""

    def __init__(self, plan: Plan) -> None:
        self._faults = {step.id for step in plan.scenario.timeline}
        self._last_s = 0.0
        self._phase = "starting"
        self._gated = False
        self._observed = False
        self._closed = False
        self._stages: dict[str, str] = {}
        self._answered: set[tuple[str, float]] = set()
        self._processes: set[ProcessSeen] = set()

    def broken_by(self, line: Line) -> str | None:
        """Return why this line cannot come next; None, and take it in, where it can."""
        body, before_s = line.body, self._last_s
        if self._closed:
            return "the journal was closed before it"
        if not before_s <= line.t_s <= LONGEST_S:
            return f"its time is {line.t_s:g} s, after a line of {before_s:g} s"
        self._last_s = line.t_s
        moments = _MOMENTS.get(type(body))
        if moments is not None and not _in_order((0.0, *moments(body), line.t_s)):
            return "its moments are not in order, before the run, or later than the line itself"
        match body:
            case Phase():
                return self._phase_broken_by(body)
            case GateSeen():
                again, self._gated = self._gated, True
                return "the steady state was judged before it" if again or self._stages else None
            case FaultSeen():
                return self._stage_broken_by(body)
            case Undo() | Hit() if body.fault not in self._faults:
                return f"the plan has no fault {body.fault!r}"
            case Evidence() if self._phase != "observed":
                # The ledger is read once nothing more is observed; until then it says nothing of the run.
                return f"the ledger is read in the phase 'observed', not in {self._phase!r}"
            case ProcessSeen():
                return self._process_broken_by(body)
            case Gap() if body.to_s < body.from_s:
                return "the gap ends before it begins"
            case Reading() | AlertsSeen() if line.t_s - body.answered_s > LATEST_WRITE_S:
                return f"it was read {line.t_s - body.answered_s:.1f} s before it was written"
            case Answer():
                again = (body.id, body.due_s) in self._answered
                self._answered.add((body.id, body.due_s))
                return f"the answer to {body.id!r}, due at {body.due_s:g} s, stands before it" if again else None
            case Closed(reason=reason, error=error) if error is not None and reason not in ("error", "interrupted"):
                return f"a run that ended as {reason!r} has no error"
            case Closed():
                self._closed = True
        return None

    def _phase_broken_by(self, body: Phase) -> str | None:
        before, self._phase = self._phase, body.phase
        self._observed |= body.phase == "observed"
        again = body.phase == before and body.phase not in ("starting", "fault")
        if again or _PHASES.index(body.phase) < _PHASES.index(before):
            return f"the phase {body.phase!r} cannot come after {before!r}"
        return None

    def _process_broken_by(self, body: ProcessSeen) -> str | None:
        again = body in self._processes
        self._processes.add(body)
        if again:
            return f"a line before it says as well that {body.service!r} {body.what} at {body.at_s:g} s"
        known = body.asked in (None, "harness") or body.asked in self._faults
        return None if known else f"the plan has no fault {body.asked!r}"

    def _stage_broken_by(self, body: FaultSeen) -> str | None:
        if body.fault not in self._faults:
            return f"the plan has no fault {body.fault!r}"
        if self._observed and body.stage in ("injecting", "injected"):
            # Not so for the revert: what a caller's time-out kept in is healed when observation is over.
            return f"the fault {body.fault!r} cannot be {body.stage!r} after observation ended"
        if body.stage not in _STAGES:
            return None
        before = self._stages.get(body.fault)
        self._stages[body.fault] = body.stage
        # A revert that failed is tried again.
        again = body.stage == before == "reverting"
        if before is None or again or _STAGES.index(body.stage) > _STAGES.index(before):
            return None
        return f"the fault {body.fault!r} cannot be {body.stage!r} after {before!r}"


def _in_order(moments: tuple[float, ...]) -> bool:
    # An event loop may wake up a clock tick before the moment it was asked for.
    return all(earlier <= later + ROUNDING_S for earlier, later in pairwise(moments))
