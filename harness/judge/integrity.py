"""Checkers of the stack's guarantees about data: nothing lost, nothing doubled, nothing poisoned, nothing older, all
restorable.

The evidence is what the stack's own ledger said when it was read after the run (which examples lie in which
partition, which partitions each version learned from, what the registry did), held against what the workload saw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from harness.judge.facts import Facts
from harness.judge.moments import Span, met
from harness.model.readings import Answer, Hit, Reading
from harness.model.verdict import ClauseResult, Value

# An example is written when both its answer and its outcome are known; an answer comes at most one time-out after it
# was due, so outcomes this near to the last closed hour may rightly lie in the next one (event seconds).
SETTLING_EVENT_S = 2 * 3600


def check(name: str, facts: Facts) -> ClauseResult:
    """Check one guarantee. Unreadable evidence is unknown."""
    inconclusive = facts.inconclusive_fault if facts.journal.plan.faults_on else None
    cites: tuple[int, ...] = ()
    data: dict[str, Any] = {}
    if inconclusive is not None:
        value, reason = Value.UNKNOWN, str(inconclusive.inconclusive_reason)
    else:
        try:
            data, cites = _evidence(name, facts)
            value, reason = _CHECKS[name](facts, data)
        except _MissingError as missing:
            value, reason = Value.UNKNOWN, str(missing)
    return ClauseResult(
        id=name,
        kind="integrity",
        value=value,
        reason=f"{name}: {reason}",
        cites=cites,
        measured={"check": name, "met": met(value)},
    )


class _MissingError(Exception):
    """Evidence that was not there."""


def _evidence(name: str, facts: Facts) -> tuple[dict[str, Any], tuple[int, ...]]:
    found: dict[str, Any] = {}
    cites: list[int] = []
    for part in _NEEDS[name]:
        evidence = facts.journal.evidence(part)
        if evidence is None or evidence[1].error is not None:
            why = "it was never read" if evidence is None else evidence[1].error
            raise _MissingError(f"no evidence of {part}: {why}")
        cites.append(evidence[0])
        found[part] = evidence[1].data
    return found, tuple(cites)


def _examples(facts: Facts, data: dict[str, Any]) -> tuple[Value, str]:
    partitions: dict[str, list[str]] = data["examples"]["training"]
    quarantined: dict[str, list[str]] = data["examples"].get("quarantine", {})
    settled_event = data["examples"]["settled_until"]
    counts = Counter(i for ids in (*partitions.values(), *quarantined.values()) for i in ids)
    doubled = sorted(i for i, n in counts.items() if n > 1)
    if doubled:
        return Value.FAIL, f"{len(doubled)} examples are there more than once, such as {doubled[0]}"
    relearned = _relearned(data["lineage"])
    if relearned:
        return Value.FAIL, relearned
    expected = [a for _, a in facts.journal.answers if _must_be_there(a, settled_event)]
    if not expected:
        return Value.UNKNOWN, "not exercised: no answer's outcome was due in the training data yet"
    missing = [a for a in expected if a.id not in counts]
    if missing:
        return (
            Value.FAIL,
            f"{len(missing)} of {len(expected)} answered requests are in no partition, such as {missing[0].id}",
        )
    skipped = _skipped(partitions, data["lineage"]["versions"])
    if skipped:
        return Value.FAIL, skipped
    return Value.PASS, f"all {len(expected)} answered requests with a settled outcome are there once"


def _must_be_there(answer: Answer, settled_event: float | None) -> bool:
    if not answer.ok or answer.flagged is not None or answer.outcome_at is None or settled_event is None:
        return False
    return max(answer.outcome_at, answer.at_event) + SETTLING_EVENT_S <= settled_event


def _relearned(lineage: dict[str, Any]) -> str | None:
    versions = {v["version"]: v for v in lineage["versions"]}
    for version in versions.values():
        if not version.get("promoted"):
            continue
        learned: dict[str, int] = {}
        for ancestor in ancestry(version["version"], lineage["versions"]):
            for part in versions[ancestor]["trained_on"]:
                key = part["key"]
                if key in learned:
                    return f"versions {ancestor} and {learned[key]} both learned {key}"
                learned[key] = ancestor
                # What still holds a value that the fault put there is the business of `nothing_poisoned`.
                poisoned = lineage.get("poisoned", {}).get(key)
                if part.get("digest_now") not in (None, part["digest"]) and not poisoned:
                    return f"{key} was changed after version {ancestor} had learned it"
    return None


def ancestry(version: int, versions: list[dict[str, Any]]) -> list[int]:
    """Return a version and all that it grew out of: each goes on from its parent's weights.

    Where parents are not told, every older promoted version is taken for one.
    """
    by_number = {v["version"]: v for v in versions}
    found: list[int] = []
    at: int | None = version
    while at is not None and at in by_number and at not in found:
        found.append(at)
        if "parent" in by_number[at]:
            at = by_number[at]["parent"]
        else:
            older = [v["version"] for v in versions if v.get("promoted") and v["version"] < at]
            at = max(older, default=None)
    return found


def _skipped(partitions: dict[str, list[str]], versions: list[dict[str, Any]]) -> str | None:
    promoted = [v["version"] for v in versions if v.get("promoted") and v["trained_on"]]
    if not promoted:
        return None
    chain = ancestry(max(promoted), versions)
    learned = {part["key"] for v in versions if v["version"] in chain for part in v["trained_on"]}
    newest = max(learned)
    lost = [key for key, ids in sorted(partitions.items()) if ids and key < newest and key not in learned]
    return f"{lost[0]} was never learned, though newer partitions were" if lost else None


def _checkpoints(_facts: Facts, data: dict[str, Any]) -> tuple[Value, str]:
    found = data["checkpoints"]["checkpoints"]
    broken = [c for c in found if not c["ok"]]
    if broken:
        return Value.FAIL, f"{broken[0]['key']} cannot be restored: {broken[0].get('error')}"
    if not found:
        return Value.UNKNOWN, "not exercised: there was no checkpoint to restore"
    return Value.PASS, f"all {len(found)} checkpoints were restored"


def _promotions(facts: Facts, data: dict[str, Any]) -> tuple[Value, str]:
    current: int | None = None
    for entry in sorted(data["promotions"]["history"], key=lambda e: e["seq"]):
        if entry["action"] == "promote":
            if current is not None and entry["version"] < current:
                return Value.FAIL, f"version {entry['version']} was promoted over {current} and is older"
            current = entry["version"]
        elif entry["action"] == "rollback":
            current = entry["version"]
    rolled_back = {e["version"] for e in data["promotions"]["history"] if e["action"] == "rollback"}
    seen: float | None = None
    for n, reading in facts.journal.readings("promoted_version"):
        if reading.value is None:
            continue
        if seen is not None and reading.value < seen and int(reading.value) not in rolled_back:
            return (
                Value.FAIL,
                f"line {n}: the promoted version went from {seen:g} to {reading.value:g} at {reading.answered_s:.2f} s",
            )
        seen = reading.value
    if current is None and seen is None:
        return Value.UNKNOWN, "not exercised: nothing was promoted"
    return Value.PASS, f"the promoted version only went forward, to {current}"


def _poison(facts: Facts, data: dict[str, Any]) -> tuple[Value, str]:
    reverted = facts.reverted
    poisoned = versions_poisoned(data["lineage"])
    hits = sum(len(h.rows) for _, h in facts.journal.of(Hit))
    if reverted is None and facts.journal.plan.faults_on:
        return Value.UNKNOWN, "the fault was never seen to be gone"
    since_s = reverted.hi if reverted is not None else 0.0
    promoted = {v["version"] for v in data["lineage"]["versions"] if v.get("promoted")}
    after, unsure = [], []
    for version in poisoned:
        times = promotion_spans(facts, version, version in promoted)
        if any(t.lo > since_s for t in times):
            after.append(version)
        elif any(t.hi > since_s for t in times) or (not times and version in promoted):
            unsure.append(version)
    if after:
        return Value.FAIL, f"version {after[0]} learned from rows that the fault had hit and was promoted after revert"
    if unsure:
        return Value.UNKNOWN, f"version {unsure[0]}, which learned from hit rows, was promoted around revert"
    if hits and facts.journal.plan.faults_on and not _promoted_after(facts, since_s):
        return Value.UNKNOWN, "not exercised: no version was promoted after revert"
    return Value.PASS, f"no version promoted after revert learned from any of the {hits} rows hit"


def versions_poisoned(lineage: dict[str, Any]) -> list[int]:
    """Return the versions that learned from a partition with hit rows in it, themselves or through their parents."""
    hit = {key for key, ids in lineage.get("poisoned", {}).items() if ids}
    own = {v["version"] for v in lineage["versions"] if any(part["key"] in hit for part in v["trained_on"])}
    parents = {v["version"]: v.get("parent") for v in lineage["versions"]}
    found = []
    for version in parents:
        at, seen = version, set()
        while at in parents and at not in own and at not in seen:
            seen.add(at)
            at = parents[at]
        if at in own:
            found.append(version)
    return found


def promotion_spans(facts: Facts, version: int, promoted: bool) -> list[Span]:
    """Return the moments at which a version became the promoted one, each between two readings of the pointer.

    One that the ledger calls promoted and no reading shows came and went where the pointer stepped over it.
    """
    found: list[Span] = []
    before: Reading | None = None
    for _, reading in facts.journal.readings("promoted_version"):
        if reading.value is None:
            continue
        lo_s = before.asked_s if before is not None else float("-inf")
        was = before.value if before is not None and before.value is not None else reading.value
        became = reading.value == version and (before is None or was != version)
        if became or (promoted and not found and was < version < reading.value):
            found.append(Span(lo_s, reading.answered_s))
        before = reading
    return found


def _promoted_after(facts: Facts, since_s: float) -> bool:
    seen: float | None = None
    for _, reading in facts.journal.readings("promoted_version"):
        if reading.value is None:
            continue
        if seen is not None and reading.value > seen and reading.asked_s > since_s:
            return True
        seen = reading.value
    return False


_CHECKS: dict[str, Callable[[Facts, dict[str, Any]], tuple[Value, str]]] = {
    "examples_exactly_once": _examples,
    "checkpoints_restorable": _checkpoints,
    "promotion_monotonic": _promotions,
    "nothing_poisoned": _poison,
}
_NEEDS = {
    "examples_exactly_once": ("examples", "lineage"),
    "checkpoints_restorable": ("checkpoints",),
    "promotion_monotonic": ("promotions",),
    "nothing_poisoned": ("lineage",),
}
EVIDENCE_PARTS = ("examples", "lineage", "checkpoints", "promotions")
