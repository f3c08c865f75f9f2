"""Which part of a run is about one of several faults, and what else may be the cause of an alert in it.

Where faults overlap, nobody can tell by an alert alone which of them raised it, or keeps it firing.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.judge.facts import Facts
from harness.judge.fault_facts import FaultFacts
from harness.judge.moments import Span


@dataclass(frozen=True, slots=True)
class Stretch:
    """The part of a run that is about one fault, which was measured to be gone."""

    end_s: float
    """When observation ended, or the next fault was injected after this one was gone."""
    until: str
    """What happened then, in words."""
    beside: tuple[str, ...]
    """The faults that were in at the same time."""
    gone: Span | None
    """When the last of them was gone, and this one; None where one was never measured to be."""


def later_faults(fault: FaultFacts, facts: Facts) -> list[tuple[FaultFacts, Span]]:
    """Return the other faults that went in since this one did, and when, in that order."""
    since_s = fault.injected.lo if fault.injected is not None else facts.end_s
    others = [(one, one.injected) for one in facts.faults.values() if one.id != fault.id and one.injected is not None]
    return sorted((pair for pair in others if pair[1].lo >= since_s), key=lambda pair: pair[1].lo)


def stretch_of(fault: FaultFacts, injected: Span, reverted: Span, facts: Facts) -> Stretch:
    """Return the part of a run that is about a fault that went in and out at those moments."""
    after = [(one, span) for one, span in later_faults(fault, facts) if span.lo >= reverted.hi]
    followers = {one.id for one, _ in after}
    others = [f for f in facts.faults.values() if f.injected is not None and f.id not in (fault.id, *followers)]
    beside = [f for f in others if f.reverted is None or f.reverted.hi > injected.lo]
    ends = [reverted, *(f.reverted for f in beside if f.reverted is not None)]
    known = len(ends) == 1 + len(beside)
    end_s = facts.alone_until_s(fault)
    until = f"the fault {after[0][0].id} was injected" if end_s < facts.end_s else "observation ended"
    gone = Span(max(s.lo for s in ends), max(s.hi for s in ends)) if known else None
    return Stretch(end_s, until, tuple(f.id for f in beside), gone)
