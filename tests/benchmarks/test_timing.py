"""Timing errors against the plan, read from a journal."""

import json
from pathlib import Path

import pytest

from benchmarks.timing import Errors, injection_errors_s, injection_widths_s, of_folders
from harness.journal.records import Journal, parse

STEP = {"id": "slow", "at": "3s", "for": "7s", "fault": "network.latency", "target": {"link": "a -> b"}}
SCENARIO = {"schema": 1, "scenario": "s", "summary": "s", "stack": "x", "expect": {}, "timeline": [STEP]}
STACK = {"name": "x", "services": {}, "alerts": [], "probe_units": {}, "freshness_s": {}, "integrity": []}
PLAN = {"run": "s", "scenario": SCENARIO, "stack": STACK | {"request_timeout_s": 1.0}, "seed": 1, "backend": "local"}
HEAD = {"n": 0, "t": 0.0, "kind": "header", "schema": 1, "harness": "0", "started": "2026-01-01T00:00:00+00:00"}
GATE = {"kind": "gate", "met": True, "at_s": 2.0}


def lines(*bodies: dict[str, object]) -> list[str]:
    written = [HEAD | {"plan": PLAN}, *({"n": n, "t": 10.0 + n} | body for n, body in enumerate(bodies, start=1))]
    return [json.dumps(line) + "\n" for line in written]


def journal(*bodies: dict[str, object]) -> Journal:
    return parse(lines(*bodies))


def poll(planned_s: float, asked_s: float, answered_s: float) -> dict[str, object]:
    times = {"planned_s": planned_s, "asked_s": asked_s, "answered_s": answered_s}
    return {"kind": "alerts", "source": "m", **times}


def injected(lo_s: float, hi_s: float) -> dict[str, object]:
    return {"kind": "fault", "fault": "slow", "stage": "injected", "lo_s": lo_s, "hi_s": hi_s}


def test_the_error_of_an_injection_counts_from_the_gate() -> None:
    found = journal(GATE, injected(5.004, 5.012))
    assert injection_errors_s(found) == [pytest.approx(0.004)]
    assert injection_widths_s(found) == [pytest.approx(0.008)]


def test_a_fault_that_was_not_injected_has_no_error() -> None:
    assert injection_errors_s(journal(GATE)) == []
    assert injection_widths_s(journal(GATE)) == []


def test_polls_before_the_gate_do_not_count() -> None:
    errors = Errors()
    errors.take(journal(poll(1.0, 1.9, 2.0), GATE, poll(3.0, 3.002, 3.01), {"kind": "closed", "reason": "completed"}))
    assert errors.alerts_polled == [pytest.approx(0.002)]
    assert errors.alerts_read == [pytest.approx(0.01)]


def test_a_run_with_an_unmet_gate_is_ignored() -> None:
    errors = Errors()
    errors.take(journal(GATE | {"met": False}, poll(3.0, 3.5, 3.6)))
    assert errors == Errors()


def test_stored_runs_are_measured(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    text = "".join(lines(GATE, poll(3.0, 3.002, 3.01), injected(5.004, 5.012), {"kind": "closed", "reason": "error"}))
    (tmp_path / "run" / "journal.jsonl").write_text(text)
    found = of_folders([tmp_path]).figures
    assert found["runs"] == 1
    assert found["errors"]["injection: begun after its planned moment"]["p99_ms"] == pytest.approx(4.0)
    assert found["errors"]["alerts: width of the observed interval"]["n"] == 0
