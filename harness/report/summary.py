"""`summary.md`, for the summary page of a CI job: the table, and why runs did not pass."""

from __future__ import annotations

import re

from harness.report.documents import SuiteDocument
from harness.report.table import COLUMNS, row, standing
from harness.report.words import seconds

_SIGNS = {"good": "✅", "failure": "❌", "error": "❔"}


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
        if standing(run) != "good":
            lines += ["", f"**{_plain(row(run).scenario)}: {run.verdict}**", ""]
            lines += [f"- {_plain(reason)}" for reason in run.reasons] or ["- no reason given"]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Text of a journal is not Markdown: nothing in it may become a link, an image or a tag."""
    one_line = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]<>|#!&~])", r"\\\1", one_line)
