"""Manifests of runs with one seed, compared: a row that two runs both read must have had the same decision.

A manifest lists the rows that were hit, not those that were only read. A row that was overwritten before the fault
reached it was not read, and is then missing in one run and not in the other. So rows that were hit in both must be the
same from before to after; and a row that was hit at all must be one that the seed chooses. Rows hit by one run only,
within the stretch that is common to both, are counted: those were missed by the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

from harness.journal.records import Journal
from harness.model.fault import chosen
from harness.model.plan import Plan
from harness.model.readings import Hit

Key = tuple[str, str, int, str]
"""Fault, entity, event time, field."""
Rows = dict[Key, tuple[object, object]]
"""What each row hit was before and after."""


@dataclass
class Shared:
    """What pairs of runs have in common, within the stretches that both saw."""

    pairs: int = 0
    both: int = 0
    one_only: int = 0
    different: list[str] = field(default_factory=list)


def rows_of(journal: Journal) -> Rows:
    """Return every row that was hit in a run. What has no event time (an object) is no row."""
    return {
        (hit.fault, str(row["entity"]), int(row["event_time"]), str(row.get("field", ""))): (
            row.get("before"),
            row.get("after"),
        )
        for _, hit in journal.of(Hit)
        for row in hit.rows
        if "entity" in row and row.get("event_time") is not None
    }


def compare(manifests: Sequence[Rows]) -> Shared:
    """Compare every two of them, each entity on the stretch of event time that both runs hit rows in."""
    shared = Shared()
    for (i, one), (j, other) in combinations(enumerate(manifests, start=1), 2):
        shared.pairs += 1
        stretch = _common(one, other)
        mine = {key for key in one if _inside(key, stretch)}
        theirs = {key for key in other if _inside(key, stretch)}
        shared.one_only += len(mine ^ theirs)
        shared.both += len(mine & theirs)
        for key in sorted(mine & theirs):
            if one[key] != other[key]:
                values = f"{one[key][0]} to {one[key][1]}, or {other[key][0]} to {other[key][1]}"
                shared.different.append(f"{_row_name(key)} is another row in runs {i} and {j}: {values}")
    return shared


def undecided(plan: Plan, manifests: Sequence[Rows]) -> list[str]:
    """Return the rows that were hit though the seed does not choose them."""
    shares = {
        step.id: float(step.parameters.get("share", 1.0))
        for step in plan.scenario.timeline
        if step.fault == "features.corrupt"
    }
    hit = {key for rows in manifests for key in rows if key[0] in shares}
    return [
        f"{_row_name(key)} was hit, and the seed does not choose it"
        for key in sorted(hit)
        if not chosen(shares[key[0]], plan.seed, key[0], key[1], key[2])
    ]


def _common(one: Rows, other: Rows) -> dict[tuple[str, str], tuple[int, int]]:
    mine, theirs = _stretches(one), _stretches(other)
    return {who: (max(mine[who][0], theirs[who][0]), min(mine[who][1], theirs[who][1])) for who in mine.keys() & theirs}


def _stretches(rows: Rows) -> dict[tuple[str, str], tuple[int, int]]:
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for fault, entity, at, _ in rows:
        lo, hi = found.get((fault, entity), (at, at))
        found[fault, entity] = min(lo, at), max(hi, at)
    return found


def _inside(key: Key, stretch: dict[tuple[str, str], tuple[int, int]]) -> bool:
    lo, hi = stretch.get((key[0], key[1]), (1, 0))
    return lo <= key[2] <= hi


def _row_name(key: Key) -> str:
    fault, entity, at, name = key
    return f"{fault}: {entity} at {at}{f', {name}' if name else ''}"
