"""The fields that other programs rely on: exactly those of the design, with null for what never came."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from made_runs import ALL, failing, never_started, passing, unknown

from harness.judge import judge
from harness.judge.kinds import KINDS
from harness.model.verdict import ClauseResult, Value
from harness.report import RunDocument, SuiteDocument, SuiteInfo, json_schemas, write_run, write_suite
from harness.report.documents import to_json
from harness.report.write import run_document

FIELDS = {
    "faults": {"id", "kind", "target", "meant", "injected_at_s", "confirmed_at_s", "reverted_at_s", "evidence"},
    "detection": {"id", "alert", "within_s", "after_lo_s", "after_s", "met"},
    "quiet": {"alert", "fired", "met"},
    "stays": {"id", "probe", "limit", "worst", "met"},
    "recovery": {"id", "probe", "within_s", "after_lo_s", "after_s", "met"},
}
SCENARIO_FIELDS = {"name", "verdict", "reasons", "run_dir", "damage", *FIELDS}
ADDED = {
    "interrupted",
    "twin",
    "sabotage",
    "caught",
    "cleared",
    "integrity",
    "quality",
    "known_weakness",
    "advice",
    "unbounded",
    "error",
    "repeated_by",
    "margins",
}
DAMAGE = {"requests", "failed", "wrong_before_detection", "wrong_until_recovery", "wrong_after", "flagged", "seconds"}


@pytest.fixture(scope="module")
def suite(made_suite: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((made_suite / "suite.json").read_text(encoding="utf-8"))
    return read


def test_suite_has_the_fields_of_the_design(suite: dict[str, Any]) -> None:
    assert set(suite) >= {"schema", "suite", "backend", "seed", "started", "wall_s", "counts", "scenarios"}
    assert set(suite["counts"]) == {"pass", "fail", "unknown"}
    assert suite["counts"] == {"pass": 2, "fail": 3, "unknown": 6}
    for scenario in suite["scenarios"]:
        assert set(scenario) == SCENARIO_FIELDS | ADDED | {kind.document for kind in KINDS}
        assert set(scenario["damage"]) >= DAMAGE
        for name, fields in FIELDS.items():
            assert all(set(row) == fields for row in scenario[name])


def test_run_dirs_are_relative_and_kept_apart(suite: dict[str, Any]) -> None:
    assert [s["run_dir"] for s in suite["scenarios"]] == [*ALL, "no-journal"]


def test_what_never_came_is_null(suite: dict[str, Any]) -> None:
    by_dir = {s["run_dir"]: s for s in suite["scenarios"]}
    assert by_dir["unknown"]["faults"][0]["confirmed_at_s"] is None
    assert by_dir["unknown"]["detection"][0]["after_s"] is None
    assert by_dir["unknown"]["detection"][0]["met"] is None
    assert by_dir["interrupted"]["faults"][0]["reverted_at_s"] is None
    never = by_dir["fail"]["recovery"][0]
    assert (never["within_s"], never["after_lo_s"], never["after_s"], never["met"]) == (15.0, None, None, False)


def test_a_run_without_a_journal_is_unknown_and_says_why(suite: dict[str, Any]) -> None:
    last = suite["scenarios"][-1]
    assert (last["name"], last["verdict"], last["error"]) == ("no-journal", "unknown", "the port is taken")
    assert last["reasons"] == ["the port is taken"]
    assert suite["errors"] == 1


def test_quiet_and_integrity_are_spread_out(suite: dict[str, Any]) -> None:
    by_dir = {s["run_dir"]: s for s in suite["scenarios"]}
    assert by_dir["fail"]["quiet"] == [{"alert": "ScoreDrift", "fired": 1, "met": False}]
    assert by_dir["pass"]["integrity"][0]["id"] == "examples_exactly_once"
    assert by_dir["pass"]["integrity"][0]["met"] is True
    assert by_dir["fail"]["known_weakness"]["ticket"] == "ML-17"


def test_numbers_that_json_cannot_hold_are_null() -> None:
    journal, verdict = unknown()
    odd = ClauseResult(
        id="x",
        kind="stays",
        value=Value.UNKNOWN,
        reason="",
        measured={"probe": "p", "limit": "at most 5", "worst": math.inf, "met": None},
    )
    verdict = verdict.model_copy(update={"clauses": (odd,)})
    read = json.loads(to_json(run_document(journal, verdict, None)), parse_constant=lambda c: pytest.fail(c))
    assert read["stays"][0]["worst"] is None
    assert read["clauses"][0]["measured"]["worst"] is None


def test_documents_read_back_the_same(tmp_path: Path) -> None:
    document = write_run(tmp_path, *failing())
    text = (tmp_path / "verdict.json").read_text(encoding="utf-8")
    assert RunDocument.model_validate_json(text) == document
    suite = write_suite(tmp_path, SuiteInfo("s", "local", 1, "2026-01-05T03:00:00+00:00", 1.0, []))
    assert SuiteDocument.model_validate_json((tmp_path / "suite.json").read_text(encoding="utf-8")) == suite


def test_the_same_journal_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        journal, _ = passing()
        write_run(tmp_path / name, journal, judge(journal))
    for file in ("verdict.json", "report.html"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_what_the_judge_measures_is_what_the_fields_need(tmp_path: Path) -> None:
    journal, _ = passing()
    document = write_run(tmp_path, journal, judge(journal))
    assert document.verdict is Value.PASS
    assert document.detection[0].met is True
    assert document.detection[0].after_s == pytest.approx(2.65, abs=0.1)
    assert {r.id for r in document.recovery} == {"fresh-again", "silent", "caught-up"}
    assert all(r.after_s is not None and r.within_s == 15.0 for r in document.recovery)
    assert document.stays[0].limit == "at least 0.95"
    assert document.stays[0].worst is not None
    assert document.cleared[0].alert == "FeaturesStale"


def test_schemas_name_every_field() -> None:
    schemas = json_schemas()
    journal, verdict = never_started()
    written = json.loads(to_json(run_document(journal, verdict, None)))
    assert set(written) == set(schemas["verdict.json"]["properties"])
    assert schemas["suite.json"]["properties"]["schema"]["const"] == 1
    assert set(schemas["suite.json"]["$defs"]["Counts"]["properties"]) == {"pass", "fail", "unknown"}
