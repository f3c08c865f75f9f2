"""The folder of a suite, emptied for the next one.

What is not a run or a report is never touched, nor is a run that was cut off and has to be healed from its journal
first.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.journal.files import NAME, unhealed
from harness.model.errors import ScenarioError

REPORTS = ("suite.json", "junit.xml", "summary.md", "index.html")


def clear(folder: Path, otherwise: str) -> None:
    """Remove the runs and the reports that are in a folder, if it is there.

    Raises ScenarioError, before anything is removed, where a run may have left its fault in; `otherwise` says what to
    do instead of healing it. Raises OSError.
    """
    entries = sorted(folder.iterdir()) if folder.exists() else []
    runs = [entry for entry in entries if (entry / NAME).is_file()]
    for run in runs:
        if unhealed(run):
            raise ScenarioError(
                "this run was cut off and may have left its fault in",
                file=str(run),
                remedy=f"run `harness heal {run}`, or {otherwise}",
            )
    for run in runs:
        shutil.rmtree(run)
    for name in REPORTS:
        (folder / name).unlink(missing_ok=True)
