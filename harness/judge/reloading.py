"""Damaged objects, and the restarts by which a timeline makes a service load them, and then the whole ones again.

A service may answer nothing until it loads whole objects, so that what broke first is well again only with the last
restart. A recovery that names no fault is from all of them together: each alone is followed by the next too soon.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.judge.facts import Facts
from harness.judge.moments import Span
from harness.model.faultstep import FaultStep

OBJECTS = "object.corrupt"
RESTARTS = ("container.kill", "container.stop")
"""Faults by which a service starts anew."""


def damage_beside_restarts(timeline: Sequence[FaultStep]) -> FaultStep | None:
    """Return the damage of a timeline whose other faults restart one service, all alike; None where there is more."""
    damage = [step for step in timeline if step.fault == OBJECTS]
    others = [step for step in timeline if step.fault != OBJECTS]
    alike = {(step.fault, *map(str, (step.target, sorted(step.parameters.items()), step.duration))) for step in others}
    return damage[0] if len(damage) == len(alike) == 1 and others[0].fault in RESTARTS else None


def damaged_at(facts: Facts) -> Span | None:
    """Return when the damage went in, where a restart followed in it, and the last fault is one with whole objects."""
    step = damage_beside_restarts(facts.scenario.timeline)
    damage = None if step is None else facts.faults[step.id]
    if damage is None or damage.injected is None or damage.reverted is None or facts.last is damage:
        return None
    if facts.inconclusive_fault is not None:
        return None
    restarts = [one.injected for one in facts.faults.values() if one is not damage and one.injected is not None]
    last = facts.last.injected
    met = any(damage.injected.hi <= one.lo and one.hi <= damage.reverted.lo for one in restarts)
    return damage.injected if met and last is not None and last.lo >= damage.reverted.hi else None
