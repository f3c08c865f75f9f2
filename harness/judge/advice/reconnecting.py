"""Advice on consumers that do not come back though what they use does."""

from __future__ import annotations

from collections.abc import Iterator

from harness.judge.advice.case import AWAY, ENDED, FEWEST, ON_LINKS, Bounded, Case, MissingGuard, falls, values_of
from harness.judge.advice.waiting import asked_of, direct_links
from harness.judge.moments import seconds
from harness.model.clauses import RecoveryResult
from harness.model.fields import Link
from harness.model.guard import GuardResult
from harness.model.units import Unit

TIMES_USUAL = 4
"""For how many times the oldest result before the fault there must be none, so that it is no slow run."""
RESULTS = 2
"""So many results show that others are at work: one may have been on its way."""


def reconnect(case: Case) -> Iterator[MissingGuard]:
    """What a consumer uses answers again, and the consumer goes on to fail, or to make nothing."""
    if case.kind not in (*AWAY, *ON_LINKS) or case.fault.reverted is None:
        return
    if case.kind not in ENDED:  # what was ended may have lost its data, and a consumer fails for that
        yield from _failing(case)
    yield from _making_nothing(case)


def _making_nothing(case: Case) -> Iterator[MissingGuard]:
    """What only one consumer makes of what it uses grows older to the end of the run; others are at work again."""
    for clause, measured in case.failed_bounds(RecoveryResult):
        link = _only_maker(case, measured)
        back_s = None if link is None else _back_s(case, link.service)
        if link is None or back_s is None or _ended(case, link.consumer) or not _serves(case, link, back_s):
            continue
        usual_s = max(
            (value for _, value in values_of(case.readings(measured.probe, case.facts.gate_s, case.injected.lo))),
            default=0,
        )
        after = values_of(case.readings(measured.probe, back_s, case.facts.end_s))
        long_s = case.facts.end_s - back_s
        # As long as several results usually take; and what stands still is no age.
        if not usual_s or long_s < TIMES_USUAL * usual_s or len(after) < FEWEST or falls(after):
            continue
        if 2 * (after[-1][1] - after[0][1]) < long_s:
            continue
        seen = (
            f"{link.service} answered again from {seconds(back_s)} on, and {measured.probe}, which tells of what only "
            f"{link.consumer} makes, grew for the {seconds(long_s)} to the end of the run"
        )
        yield MissingGuard("reconnect", f"link {link}", seen, (clause.id,), tuple(n for n, _ in after[:FEWEST]))


def _only_maker(case: Case, measured: Bounded) -> Link | None:
    """Return the broken link of the only service that may make that of which a probe tells the age."""
    store, wiring = case.asked(measured.probe), case.wiring
    if store is None or store in case.hit or not _is_age_of_result(case, measured.probe):
        return None
    asked = wiring.workload
    users = {one.consumer for one in wiring.pairs if one.service == store}
    # Who answers requests reads it, and so does who is asked on the way.
    makers = {one for one in users if one != asked and not (asked is not None and wiring.reaches(asked, one))}
    links = [one for one in case.broken if one.consumer in makers]
    return links[0] if len(makers) == len(links) == 1 else None


def _serves(case: Case, link: Link, back_s: float) -> bool:
    """Whether what is back has its data, which what was ended may have lost: others make new results with it."""
    if case.kind not in ENDED:
        return True
    pairs = case.wiring.pairs
    others = {one.consumer for one in case.broken if one.service == link.service} - {link.consumer}
    places = {link.service, *(one.service for one in pairs if one.consumer in others)}
    places -= {one.service for one in pairs if one.consumer == link.consumer and one.service != link.service}
    ages = [name for place in sorted(places) for name in case.probes_of(place) if _is_age_of_result(case, name)]
    found = (falls(values_of(case.readings(name, back_s, case.facts.end_s))) for name in ages)
    return any(len(results) >= RESULTS for results in found)


def _is_age_of_result(case: Case, probe: str) -> bool:
    """Whether a probe reads a time, and not that of an answer."""
    return case.unit(probe) is Unit.WALL and not case.probe(probe).health


def _failing(case: Case) -> Iterator[MissingGuard]:
    for clause, measured in case.unanswered_bounds(RecoveryResult, GuardResult):
        for link in direct_links(case, measured):
            back_s = _back_s(case, link.service)
            if back_s is None or _ended(case, link.consumer):
                continue
            after = asked_of(case, measured.probe, back_s, case.facts.end_s)
            failed = [one for one in after if not one.good]
            last = [one.good for one in after[-FEWEST:]]
            if len(failed) < FEWEST or any(last) or 2 * len(failed) < len(after):
                continue
            if any(one.refused for one in failed):
                continue
            seen = (
                f"{link.service} answered again from {seconds(back_s)} on, and {len(failed)} of {len(after)} requests "
                f"to {link.consumer} failed after that, to the end of the run"
            )
            yield MissingGuard("reconnect", f"link {link}", seen, (clause.id,), tuple(one.n for one in failed[:FEWEST]))


def _back_s(case: Case, service: str) -> float | None:
    """Return from when on every probe of a service was well after the fault; None where none tells, or one was not."""
    found: list[float] = []
    for name in case.probes_of(service):
        usual = {one.value for _, one in case.readings(name, case.facts.gate_s, case.injected.lo)}
        if not usual or None in usual:
            continue
        after = [one for _, one in case.readings(name, case.gone_s, case.facts.end_s)]
        # A page says yes or no; any other number is well as soon as there is one, but for a 0 that was none before.
        exact = case.probe(name).health
        bad = [one for one in after if one.value not in usual and (exact or not one.value)]
        since_s = max((one.answered_s for one in bad), default=case.gone_s)
        well = [one.answered_s for one in after if one.asked_s >= since_s]
        if len(well) < FEWEST:
            return None
        found.append(well[0])
    return max(found, default=None)


def _ended(case: Case, service: str) -> bool:
    """Whether a process of a service ended or began once the fault was in."""
    return any(one.at_s >= case.injected.lo for _, one in case.processes(service))
