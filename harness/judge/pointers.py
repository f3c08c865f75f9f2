"""Readings of a pointer, such as the version that a registry promotes: how it moved, and when nobody looked at it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from harness.judge.facts import Facts
from harness.judge.moments import Span
from harness.model.ledger import Promotion
from harness.model.readings import Reading
from harness.model.series import longest_gap_s

PROMOTED_VERSION = "promoted_version"
"""The probe that reads the registry's pointer."""


def unread(probe: str, facts: Facts, since_s: float, read: Sequence[Reading]) -> Span | None:
    """Return the first stretch from a moment on without a reading, longer than the probe's interval allows.

    A pointer of which no reading tells where it was at that moment is unread until the first one.
    """
    longest_s = longest_gap_s(facts.journal.plan.stack.probe_every_s.get(probe, 0.0))
    gaps = [(g.from_s, g.to_s) for g in facts.journal.gaps(probe) if g.from_s < facts.end_s and g.to_s > since_s]
    before = [r.answered_s for r in read if r.answered_s <= since_s]
    after = [r.answered_s for r in read if r.answered_s > since_s]
    if after and not before:
        gaps.append((since_s, after[0]))
    times = [before[-1] if before else since_s, *after, facts.end_s]
    gaps += [(a, b) for a, b in pairwise(times) if b - a > longest_s]
    return Span(*min(gaps)) if gaps else None


def unread_promotions(facts: Facts, since_s: float) -> str | None:
    """Say when the promoted version was not read. A stack without such a probe has its registry's history alone."""
    read = [r for _, r in facts.readings(PROMOTED_VERSION) if r.answered_s <= facts.end_s]
    known = read or any(gap.from_s < facts.end_s for gap in facts.journal.gaps(PROMOTED_VERSION))
    if not known and PROMOTED_VERSION not in facts.journal.plan.stack.probe_every_s:
        return None
    span = unread(PROMOTED_VERSION, facts, since_s, read)
    return None if span is None else f"{PROMOTED_VERSION} was not read from {span.lo:.2f} to {span.hi:.2f} s"


def unexplained_fall(read: Sequence[tuple[int, Reading]], history: Sequence[Promotion]) -> str | None:
    """Say where the pointer went back and the registry has no roll-back for it; None where it did not.

    Readings and history are matched from their ends: what the registry did before the run explains nothing in it.
    """
    moves = [(entry.action, float(entry.version)) for entry in history if entry.action in ("promote", "rollback")]
    until, found = len(moves), None
    for (_, before), (n, after) in reversed(list(pairwise(read))):
        if before.value == after.value or before.value is None or after.value is None:
            continue
        to = _last(moves[:until], after.value)
        since = _last(moves[:to], before.value) if to is not None else None
        # What came before is in the history only after this: then the roll-backs until here are older than the fall.
        older = since is None and to is not None and _last(moves[to:], before.value) is not None
        between = moves[since or 0 : to + 1] if to is not None and not older else []
        if after.value < before.value and not any(action == "rollback" for action, _ in between):
            went = f"from {before.value:g} to {after.value:g} at {after.answered_s:.2f} s"
            found = f"line {n}: the promoted version went {went}, and the registry has no roll-back for it"
        if to is not None:
            until = to if since is None else since + 1
    return found


def _last(moves: Sequence[tuple[str, float]], version: float) -> int | None:
    return next((k for k in reversed(range(len(moves))) if moves[k][1] == version), None)


def promotion_spans(facts: Facts, version: int, promoted: bool) -> list[Span]:
    """Return the moments at which a version became the promoted one, each between two readings of the pointer.

    A version that the ledger calls promoted and no reading shows was promoted where the pointer stepped over it.
    """
    found: list[Span] = []
    before: Reading | None = None
    for _, reading in facts.readings(PROMOTED_VERSION):
        if reading.value is None:
            continue
        lo_s = before.asked_s if before is not None else float("-inf")
        was = before.value if before is not None and before.value is not None else reading.value
        became = reading.value == version and (before is None or was != version)
        if became or (promoted and not found and was < version < reading.value):
            found.append(Span(lo_s, reading.answered_s))
        before = reading
    return found


def promoted_after(facts: Facts, since_s: float) -> bool:
    """Whether the pointer went forward after a moment."""
    seen: float | None = None
    for _, reading in facts.readings(PROMOTED_VERSION):
        if reading.value is None:
            continue
        if seen is not None and reading.value > seen and reading.asked_s > since_s:
            return True
        seen = reading.value
    return False
