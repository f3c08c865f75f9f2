"""How many rows faults changed. A manifest lists each changed field; several of them may be of one row."""

from __future__ import annotations

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
