"""The checker of churn: how often a service restarts, or a pointer changes, from the first injection on.

Restarts are counted as Kubernetes counts them, all of them; but a restart that the fault or the harness did, or that
follows a death which the fault inflicted, is the fault's own and does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from harness.judge.facts import Facts
from harness.judge.machine import blamed
from harness.judge.moments import Span, but
from harness.judge.pointers import unread
from harness.model.expectations import Churn
from harness.model.readings import ProcessSeen, StackUp
from harness.model.verdict import ClauseResult, Value, met


@dataclass(frozen=True, slots=True)
class _Count:
    """At least `sure` and, as far as anything shows, at most `most` changes.

    `blind` is why there may be more, `cause` what else than the stack may have caused some of them.
    """

    sure: int
    most: int
    cites: tuple[int, ...]
    last_s: float | None = None
    blind: str | None = None
    cause: str | None = None


def churn(clause: Churn, facts: Facts) -> ClauseResult:
    """A service restarts, or a pointer changes, no more often than the bound."""
    injected, fault = facts.injected, facts.inconclusive_fault
    if fault is not None or injected is None:
        why = fault.inconclusive_reason if fault is not None else "no fault was injected"
        cites = fault.cites if fault is not None else ()
        cause = fault.cause if fault is not None else None
        return ClauseResult.of(clause.id, Value.UNKNOWN, f"{clause.subject}: {why}", clause.unmeasured(), cites, cause)
    count = _changes(clause.probe, facts, injected) if clause.probe else _restarts(str(clause.service), facts, injected)
    times = f"{count.sure}" if count.sure == count.most else f"{count.sure} to {count.most}"
    times = "once" if times == "1" else f"{times} times"
    last = f", last at {count.last_s:.2f} s" if count.last_s is not None else ""
    reason = f"{clause.subject} {clause.verb} {times} after injection{last} (at most {clause.at_most})"
    busy: str | None = None
    if count.sure > clause.at_most:
        value = Value.FAIL
    elif count.most > clause.at_most or count.blind is not None:
        value = Value.UNKNOWN
        busy = count.cause if count.most > clause.at_most else None
        reason = but(reason, busy)
        reason += f"; {count.blind}" if count.blind is not None else ""
    else:
        value = Value.PASS
    measured = clause.unmeasured().model_copy(update={"changes": count.sure, "met": met(value)})
    # A service that is not watched will not be the next time either.
    cause = blamed(busy) or ("other" if count.blind is not None and clause.service is not None else None)
    return ClauseResult.of(clause.id, value, reason, measured, count.cites, cause)


def _restarts(service: str, facts: Facts, injected: Span) -> _Count:
    """Count restarts that neither a fault nor the harness did, and that follow no death by a fault.

    A service of which no process was ever seen was not watched: every process that the harness starts leaves a line.
    Those of a stack that was running before the run do not.
    """
    found: list[tuple[int, ProcessSeen]] = []
    own_death: dict[int | None, bool] = {}
    """Of each replica, whether its last end was the fault's or the harness's doing."""
    for n, seen in sorted(facts.journal.of(ProcessSeen), key=lambda pair: pair[1].at_s):
        if seen.service != service or seen.at_s > facts.end_s:
            continue
        if seen.what == "exited":
            own_death[seen.replica] = seen.asked is not None
        elif seen.what == "restarted" and seen.asked is None and seen.at_s >= injected.lo:
            found += [] if own_death.get(seen.replica) else [(n, seen)]
    causes = [facts.disturbed.behind(Span(seen.at_s, seen.at_s)) for _, seen in found]
    sure = sum(seen.at_s > injected.hi and why is None for (_, seen), why in zip(found, causes, strict=True))
    last_s = found[-1][1].at_s if found else None
    watched = any(seen.service == service for _, seen in facts.journal.of(ProcessSeen))
    attached = any(not up.owned for _, up in facts.journal.of(StackUp))
    blind = None if watched or attached else "no process of it was ever seen"
    cause = next(filter(None, causes), None)
    return _Count(sure, len(found), tuple(n for n, _ in found), last_s, blind, cause)


def _changes(probe: str, facts: Facts, injected: Span) -> _Count:
    """Count changes from one reading of a pointer to the next; a reading without a value shows nothing."""
    # One that was asked before observation ended shows a change that may have come before that, too.
    read = [(n, r) for n, r in facts.readings(probe) if r.value is not None and r.asked_s <= facts.end_s]
    before = [pair for pair in read if pair[1].answered_s <= injected.lo][-1:]
    after = [pair for pair in read if pair[1].answered_s > injected.lo]
    pairs = [(a, b) for a, b in pairwise((*before, *after)) if a[1].value != b[1].value]
    # A change since the last reading before injection may have come before it as well.
    causes = [facts.disturbed.behind(Span(a[1].asked_s, b[1].answered_s)) for a, b in pairs]
    sure = sum(
        a[1].asked_s >= injected.hi and b[1].answered_s <= facts.end_s and why is None
        for (a, b), why in zip(pairs, causes, strict=True)
    )
    cites = tuple(n for _, (n, _) in pairs)
    last_s = pairs[-1][1][1].answered_s if pairs else None
    unseen = unread(probe, facts, injected.lo, [r for _, r in read])
    blind = None if unseen is None else f"no value of it from {unseen.lo:.2f} to {unseen.hi:.2f} s"
    return _Count(sure, len(pairs), cites, last_s, blind, next(filter(None, causes), None))
