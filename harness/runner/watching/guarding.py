"""When a run has shown enough for its guard: answers that are good for long enough, or a time that is over.

A stack that is well soon after its faults are out needs no more; one that is not may use all the time that its recovery
clauses give it, and is then looked at for as long as the guard needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from harness.model.guard import FaultTimes, Guarded, recovery_over_s
from harness.model.guard_count import kind_of, too_many_unchecked
from harness.model.plan import Plan
from harness.model.readings import Answer
from harness.runner.watching.recoveries import MARGIN_S


def kept(limit: Guarded, answers: Sequence[Answer]) -> bool:
    """Whether there are answers, no more of them are bad than allowed, and enough of them could be checked."""
    kinds = Counter(kind_of(limit, answer) for answer in answers)
    bad, unchecked = kinds["bad"], kinds["unchecked"]
    told = bad + kinds["good"] + (unchecked if limit.known_only else 0)
    return told > 0 and bad <= limit.allowed * told and not too_many_unchecked(limit, unchecked, told)


def looked_at_s(plan: Plan) -> float:
    """Return how many seconds before the end of a run its guard looks at, at the least; 0 without a guard."""
    return max((limit.over for limit in plan.guard), default=0.0)


def seen_enough(
    plan: Plan, recent: Sequence[Answer], stages: Mapping[tuple[str, str], float], now_s: float, last_revert_s: float
) -> bool:
    """Whether the guard of a run needs no more of it.

    `recent` are the answers of the last seconds that it looks at; `stages` has the moments of the faults. Times are in
    seconds on the clock of the run.
    """
    over_s = looked_at_s(plan)
    if not plan.guard or now_s < last_revert_s + over_s + MARGIN_S:
        return not plan.guard
    if all(kept(limit, recent) for limit in plan.guard):
        return True
    steps = plan.scenario.timeline
    moments = {step.id: (stages.get((step.id, "injected")), stages.get((step.id, "reverted"))) for step in steps}
    times = {fault: FaultTimes(a, b) for fault, (a, b) in moments.items() if a is not None and b is not None}
    return now_s >= recovery_over_s(plan.scenario.expect.recovered, times) + over_s + MARGIN_S
