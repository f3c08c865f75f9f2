"""Which faults may change the same thing: then the newer one is reverted first, in its run and by whoever heals."""

from __future__ import annotations

from harness.faults.command import KIND as COMMAND
from harness.model.faultstep import FaultStep
from harness.model.reach import services_hit, services_named
from harness.model.stack import StackDescription


def may_overlap(one: FaultStep, stack: StackDescription, other: FaultStep, its_stack: StackDescription) -> bool:
    """Whether two faults, each with the description of its stack, may change the same thing.

    What commands change nobody knows, nor what one hits of which no service is known.
    """
    if COMMAND.kind in (one.fault, other.fault):
        return True
    try:
        mine, theirs = _services(one, stack), _services(other, its_stack)
    except ValueError:  # what is given as a link is none: nobody can tell what it hits
        return True
    return not mine or not theirs or bool(mine & theirs)


def _services(step: FaultStep, stack: StackDescription) -> frozenset[str]:
    return services_hit(step.target, stack) | set(services_named(step))
