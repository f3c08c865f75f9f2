"""Advice on recovery: a process that nobody starts, one that starts slowly, a backlog that is worked off slowly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from harness.judge.advice.case import AWAY, ENDED, Case, MissingGuard
from harness.judge.moments import seconds
from harness.model.answers import ANSWER_PROBES
from harness.model.clauses import RecoveryResult, StaysResult
from harness.model.units import Unit, format_seconds

NO_POLICY = ("no", "")
_PILES_UP = re.compile(
    r"(?<![a-z])(lag|age|backlog|queued?|behind|pending|waiting|outstanding|unprocessed|depth|since)(?![a-z])",
    re.IGNORECASE,
)
"""In the names of what a service works off: a lag, an age, the length of a queue."""
_OVER_A_WINDOW = re.compile(
    r"rate|increase|delta|deriv|_over_time|\[|quantile|percentile|histogram|(?<![a-z0-9])p\d\d|median|average|avg|mean"
    r"|share|ratio|percent|fraction|latency|duration|error|fail",
    re.IGNORECASE,
)
"""In the names of what falls by itself, as its window passes or its sample changes."""
_STEPS = 5
_STEADILY = 0.8


def restart_policy(case: Case) -> Iterator[MissingGuard]:
    """A process is killed, and nothing starts it again."""
    if case.kind not in ("container.kill", "container.oom") or case.step.parameters.get("restart") == "none":
        return
    for service in sorted(case.hit):
        if case.wiring.restart.get(service, "?") not in NO_POLICY:
            continue
        seen = case.processes(service)
        ended = [n for n, one in seen if one.what == "exited" and case.injected.lo <= one.at_s]
        began = [one for _, one in seen if one.what != "exited" and case.injected.lo <= one.at_s < case.out_s]
        clauses = [
            clause.id
            for clause, measured in case.unanswered_bounds(StaysResult, RecoveryResult)
            if _needs(case, case.asked(measured.probe), service)
        ]
        if clauses and ended and not began:
            what = f"its process was killed, and was not started again in {seconds(case.out_s - case.injected.hi)}"
            yield MissingGuard("restart-policy", f"service {service}, `restart`", what, tuple(clauses), (ended[0],))


def _needs(case: Case, asked: str | None, service: str) -> bool:
    """Whether what is asked needs a service."""
    return asked is not None and (asked == service or case.wiring.reaches(asked, service))


def quick_start(case: Case) -> Iterator[MissingGuard]:
    """A process runs again in time, and its service answers well only after the deadline."""
    if case.kind not in ENDED:
        return
    for clause, measured in case.unanswered_bounds(RecoveryResult):
        assert isinstance(measured, RecoveryResult)
        service, start_s = case.asked(measured.probe), _start_s(case, measured)
        if service is None or service not in case.hit or measured.recovered_at_s is None or start_s is None:
            continue
        if any(case.wiring.reaches(service, other) for other in case.hit - {service}):
            continue  # it may have waited for what was lost with it
        seen = case.processes(service)
        inside = [(n, one) for n, one in seen if case.injected.lo < one.at_s <= measured.recovered_at_s]
        began = [(n, one) for n, one in inside if one.what != "exited"]
        # One that ended again did not take long to start: it failed to.
        if len(began) != 1 or inside[-1] != began[0] or began[0][1].at_s > start_s + measured.within_s:
            continue
        took = measured.recovered_at_s - began[0][1].at_s
        what = (
            f"its process ran again {seconds(max(0.0, began[0][1].at_s - start_s))} after {measured.since}, and "
            f"{measured.probe} was good {seconds(took)} after that; {format_seconds(measured.within_s)} were allowed"
        )
        yield MissingGuard("quick-start", f"service {service}", what, (clause.id,), (began[0][0],))


def _start_s(case: Case, measured: RecoveryResult) -> float | None:
    if measured.since == "injection":
        return case.injected.lo
    return None if case.fault.reverted is None else case.fault.reverted.lo


def catch_up(case: Case) -> Iterator[MissingGuard]:
    """A lag falls steadily after revert, and reaches its bound too late."""
    if case.kind not in (*AWAY, *ENDED, "data.stale") or case.fault.reverted is None:
        return
    bounds = {clause.id: clause for clause in case.facts.scenario.expect.recovered}
    for clause, measured in case.failed_bounds(RecoveryResult):
        assert isinstance(measured, RecoveryResult)
        bound = bounds.get(clause.id)
        if bound is None or bound.at_most is None or measured.recovered_at_s is None:
            continue
        if measured.probe in ANSWER_PROBES or not _works_off(case, measured.probe):
            continue
        read = case.readings(measured.probe, case.gone_s, measured.recovered_at_s)
        values = [one.value for _, one in read if one.value is not None]
        steps = [after - before for before, after in pairwise(values) if after != before]
        falling = [step for step in steps if step < 0]
        # A value that falls at once was late, but worked nothing off.
        steady = bool(falling) and max(-step for step in falling) < (values[0] - bound.at_most.value) / 2
        if len(falling) < _STEPS or len(falling) < _STEADILY * len(steps) or not steady:
            continue
        what = (
            f"{measured.probe} fell from {bound.amount(values[0])} to {bound.amount(bound.at_most.value)} in "
            f"{seconds(measured.recovered_at_s - case.gone_s)} after revert; {format_seconds(measured.within_s)} "
            "were allowed"
        )
        asked = case.asked(measured.probe)
        where = f"what {measured.probe} shows" + (f" of {asked}" if asked is not None else "")
        yield MissingGuard("catch-up", where, what, (clause.id,), (read[0][0], read[-1][0]))


def _works_off(case: Case, probe: str) -> bool:
    """Whether a probe reads a lag, an age or the length of a queue; not where nobody knows what it asks for."""
    facts = case.probe(probe)
    named = f"{probe} {facts.page}"
    if facts.health or not (facts.page or facts.kind == "kafka_lag"):
        return False
    if case.unit(probe) is Unit.RATIO or _OVER_A_WINDOW.search(named):
        return False
    return facts.kind == "kafka_lag" or _PILES_UP.search(named) is not None
