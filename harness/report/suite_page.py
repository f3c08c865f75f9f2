"""`index.html`: a suite for a person, the table of the terminal with a strip of timeline under each row."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from markupsafe import Markup

from harness.report.documents import SuiteDocument
from harness.report.pages import drawing, page
from harness.report.table import row, standing


def suite_html(suite: SuiteDocument, pictures: Mapping[str, str], reports: set[str]) -> str:
    """Return the page. `pictures` are strips by the run's folder, `reports` the folders that have a report."""
    runs = [
        (
            run,
            row(run),
            drawing(pictures[run.run_dir]) if run.run_dir in pictures else Markup(),
            f"{quote(run.run_dir)}/report.html" if run.run_dir in reports else None,
        )
        for run in suite.scenarios
    ]
    standings = {standing(run) for run in suite.scenarios}
    worst = "fail" if "failure" in standings else "unknown" if standings != {"good"} else "pass"
    return page("index.html.j2", suite=suite, runs=runs, worst=worst)
