"""What a page says first agrees with the verdict below it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from made_runs import failing, passing, plan, sabotaged

from harness.journal.records import Journal
from harness.judge import judge
from harness.model.verdict import Value
from harness.report import JudgedRun, SuiteInfo, write_run, write_suite
from harness.report.words import headline

WEAK = {"reason": "no back-pressure", "ticket": "ML-17", "until": "2099-01-01"}


@pytest.mark.parametrize(
    ("value", "caught", "tone", "badge", "said"),
    [
        (Value.FAIL, True, "pass", "sabotage: caught", "and every clause that must fail without it did"),
        (Value.FAIL, False, "fail", "sabotage: not caught", "and not every clause that must fail without it did"),
        (Value.PASS, False, "fail", "sabotage: not caught", "and not every clause that must fail without it did"),
        (Value.UNKNOWN, True, "unknown", "sabotage", "The evidence does not decide"),
    ],
)
def test_a_sabotage_looks_as_it_counts(
    tmp_path: Path, value: Value, caught: bool, tone: str, badge: str, said: str
) -> None:
    journal, verdict = sabotaged()
    write_run(tmp_path, journal, verdict.model_copy(update={"value": value, "caught": caught}))
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.findall('<header class="top (.*?)">', html) == [tone]
    assert f'<span class="badge">{badge}</span>' in html
    assert said in html


def test_a_sabotage_that_was_cut_off_is_an_error_of_its_own_kind(tmp_path: Path) -> None:
    journal, verdict = sabotaged()
    run = JudgedRun(tmp_path / "s", journal, verdict.model_copy(update={"value": Value.UNKNOWN}))
    write_suite(tmp_path, SuiteInfo("nightly", "local", 7, "2026-01-05T03:00:00+00:00", 1.0, [run]))
    [error] = ET.fromstring((tmp_path / "junit.xml").read_text(encoding="utf-8")).findall(".//error")
    assert error.attrib["type"] == "unknown"


def known_weak(journal: Journal, **weakness: Any) -> Journal:
    header = journal.header.model_copy(update={"plan": plan(known_weakness=WEAK | weakness)})
    return Journal(header, journal.lines)


@pytest.mark.parametrize(
    ("made", "weakness", "value", "said"),
    [
        (failing, {}, Value.PASS, "The stack failed as expected"),
        (passing, {}, Value.FAIL, "A known weakness that passes, or whose date has passed"),
        (passing, {"clauses": ["seen"]}, Value.FAIL, "A known weakness that passes, or whose date has passed"),
        (failing, {"until": "2025-01-01"}, Value.FAIL, "A known weakness that passes, or whose date has passed"),
        (failing, {"clauses": ["seen"]}, Value.FAIL, "A clause failed that is not part of the known weakness"),
    ],
)
def test_a_known_weakness_says_what_it_failed_by(made: Any, weakness: dict[str, Any], value: Value, said: str) -> None:
    verdict = judge(known_weak(made()[0], **weakness))
    assert (verdict.value, verdict.reasons != ()) == (value, True)
    assert headline(verdict).startswith(said)
