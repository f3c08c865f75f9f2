"""Advice on what should have told of the fault: readiness pages, alert rules, monitoring itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.judge.advice.case import (
    FEWEST,
    OF_MISSING,
    SEEN_LATE_S,
    Case,
    MissingGuard,
    cited,
    ids,
    listed,
    refused,
    undetected,
)
from harness.judge.alert_history import Poll
from harness.judge.moments import seconds
from harness.model.alert_clauses import Detected
from harness.model.clauses import NoticedResult, RecoveryResult, StaysResult
from harness.model.fields import Link
from harness.model.readings import Answer, Reading, RuleSeen
from harness.model.units import Unit, format_seconds

NEARLY_ALL = 0.9
"""The share of requests that fail where a service cannot work."""
READY_FOR_S = 5.0
"""How long a page may go on to say yes: readiness is often looked at anew every few seconds."""
_READY = re.compile(r"(?<![a-z])ready|Ready|(?i:readiness)|(?<![A-Z])READY")
"""In the path of a page that says whether a service is ready; `/already-seen` is none."""


def deep_readiness(case: Case) -> Iterator[MissingGuard]:
    """A page goes on to say yes while what its service uses is gone."""
    if not case.away:
        return
    for clause, measured in case.failed_bounds(NoticedResult):
        assert isinstance(measured, NoticedResult)
        asked = case.asked(measured.probe)
        links = [one for one in case.broken if one.consumer == asked]
        if asked is None or measured.after_s is not None or not links or not case.probe(measured.probe).health:
            continue
        yield _unready(case, measured.probe, asked, links, (clause.id,), clause.cites)
    yield from _ready_in_vain(case)


def _ready_in_vain(case: Case) -> Iterator[MissingGuard]:
    """What a page of readiness says while all requests to its service fail: nobody has to expect it in a clause."""
    asked, failing = case.wiring.workload, case.unanswered_bounds(StaysResult, RecoveryResult)
    links = [one for one in case.broken if one.consumer == asked]
    during = case.answers(case.injected.hi + SEEN_LATE_S, case.out_s)
    lines = {n for n, _ in during}
    failed = [one for one in case.in_the_middle_of(lambda answer: not _served(answer)) if one[0] in lines]
    if asked is None or not links or len(during) < FEWEST or len(failed) < NEARLY_ALL * len(during):
        return
    # What was not good again after the fault shows nothing of what the page said meanwhile.
    failing = [pair for pair in failing if not isinstance(pair[1], RecoveryResult) or pair[1].since == "injection"]
    clauses = ids([pair for pair in failing if pair[1].probe in OF_MISSING])
    for name in case.probes_of(asked):
        probe = case.probe(name)
        if not clauses or not probe.health or not _READY.search(probe.page) or case.unit(name) is Unit.WALL:
            continue
        before = case.readings(name, case.facts.gate_s, case.injected.lo)
        read = case.readings(name, case.injected.hi, case.out_s)
        long_enough = bool(read) and read[-1][1].asked_s - case.injected.hi >= READY_FOR_S
        if before and len(read) >= FEWEST and long_enough and all(_says_yes(one) for _, one in (*before, *read)):
            found = _unready(case, name, asked, links, clauses, (read[0][0], read[-1][0], *cited(failed)))
            bound = "at_least: 1" if read[0][1].value == 1.0 else f"equals: {read[0][1].value:g}"
            within = format_seconds(max(READY_FOR_S, round((case.out_s - case.injected.hi) / 2)))
            clause = f"noticed: [{{id: {name}-says-no, probe: {name}, {bound}, within: {within}}}]"
            yield replace(found, shown_by=clause)


def _served(answer: Answer) -> bool:
    return answer.ok or refused(answer.error)


def _unready(
    case: Case, name: str, asked: str, links: Sequence[Link], clauses: tuple[str, ...], cites: tuple[int, ...]
) -> MissingGuard:
    page = case.probe(name).page
    where = f"{page} of {asked}" if page else f"probe {name}, which asks {asked}"
    seen = (
        f"it said yes for the {seconds(case.out_s - case.injected.hi)} in which {case.what_was(links)}, and {asked} "
        f"uses {'it' if len(links) == 1 else 'them'}"
    )
    return MissingGuard("deep-readiness", where, seen, clauses, cites)


def _says_yes(reading: Reading) -> bool:
    """Whether a page was answered as it is where all is well: 1 for up, or its status."""
    return reading.value is not None and (reading.value == 1.0 or 200 <= reading.value < 400)


def absent_rule(case: Case) -> Iterator[MissingGuard]:
    """What a rule selects is there before the fault, and gone until its deadline."""
    for clause, measured in undetected(case):
        deadline_s = case.injected.hi + measured.within_s
        rules: dict[str, list[tuple[int, RuleSeen]]] = {}
        for n, one in case.facts.journal.of(RuleSeen):
            if one.alert == measured.alert:
                rules.setdefault(f"{one.source} {one.place} {one.rule}", []).append((n, one))
        found = [_lost(case, read, deadline_s) for read in rules.values()]
        if not found or not all(found):
            continue
        n, last = next(filter(None, found))
        seen = (
            f"the series of {listed(last.without)} were there before the fault, and gone from {seconds(last.asked_s)} "
            "until the deadline"
        )
        yield MissingGuard("absent-rule", _rule(case, measured.alert, last.place), seen, (clause.id,), (n,))


def _lost(case: Case, read: list[tuple[int, RuleSeen]], deadline_s: float) -> tuple[int, RuleSeen] | None:
    """Return from when on a rule had nothing to go by until its deadline; None where it had, or nobody knows."""
    before = [one for _, one in read if one.answered_s <= case.injected.lo]
    during = [(n, one) for n, one in read if one.asked_s >= case.injected.hi and one.answered_s <= deadline_s]
    if not before or before[-1].without or len(during) < FEWEST:
        return None
    since = len(during)
    while since > 0 and during[since - 1][1].without:
        since -= 1
    # A rule that had its series for most of the time may have had another reason not to fire.
    return during[since] if since <= len(during) // 2 else None


def rule_in_time(case: Case) -> Iterator[MissingGuard]:
    """An alert is pending when its deadline passes."""
    clauses = {clause.id: clause for clause in case.facts.scenario.expect.detected}
    for clause, measured in undetected(case, late=True):
        expected = clauses.get(clause.id)
        deadline_s = case.injected.hi + measured.within_s
        pending = _pending_at(case, expected, deadline_s) if expected is not None else []
        if not pending:
            continue
        seen = (
            f"{measured.alert} was pending from {seconds(pending[0][1].asked_s)} on, and still at its deadline, "
            f"{format_seconds(measured.within_s)} after injection"
        )
        cites = tuple(dict.fromkeys((pending[0][0], pending[-1][0])))
        yield MissingGuard("rule-in-time", _rule(case, measured.alert), seen, (clause.id,), cites)


def _pending_at(case: Case, expected: Detected, deadline_s: float) -> list[Poll]:
    """Return the last unbroken stretch of polls of one source in which an alert was pending, up to its deadline.

    None where it began before the fault, or nobody saw when it began: then it is not the fault that it waited on.
    """
    for source in sorted(case.facts.sources):
        polls = [one for one in case.facts.polls if one[1].source == source and one[1].asked_s <= deadline_s]
        since = len(polls)
        while since > 0 and any(a.matches(expected.alert, expected.labels) for a in polls[since - 1][1].pending):
            since -= 1
        told = [poll for _, poll in polls[:since] if poll.down is None]
        if since == len(polls) or not told or polls[since][1].asked_s <= case.injected.lo:
            continue
        # A poll without an answer may hide a pending alert: what counts is the last one that says something.
        if not any(a.matches(expected.alert, expected.labels) for a in told[-1].pending):
            return polls[since:]
    return []


def monitoring_apart(case: Case) -> Iterator[MissingGuard]:
    """Every alert source goes with what the fault hits."""
    sources = case.wiring.sources
    own = set(sources.values())
    if not own or not own <= case.hit or set(sources) != set(case.facts.sources):
        return
    for clause, measured in undetected(case):
        deadline_s = case.injected.hi + measured.within_s
        polls = [(n, one) for n, one in case.facts.polls if case.injected.hi <= one.asked_s <= deadline_s]
        if len(polls) < FEWEST or any(one.down is None for _, one in polls):
            continue
        seen = f"{listed(own)} was hit too, and none of {len(polls)} polls of the alerts was answered in time"
        yield MissingGuard("monitoring-apart", listed(own), seen, (clause.id,), (polls[0][0], polls[-1][0]))


def _rule(case: Case, alert: str, place: str = "") -> str:
    where = case.wiring.rules.get(alert) or place
    return f"rule {alert}" + (f" ({where})" if where else "")
