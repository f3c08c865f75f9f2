"""Advice on every surface: the page of a run and of a suite, the terminal, JUnit, the summary; and its own page."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "judge"))

from test_advice import CASES

from harness.judge import judge
from harness.judge.advice.guards import GUARDS
from harness.model.errors import HarnessError
from harness.model.verdict import Verdict
from harness.report.advice_page import with_guards
from harness.report.documents import RunDocument
from harness.report.words import advice_lines
from harness.report.write import JudgedRun, SuiteInfo, write_run, write_suite
from harness.suite.rules import with_error, with_interruption

ROOT = Path(__file__).parents[2]
GUARD = "A time-out on the client of a store, shorter than its callers wait"
COMMAND = "harness run scenarios/hung.scenario.yaml"
PROVED = f"the repair is proved when the scenario by-hand passes, which may take more than one repair: {COMMAND}"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite of one failed run, written whole."""
    folder = tmp_path_factory.mktemp("advice")
    made = CASES["client-timeout"][0]()
    run_dir = folder / "by-hand"
    run_dir.mkdir()
    (run_dir / "journal.jsonl").write_text("".join(made.text()), "utf-8")
    journal = made.build()
    verdict = judge(journal)
    document = write_run(run_dir, journal, verdict)
    run = JudgedRun(run_dir, journal, verdict, document=document)
    write_suite(folder, SuiteInfo("advice", "local", 7, "2026-06-01T10:00:00+00:00", 25.0, [run]))
    return folder


def test_the_verdict_file_has_every_part_of_it(suite: Path) -> None:
    document = RunDocument.model_validate_json((suite / "by-hand" / "verdict.json").read_text("utf-8"))
    [advice] = document.advice
    assert (advice.id, advice.guard, advice.where) == ("client-timeout", GUARD, "link scorer -> features")
    assert (advice.clauses, advice.proof.scenario, advice.proof.command) == (("up",), "by-hand", COMMAND)
    assert advice.sources == GUARDS["client-timeout"].sources


@pytest.mark.parametrize("name", ["by-hand/report.html", "index.html", "summary.md", "junit.xml"])
def test_every_page_names_the_guard_and_the_place(suite: Path, name: str) -> None:
    text = (suite / name).read_text("utf-8")
    assert GUARD.lower() in text.lower()
    assert any(f"scorer {arrow} features" in text for arrow in ("->", "-&gt;", "-\\>"))


def test_the_page_of_a_run_leads_from_the_clause_to_the_advice_and_on_to_its_lines(suite: Path) -> None:
    text = (suite / "by-hand" / "report.html").read_text("utf-8")
    assert '<a href="#advice-1">advice</a>' in text
    assert 'id="advice-1"' in text
    document = RunDocument.model_validate_json((suite / "by-hand" / "verdict.json").read_text("utf-8"))
    for n in document.advice[0].cites:
        assert f'<a href="#line-{n}">{n}</a>' in text
        assert f'<li id="line-{n}">' in text


def test_junit_has_it_in_the_text_of_the_failure(suite: Path) -> None:
    failure = ET.parse(suite / "junit.xml").getroot().find(".//failure")
    assert failure is not None
    assert PROVED in str(failure.text)


def test_lines_name_the_repair_once_for_several_guards() -> None:
    [one] = judge(CASES["client-timeout"][0]().build()).advice
    other = one.model_copy(update={"id": "other", "where": "elsewhere"})
    lines = advice_lines([one, other])
    assert len(lines) == 3
    assert lines[0].startswith("advice on up: link scorer -> features: ")
    assert lines[2] == PROVED


def test_nothing_is_said_where_there_is_none() -> None:
    assert advice_lines(Verdict(scenario="x", value="pass", reasons=(), clauses=()).advice) == []


def test_a_sabotage_that_did_not_end_properly_is_unknown_and_has_no_advice() -> None:
    failed = judge(CASES["client-timeout"][0]().build()).model_copy(update={"twin": "sabotage"})
    assert failed.advice
    for verdict in (with_interruption(failed), with_error(failed, HarnessError("no more disk"))):
        assert (verdict.value, verdict.advice) == ("unknown", ())


def test_the_page_of_all_guards_is_up_to_date() -> None:
    page = (ROOT / "docs" / "advice.md").read_text("utf-8")
    assert with_guards(page) == page, "run `make generate`"
