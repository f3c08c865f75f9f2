"""How many rows faults changed. A manifest lists each changed field; several of them may be of one row."""

from __future__ import annotations

from typing import TypeGuard

from harness.journal.records import Journal
from harness.model.readings import Hit


def rows_hit(journal: Journal, fault: str | None = None) -> int:
    """Count the rows that one fault changed, or that all did; a row that two faults changed was hit twice.

    A row is known by its entity and its event time. An entry without them counts as a row of its own.
    """
    hits = [hit for _, hit in journal.of(Hit) if fault in (None, hit.fault)]
    known: set[tuple[str, str, str]] = set()
    nameless = 0
    for hit in hits:
        for row in hit.rows:
            entity, event_time = row.get("entity"), row.get("event_time")
            if entity is None or event_time is None:
                nameless += 1
            else:
                known.add((hit.fault, str(entity), str(event_time)))
    return len(known) + nameless


def stamps_hit(journal: Journal) -> set[tuple[str, int]]:
    """Return the entity and the event time of each row that was changed, as answers name the rows they rest on.

    A manifest may hold any JSON: what is no number of seconds is in no answer, and so is what names no entity.
    """
    rows = [row for _, hit in journal.of(Hit) for row in hit.rows]
    found = ((row.get("entity"), row.get("event_time")) for row in rows)
    return {(str(entity), int(at)) for entity, at in found if entity is not None and _whole(at)}


def _whole(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
