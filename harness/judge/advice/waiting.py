"""Advice on callers of a service that is gone: they wait too long, end, or go on to choose it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.judge.advice.case import (
    AWAY,
    ENDED,
    FEWEST,
    LATE,
    OF_MISSING,
    ON_LINKS,
    SEEN_LATE_S,
    Bounded,
    Case,
    MissingGuard,
    cited,
    crashed,
    ids,
    listed,
    on_links,
    refused,
    unanswered_s,
)
from harness.judge.moments import seconds
from harness.model.answers import ANSWER_PROBES
from harness.model.clauses import RecoveryResult, StaysResult
from harness.model.errors import HarnessError
from harness.model.expectations import CollateralResult
from harness.model.faultstep import Target
from harness.model.fields import Link
from harness.model.readings import ProcessSeen
from harness.model.replicas import how_many
from harness.model.units import format_seconds, parse_wall_s


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of one service in a stretch: how it went, and the line of each."""

    n: int
    good: bool
    waited_s: float | None
    refused: bool
    """Whether it was answered that the request itself cannot be: such as not found, or too many."""


def client_timeout(case: Case) -> Iterator[MissingGuard]:
    """Requests to a consumer have no answer while what it uses is silent."""
    if not case.away and case.kind not in LATE:
        return
    for clause, measured in case.unanswered_bounds(StaysResult):
        links = direct_links(case, measured)
        before = asked_of(case, measured.probe, case.facts.gate_s, case.injected.lo)
        during = asked_of(case, measured.probe, case.injected.hi, case.out_s)
        silent = [one for one in during if one.waited_s is not None]
        waited_s = max((one.waited_s or 0.0 for one in silent), default=0.0)
        sure = len(silent) >= FEWEST and 2 * len(silent) > len(during) and any(one.good for one in before)
        if not links or not sure or any(one.waited_s is not None for one in before):
            continue
        if _longer_than(case, waited_s):
            seen = (
                f"{len(silent)} of {len(during)} requests to {links[0].consumer} had no answer within "
                f"{format_seconds(waited_s)} while {case.what_was(links)}"
            )
            lines = tuple(one.n for one in silent[:FEWEST])
            yield MissingGuard("client-timeout", on_links(links), seen, (clause.id,), lines)


def direct_links(case: Case, measured: Bounded) -> tuple[Link, ...]:
    """Return the broken links of the service that a clause asks; none where an answer of it needs others as well."""
    asked = case.asked(measured.probe)
    if asked is None or asked in case.hit:
        return ()
    links = case.cut_off(asked)
    own = all(one.consumer == asked and case.wiring.only_directly(asked, one.service) for one in links)
    return links if own else ()


def _longer_than(case: Case, waited_s: float) -> bool:
    """Whether one call over a link takes as long as was waited. Several calls may be late though each is in time."""
    if case.away:
        return True
    try:
        return parse_wall_s(case.step.parameters.get("latency")) >= waited_s
    except (ValueError, HarnessError):
        return False


def asked_of(case: Case, probe: str, from_s: float, to_s: float) -> list[Asked]:
    """Return what a probe, or the workload, asked in a stretch."""
    if probe in ANSWER_PROBES:
        answers = case.answers(from_s, to_s)
        return [Asked(n, one.ok, *((None, False) if one.ok else _why(one.error))) for n, one in answers]
    read = case.readings(probe, from_s, to_s)
    return [Asked(n, one.value is not None, *_why(one.down)) for n, one in read]


def _why(text: str | None) -> tuple[float | None, bool]:
    return unanswered_s(text), refused(text)


def survive_dependency(case: Case) -> Iterator[MissingGuard]:
    """A consumer ends while what it uses is gone."""
    if case.kind not in (*AWAY, *ENDED, *ON_LINKS):
        return
    deaths = [
        (n, seen) for n, seen in case.facts.journal.of(ProcessSeen) if crashed(seen) and case.injected.hi < seen.at_s
    ]
    for clause in case.failed:
        if not isinstance(clause.measured, CollateralResult):
            continue
        for n, seen in deaths:
            links = [
                link
                for link in case.broken
                if link.consumer == seen.service and seen.at_s <= case.lost_until_s(link.service) + SEEN_LATE_S
            ]
            if not links or seen.service not in clause.measured.died:
                continue
            after = seconds(seen.at_s - case.injected.lo)
            how = f"signal {seen.signal}" if seen.signal else f"exit code {seen.exit_code}"
            used = listed({link.service for link in links})
            what = f"{seen.service} ended ({how}) {after} after the fault on {used} went in, and while it was in"
            yield MissingGuard("survive-dependency", on_links(links), what, (clause.id,), (n,))


def replica_ejection(case: Case) -> Iterator[MissingGuard]:
    """Some of several replicas of what a consumer uses are lost, and about that share of requests to it fails."""
    asked, target = case.wiring.workload, case.step.target
    if target.part is None or target.service is None or asked is None or case.kind not in (*AWAY, *ENDED):
        return
    total = case.wiring.replicas.get(target.service, 1)
    lost = how_many(target.share, total) if target.share is not None else 1
    if lost >= total or target.service not in case.wiring.used_by(asked) or target.service == asked:
        return
    failing = [pair for pair in case.unanswered_bounds(StaysResult, RecoveryResult) if pair[1].probe in OF_MISSING]
    if not failing or not _others_ran_on(case, target, lost) or not _failing_throughout(case):
        return
    during = case.answers(case.injected.hi, case.out_s)
    bad = [(n, one) for n, one in during if not one.ok]
    # About as many as went to what was lost: those that the others could not take would be as many only by chance.
    in_proportion = abs(len(bad) / len(during) - lost / total) <= lost / total / 2
    if in_proportion and not any(refused(one.error) for _, one in bad):
        seen = (
            f"{lost} of {total} replicas of {target.service} {'was' if lost == 1 else 'were'} lost, the others ran on, "
            f"and {len(bad)} of {len(during)} requests to {asked} failed meanwhile"
        )
        where = f"link {Link(asked, target.service)}, what chooses between replicas"
        yield MissingGuard("replica-ejection", where, seen, ids(failing), cited(bad))


def _others_ran_on(case: Case, target: Target, lost: int) -> bool:
    """Whether no replica ended but those that were hit, and none began while the fault was in."""
    processes = case.processes(str(target.service))
    seen = [one for _, one in processes if case.facts.gate_s <= one.at_s < case.out_s]
    if any(one.what != "exited" for one in seen) or len(seen) > lost:
        return False
    if target.replica is not None:
        return all(one.replica == target.replica for one in seen)
    return all(one.asked is not None for one in seen)


_PARTS = 3


def _failing_throughout(case: Case) -> bool:
    """Whether in each part of the fault some requests failed and some were answered, and none failed before it."""
    if any(not answer.ok for _, answer in case.answers(case.facts.gate_s, case.injected.lo)):
        return False
    length_s = (case.out_s - case.injected.hi) / _PARTS
    for k in range(_PARTS):
        from_s = case.injected.hi + k * length_s
        oks = [answer.ok for _, answer in case.answers(from_s, from_s + length_s)]
        if oks.count(False) < FEWEST or oks.count(True) < FEWEST:
            return False
    return True
