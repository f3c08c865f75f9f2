"""What CI systems show: `junit.xml`, and `summary.md` for the summary page of a job.

In `junit.xml` each run is one test case, in a suite of its own, because the numbers are properties and the schema that
CI servers validate against knows none in a test case. `unknown` is an error of type `unknown`, or `interrupted`: it
counts neither as a pass nor as a failure of the stack. A sabotage twin passes when it fails for what was switched off.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from harness.model.cleaned import cleaned
from harness.model.verdict import Value
from harness.report.documents import SuiteDocument, SuiteScenario
from harness.report.table import COLUMNS, outcome, row, standing
from harness.report.words import advice_lines, seconds, unbounded_text


def junit_xml(suite: SuiteDocument, times_s: dict[str, float]) -> str:
    """Return the file's text. `times_s` is how long each run took, by its folder."""
    fails = [standing(s) for s in suite.scenarios]
    root = ET.Element(
        "testsuites",
        name=suite.suite,
        time=f"{suite.wall_s:.3f}",
        tests=str(len(suite.scenarios)),
        failures=str(fails.count("failure")),
        errors=str(fails.count("error")),
    )
    for scenario in suite.scenarios:
        _add(root, suite, scenario, times_s.get(scenario.run_dir, 0.0))
    _clean(root)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _clean(root: ET.Element) -> None:
    """Clean every text of the file, and with that take out what XML has no way to write."""
    for element in root.iter():
        element.attrib = {name: cleaned(value) for name, value in element.attrib.items()}
        element.text = None if element.text is None else cleaned(element.text)


def _add(root: ET.Element, suite: SuiteDocument, run: SuiteScenario, time_s: float) -> None:
    failed = standing(run)
    name = run.run_dir or run.name
    time = f"{time_s:.3f}"
    element = ET.SubElement(
        root,
        "testsuite",
        name=f"{suite.suite}.{name}",
        tests="1",
        failures="1" if failed == "failure" else "0",
        errors="1" if failed == "error" else "0",
        skipped="1" if failed == "repeated" else "0",
        time=time,
        timestamp=suite.started[:19],
    )
    properties = ET.SubElement(element, "properties")
    for key, value in _properties(suite, run):
        ET.SubElement(properties, "property", name=key, value=value)
    case = ET.SubElement(element, "testcase", classname=suite.suite, name=name, time=time)
    if failed == "repeated":
        first = run.reasons[0] if run.reasons else str(run.verdict)
        ET.SubElement(case, "skipped", message=f"{run.verdict}, repeated as {run.repeated_by}: {first}")
    elif failed != "good":
        kind = "harness" if run.error is not None else _kind(run)
        first = run.error or (run.reasons[0] if run.reasons else outcome(run))
        problem = ET.SubElement(case, failed, type=kind, message=first)
        problem.text = "\n".join([*run.reasons, *advice_lines(run.advice)]) or first
    elif run.reasons:
        ET.SubElement(case, "system-out").text = "\n".join(run.reasons)
    ET.SubElement(case, "system-out").text = f"report: {run.run_dir}/report.html"


def _kind(run: SuiteScenario) -> str:
    if run.interrupted is not None and run.verdict is Value.UNKNOWN:
        return "interrupted"
    return run.catch or str(run.verdict)


def _properties(suite: SuiteDocument, run: SuiteScenario) -> list[tuple[str, str]]:
    found: list[tuple[str, object]] = [("scenario", run.name), ("seed", suite.seed), ("backend", suite.backend)]
    found += [("twin", run.twin), ("sabotage", run.sabotage), ("caught", run.caught)]
    for fault in run.faults:
        found.append((f"fault.{fault.id}.injected_at_s", fault.injected_at_s))
        found.append((f"fault.{fault.id}.confirmed_at_s", fault.confirmed_at_s))
        found.append((f"fault.{fault.id}.reverted_at_s", fault.reverted_at_s))
    found += [(f"detection.{d.id}.after_s", d.after_s) for d in run.detection]
    found += [(f"noticed.{n.id}.after_s", n.after_s) for n in run.noticed]
    found += [(f"recovery.{r.id}.after_s", r.after_s) for r in run.recovery]
    found += [(f"damage.{key}", value) for key, value in run.damage if isinstance(value, int)]
    return [(key, _text(value)) for key, value in found if value is not None]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


_SIGNS = {"good": "✅", "failure": "❌", "error": "❔", "repeated": "↻"}


def summary_md(suite: SuiteDocument) -> str:
    """Return the file's text."""
    counts = suite.counts
    twin = f" ({suite.twin} twins)" if suite.twin else ""
    lines = [
        f"## {_plain(suite.suite)}{twin}: {counts.passed} pass, {counts.fail} fail, {counts.unknown} unknown",
        "",
        f"Backend {_plain(suite.backend)}, seed {suite.seed}, {seconds(suite.wall_s)} by the wall clock.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "--|" * len(COLUMNS),
    ]
    for run in suite.scenarios:
        cells = [_plain(cell) for cell in row(run).cells]
        cells[-1] = f"{_SIGNS[standing(run)]} {cells[-1]}"
        lines.append("| " + " | ".join(cells) + " |")
    for run in suite.scenarios:
        if standing(run) in ("failure", "error"):
            lines += ["", f"**{_plain(row(run).scenario)}: {run.verdict}**", ""]
            lines += [f"- {_plain(reason)}" for reason in run.reasons] or ["- no reason given"]
            lines += [f"- {_plain(line)}" for line in advice_lines(run.advice)]
        if run.unbounded:
            lines += ["", f"{_plain(row(run).scenario)}: passed. {_plain(unbounded_text(run.unbounded))}"]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Text of a journal is not Markdown: nothing in it may become a link, an image, a formula, a list or a tag."""
    one_line = " ".join(cleaned(text).split())
    escaped = re.sub(r"([\\`*_\[\]<>|#!&~$@]|:(?=//)|(?<=www)\.)", r"\\\1", one_line, flags=re.IGNORECASE)
    return re.sub(r"^(\d{0,9})([-+.)])(?= |$)", r"\1\\\2", escaped)
