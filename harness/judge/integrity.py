"""Checkers of the stack's guarantees about data: nothing lost, nothing doubled, nothing poisoned, nothing older, all
restorable.

The evidence is the stack's own ledger, read after the run (which examples lie in which partition, which partitions each
version learned from, what the registry did), compared with the answers to the workload.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container
from typing import TypeVar

from harness.judge.facts import Facts
from harness.judge.hits import rows_hit
from harness.judge.lineage import Written, promoted_before, relearned, untraced, versions_poisoned
from harness.judge.machine import blamed
from harness.judge.moments import but
from harness.judge.pointers import (
    PROMOTED_VERSION,
    promoted_after,
    promotion_spans,
    unexplained_fall,
    unread_promotions,
)
from harness.judge.skipped import skipped
from harness.model.expectations import Guarantee, IntegrityResult
from harness.model.ledger import Checkpoints, Examples, LedgerPart, Lineage, Promotions
from harness.model.readings import Answer
from harness.model.verdict import Cause, ClauseResult, Value, met

# For journals without the event clock's word on what is due. An example is written when both its answer and its outcome
# are known; an answer comes at most one time-out after it was due, so outcomes this near to the last closed hour may
# rightly lie in the next one (event seconds).
SETTLING_EVENT_S = 2 * 3600
P = TypeVar("P", bound=LedgerPart)


def check(clause: Guarantee, facts: Facts) -> ClauseResult:
    """Check one guarantee. Without its evidence it is unknown."""
    read, fault = _Evidence(facts), facts.inconclusive_fault
    if fault is not None:
        value, reason, read.cause = Value.UNKNOWN, str(fault.inconclusive_reason), fault.cause
    else:
        try:
            value, reason = _CHECKS[clause.id](facts, read)
        except _MissingError as missing:
            value, reason = Value.UNKNOWN, str(missing)
    measured = IntegrityResult(check=clause.id, met=met(value))
    return ClauseResult.of(clause.id, value, f"{clause.id}: {reason}", measured, read.cites, read.cause)


class _MissingError(Exception):
    """Evidence that was not there."""


class _Evidence:
    """The parts of the ledger that a check reads, the lines that they come from, and what leaves the check open."""

    def __init__(self, facts: Facts) -> None:
        self._journal = facts.journal
        self.cites: list[int] = []
        self.cause: Cause | None = None

    def part(self, part: type[P]) -> P:
        """Return a part of the ledger. Raises _MissingError where there is none."""
        found = self._journal.evidence(part.PART)
        if found is None or not isinstance(found[1].data, part):
            why = "it was never read" if found is None else found[1].error or "it is empty"
            self.cites.clear()
            raise _MissingError(f"no evidence of {part.PART}: {why}")
        self.cites.append(found[0])
        return found[1].data


def _examples(facts: Facts, read: _Evidence) -> tuple[Value, str]:
    examples, lineage = read.part(Examples), read.part(Lineage)
    counts = Counter(i for ids in (*examples.training.values(), *examples.quarantine.values()) for i in ids)
    doubled = sorted(i for i, n in counts.items() if n > 1)
    if doubled:
        return Value.FAIL, f"{len(doubled)} examples are there more than once, such as {doubled[0]}"
    written = Written.of(facts.journal)
    doubts = [relearned(lineage, written), skipped(examples, lineage, written)]
    if doubts[0] is not None and doubts[0][0] is Value.FAIL:
        return doubts[0]
    expected = [a for _, a in facts.answers if _must_be_there(a, examples)]
    passed_over = [a for _, a in facts.answers if _settled(a, examples) and not _must_be_there(a, examples)]
    if not expected and not passed_over:
        return Value.UNKNOWN, "not exercised: no answer's outcome was due in the training data yet"
    missing = [a for a in expected if a.id not in counts]
    if missing:
        reason = f"{len(missing)} of {len(expected)} answered requests are in no partition, such as {missing[0].id}"
        # What is not lost may still be written, later than it should. One that is newer may be of another writer.
        late = examples.due_until is not None or not any(_settled(answer, examples) for answer in missing)
        busy = facts.disturbed.mostly(min(answer.due_s for answer in missing), facts.end_s) if late else None
        read.cause = blamed(busy)
        return Value.FAIL if busy is None else Value.UNKNOWN, but(reason, busy)
    if doubts[1] is not None and doubts[1][0] is Value.FAIL:
        return doubts[1]
    unwritten = [a for a in passed_over if a.id not in counts]
    if unwritten:
        lacking = f"{len(unwritten)} answered requests are in no partition, such as {unwritten[0].id}"
        return Value.UNKNOWN, f"{lacking}; newer ones are, and these are not due yet"
    unseen = _gap(facts, "workload")
    if unseen is not None:
        return Value.UNKNOWN, f"answers may be missing: {unseen}"
    doubt = next((one for one in doubts if one is not None), None)
    if doubt is not None:
        return doubt
    count = len(expected) + len(passed_over)
    return Value.PASS, f"all {count} answered requests with a settled outcome are there once"


def _must_be_there(answer: Answer, examples: Examples) -> bool:
    """Whether an answer must be among the examples: the stack's clock says that it is due.

    Without that clock, it must once newer ones are there.
    """
    known = _known_at(answer)
    if examples.due_until is not None:
        return known is not None and known <= examples.due_until
    return _settled(answer, examples)


def _settled(answer: Answer, examples: Examples) -> bool:
    """Whether newer answers than this are among the examples."""
    known, settled = _known_at(answer), examples.settled_until
    return known is not None and settled is not None and known + SETTLING_EVENT_S <= settled


def _known_at(answer: Answer) -> float | None:
    """Return since when, in event time, an answer and its outcome are known; None where it makes no example."""
    if not answer.ok or answer.flagged is not None or answer.outcome_at is None:
        return None
    return max(answer.outcome_at, answer.at_event)


def _checkpoints(_facts: Facts, read: _Evidence) -> tuple[Value, str]:
    found = read.part(Checkpoints).checkpoints
    broken = [c for c in found if not c.ok]
    if broken:
        return Value.FAIL, f"{broken[0].key} cannot be restored: {broken[0].error}"
    if not found:
        return Value.UNKNOWN, "not exercised: there was no checkpoint to restore"
    return Value.PASS, f"all {len(found)} checkpoints were restored"


def _promotions(facts: Facts, read: _Evidence) -> tuple[Value, str]:
    history = sorted(read.part(Promotions).history, key=lambda entry: entry.seq)
    current: int | None = None
    for entry in history:
        if entry.action not in ("promote", "rollback"):
            continue
        if entry.action == "promote" and current is not None and entry.version < current:
            return Value.FAIL, f"version {entry.version} was promoted over {current} and is older"
        current = entry.version
    pointer = [(n, r) for n, r in facts.readings(PROMOTED_VERSION) if r.value is not None]
    fall = unexplained_fall(pointer, history)
    if fall is not None:
        return Value.FAIL, fall
    if current is None and not pointer:
        return Value.UNKNOWN, "not exercised: nothing was promoted"
    unseen = unread_promotions(facts, facts.gate_s)
    if unseen is not None:
        return Value.UNKNOWN, f"the promoted version may have gone back: {unseen}"
    rolled_back = any(entry.action == "rollback" for entry in history)
    how = "went back by roll-backs alone, and is" if rolled_back else "only went forward, to"
    return Value.PASS, f"the promoted version {how} {current if current is not None else 'one without a history'}"


def _poison(facts: Facts, read: _Evidence) -> tuple[Value, str]:
    reverted, lineage = facts.reverted, read.part(Lineage)
    learned = versions_poisoned(facts, lineage)
    hits = rows_hit(facts.journal)
    if reverted is None and facts.journal.plan.faults_on:
        return Value.UNKNOWN, "the fault was never measured to be gone"
    since_s, perhaps_s = (reverted.hi, reverted.lo) if reverted is not None else (facts.gate_s, facts.gate_s)
    promoted = {v.version: v.promoted for v in lineage.versions}
    after, unsure = [], []
    for version in (*learned.surely, *learned.perhaps):
        known = promotion_spans(facts, version, promoted[version] is True)
        times = promotion_spans(facts, version, promoted[version] is not False)
        if version in learned.surely and any(t.lo > since_s for t in known):
            after.append(version)
        elif any(t.hi > perhaps_s for t in times) or (not times and promoted[version] is not False):
            unsure.append(version)
    if after:
        return Value.FAIL, f"version {after[0]} learned from rows that the fault hit, and was promoted after revert"
    if unsure and unsure[0] in learned.surely:
        return Value.UNKNOWN, f"version {unsure[0]}, which learned from hit rows, was promoted around revert"
    if unsure:
        why = learned.perhaps[unsure[0]]
        return Value.UNKNOWN, f"version {unsure[0]}, promoted after revert, may have learned from hit rows: {why}"
    unrecorded = _unrecorded(facts, perhaps_s, promoted) if hits else None
    if unrecorded is not None:
        return Value.UNKNOWN, f"version {unrecorded} was promoted, and the ledger does not say what it learned from"
    lost = untraced(Written.of(facts.journal), lineage)
    if lost is not None:
        return Value.UNKNOWN, f"not all that the fault wrote can be traced: {lost}"
    unseen = unread_promotions(facts, perhaps_s)
    poisoned = (*learned.surely, *learned.perhaps)
    if poisoned and unseen is not None:
        return Value.UNKNOWN, f"version {poisoned[0]}, which learned from hit rows, may have been promoted: {unseen}"
    if hits and facts.journal.plan.faults_on and not promoted_after(facts, since_s):
        return Value.UNKNOWN, "not exercised: no version was promoted after revert"
    return Value.PASS, f"no version promoted after revert learned from any of the {hits} rows hit"


def _unrecorded(facts: Facts, since_s: float, recorded: Container[int]) -> int | None:
    """Return a version that was the promoted one after a moment, and of which the ledger has nothing.

    The ledger is read when observation has ended, and by and by: what is promoted from then on may not be in it yet.
    """
    for _, reading in facts.readings(PROMOTED_VERSION):
        if reading.value is None or not since_s <= reading.answered_s <= facts.end_s:
            continue
        version = int(reading.value)
        if version not in recorded and not promoted_before(facts, version):
            return version
    return None


def _gap(facts: Facts, probe: str) -> str | None:
    """Return the first stretch of the run in which the harness itself did not measure something; None for none."""
    found = min(((g.from_s, g.to_s, g.why) for g in facts.journal.gaps(probe) if g.from_s < facts.end_s), default=None)
    return None if found is None else f"{probe} was not measured from {found[0]:.2f} to {found[1]:.2f} s ({found[2]})"


_CHECKS: dict[str, Callable[[Facts, _Evidence], tuple[Value, str]]] = {
    "examples_exactly_once": _examples,
    "checkpoints_restorable": _checkpoints,
    "promotion_monotonic": _promotions,
    "nothing_poisoned": _poison,
}
