"""Advice on damaged objects that are loaded: answers made of them are wrong, or who loads them ends or answers no more.

Where who loads them is restarted for it, answers may be bad for the restart alone. So it takes a second restart, with
the objects whole again, after which none is.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.judge.advice.answering import WRONG, about, asker, wrong_meanwhile
from harness.judge.advice.case import (
    FEWEST,
    OF_MISSING,
    SEEN_LATE_S,
    Case,
    MissingGuard,
    cited,
    crashed,
    ids,
    listed,
    wrong_silently,
)
from harness.judge.moments import Span
from harness.judge.reloading import OBJECTS
from harness.model.clauses import RecoveryResult, StaysResult
from harness.model.expectations import CollateralResult
from harness.model.guard import GuardResult
from harness.model.readings import Answer, ProcessSeen

KEEPS_ITS_DIGEST = ("previous",)
"""Damage that puts an object in place which was once written whole."""
ENOUGH = 20
"""How many good answers after a restart with whole objects show that it is not the restart that makes them bad."""
FAR_FEWER = 10
"""How many times as many are wrong for the damage: a server may begin with default values until it has loaded."""


def digest_on_load(case: Case) -> Iterator[MissingGuard]:
    """Damaged objects are loaded, and the answers are wrong."""
    if case.kind != OBJECTS or case.holder is None or case.step.parameters.get("operation") in KEEPS_ITS_DIGEST:
        return
    failing, wrong = about(case, WRONG, StaysResult, RecoveryResult, GuardResult), wrong_meanwhile(case)
    where = asker(case, {case.holder})
    if failing and len(wrong) >= FEWEST and where is not None and _not_by_the_restart(case):
        seen = f"while objects of {case.step.target} were damaged, {len(wrong)} answers were wrong and carried no flag"
        yield MissingGuard("digest-on-load", f"{where}; {case.step.target}", seen, ids(failing), cited(wrong))


def _not_by_the_restart(case: Case) -> bool:
    """Whether far fewer answers are wrong after a restart with whole objects, in as much time, and none in the end."""
    if not case.restarts:
        return True
    pair = _restarts(case)
    if pair is None:
        return False
    damaged, whole = pair
    as_long_s = min(case.out_s - damaged.hi, case.facts.end_s - whole.hi)
    during = case.answers(damaged.hi, damaged.hi + as_long_s)
    after = case.all_answers(whole.hi, whole.hi + as_long_s)
    wrong_during, wrong_after = sum(wrong_silently(one) for _, one in during), sum(map(wrong_silently, after))
    right = sum(one.ok and one.wrong is False for one in after[-ENOUGH:])
    # What is loaded is as damaged later on. What only a start makes wrong is over by then.
    later = case.answers((damaged.hi + case.out_s) / 2, case.out_s)
    goes_on = sum(wrong_silently(one) for _, one in later) >= FEWEST
    return goes_on and wrong_during >= max(FEWEST, FAR_FEWER * wrong_after) and right == ENOUGH


def keep_last_good(case: Case) -> Iterator[MissingGuard]:
    """Damaged objects are loaded, and who loaded them ends or no longer answers."""
    since_s = _since_s(case)
    if case.kind != OBJECTS or case.holder is None or since_s is None:
        return
    users = {link.consumer for link in case.wiring.pairs if link.service == case.holder}
    deaths = [
        (n, seen)
        for n, seen in case.facts.journal.of(ProcessSeen)
        if crashed(seen) and seen.service in users and since_s < seen.at_s <= case.out_s + SEEN_LATE_S
    ]
    for clause in case.failed:
        told = clause.measured.died if isinstance(clause.measured, CollateralResult) else ()
        lines = [(n, seen) for n, seen in deaths if seen.service in told]
        died = {seen.service for _, seen in lines}
        if died:
            seen = f"after objects of {case.step.target} were damaged, {listed(died)} ended"
            yield MissingGuard(
                "keep-last-good", f"{listed(died)}; {case.step.target}", seen, (clause.id,), cited(lines)
            )
            return
    failing, asked = about(case, OF_MISSING, StaysResult, RecoveryResult), case.wiring.workload
    during = case.answers(since_s, case.out_s)
    of_these = {n for n, _ in during}
    failed = [(n, one) for n, one in case.in_the_middle_of(_failed) if n in of_these]
    if failing and asked in users and len(failed) >= FEWEST and 2 * len(failed) > len(during):
        seen = (
            f"after objects of {case.step.target} were damaged, {len(failed)} of {len(during)} requests to {asked} "
            "failed"
        )
        yield MissingGuard("keep-last-good", f"{asked}; {case.step.target}", seen, ids(failing), cited(failed))


def _since_s(case: Case) -> float | None:
    """Return from when on what fails does so for the damage: with a restart, after twice what one takes otherwise.

    None where nothing tells how long it takes.
    """
    if not case.restarts:
        return case.injected.hi
    pair = _restarts(case)
    if pair is None:
        return None
    damaged, whole = pair
    after = case.all_answers(whole.lo, case.facts.end_s)
    takes_s = max((one.due_s - whole.lo for one in after if _failed(one)), default=0.0)
    good = sum(one.ok for one in after if one.due_s > whole.lo + takes_s)
    died = any(crashed(one) and one.at_s > whole.hi for _, one in case.facts.journal.of(ProcessSeen))
    return None if died or good < ENOUGH else damaged.hi + 2 * takes_s


def _failed(answer: Answer) -> bool:
    return not answer.ok


def _restarts(case: Case) -> tuple[Span, Span] | None:
    """Return the restart with damaged objects, and the same one with whole ones; None where it is not these two."""
    if len(case.restarts) != 2:
        return None
    damaged, whole = sorted(case.restarts, key=lambda restart: restart.lo)
    return (damaged, whole) if case.injected.hi <= damaged.lo < case.out_s and whole.lo >= case.gone_s else None
