"""Stored runs of every schema version are judged to the same result as on the day on which they were stored.

`python tests/judge/regenerate_golden.py` says how, and when, they may be written anew.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.journal.records import READABLE, parse
from harness.judge import judge
from harness.model.verdict import Verdict

GOLDEN = Path(__file__).parent / "golden"
STORED = sorted(GOLDEN.glob("v*/*.jsonl"))


@pytest.mark.parametrize("path", STORED, ids=[f"{p.parent.name}-{p.stem}" for p in STORED])
def test_a_stored_run_is_judged_again_with_the_same_result(path: Path) -> None:
    with path.open(encoding="utf-8") as lines:
        verdict = judge(parse(lines, str(path)))
    stored = Verdict.model_validate_json(path.with_suffix(".verdict.json").read_text(encoding="utf-8"))
    assert verdict == stored


def test_every_readable_schema_has_golden_journals_of_every_verdict() -> None:
    for schema in READABLE:
        values = {Verdict.model_validate_json(p.read_text()).value for p in GOLDEN.glob(f"v{schema}/*.verdict.json")}
        assert values == {"pass", "fail", "unknown"}


def test_nothing_is_rewritten_by_accident() -> None:
    script = Path(__file__).with_name("regenerate_golden.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "--overwrite" in done.stderr
