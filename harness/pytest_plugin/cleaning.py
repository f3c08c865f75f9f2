"""Reports of pytest about our tests, cleaned: what a stack said reaches the terminal and a JUnit file through them."""

from __future__ import annotations

import pytest
from _pytest._code.code import ExceptionChainRepr, ReprEntry
from _pytest.reports import CollectErrorRepr

from harness.model.cleaned import for_terminal

OWN_SECTIONS = "harness "
"""How the headings of sections begin that we add; what a test prints itself is its own."""


def clean_report(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Replace, in a report, what a terminal would obey."""
    report.sections = [
        (heading, for_terminal(text) if OWN_SECTIONS in heading else text) for heading, text in report.sections
    ]
    shown = report.longrepr
    if isinstance(shown, str):
        report.longrepr = for_terminal(shown)
    elif isinstance(shown, ExceptionChainRepr):
        for traceback, crash, _ in shown.chain:
            if crash is not None:
                crash.message = for_terminal(crash.message)
            for entry in traceback.reprentries:
                if isinstance(entry, ReprEntry):
                    entry.lines = [for_terminal(line) for line in entry.lines]
    elif isinstance(shown, CollectErrorRepr):
        shown.longrepr = for_terminal(shown.longrepr)
