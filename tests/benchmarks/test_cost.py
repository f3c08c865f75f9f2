"""The price list: what it reads from a suite, and its lines against a program that stands in for the harness."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import cost as price
from benchmarks.cost import Arm, Bill, CostLine
from benchmarks.results import ROOT, Options

pytestmark = pytest.mark.slow

FAKE = f"""#!{sys.executable}
import json, re, sys
from pathlib import Path
args = sys.argv[1:]
if "--help" in args:
    print("-j, --jobs auto|N")
    sys.exit(0)
folder = Path(args[args.index("--reports") + 1]) / args[args.index("--name") + 1]
runs = []
for file in sorted(Path(args[1]).rglob("*.scenario.yaml")):
    text = file.read_text()
    if "demo" not in text:
        continue
    name = re.search(r"^scenario: *(\\S+)", text, re.M)[1]
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "journal.jsonl").write_text('{{"t": 0}}\\n{{"t": 20.0}}\\n')
    verdict = "fail" if name == "node-loss-2" and "3" in args else "pass"
    runs.append({{"name": name, "verdict": verdict, "run_dir": name, "detection": [{{"alert": "A", "after_s": 1.5}}]}})
(folder / "suite.json").write_text(json.dumps({{"scenarios": runs}}))
sys.exit(0 if all(run["verdict"] == "pass" for run in runs) else 1)
"""


@pytest.fixture
def bill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bill:
    program = tmp_path / "harness"
    program.write_text(FAKE)
    program.chmod(0o755)
    monkeypatch.setattr(price, "harness", lambda: str(program))
    return Bill(Options(out=tmp_path / "out"), before=None)


def test_suites_are_counted_by_the_length_of_their_runs_alone(bill: Bill) -> None:
    lines = {line.command: line for line in bill._suites()}
    demo = lines["harness run scenarios --tag demo -j 1"]
    assert demo.ours is not None
    assert 0 < demo.ours < 0.1
    assert demo.reached == "yes"
    done = bill.figures["ours cost-large-auto"]
    assert done["done_s"] == 20 * 20.0
    assert done["detected_s"]["stale-data: A"] == [1.5] * 5
    assert any("not passed: node-loss-2 fail" in note for note in bill.notes)


def test_a_group_that_cannot_be_measured_becomes_a_note(bill: Bill) -> None:
    bill._ours = Arm("ours", "/bin/false", ROOT)
    bill._beside_chaostoolkit = bill._command_lines = bill._stored_run = bill._suites  # type: ignore[assignment, method-assign]
    bill.measure()
    assert bill.lines == []
    assert len(bill.notes) == 4
    assert all(note.startswith("not measured: suites") for note in bill.notes)


@pytest.mark.parametrize(
    ("ours", "base", "limit", "at_least", "reached"),
    [
        (1.0, 1.0, 1.0, False, "yes"),
        (1.6, 1.0, 1.5, False, "no"),
        (3.1, 1.0, 3.0, True, "yes"),
        (None, 1.0, 1.0, False, "–"),
    ],
)
def test_a_line_says_whether_its_bound_is_reached(
    ours: float | None, base: float, limit: float, at_least: bool, reached: str
) -> None:
    assert CostLine("m", ours, None, base, "b", limit, "c", at_least).reached == reached
