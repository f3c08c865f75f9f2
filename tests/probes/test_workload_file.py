"""Workload files: what a line must hold, and what is refused with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.model.errors import ProbeError
from harness.probes.workload_file import read_workload

HEAD = {"kind": "workload", "schema": 1, "start": 0, "end": 99, "features": {"x": {"group": "g", "rtol": 0.5}}}
TRUTH = {"kind": "truth", "entity": "e", "group": "g", "at": 3, "values": {"x": 1.0, "y": None}}
REQUEST = {"kind": "request", "id": "a", "at": 5, "body": {"id": "e"}, "outcome": 1, "outcome_at": None}


def written(folder: Path, *lines: Any) -> Path:
    path = folder / "workload.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def test_a_whole_file(tmp_path: Path) -> None:
    found = read_workload(written(tmp_path, HEAD, TRUTH, REQUEST))
    assert (found.start, found.end, found.features["x"].rtol) == (0, 99, 0.5)
    assert found.truth.as_of("e", "g", 4) == {"x": 1.0, "y": None}
    assert [(r.id, r.outcome, r.outcome_at) for r in found.requests] == [("a", 1, None)]


@pytest.mark.parametrize(
    ("lines", "line", "said"),
    [
        ([{**HEAD, "start": "now"}], 1, "'start' must be a whole number, not 'now'"),
        ([{**HEAD, "end": None}], 1, "'end' must be a whole number, not None"),
        ([{**HEAD, "end": 10**30}], 1, "'end' is beyond any moment"),
        ([{"kind": "workload", "schema": 1, "end": 3}], 1, "'start' is missing"),
        ([{**HEAD, "features": {"x": {"grup": "g"}}}], 1, "a feature has no field 'grup'"),
        ([{**HEAD, "features": {"x": 3}}], 1, "the feature 'x' must be a mapping, not 3"),
        ([{**HEAD, "features": {"x": {"group": "g", "atol": -1}}}], 1, "'atol' must be a tolerance of 0 or more"),
        ([HEAD, {**TRUTH, "values": {"x": "a"}}], 2, "'x' must be a number, not 'a'"),
        ([HEAD, {**TRUTH, "at": True}], 2, "'at' must be a whole number, not True"),
        ([HEAD, TRUTH, {**REQUEST, "body": [1]}], 3, "'body' must be a mapping, not [1]"),
        ([HEAD, TRUTH, {**REQUEST, "id": ["a"]}], 3, "'id' must be a text"),
        ([HEAD, [1]], 2, "not a line of a workload"),
    ],
)
def test_a_line_of_another_form_is_refused_with_its_number(
    tmp_path: Path, lines: list[Any], line: int, said: str
) -> None:
    with pytest.raises(ProbeError) as refused:
        read_workload(written(tmp_path, *lines))
    assert said in refused.value.message
    assert refused.value.line == line


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "workload.jsonl"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ProbeError, match="not text in UTF-8"):
        read_workload(path)
