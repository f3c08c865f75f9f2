"""`junit.xml` against the rules of the schema that Jenkins' xUnit plugin validates with (junit-10.xsd)."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from made_runs import ALL, HOSTILE, failing, interrupted, sabotaged, unknown

from harness.report import JudgedRun, SuiteInfo, row, write_suite

# element: (required attributes, further attributes, children)
RULES: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url", "version"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": (
        {"name"},
        {"time", "classname", "group"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": (set(), {"type", "message"}, set()),
    "error": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
}
TIME = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]{0,3})?")


def keeps_the_rules(element: ET.Element) -> None:
    required, further, children = RULES[element.tag]
    assert required <= set(element.attrib) <= required | further, element.tag
    if "time" in element.attrib:
        assert TIME.fullmatch(element.attrib["time"])
    if "timestamp" in element.attrib:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", element.attrib["timestamp"])
    for child in element:
        assert child.tag in children, f"{child.tag} in {element.tag}"
        keeps_the_rules(child)


@pytest.fixture(scope="module")
def root(made_suite: Path) -> ET.Element:
    return ET.fromstring((made_suite / "junit.xml").read_text(encoding="utf-8"))


def of(root: ET.Element, name: str) -> ET.Element:
    found = root.find(f"testsuite[@name='nightly.{name}']")
    assert found is not None
    return found


def test_it_keeps_the_rules_of_the_schema(root: ET.Element) -> None:
    keeps_the_rules(root)


def test_one_case_a_run_and_counts_that_add_up(root: ET.Element) -> None:
    assert len(root.findall(".//testcase")) == len(ALL) + 1 == int(root.attrib["tests"])
    for kind, tag in (("failures", "failure"), ("errors", "error")):
        assert int(root.attrib[kind]) == len(root.findall(f".//{tag}"))
        assert int(root.attrib[kind]) == sum(int(s.attrib[kind]) for s in root.findall("testsuite"))


@pytest.mark.parametrize(
    ("run", "tag", "kind"),
    [
        ("pass", None, None),
        ("control", None, None),
        ("fail", "failure", "fail"),
        ("unknown", "error", "unknown"),
        ("interrupted", "error", "unknown"),
        ("no-journal", "error", "harness"),
        ("sabotage", None, None),
        ("misfire", "failure", "fail"),
        ("unaimed", "error", "unknown"),
    ],
)
def test_verdicts(root: ET.Element, run: str, tag: str | None, kind: str | None) -> None:
    told = [e for e in of(root, run).findall("testcase/*") if e.tag in ("failure", "error", "skipped")]
    assert [(e.tag, e.attrib["type"]) for e in told] == ([] if tag is None else [(tag, kind)])


def test_an_interrupted_suite_says_so_of_each_run_everywhere(tmp_path: Path) -> None:
    journal, verdict = interrupted()
    runs = [
        JudgedRun(tmp_path / "half", journal, verdict, interrupted="cut off"),
        JudgedRun(tmp_path / "later", None, None, interrupted="not run"),
    ]
    suite = write_suite(tmp_path, SuiteInfo("nightly", "local", 7, "2026-01-05T03:00:00+00:00", 1.0, runs))
    assert [(run.interrupted, run.error, row(run).verdict) for run in suite.scenarios] == [
        ("cut off", None, "interrupted"),
        ("not run", None, "not run"),
    ]
    assert suite.errors == 0, "nothing failed in the harness"
    assert suite.scenarios[1].reasons == ("not run: the suite was interrupted",)
    found = ET.fromstring((tmp_path / "junit.xml").read_text(encoding="utf-8")).findall(".//error")
    assert [error.attrib["type"] for error in found] == ["interrupted", "interrupted"]
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "harness error" not in page
    assert '<span class="soft">interrupted</span>' in page
    assert '<span class="soft">not run</span>' in page


def test_a_sabotage_that_nobody_noticed_is_a_failure(tmp_path: Path) -> None:
    journal, verdict = sabotaged()
    run = JudgedRun(tmp_path / "s", journal, verdict.model_copy(update={"caught": False}))
    write_suite(tmp_path, SuiteInfo("nightly", "local", 7, "2026-01-05T03:00:00+00:00", 1.0, [run]))
    found = ET.fromstring((tmp_path / "junit.xml").read_text(encoding="utf-8")).find(".//failure")
    assert found is not None
    assert found.attrib["type"] == "not caught"


def test_numbers_are_properties_and_what_never_came_is_left_out(root: ET.Element) -> None:
    good = {p.attrib["name"]: p.attrib["value"] for p in of(root, "pass").findall("properties/property")}
    assert good["detection.seen.after_s"] == "2.510"
    assert good["recovery.fresh-again.after_s"] == "4.900"
    assert good["fault.quiet-pipeline.injected_at_s"] == "9.260"
    assert good["damage.wrong_before_detection"] == "52"
    bad = {p.attrib["name"] for p in of(root, "fail").findall("properties/property")}
    assert "recovery.fresh-again.after_s" not in bad


def test_every_reason_is_written_and_nothing_unwritable_is_left(root: ET.Element) -> None:
    failure = of(root, "fail").find("testcase/failure")
    assert failure is not None
    assert failure.text is not None
    assert HOSTILE.replace("\x07", "\ufffd") in failure.text
    assert failure.text.count("\n") == len(failing()[1].reasons) - 1
    error = of(root, "unknown").find("testcase/error")
    assert error is not None
    assert error.attrib["message"] == unknown()[1].reasons[0]
