"""Whether lines can be what a run wrote: numbered one by one, in the order of time, about moments that had passed.

A journal that lost, doubled or changed lines is refused: a verdict would rest on something else than what was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from harness.model.readings import (
    AlertsSeen,
    Answer,
    Closed,
    FaultSeen,
    Gap,
    GateSeen,
    Line,
    Phase,
    ProcessSeen,
    Reading,
)

LONGEST_S = 30 * 86400.0
"""No run takes longer: such a time was read from another clock."""
ROUNDING_S = 1e-5
"""The times of lines are written with six decimals, moments in full."""

_PHASES = {
    "starting": 0,
    "gate": 1,
    "baseline": 2,
    "fault": 3,
    "observing": 3,
    "observed": 4,
    "healing": 5,
    "stopping": 6,
}
_MOMENTS: dict[type[Any], Callable[[Any], tuple[float, ...]]] = {
    Reading: lambda seen: (seen.planned_s, seen.asked_s, seen.answered_s),
    AlertsSeen: lambda seen: (seen.planned_s, seen.asked_s, seen.answered_s),
    Answer: lambda seen: (seen.due_s, seen.sent_s, seen.done_s),
    FaultSeen: lambda seen: (seen.lo_s, seen.hi_s),
    GateSeen: lambda seen: (seen.at_s,),
    ProcessSeen: lambda seen: (seen.at_s,),
    Gap: lambda seen: (seen.from_s,),
}
"""The moments in each record that had passed when it was written, in their order."""


def first_damage(lines: Sequence[Line]) -> tuple[int, str] | None:
    """Return the position of the first line that no run can have written there, and why; None where there is none."""
    return next(_damages(lines), None)


def _damages(lines: Sequence[Line]) -> Iterator[tuple[int, str]]:
    last_s, phase, closed = 0.0, "starting", False
    for position, line in enumerate(lines):
        body = line.body
        if line.n != position + 1:
            yield (
                position,
                f"it has the number {line.n}, and {position + 1} is due: lines are missing, doubled or moved",
            )
        if not last_s <= line.t_s <= LONGEST_S:
            yield position, f"its time is {line.t_s:g} s, after a line of {last_s:g} s"
        last_s = line.t_s
        moments = _MOMENTS.get(type(body))
        if moments is not None and not _in_order((*moments(body), last_s + ROUNDING_S)):
            yield position, "its moments are not in order, or later than the line itself"
        if closed:
            yield position, "the journal was closed before it"
        if isinstance(body, Phase):
            if _PHASES[body.phase] < _PHASES[phase]:
                yield position, f"the phase {body.phase!r} cannot come after {phase!r}"
            phase = body.phase
        closed = isinstance(body, Closed)


def _in_order(moments: tuple[float, ...]) -> bool:
    return all(earlier <= later for earlier, later in pairwise(moments))
