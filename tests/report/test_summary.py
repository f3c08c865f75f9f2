"""`summary.md`: the table of the terminal, and nothing of a journal that Markdown would take for its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from made_runs import ALL

from harness.report import COLUMNS, SuiteInfo, write_suite


@pytest.fixture(scope="module")
def text(made_suite: Path) -> str:
    return (made_suite / "summary.md").read_text(encoding="utf-8")


def test_the_table_has_a_row_a_run(text: str) -> None:
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(ALL) + 1
    assert all(len(r) == len(COLUMNS) for r in rows)
    by_name = {r[0].strip(): [c.strip() for c in r] for r in rows[2:]}
    assert by_name["pass"][2:5] == ["yes", "2.51 s", "4.90 s"]
    assert by_name["pass"][6] == "✅ pass"
    assert by_name["fail"][4] == "never"
    assert by_name["unknown"][2:4] == ["no", "unknown"]
    assert by_name["control"][2] == "not injected"
    assert by_name["sabotage"][6] == "✅ fail (caught)"
    assert by_name["misfire"][6] == "❌ fail (misfire)"
    assert by_name["unaimed"][6] == "❔ unknown (misfire)"


def test_reasons_are_listed_for_runs_that_did_not_pass(text: str) -> None:
    assert "**fail: fail**" in text
    assert "- FeaturesStale fired too late, 8.21–8.31 s after injection" in text
    assert "**pass: pass**" not in text


def test_text_of_a_journal_is_no_markdown(text: str) -> None:
    hostile = next(line for line in text.splitlines() if "evil" in line)
    assert not re.search(r"(?<!\\)[<>`|]", hostile)


def test_an_empty_suite_has_an_empty_table(tmp_path: Path) -> None:
    write_suite(tmp_path, SuiteInfo("none", "local", 7, "2026-01-05T03:00:00+00:00", 0.0, []))
    assert "0 pass, 0 fail, 0 unknown" in (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "No scenario ran" in (tmp_path / "index.html").read_text(encoding="utf-8")
