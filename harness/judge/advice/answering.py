"""Advice on answers: wrong, old or missing ones that a guard would have flagged, refused or kept from being made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.judge.advice.case import (
    ENDED,
    FEATURES,
    FEWEST,
    Bounded,
    Case,
    MissingGuard,
    Numbered,
    cited,
    ids,
    listed,
    on_links,
    wrong_silently,
)
from harness.judge.moments import seconds
from harness.model.clauses import RecoveryResult, StaysResult
from harness.model.fields import Link
from harness.model.guard import GuardResult
from harness.model.readings import Answer
from harness.model.verdict import ClauseResult

WRONG = ("silent_wrong_answers", "wrong_answers")
OF_STORES = ("redis", "feast", "s3", "sql", "mongo")
"""Kinds of probes that look into what keeps data."""
DEFAULT_FACTOR = 60.0
"""By what `features.corrupt` scales where the scenario does not say."""
OLD = ("silent_wrong_answers", "stale_answers", "feature_age_p50", "feature_age_p99")
AT_ONCE_S = 5.0
"""How soon after a store is back answers are wrong for that: later, they have another cause."""
FAR = 10.0
"""The factor from which on a number scaled by it is taken to be outside its range."""
MOSTLY = 0.9
"""The share of requests that are answered where a service is there."""


def fallback_flag(case: Case) -> Iterator[MissingGuard]:
    """Requests are answered while the data for the answers cannot be read: they are wrong, and nothing says so."""
    if not case.away:
        return
    failing, wrong = about(case, WRONG, StaysResult, RecoveryResult), case.in_the_middle_of(wrong_silently)
    asked = case.wiring.workload
    links = case.cut_off(asked) if asked is not None else ()
    if asked is None or not links or not failing or len(wrong) < FEWEST or not _answered(case):
        return
    during = case.answers(case.injected.hi, case.out_s)
    seen = f"while {case.what_was(links)}, {len(wrong)} of {len(during)} answers were wrong and carried no flag"
    yield MissingGuard("fallback-flag", _where(asked, links), seen, ids(failing), cited(wrong))


def filled_before_used(case: Case) -> Iterator[MissingGuard]:
    """A store whose process was ended is back, and answers made from it are wrong until it has its data again."""
    stores = (probe.services for probe in case.wiring.probes.values() if probe.kind in OF_STORES)
    looked_into = {services[0] for services in stores if len(services) == 1}
    holders = case.hit & {*case.wiring.keyspaces.values(), *case.wiring.datasets.values(), *looked_into}
    if case.kind not in ENDED or not holders:
        return
    back_s = max((started_s for name in holders if (started_s := case.began_anew_s(name)) is not None), default=None)
    since_s = case.gone_s if back_s is None else min(back_s, case.gone_s)
    early = [answer for _, answer in case.answers(case.facts.gate_s, since_s) if wrong_silently(answer)]
    wrong = [(n, one) for n, one in case.answers(since_s, case.facts.end_s) if wrong_silently(one)]
    at_once = [one for one in wrong if one[1].due_s < since_s + AT_ONCE_S]
    failing = about(case, WRONG, StaysResult, RecoveryResult, GuardResult)
    where = asker(case, holders)
    if early or len(at_once) < FEWEST or not failing or where is None:
        return
    seen = (
        f"{listed(holders)} was back at {seconds(since_s)}, and {len(wrong)} answers after that were wrong and "
        "carried no flag; none was before"
    )
    yield MissingGuard("filled-before-used", where, seen, ids(failing), cited(wrong))


def age_limit(case: Case) -> Iterator[MissingGuard]:
    """Who delivers data is stopped, and answers made of what has grown old carry no flag."""
    if not case.away and case.kind != "data.stale":
        return

    def old(answer: Answer) -> bool:
        return answer.ok and answer.stale and answer.flagged is None and answer.wrong is not True

    def wrong(answer: Answer) -> bool:
        return answer.ok and answer.flagged is None and answer.wrong is True

    failing, asked = about(case, OLD, StaysResult, RecoveryResult), case.wiring.workload
    if asked is None or not case.hit & _deliverers(case, asked):
        return
    before = any(old(answer) for answer in case.before())
    found = [] if before else [(n, one) for n, one in case.answers(case.injected.hi, case.facts.end_s) if old(one)]
    # Where more answers are wrong than old, it is those for which the clauses failed.
    others = [one for one in case.answers(case.injected.hi, case.facts.end_s) if wrong(one[1])]
    if not failing or len(found) < FEWEST or len(others) > len(found):
        return
    seen = f"{len(found)} answers were made of features older than the stack declares, and carried no flag"
    yield MissingGuard("age-limit", asked, seen, ids(failing), cited(found))


def value_check(case: Case) -> Iterator[MissingGuard]:
    """Corrupted features are read, and the answers are wrong."""
    if case.kind != FEATURES or case.holder is None or not _shows_in_values(case):
        return
    failing, wrong = about(case, WRONG, StaysResult, RecoveryResult, GuardResult), wrong_meanwhile(case)
    where = asker(case, {case.holder})
    if failing and len(wrong) >= FEWEST and where is not None:
        seen = f"while {case.step.target} was corrupted, {len(wrong)} answers were wrong and carried no flag"
        yield MissingGuard("value-check", f"{where}; {case.step.target}", seen, ids(failing), cited(wrong))


def _shows_in_values(case: Case) -> bool:
    """Whether what was done to values shows in a check of each: swapped, or of the other sign, they may be in range."""
    match case.step.parameters.get("operation"):
        case "null":
            return True
        case "scale":
            factor = case.step.parameters.get("factor", DEFAULT_FACTOR)
            return isinstance(factor, int | float) and not 1 / FAR < abs(factor) < FAR
    return False


def wrong_meanwhile(case: Case) -> list[Numbered]:
    """Return the answers that are silently wrong while the fault is in; none where one was before.

    An answer that is wrong long after revert alone may have another cause.
    """
    if any(map(wrong_silently, case.before())):
        return []
    return [(n, one) for n, one in case.answers(case.injected.lo, case.out_s) if wrong_silently(one)]


def _deliverers(case: Case, asked: str) -> set[str]:
    """Return who delivers data that answers of a service need: their stores, who writes there, and what those read.

    Who uses a store that is on the way of no request writes there. What else it uses may be where it has the data from,
    but for stores of other data.
    """
    wiring = case.wiring
    stores = {name for name in wiring.keyspaces.values() if name == asked or wiring.reaches(asked, name)}
    others = {*wiring.keyspaces.values(), *wiring.datasets.values()} - stores
    users = {link.consumer for link in wiring.pairs if link.service in stores}
    writers = {name for name in users - stores if name != asked and not wiring.reaches(asked, name)}
    read = {used for name in writers for used in wiring.used_by(name)} - others
    return stores | writers | {name for name in read if not wiring.reaches(asked, name)}


def about(case: Case, probes: Sequence[str], *results: type[Bounded]) -> list[tuple[ClauseResult, Bounded]]:
    """Return the failed clauses of these kinds about one of these probes, each with what was measured of it."""
    return [pair for pair in case.failed_bounds(*results) if pair[1].probe in probes]


def _answered(case: Case) -> bool:
    """Whether availability held while the fault was in."""
    answers = case.answers(case.injected.hi, case.out_s)
    return sum(answer.ok for _, answer in answers) >= MOSTLY * len(answers)


def asker(case: Case, services: set[str] | frozenset[str]) -> str | None:
    """Return where data of these services is used: the link, or who answers, where others lie between.

    None where nothing says that who answers uses them at all, or where a fault hits it itself.
    """
    asked = case.wiring.workload
    if asked is None or asked in services:
        return None
    wiring = case.wiring
    users = {name for link in wiring.pairs if (name := link.consumer) == asked or wiring.reaches(asked, name)}
    links = [link for link in wiring.pairs if link.service in services and link.consumer in users]
    return _where(asked, links) if links else None


def _where(asked: str, links: Sequence[Link]) -> str:
    """Return the links where who answers has them all itself, else who answers and what lies on the way."""
    if all(link.consumer == asked for link in links):
        return on_links(links)
    return f"{asked}, or what it uses on the way to {listed({link.service for link in links})}"
