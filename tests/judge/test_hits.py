"""Rows that a fault changed are counted as rows, however many fields of each were changed."""

from __future__ import annotations

from typing import Any

from journals import Run

from harness.judge.hits import rows_hit

JFK = {"entity": "JFK", "event_time": 3600}
FIELDS = [JFK | {"field": "temp"}, JFK | {"field": "wind"}]
LATER = {"entity": "JFK", "event_time": 7200, "field": "temp"}


def hitting(*rows: dict[str, Any], **plan: Any) -> Run:
    return Run(**plan).gate().fault().hit(6.0, *rows)


def test_several_fields_of_a_row_are_one_row() -> None:
    run = hitting(*FIELDS).hit(7.0, JFK | {"field": "temp"}, LATER).end()
    assert rows_hit(run.build()) == 2
    assert run.judged().damage.rows_hit == 2


def test_what_names_no_row_is_a_row_of_its_own() -> None:
    nameless = [{"key": "a"}, {"key": "b"}, {"entity": "JFK", "field": "temp"}, {"event_time": 3600}]
    assert rows_hit(hitting(*FIELDS, *nameless).end().build()) == 5


def test_each_fault_has_rows_of_its_own() -> None:
    run = hitting(*FIELDS, faults=("slow", "other")).add(8.0, "hit", fault="other", rows=[*FIELDS, LATER]).end()
    journal = run.build()
    assert [rows_hit(journal, fault) for fault in ("slow", "other", None)] == [1, 2, 3]


def test_the_guarantee_about_poison_counts_rows_too() -> None:
    run = hitting(*FIELDS, guarantees=["nothing_poisoned"])
    run.readings("promoted_version", lambda t_s: 1.0 if t_s < 14 else 2.0, every_s=0.5)
    parts = [[{"key": f"t{n}", "digest": f"sha256:t{n}"}] for n in (1, 2)]
    versions = [
        {"version": n, "parent": n - 1 or None, "promoted": True, "trained_on": part} for n, part in enumerate(parts, 1)
    ]
    found = run.evidence("lineage", versions=versions, poisoned={}).end().clause("nothing_poisoned")
    assert found.value == "pass"
    assert found.reason.endswith("any of the 1 rows hit")
