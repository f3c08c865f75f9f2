"""The table of a suite on a terminal, drawn anew while it runs: what each run does, verdicts, and the time left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.cli.tables import STYLES
from harness.cli.terminal import cell
from harness.suite.time_left import TimeLeft

if TYPE_CHECKING:
    from rich.table import Table

    from harness.model.plan import Plan
    from harness.runner.progress import Progress

AROUND = 6
"""Lines of a terminal that are not rows: title, head, borders, and what is said of the runs that are left out."""
LEAST_ROWS = 5
WIDEST_NAME = 44
"""Up to here the names of runs are not broken, at the cost of the other columns."""


class LiveTable:
    """The state of every run."""

    COLUMNS = ("run", "time", "state", "fault", "alerts")

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._rows: dict[str, dict[str, Any]] = {plan.run: {"state": "waiting"} for plan in plans}
        self._alerts: dict[str, dict[str, bool]] = {}
        self._begun: dict[str, None] = {}
        self._done: dict[str, None] = {}
        self._verdicts: dict[str, str] = {}
        self._time_left = TimeLeft(plans)

    def __call__(self, step: Progress, /) -> None:
        """Take in one step."""
        self._time_left.note(step)
        row = self._rows.setdefault(step.run, {})
        if step.at_s > 0:
            row["time"] = f"{step.at_s:.1f} s"
        if step.what == "verdict":
            self._verdicts[step.run] = row["state"] = step.text
            return
        self._begun[step.run] = None
        if step.what == "done":
            self._done[step.run] = None
        if step.what == "alert":
            alerts = self._alerts.setdefault(step.run, {})
            alerts[str(step.data.get("alert", step.text))] = bool(step.data.get("firing", True))
            row["alerts"] = _alerts_in_short(alerts)
        else:
            row["fault" if step.what == "fault" else "state"] = step.text

    def render(self, height: int | None = None) -> Table:
        """Return the table as it stands; of more runs than fit into the height, those that tell most."""
        from rich.table import Table
        from rich.text import Text

        shown = self._shown(max(height - AROUND, LEAST_ROWS) if height is not None else len(self._rows))
        left_out = len(self._rows) - len(shown)
        caption = f"and {left_out} more runs, of which {self._waiting()} wait" if left_out else None
        table = Table(expand=True, title=self._title(), title_justify="left", caption=caption, caption_justify="left")
        longest = max((len(cell(run)) for run in self._rows), default=0)
        table.add_column(self.COLUMNS[0], overflow="fold", min_width=min(longest, WIDEST_NAME))
        for column in self.COLUMNS[1:]:
            table.add_column(column, overflow="fold")
        for run in shown:
            row = self._rows[run]
            style = STYLES.get(self._verdicts.get(run, "").partition(" ")[0], "")
            cells = {column: Text(cell(row.get(column, ""))) for column in self.COLUMNS[1:]}
            cells["state"].stylize(style)
            table.add_row(Text(cell(run)), *cells.values())
        return table

    def _title(self) -> str:
        """Say how many runs are over, with which verdicts, and how long the others will take."""
        parts = []
        if len(self._rows) > 1:
            counts = Counter(text.partition(" ")[0] for text in self._verdicts.values())
            verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
            parts.append(f"{len(self._done)} of {len(self._rows)} runs done" + (f" ({verdicts})" if verdicts else ""))
        left_s = self._time_left.left_s()
        if left_s is not None:
            parts.append(f"about {_rounded(left_s)} left")
        return "; ".join(parts)

    def _waiting(self) -> int:
        return len(self._rows) - len(self._begun.keys() | self._done.keys())

    def _shown(self, most: int) -> list[str]:
        """Return the runs to be shown, in the order of the suite: those that go on, the last that ended, the next."""
        if len(self._rows) <= most:
            return list(self._rows)
        going = [run for run in self._rows if run in self._begun and run not in self._done]
        over = list(reversed(self._done))
        failed = [run for run in over if self._verdicts.get(run, "").partition(" ")[0] in ("fail", "unknown")]
        waiting = [run for run in self._rows if run not in self._begun]
        chosen = set(list(dict.fromkeys([*going, *failed, *over, *waiting]))[:most])
        return [run for run in self._rows if run in chosen]


def _rounded(seconds: float) -> str:
    if seconds < 60:
        return f"{max(round(seconds / 5), 1) * 5} s"
    return f"{round(seconds / 60)} min"


def _alerts_in_short(alerts: Mapping[str, bool]) -> str:
    """Return the alerts by name, with how many of their label sets fire; in brackets those that fire no more."""
    counts: dict[str, int] = {}
    for key, firing in alerts.items():
        name = key.partition("{")[0]
        counts[name] = counts.get(name, 0) + firing
    return ", ".join(
        f"({name})" if not count else name if count == 1 else f"{name} ×{count}" for name, count in counts.items()
    )
