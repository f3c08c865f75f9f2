"""How many runs go side by side: a fixed number, or as many as the machine carries without making runs late.

The decision is a pure function of what is measured; the pool applies it. A late run decides nothing (its verdict is
`unknown`), so one run too few at a time costs less than one too many.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.model.plan import Plan

RUN_NEEDS = 1.3
"""The processors that a run on processes wants at its busiest, with the reference stack; 0.9 on average."""
NEARLY_LATE = 0.5
"""The share of the limit on lateness above which no more runs are added."""


@dataclass(frozen=True)
class Pace:
    """How many runs go side by side now, and up to how many."""

    jobs: int
    most: int
    on_time: int = 0
    """Runs that were on time since the last change."""
    fixed: bool = False
    """Whether the number was given: it never changes then."""


def first_pace(plans: Sequence[Plan], wanted: int | None, cores: int, load: float = 0.0) -> Pace:
    """Return the pace to begin with. `wanted` is the number that the user asked for; None finds it.

    `load` is how many processors others use: it begins with what they leave.

    At most as many stacks of processes as find RUN_NEEDS processors each, or one stack of containers for two: beyond
    that, stacks starve one another while the harness itself is still on time. An attached stack carries one run at a
    time.
    """
    if any(plan.attach is not None for plan in plans):
        return Pace(1, 1, fixed=True)
    if wanted is not None:
        jobs = max(1, min(wanted, len(plans)))
        return Pace(jobs, jobs, fixed=True)
    local = all(plan.backend == "local" for plan in plans)
    most = max(1, min(len(plans), int(cores / RUN_NEEDS) if local else cores // 2))
    return Pace(max(1, min(most, int((cores - load) / RUN_NEEDS + 0.5))) if local else 1, most)


def next_pace(pace: Pace, late_s: float | None, limit_s: float, beside: int) -> Pace:
    """Return the pace after a run has ended.

    `late_s` is the harness's own lateness in the run (None where it was not measured), `limit_s` the lateness from
    which a verdict is `unknown`, and `beside` how many runs went side by side with it at most, itself included.
    """
    if pace.fixed or late_s is None or beside > pace.jobs:
        return pace  # a run from before the number was lowered does not count for the number now
    if late_s > limit_s:
        jobs = max(1, min(pace.jobs, beside) - 1)
        return Pace(jobs, jobs)  # what was too many is not tried again
    if late_s > limit_s * NEARLY_LATE or beside < pace.jobs:
        return replace(pace, on_time=0 if beside == pace.jobs else pace.on_time)
    if pace.jobs < pace.most and pace.on_time + 1 >= 2 * pace.jobs:
        return Pace(pace.jobs + 1, pace.most)
    return replace(pace, on_time=pace.on_time + 1)


def load() -> float:
    """Return how many processes wanted a processor, on average over the last minute; 0 where that is not known."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
