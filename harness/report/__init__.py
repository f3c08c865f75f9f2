"""Reports: what a run and a suite leave behind for programs, for CI systems and for people.

`write_run` writes a run's `verdict.json` and `report.html`; `write_suite` writes `suite.json`, `junit.xml`,
`summary.md` and `index.html`. Nothing here has a clock: the same journal and verdict give the same files.
"""

from harness.report.documents import RunDocument, SuiteDocument, json_schemas
from harness.report.table import COLUMNS, Row, row
from harness.report.write import JudgedRun, SuiteInfo, write_run, write_suite

__all__ = [
    "COLUMNS",
    "JudgedRun",
    "Row",
    "RunDocument",
    "SuiteDocument",
    "SuiteInfo",
    "json_schemas",
    "row",
    "write_run",
    "write_suite",
]
