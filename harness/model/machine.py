"""What makes a machine too busy to judge a stack on it: others, a hypervisor or a quota took what the run wanted.

Processor time of the run itself, its faults included, is no excuse, and neither is memory that a container lacks at a
limit of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from harness.model.readings import MachineSeen

MACHINE = "machine"
"""What a gap is of in which nobody watched the machine."""
MACHINE_BUSY = "machine busy"
"""How a reason begins that names the machine, not the stack, as what may be the cause."""

FULL = 0.9
"""The share of the processors in use from which something waits for one."""
OTHERS = 0.2
"""The share of the processors that others must have taken to be the cause of a wait."""
STEAL = 0.15
"""The share of the processors that a hypervisor must have given to other machines to be the cause of a wait."""
THROTTLED = 0.05
"""The share of a stretch for which the run's own group of processes may be held back by its quota."""
PRESSED = 0.1
"""The share of a stretch in which something may wait for a processor, or for memory."""
SHORT = 0.05
"""The share of the memory below which it is the machine that lacks it."""

SUSPENDED_S = 0.5
"""How late a process that got SIGCONT must be to have been stopped for that long."""
SHORTEST_S = 0.05
"""A shorter stretch says nothing: the kernel counts processor time in hundredths of a second."""

Lacking = Literal["processors", "steal", "quota", "memory"]


def lacking(seen: MachineSeen) -> Lacking | None:
    """Return what the run had to do without in one stretch; None where the machine had enough of everything."""
    cores, steal = seen.processors, seen.steal or 0.0
    if seen.to_s - seen.from_s < SHORTEST_S:
        return None
    if steal >= STEAL * cores:
        return "steal"
    full = seen.busy is not None and seen.busy + steal >= FULL * cores
    waited = seen.cpu_pressure is None or seen.cpu_pressure >= PRESSED
    if full and waited and (seen.others or 0.0) >= OTHERS * cores:
        return "processors"
    if (seen.throttled or 0.0) >= THROTTLED:
        return "quota"
    if (seen.memory_pressure or 0.0) >= PRESSED and seen.memory_free is not None and seen.memory_free < SHORT:
        return "memory"
    return None


def busy_share(seen: Sequence[MachineSeen]) -> float:
    """Return the share of the time in which something was lacking, from 0 to 1."""
    whole_s = sum(one.to_s - one.from_s for one in seen)
    busy_s = sum(one.to_s - one.from_s for one in seen if lacking(one) is not None)
    return busy_s / whole_s if whole_s > 0 else 0.0


def busy_text(seen: Iterable[MachineSeen]) -> str | None:
    """Say what was lacking for the longest in some stretches, on average and when; None where nothing was."""
    short = [(one, what) for one in seen if (what := lacking(one)) is not None]
    if not short:
        return None
    kinds = [what for _, what in short]
    most = max(dict.fromkeys(kinds), key=kinds.count)
    those = [one for one, what in short if what == most]
    cores = f"{those[0].processors:g} processor{'s' if those[0].processors != 1 else ''}"
    match most:
        case "steal":
            how = f"the hypervisor took {_mean(one.steal for one in those):.1f} of {cores}"
        case "processors":
            how = f"others took {_mean(one.others for one in those):.1f} of {cores}"
        case "quota":
            how = f"a quota held the run back for {_mean(one.throttled for one in those) * 100:.0f} % of the time"
        case "memory":
            how = f"{_mean(one.memory_free for one in those) * 100:.0f} % of the memory was free"
    return f"{MACHINE_BUSY} ({how} at {short[0][0].from_s:.1f}–{short[-1][0].to_s:.1f} s)"


def suspension(seen: MachineSeen) -> float | None:
    """Return for how many seconds the run itself was suspended in a stretch; None where it was not.

    SIGCONT alone is not enough: a process that was never stopped may get it as well.
    """
    return seen.late_s if seen.continued and seen.late_s >= SUSPENDED_S else None


def suspended_text(seen: MachineSeen) -> str:
    """Say for how long the run was suspended in a stretch, and when."""
    return f"the run was suspended for {seen.late_s:.1f} s, at {seen.to_s - seen.late_s:.1f}–{seen.to_s:.1f} s"


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known)
