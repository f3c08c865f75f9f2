"""The live table and the table of results, as a terminal shows them."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from harness.cli.live_table import LiveTable
from harness.cli.suite import progress
from harness.cli.tables import plain_table, show_table
from harness.model.plan import Plan, StackFacts
from harness.model.scenario import Scenario
from harness.runner.progress import Progress


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    """A stream whose reader went away."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def plans(*runs: str, lasting_s: float = 10.0) -> list[Plan]:
    scenario = Scenario.model_validate(
        {
            "schema": 1, "scenario": "slow", "summary": "Slow.", "stack": "small", "expect": {},
            "timeline": [
                {"id": "slow", "at": "0s", "for": f"{lasting_s}s", "fault": "storage.slow", "target": {"service": "s"}}
            ],
        }
    )  # fmt: skip
    return [Plan(run=run, scenario=scenario, stack=StackFacts(name="small"), seed=1) for run in runs]


def drawn(table: LiveTable, width: int = 120, height: int | None = None) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table.render(height))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def first_column(shown: str) -> str:
    rows = [line.split("│")[1].strip() for line in shown.splitlines() if line.startswith("│")]
    return "".join(rows)


def test_the_live_table_shows_state_fault_and_alerts() -> None:
    table = LiveTable(plans("one", "two"))
    assert drawn(table).count("waiting") == 2
    table(Progress("one", 1.25, "phase", "observing"))
    table(Progress("one", 2.0, "fault", "slow: confirmed [x]"))
    for key, firing in (("A{s=1}", True), ("A{s=2}", True), ("B{}", True), ("C{}", True), ("B{}", False)):
        table(Progress("one", 3.0, "alert", key, {"alert": key, "firing": firing}))
    table(Progress("one", 0.0, "done", "ended"))
    shown = drawn(table)
    for part in ("ended", "slow: confirmed [x]", "A ×2, (B), C", "3.0 s", "waiting", "1 of 2 runs done"):
        assert part in shown


def test_the_live_table_shows_verdicts_as_they_come() -> None:
    table = LiveTable(plans("one", "two", "three"))
    for run, verdict in (("one", "pass"), ("two", "fail (control)")):
        table(Progress(run, 30.0, "phase", "gate"))
        table(Progress(run, 30.0, "done", "ended"))
        assert "ended" in drawn(table)
        table(Progress(run, 30.0, "verdict", verdict))
    shown = drawn(table)
    assert "2 of 3 runs done (1 fail, 1 pass)" in shown
    assert "fail (control)" in shown
    assert "ended" not in shown


def test_the_live_table_tells_the_time_left_by_the_runs_that_are_over() -> None:
    table = LiveTable(plans("one", "two", "three", lasting_s=285.0))  # with its start and its end, five minutes
    assert "left" not in drawn(table), "nothing is known before anything runs"
    table(Progress("one", 60.0, "phase", "observing"))
    assert "about 14 min left" in drawn(table), "four, and two times five"
    table(Progress("one", 600.0, "phase", "observing"))
    table(Progress("one", 600.0, "done", "ended"))
    table(Progress("two", 300.0, "phase", "observing"))
    assert "about 15 min left" in drawn(table), "it took twice as long: five, and ten"
    table(Progress("two", 600.0, "done", "ended"))
    table(Progress("three", 0.0, "done", "not run"))
    shown = drawn(table)
    assert "left" not in shown
    assert "not run" in shown


@pytest.mark.parametrize("width", [80, 120])
def test_the_live_table_cuts_no_name(width: int) -> None:
    names = [f"lost-object-store-while-the-trainer-writes-{end}" for end in ("partitions", "checkpoints")]
    table = LiveTable(plans(*names))
    for name in names:
        table(Progress(name, 12.5, "phase", "waiting until the stack is healthy and no alert fires"))
        table(Progress(name, 12.5, "fault", "lost: confirmed: the container of object-store is gone"))
        table(Progress(name, 12.5, "alert", "ObjectStoreUnreachable{}", {"alert": "ObjectStoreUnreachable{}"}))
    shown = drawn(table, width)
    assert "…" not in shown
    assert first_column(shown) == "".join(names)


def test_of_more_runs_than_lines_those_that_go_on_or_failed_are_shown() -> None:
    names = [f"run-{k:02}" for k in range(40)]
    table = LiveTable(plans(*names))
    for k in range(10):
        table(Progress(names[k], 9.0, "phase", "gate"))
        table(Progress(names[k], 9.0, "done", "ended"))
        table(Progress(names[k], 9.0, "verdict", "fail" if k == 2 else "pass"))
    table(Progress("run-30", 1.0, "phase", "gate"))
    shown = drawn(table, 80, 16)
    assert len(shown.splitlines()) <= 16
    assert all(run in shown for run in ("run-30", "run-02", "run-09"))
    assert "run-00" not in shown
    assert "and 30 more runs, of which 29 wait" in shown


def test_a_terminal_gets_the_live_table(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress(plans("one"), "text") as shown:
        shown(Progress("one", 1.0, "phase", "gate"))
    assert "state" in terminal.getvalue()


@pytest.mark.parametrize("mode", ["json", "text"])
def test_a_reader_that_went_away_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setattr(sys, "stdout", Gone())
    monkeypatch.setattr(sys, "stderr", Gone())
    with progress(plans("one"), "json" if mode == "json" else "text") as shown:
        shown(Progress("one", 1.0, "phase", "gate"))


def test_results_are_drawn_on_a_terminal_and_aligned_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    show_table(("run", "verdict"), [("one", "pass"), ("longer\nname", "fail (control)")])
    assert capsys.readouterr().out == "run          verdict\none          pass\nlonger name  fail (control)\n"
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    show_table(("run", "verdict"), [("[red]one", "pass")])
    assert "[red]one" in terminal.getvalue()


def test_an_empty_cell_is_a_dash() -> None:
    assert plain_table(("a", "b"), [("", "x")]) == "a  b\n-  x"


@pytest.mark.parametrize("width", ["80", "120"])
def test_the_table_of_results_cuts_nothing_off(monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    """Two long names that begin alike must not look the same, and the verdict is whole."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", width)
    names = [f"lost-object-store-while-the-trainer-writes-{end}" for end in ("partitions", "checkpoints")]
    show_table(
        ["scenario", "fault confirmed", "detected after", "recovered after", "damage", "verdict"],
        [
            [name, "0.1–0.3 s", "3.2–3.4 s", "12.1 s", "12 % of 1,200 requests", "unknown (interrupted)"]
            for name in names
        ],
    )
    shown = terminal.getvalue()
    assert "…" not in shown
    assert shown.count("unknown (interrupted)") == 2
    columns = [line.split("│")[1].strip() for line in shown.splitlines() if line.startswith("│")]
    assert "".join(columns) == "".join(names)
