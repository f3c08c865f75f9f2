"""What happened, in order and in words: the timeline for those who read rather than look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.journal.records import Journal
from harness.judge.machine import disturbances
from harness.model.readings import (
    Abort,
    Closed,
    FaultSeen,
    Gap,
    GateSeen,
    MachineSeen,
    Phase,
    ProcessSeen,
    StackUp,
    Stop,
)
from harness.model.verdict import Verdict
from harness.report.spans import AlertLane, markers
from harness.report.words import seconds

MOST_EVENTS = 120
SHOWN_S = 0.5
"""How long the machine must have been busy to be news."""
_STAGES = {
    "injecting": "is being injected",
    "injected": "is injected",
    "confirmed": "is confirmed",
    "reverting": "is being reverted",
    "reverted": "is reverted: its effect is gone",
    "failed": "failed",
}
_SHOWN_PHASES = {"gate": "waiting for the steady state", "observed": "observation ends", "healing": "healing"}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    at_s: float
    kind: str
    text: str


def story(journal: Journal, verdict: Verdict, alerts: Sequence[AlertLane]) -> tuple[list[Event], int]:
    """Return what happened in order, and how many events were left out at the end."""
    found = _of_lines(journal) + _of_alerts(alerts) + _of_the_machine(journal)
    for marker in markers(verdict):
        if marker.what in ("detected", "noticed", "recovered"):
            how = "too late" if marker.late else "as the judge finds it"
            found.append(Event(marker.at_s, marker.what, f"{marker.what}, {how}"))
    found.sort(key=lambda e: e.at_s)
    return found[:MOST_EVENTS], max(0, len(found) - MOST_EVENTS)


def _of_lines(journal: Journal) -> list[Event]:
    found = []
    # Every service starts; that is news only once the stack was up.
    up_s = journal.phase_s("gate") or math.inf
    for line in journal.lines:
        match line.body:
            case Phase(phase=phase, detail=detail) if phase in _SHOWN_PHASES:
                found.append(Event(line.t_s, "phase", _SHOWN_PHASES[phase] + (f": {detail}" if detail else "")))
            case GateSeen(met=met, at_s=at_s, why=why):
                text = (
                    "the steady state is reached" if met else f"the steady state is not reached: {why or 'no reason'}"
                )
                found.append(Event(at_s, "gate", text))
            case FaultSeen(fault=fault, stage=stage, hi_s=hi_s) as seen if stage in _STAGES:
                why = f": {seen.error}" if stage == "failed" and seen.error is not None else ""
                found.append(Event(hi_s, "fault", f"{fault} {_STAGES[stage]}{why}"))
            case ProcessSeen() as seen if seen.what != "started" or seen.at_s > up_s:
                found.append(Event(seen.at_s, "process", process_text(seen)))
            case Gap(probe=probe, from_s=from_s, to_s=to_s, why=why):
                text = f"{probe} was not measured for {seconds(to_s - from_s)}: {why}"
                found.append(Event(from_s, "gap", text))
            case StackUp():
                found.append(Event(line.t_s, "note", "the stack is up"))
            case Abort(rule=rule, measured=measured, at_s=at_s):
                found.append(Event(at_s, "abort", f"a guardrail is crossed: {rule} ({measured})"))
            case Stop(by=by, why=why):
                found.append(Event(line.t_s, "abort", f"the run is stopped by {by}" + (f": {why}" if why else "")))
            case Closed(reason=reason, error=error):
                found.append(Event(line.t_s, "closed", f"the run ends: {reason}" + (f", {error}" if error else "")))
            case _:
                pass
    return found


def process_text(seen: ProcessSeen) -> str:
    """Write what happened to a process, and which fault did it, if one did."""
    how = ""
    if seen.what == "exited":
        how = f" by signal {seen.signal}" if seen.signal is not None else f" with code {seen.exit_code}"
    asked = f", by {seen.asked}" if seen.asked else ", not by a fault" if seen.what == "exited" else ""
    return f"{seen.who} {seen.what}{how}{asked}"


def _of_the_machine(journal: Journal) -> list[Event]:
    busy = disturbances((seen for _, seen in journal.of(MachineSeen)), ()).machine
    return [Event(one.lo, "machine", one.why) for one in busy if one.hi - one.lo >= SHOWN_S]


def _of_alerts(alerts: Sequence[AlertLane]) -> list[Event]:
    found = []
    for lane in alerts:
        expected = "expected" if lane.expected else "not expected"
        for stretch in lane.firing:
            found.append(Event(stretch.from_s, "alert", f"{lane.label} fires ({expected})"))
            ends = "is not seen to stop firing" if stretch.open else "no longer fires"
            found.append(Event(stretch.to_s, "alert", f"{lane.label} {ends}"))
    return found
