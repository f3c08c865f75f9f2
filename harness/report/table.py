"""The table of a suite, one row per run: the same on the terminal, in summary.md and in index.html."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, Protocol

from harness.model.guard_count import MOST_UNCHECKED
from harness.model.verdict import Damage, FaultReport, Value
from harness.report.documents import RunRecord, SuiteScenario
from harness.report.words import NEVER, NONE, count, seconds

COLUMNS = ("scenario", "fault", "confirmed", "detected after", "recovered after", "damage", "verdict")


class Timed(Protocol):
    """An entry of a clause with a deadline."""

    @property
    def id(self) -> str: ...
    @property
    def within_s(self) -> float | None: ...
    @property
    def after_s(self) -> float | None: ...
    @property
    def met(self) -> bool | None: ...


Standing = Literal["good", "failure", "error", "repeated"]


@dataclass(frozen=True, slots=True)
class Row:
    """One run in words."""

    scenario: str
    fault: str
    confirmed: str
    detected: str
    recovered: str
    damage: str
    verdict: str

    @property
    def cells(self) -> tuple[str, ...]:
        """The words in the order of COLUMNS."""
        return (self.scenario, self.fault, self.confirmed, self.detected, self.recovered, self.damage, self.verdict)


def row(run: SuiteScenario) -> Row:
    """Return the table's row for a run."""
    return Row(
        scenario=PurePosixPath(run.run_dir).name or run.name,
        fault=", ".join(f"{f.kind} on {f.target}" for f in run.faults) or NONE,
        confirmed=confirmed_text(run.faults, run.twin),
        detected=after(notices(run)),
        recovered=after(run.recovery),
        damage=damage(run.damage),
        verdict=outcome(run),
    )


def standing(run: SuiteScenario) -> Standing:
    """Return how a run counts in CI."""
    if run.repeated_by is not None:
        return "repeated"
    if run.error is not None or run.counts_as is Value.UNKNOWN:
        return "error"
    return "failure" if run.counts_as is Value.FAIL else "good"


def outcome(run: SuiteScenario) -> str:
    """Return the verdict, with what a twin, a repetition, an interruption or a failure of the harness adds."""
    if run.repeated_by is not None:
        return f"{run.verdict} (repeated)"
    if run.error is not None:
        return f"{run.verdict} (harness error)"
    if run.interrupted is not None and run.verdict is Value.UNKNOWN:
        return "not run" if run.interrupted == "not run" else "interrupted"
    if run.catch is not None:
        return f"{run.verdict} ({run.catch})"
    return f"{run.verdict} ({run.twin})" if run.twin in ("control", "misfire") else str(run.verdict)


def confirmed_text(faults: tuple[FaultReport, ...], twin: str | None) -> str:
    """Return whether the faults were confirmed, in words."""
    if twin == "control":
        return "not injected"
    if not faults or all(f.injected_at_s is None for f in faults):
        return "not injected" if faults else NONE
    confirmed = sum(f.confirmed_at_s is not None for f in faults)
    if confirmed == len(faults):
        return "yes"
    return "no" if confirmed == 0 else f"{confirmed} of {len(faults)}"


def notices(run: RunRecord) -> tuple[Timed, ...]:
    """Return what had to notice the faults: alerts, and probes that had to leave their bound."""
    return (*run.detection, *run.noticed)


def after(timed: Sequence[Timed]) -> str:
    """Say how long the slowest of them took; `never` where one never came, `unknown` where one is undecided."""
    if not timed:
        return NONE
    times = [t.after_s for t in timed if t.after_s is not None and t.met is not None]
    if len(times) == len(timed):
        return seconds(max(times))
    return NEVER if any(t.met is False for t in timed if t.after_s is None) else "unknown"


def damage(cost: Damage) -> str:
    """Say what it cost, the worst first."""
    parts = damage_parts(cost)
    # Without this, a workload of which nothing is checked would read as one that was answered rightly.
    if cost.unverified > MOST_UNCHECKED * cost.requests:
        parts = [*(parts or ["none"]), f"{cost.unverified:,} not checked"]
    if not parts:
        return "none" if cost.requests else NONE
    return f"{', '.join(parts)} of {count(cost.requests, 'request')}"


def damage_parts(cost: Damage) -> list[str]:
    """Return each kind of damage that there was, the worst first."""
    wrong = cost.wrong_before_detection + cost.wrong_until_recovery + cost.wrong_after
    parts = [
        count(wrong, "silently wrong answer") if wrong else "",
        f"{cost.failed:,} failed" if cost.failed else "",
        f"{cost.flagged:,} flagged" if cost.flagged else "",
        f"{cost.slow:,} slow" if cost.slow else "",
    ]
    return [p for p in parts if p]
