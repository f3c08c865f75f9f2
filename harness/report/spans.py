"""What the timeline shows, read from a journal: phases, faults, alerts, key moments and the outcomes of requests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.journal.records import Journal
from harness.judge.alert_history import episodes
from harness.judge.fault_facts import observation_end_s
from harness.model.alert_clauses import AlertClause, DetectionResult
from harness.model.clauses import NoticedResult, RecoveryResult
from harness.model.faultstep import FaultStep
from harness.model.readings import Alert, AlertsSeen, Answer, FaultSeen, Phase
from harness.model.verdict import Value, Verdict
from harness.report.words import seconds

MOST_LANES = 14
OUTCOMES = ("right", "slow", "flagged", "unverified", "wrong", "failed")
OUTCOME_WORDS = {
    "right": "correct",
    "slow": "slow",
    "flagged": "flagged",
    "unverified": "not checked",
    "wrong": "silently wrong or stale",
    "failed": "failed",
}


@dataclass(frozen=True, slots=True)
class Interval:
    """A period of the run, and what it was; an `open` one had not been seen to end at `to_s`."""

    from_s: float
    to_s: float
    what: str
    open: bool = False

    @property
    def period(self) -> str:
        """When it was, in words."""
        return f"from {seconds(self.from_s)} on" if self.open else f"{seconds(self.from_s)} to {seconds(self.to_s)}"


@dataclass(frozen=True, slots=True)
class FaultLane:
    """One fault: its `intervals` are unconfirmed, confirmed, reverting, or `planned` where it was never injected."""

    id: str
    label: str
    intervals: tuple[Interval, ...]
    failed_s: float | None


@dataclass(frozen=True, slots=True)
class AlertLane:
    """One label set of one alert; `expected` where the scenario demands or allows it."""

    label: str
    expected: bool
    pending: tuple[Interval, ...]
    firing: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Marker:
    """A key moment: injection, detection, notice, revert or recovery; `late` is what came after its deadline."""

    at_s: float
    what: str
    late: bool = False


def extent(journal: Journal) -> tuple[float, float]:
    """Return what to draw of the run: from the gate (or the start) to the end of observation and of the last fault."""
    start_s = journal.phase_s("gate")
    from_s = max(0.0, start_s - 0.5) if start_s is not None else 0.0
    last_s = max([observation_end_s(journal), *(seen.hi_s for _, seen in journal.of(FaultSeen))])
    return from_s, max(last_s + 0.5, from_s + 1.0)


def phases(journal: Journal) -> list[Interval]:
    """Return the phases in order, each until the next one."""
    begun = [(line.t_s, line.body.phase) for line in journal.lines if isinstance(line.body, Phase)]
    end_s = journal.lines[-1].t_s if journal.lines else 0.0
    ends = [*(t for t, _ in begun), end_s][1:]
    return [Interval(t, e, phase) for (t, phase), e in zip(begun, ends, strict=True) if e > t]


def fault_lanes(journal: Journal) -> list[FaultLane]:
    """Return a lane a fault of the timeline."""
    end_s = extent(journal)[1]
    return [_fault_lane(journal, step, end_s) for step in journal.plan.scenario.timeline]


def _fault_lane(journal: Journal, step: FaultStep, end_s: float) -> FaultLane:
    stages: dict[str, FaultSeen] = {}
    for _, seen in journal.of(FaultSeen):
        if seen.fault == step.id:
            stages.setdefault(seen.stage, seen)
    begun = stages.get("injecting") or stages.get("injected")
    label = f"{step.fault} · {step.target}"
    failed_s = stages["failed"].hi_s if "failed" in stages else None
    if begun is None:
        gate = journal.gate
        if gate is None or not gate[1].met or step.at is None:
            return FaultLane(step.id, label, (), failed_s)
        start_s = gate[1].at_s + step.at
        return FaultLane(step.id, label, (Interval(start_s, start_s + step.duration, "planned"),), failed_s)
    reverting_s = stages["reverting"].lo_s if "reverting" in stages else None
    reverted_s = stages["reverted"].hi_s if "reverted" in stages else None
    out_s = reverting_s if reverting_s is not None else reverted_s if reverted_s is not None else end_s
    in_s = min(stages["confirmed"].hi_s, out_s) if "confirmed" in stages else out_s
    stayed = reverting_s is None and reverted_s is None
    found = [Interval(begun.lo_s, in_s, "unconfirmed", open=stayed and in_s == out_s)]
    if in_s < out_s:
        found.append(Interval(in_s, out_s, "confirmed", open=stayed))
    if reverting_s is not None:
        gone_s = reverted_s if reverted_s is not None else end_s
        found.append(Interval(reverting_s, gone_s, "reverting", open=reverted_s is None))
    return FaultLane(step.id, label, tuple(found), failed_s)


def alert_lanes(journal: Journal) -> list[AlertLane]:
    """Return a lane for each alert that was pending or firing, expected ones first, then those that never fired.

    A control has no fault, and so no alert is expected in it.
    """
    expect, faults_on = journal.plan.scenario.expect, journal.plan.faults_on
    wanted = [clause for clause in expect.clauses if isinstance(clause, AlertClause) and faults_on]
    allowed = set(expect.allowed_alerts or ()) if faults_on else set()
    polls = journal.alerts
    end_s = observation_end_s(journal)
    firing: dict[str, list[Interval]] = {}
    seen: dict[str, Alert] = {}
    for episode in episodes(polls):
        from_s, to_s = episode.start.hi, episode.end.hi if episode.end is not None else end_s
        key = episode.alert.key
        seen.setdefault(key, episode.alert)
        firing.setdefault(key, []).append(Interval(from_s, max(to_s, from_s), "firing", open=episode.end is None))
    pending = _pending(polls, seen, end_s)
    lanes = [
        AlertLane(
            label=_label(alert),
            expected=alert.name in allowed or any(alert.matches(w.alert, w.labels) for w in wanted),
            pending=tuple(pending.get(key, ())),
            firing=tuple(firing.get(key, ())),
        )
        for key, alert in seen.items()
    ]
    for want in wanted:
        alert = Alert(name=want.alert, labels=want.labels)
        if not any(a.matches(want.alert, want.labels) for a in seen.values()):
            seen[f"never {alert.key}"] = alert
            lanes.append(AlertLane(_label(alert), True, (), ()))
    return sorted(lanes, key=lambda lane: (not lane.expected, not lane.firing, _first(lane)))


def _first(lane: AlertLane) -> float:
    return min((s.from_s for s in (*lane.firing, *lane.pending)), default=math.inf)


def _pending(
    polls: Sequence[tuple[int, AlertsSeen]], seen: dict[str, Alert], end_s: float
) -> dict[str, list[Interval]]:
    """Return when each label set was pending, and add those that never fired to `seen`."""
    found: dict[str, list[Interval]] = {}
    open_since: dict[str, tuple[str, float]] = {}
    for _, poll in polls:
        if poll.down is not None:
            continue
        now = {a.key: a for a in poll.pending}
        for key in [k for k, (source, _) in open_since.items() if source == poll.source and k not in now]:
            found.setdefault(key, []).append(Interval(open_since.pop(key)[1], poll.answered_s, "pending"))
        for key, alert in now.items():
            seen.setdefault(key, alert)
            open_since.setdefault(key, (poll.source, poll.answered_s))
    for key, (_, since_s) in open_since.items():
        found.setdefault(key, []).append(Interval(since_s, max(since_s, end_s), "pending", open=True))
    return found


def _label(alert: Alert) -> str:
    values = {value: None for key, value in sorted(alert.labels.items()) if key not in ("severity", "alertname")}
    return f"{alert.name} · {', '.join(values)}" if values else alert.name


def markers(verdict: Verdict) -> list[Marker]:
    """Return injection, detection, the first notice, revert and recovery, as far as they came.

    What an unknown clause measured is none: the alert was perhaps about something else, the recovery did not hold.
    """
    injected = [f.injected_at_s for f in verdict.faults if f.injected_at_s is not None]
    reverted = [f.reverted_at_s for f in verdict.faults if f.reverted_at_s is not None]
    detected, noticed, recovered = [], [], []
    for clause in verdict.clauses:
        late = clause.value is Value.FAIL
        match clause.measured:
            case DetectionResult(detected_at_s=float(at_s)) if clause.value is not Value.UNKNOWN:
                detected.append(Marker(at_s, "detected", late))
            case NoticedResult(noticed_at_s=float(at_s)) if clause.value is not Value.UNKNOWN:
                noticed.append(Marker(at_s, "noticed", late))
            case RecoveryResult(recovered_at_s=float(at_s)) if clause.value is not Value.UNKNOWN:
                recovered.append(Marker(at_s, "recovered", late))
    found = []
    if injected:
        found.append(Marker(min(injected), "injected"))
    if detected:
        found.append(min(detected, key=lambda m: m.at_s))
    if noticed:
        found.append(min(noticed, key=lambda m: m.at_s))
    if reverted:
        found.append(Marker(max(reverted), "reverted"))
    # Recovered only when everything is: the last of them, and only if none is still missing.
    if recovered and len(recovered) == len(verdict.of_kind(RecoveryResult.KIND)):
        last_s, late = max(m.at_s for m in recovered), any(m.late for m in recovered)
        found.append(Marker(last_s, "recovered", late))
    return sorted(found, key=lambda m: m.at_s)


def answers_by_outcome(answers: Sequence[Answer]) -> dict[str, int]:
    """Count answers by what became of them; each counts once, as the worst that it was."""
    found = dict.fromkeys(OUTCOMES, 0)
    for answer in answers:
        found[outcome_of(answer)] += 1
    return found


def outcome_of(answer: Answer) -> str:
    """Return the one outcome an answer counts as."""
    if not answer.ok:
        return "failed"
    if answer.flagged is not None:
        return "flagged"
    if answer.stale or answer.wrong:
        return "wrong"
    if answer.wrong is None:
        return "unverified"
    return "slow" if answer.slow else "right"
