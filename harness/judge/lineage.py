"""What the lineage of a stack's models shows: what each chain of versions learned, twice or after what a fault wrote.

Where the ledger did not record something, or what a fault wrote cannot be traced, there is doubt and no finding: a
finding is only what would be so whatever was not recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import takewhile
from typing import NamedTuple

from harness.journal.records import Journal
from harness.judge.facts import Facts
from harness.judge.pointers import promotion_spans
from harness.model.hitrows import HitRow
from harness.model.ledger import NO_TRUTH, Lineage, ModelVersion, TrainedOn, same_bytes
from harness.model.readings import Hit
from harness.model.verdict import Value

Finding = tuple[Value, str]
"""A fail or an unknown, and why."""


class Chain(NamedTuple):
    """A version and those that it was made from, newest first; `doubt` says why there may be more of them."""

    versions: tuple[int, ...]
    doubt: str | None
    unrecorded: int | None = None
    """The ancestor of which the ledger has nothing."""


def ancestry(version: int, versions: Sequence[ModelVersion]) -> Chain:
    """Return a version and all its ancestors: each goes on from its parent's weights.

    Where the ledger does not record parents, the newest older promoted version counts as the parent.
    """
    by_number = {v.version: v for v in versions}
    found: list[int] = []
    at: int | None = version
    while at is not None and at not in found:
        if at not in by_number:
            doubt = f"the ledger has nothing about version {at}, from which version {found[-1]} was made"
            return Chain(tuple(found), doubt, at)
        found.append(at)
        if by_number[at].parent_recorded:
            at = by_number[at].parent
            continue
        older = [v for v in versions if v.promoted is not False and v.version < at]
        before = max(older, key=lambda v: v.version, default=None)
        if before is not None and before.promoted is None:
            return Chain(tuple(found), f"nothing tells what version {at} was made from")
        at = before.version if before is not None else None
    return Chain(tuple(found), None)


@dataclass
class Written:
    """What the faults of a run wrote, by their own account."""

    rows: int = 0
    digests: dict[str, set[str]] = field(default_factory=dict)
    """Of each object, the digests that the faults gave it."""
    undigested: set[str] = field(default_factory=set)
    """Objects that a fault changed without saying into what."""
    objects: set[str | None] = field(default_factory=set)
    """The objects of all rows; None for rows that lie in none."""
    unidentified: int = 0
    untold: str | None = None

    @classmethod
    def of(cls, journal: Journal) -> Written:
        """Read the manifests of a run."""
        found = cls()
        for _, hit in journal.of(Hit):
            found.untold = found.untold or hit.untold
            for row in map(HitRow.of, hit.rows):
                found._take(row)
        return found

    def _take(self, row: HitRow) -> None:
        self.rows += 1
        self.objects.add(row.object)
        if row.object is not None and row.digest is not None:
            self.digests.setdefault(row.object, set()).add(row.digest)
        else:
            self.unidentified += not row.identified
            self.undigested |= {row.object} if row.object is not None else set()

    def wrote(self, part: TrainedOn, digest: str | None) -> bool | None:
        """Whether a fault gave a partition this digest; None where that cannot be told."""
        told = [same_bytes(digest, written) for written in self.digests.get(part.key, ())]
        return True if True in told else None if None in told else False

    def touched(self, key: str) -> bool:
        """Whether a fault changed an object."""
        return key in self.digests or key in self.undigested


def untraced(written: Written, lineage: Lineage) -> str | None:
    """Say why what the faults wrote may be where nobody found it; None where all of it was traced."""
    if written.untold is not None:
        return written.untold
    if lineage.poisoned is None:
        return lineage.untraced or NO_TRUTH
    learned = {part.key for version in lineage.versions for part in version.trained_on}
    unclear = sorted(learned & written.undigested)
    if unclear:
        return f"a fault changed {unclear[0]} and does not say what it wrote"
    if written.unidentified:
        return f"{written.unidentified} of the rows hit are without entity, event time or field"
    return lineage.untraced


# What was learned twice, or was changed afterwards


def relearned(lineage: Lineage, written: Written) -> Finding | None:
    """Return what a chain of versions learned twice, or what was changed after it was learned; doubts come last."""
    doubt: Finding | None = None
    for version in lineage.versions:
        if version.promoted is False:
            continue
        for value, reason in _of_chain(version, lineage, written):
            if value is Value.FAIL and version.promoted:
                return value, reason
            perhaps = "" if version.promoted else f"; nothing tells whether version {version.version} was promoted"
            doubt = doubt or (Value.UNKNOWN, reason + perhaps)
    return doubt


def _of_chain(version: ModelVersion, lineage: Lineage, written: Written) -> Iterator[Finding]:
    versions = {v.version: v for v in lineage.versions}
    chain = ancestry(version.version, lineage.versions)
    learned: dict[str, int] = {}
    for ancestor in chain.versions:
        for part in versions[ancestor].trained_on:
            if part.key in learned:
                yield Value.FAIL, f"versions {ancestor} and {learned[part.key]} both learned {part.key}"
            learned[part.key] = ancestor
            if not _changed_by_the_stack(part, lineage, written):
                continue
            reason = f"{part.key} was changed after version {ancestor} had learned it"
            why = untraced(written, lineage)
            yield (Value.FAIL, reason) if why is None else (Value.UNKNOWN, f"{reason}, perhaps by the fault: {why}")
    if chain.doubt is not None:
        yield Value.UNKNOWN, chain.doubt


def _changed_by_the_stack(part: TrainedOn, lineage: Lineage, written: Written) -> bool:
    """Whether a partition is not as it was learned, and neither state is what a fault wrote.

    What still holds a value that a fault wrote is for `nothing_poisoned` to judge.
    """
    if part.unchanged is not False or (lineage.poisoned or {}).get(part.key):
        return False
    return not written.wrote(part, part.digest) and not written.wrote(part, part.digest_now)


# What was learned of a fault's rows


@dataclass(frozen=True)
class Learned:
    """The versions that learned from hit rows, themselves or through their parents, and those that may have."""

    surely: tuple[int, ...]
    perhaps: dict[int, str]
    """Each with what leaves it open."""


def versions_poisoned(facts: Facts, lineage: Lineage) -> Learned:
    """Return who learned from hit rows. What was promoted before the first injection had learned before it."""
    written = Written.of(facts.journal)
    if not written.rows:
        return Learned((), {})
    by_number = {v.version: v for v in lineage.versions}
    states = {number: _learned(version, lineage, written) for number, version in by_number.items()}
    before = cache(partial(promoted_before, facts))
    surely, perhaps = [], {}
    for number in by_number:
        chain = ancestry(number, lineage.versions)
        since = [states[one] for one in takewhile(lambda one: not before(one), chain.versions)]
        doubts = [why for hit, why in since if hit is None]
        whole = len(since) == len(chain.versions)
        if whole and chain.doubt is not None and not before(chain.unrecorded):
            doubts.append(chain.doubt)
        if any(hit for hit, _ in since):
            surely.append(number)
        elif doubts:
            perhaps[number] = doubts[0]
    return Learned(tuple(surely), perhaps)


def promoted_before(facts: Facts, version: int | None) -> bool:
    """Whether a version was promoted before the first injection: it cannot have learned what faults wrote."""
    if version is None or facts.injected is None:
        return False
    return any(span.hi <= facts.injected.lo for span in promotion_spans(facts, version, False))


def _learned(version: ModelVersion, lineage: Lineage, written: Written) -> tuple[bool | None, str]:
    """Return whether a version itself learned from hit rows; None, and why, where that cannot be told."""
    keys = {part.key for one in lineage.versions for part in one.trained_on}
    looked_for = bool(written.objects - keys)
    doubt: str | None = None
    for part in version.trained_on:
        hit = written.wrote(part, part.digest)
        dirty = bool((lineage.poisoned or {}).get(part.key))
        # Rows are looked for in what the partition is now: what it was is known as long as it has not changed.
        as_it_was = part.unchanged or part.digest_now is None
        if hit or (dirty and as_it_was):
            return True, ""
        if hit is None or (not as_it_was and (dirty or looked_for)):
            doubt = doubt or f"nothing tells what {part.key} was when version {version.version} learned it"
    return (False, "") if doubt is None else (None, doubt)
