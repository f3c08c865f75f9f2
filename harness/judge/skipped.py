"""Partitions that the chain of versions passed over: never learned, though newer ones were.

Which partition is newer is told by the numbers in the keys of one series (`hour-9`, `hour-10`), as long as the versions
learned the series in that order and the event times of the examples do not say otherwise. Where no order is told,
nothing was passed over for sure, and nothing was not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from harness.judge.lineage import Finding, Written, ancestry
from harness.model.ledger import Examples, Lineage
from harness.model.verdict import Value

_DIGITS = re.compile(r"\d+")


def skipped(examples: Examples, lineage: Lineage, written: Written) -> Finding | None:
    """Return what the chain that serves passed over. Where nothing tells which chain serves, all must agree."""
    learning = [v for v in lineage.versions if v.trained_on]
    newest = max((v.version for v in learning if v.promoted), default=None)
    perhaps = [v.version for v in learning if v.promoted is None and (newest is None or v.version > newest)]
    found = [_by(newest, examples, lineage, written) if newest is not None else None]
    found += [_by(version, examples, lineage, written) for version in perhaps]
    doubts = [one for one in found if one is not None]
    if not doubts or (len(doubts) == len(found) and all(value is Value.FAIL for value, _ in doubts)):
        return found[0]
    reason = doubts[0][1]
    return Value.UNKNOWN, f"{reason}; nothing tells which versions were promoted" if perhaps else reason


def _by(version: int, examples: Examples, lineage: Lineage, written: Written) -> Finding | None:
    by_number = {v.version: v for v in lineage.versions}
    chain = ancestry(version, lineage.versions)
    learned = [[part.key for part in by_number[one].trained_on] for one in reversed(chain.versions)]
    known = {key for keys in learned for key in keys}
    doubt: Finding | None = None
    for key, ids in sorted(examples.training.items(), key=lambda item: _series(item[0])):
        if not ids or key in known:
            continue
        older = _older(key, learned, examples)
        if older is False:
            continue
        reason = f"{key} was never learned, though newer partitions were"
        if older is None:
            reason = f"{key} was never learned, and nothing tells whether it is newer than those that were"
        why = "the fault had changed it" if written.touched(key) else chain.doubt
        if older and why is None:
            return Value.FAIL, reason
        doubt = doubt or (Value.UNKNOWN, reason if why is None else f"{reason}: {why}")
    return doubt


def _series(key: str) -> tuple[str, tuple[int, ...]]:
    """Return which series a key belongs to, and its place there: its text without the numbers, and the numbers."""
    return _DIGITS.sub("#", key), tuple(int(digits) for digits in _DIGITS.findall(key))


def _older(key: str, learned: Sequence[Sequence[str]], examples: Examples) -> bool | None:
    """Whether a partition is older than the newest that was learned; None where that cannot be told.

    `learned` has the keys of each version, the oldest version first.
    """
    series, place = _series(key)
    places = [[at for name, at in map(_series, keys) if name == series] for keys in learned]
    places = [some for some in places if some]
    in_order = bool(places) and all(max(a) < min(b) for a, b in pairwise(places))
    moments = [examples.matured[one] for keys in learned for one in keys if one in examples.matured]
    matured = examples.matured.get(key)
    newest = matured is not None and bool(moments) and matured >= max(moments)
    if in_order and place < max(places[-1]):
        # One version alone shows no order: its partitions may be those of several writers.
        return True if len(places) > 1 and not newest else None
    return False if in_order or newest else None
