"""The live table and the table of results, as a terminal shows them."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from harness.cli.suite import LiveTable, progress
from harness.cli.tables import plain_table, show_table
from harness.runner.progress import Progress


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    """A stream whose reader went away."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def drawn(table: LiveTable) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(table.render())
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_the_live_table_shows_phase_fault_and_alerts() -> None:
    table = LiveTable(["one", "two"])
    assert drawn(table).count("waiting") == 2
    table(Progress("one", 1.25, "phase", "observing"))
    table(Progress("one", 2.0, "fault", "slow: confirmed [x]"))
    for key, firing in (("A{s=1}", True), ("A{s=2}", True), ("B{}", True), ("C{}", True), ("B{}", False)):
        table(Progress("one", 3.0, "alert", key, {"alert": key, "firing": firing}))
    table(Progress("one", 0.0, "done", "ended"))
    shown = drawn(table)
    for part in ("ended", "slow: confirmed [x]", "A ×2, (B), C", "3.0 s", "waiting", "1 of 2 runs done"):
        assert part in shown


def test_a_terminal_gets_the_live_table(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress(["one"], "text") as shown:
        shown(Progress("one", 1.0, "phase", "gate"))
    assert "phase" in terminal.getvalue()


@pytest.mark.parametrize("mode", ["json", "text"])
def test_a_reader_that_went_away_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setattr(sys, "stdout", Gone())
    monkeypatch.setattr(sys, "stderr", Gone())
    with progress(["one"], "json" if mode == "json" else "text") as shown:
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
