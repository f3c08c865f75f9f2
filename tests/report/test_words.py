"""What a page says first agrees with the verdict below it."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from made_runs import sabotaged

from harness.model.verdict import Value
from harness.report import JudgedRun, SuiteInfo, write_run, write_suite


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
