"""Whole runs made by hand: journals as a runner writes them, with the verdicts that a judge gives.

Every moment is made up here, so that a test can say what a report must show.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

from harness.journal.records import Header, Journal, Line, parse
from harness.model.plan import Plan, Sabotage, StackFacts
from harness.model.readings import (
    Alert,
    AlertsSeen,
    Answer,
    Body,
    Closed,
    FaultSeen,
    GateSeen,
    Hit,
    Phase,
    ProcessSeen,
    Reading,
)
from harness.model.scenario import Scenario
from harness.model.units import Unit
from harness.model.verdict import ClauseResult, Damage, FaultReport, Value, Verdict

SCENARIO: dict[str, Any] = {
    "schema": 1,
    "scenario": "stale-features",
    "summary": "The feature pipeline goes quiet while departures go on.",
    "owner": "ml-platform",
    "runbook": "docs/runbooks/stale-features.md",
    "stack": "reference",
    "start_at": "2013-06-14T06:00",
    "steady_state": [
        {"id": "up", "probe": "availability", "at_least": 0.99, "over": "2s"},
        {"id": "fast", "probe": "latency_p99", "at_most": "250ms", "over": "2s"},
    ],
    "timeline": [
        {
            "id": "quiet-pipeline",
            "at": "5s",
            "fault": "data.stale",
            "target": {"keyspace": "online-features"},
            "with": {"mode": "stop"},
            "for": "12s",
        }
    ],
    "expect": {
        "detected": [{"id": "seen", "alert": "FeaturesStale", "labels": {"service": "pipeline"}, "within": "6s"}],
        "quiet": "others",
        "stays": [
            {"id": "serving", "probe": "availability", "at_least": 0.99, "over": "2s"},
            {"id": "right", "probe": "silent_wrong_answers", "at_most": 0.35, "over": "5s"},
        ],
        "recovered": [
            {"id": "fresh-again", "probe": "feature_age_p99", "at_most": "90min event", "within": "15s"},
            {"id": "caught-up", "probe": "training_lag", "at_most": "8h event", "within": "15s"},
        ],
        "cleared": [{"id": "quiet-again", "alert": "FeaturesStale", "within": "10s"}],
    },
}
STALE = Alert(name="FeaturesStale", labels={"service": "pipeline", "severity": "page"})
STRAY = Alert(name="ScoreDrift", labels={"service": "server-1"})
GATE_S, END_S = 4.2, 34.0


@dataclass
class Tape:
    """Lines of a journal, to be put in order of time when it is read."""

    written: list[tuple[float, Body]] = field(default_factory=list)

    def at(self, at_s: float, body: Body) -> None:
        self.written.append((at_s, body))

    def journal(self, plan: Plan) -> Journal:
        lines = [Line(n, t, body) for n, (t, body) in enumerate(sorted(self.written, key=lambda w: w[0]), start=1)]
        header = Header(schema=1, harness="0.1.0", started="2026-01-05T03:00:00.000+00:00", plan=plan)
        return Journal(header, tuple(lines))


def plan(twin: str | None = None, sabotage: Sabotage | None = None, **scenario: Any) -> Plan:
    made = Scenario.model_validate(SCENARIO | scenario)
    return Plan(
        run=made.scenario + (f".{twin}" if twin else ""),
        scenario=made,
        stack=StackFacts(
            name="reference",
            services={"pipeline": "a", "server-1": "b", "server-2": "c"},
            alerts=("FeaturesStale", "ScoreDrift"),
            probe_units={"training_lag": Unit.EVENT},
            freshness_s={"dep_delay_2h": 5400.0},
            integrity=("examples_exactly_once",),
        ),
        seed=7,
        twin=twin,
        sabotage=sabotage,
        file="scenarios/stale/stale-features.scenario.yaml",
    )


def answers(tape: Tape, from_s: float, to_s: float, stale_from: float, stale_to: float, per_s: int = 50) -> None:
    """Fifty requests a second; features age from `stale_from`, and their answers are stale, wrong, then flagged."""
    for k in range(int((to_s - from_s) * per_s)):
        due_s = from_s + k / per_s
        noise = math.sin(k * 12.9898) * 43758.5453 % 1.0
        aged_s = max(0.0, due_s - stale_from) if due_s < stale_to else 0.0
        age = 1200 + 900 * noise + aged_s * 3600
        stale = age > 5400
        flagged = "stale" if stale and aged_s > 6.5 and k % 3 else None
        failed = 0 < aged_s and k % 97 == 0
        done_s = due_s + 0.012 + 0.05 * noise**4 + (0.3 if k % 211 == 0 else 0.0)
        outcome = int(noise * 7919 % 1.0 < 0.22)
        score = min(0.97, max(0.03, 0.2 + 0.35 * outcome * (0.2 if stale else 1) + 0.3 * (noise - 0.5)))
        tape.at(
            done_s,
            Answer(
                id=f"r{k}",
                entity="JFK",
                at_event=1371189600 + int(due_s * 3600),
                due_s=due_s,
                sent_s=due_s + 0.001,
                done_s=done_s,
                ok=not failed,
                error="503" if failed else None,
                slow=done_s - due_s > 0.25,
                flagged=None if failed else flagged,
                stale=stale and not failed,
                wrong=None if k % 401 == 0 else False,
                ages={} if failed else {"dep_delay_2h": age},
                version=11,
                score=None if failed else score,
                outcome=None if k % 40 == 0 else outcome,
            ),
        )


def polls(tape: Tape, from_s: float, to_s: float, seen: dict[str, tuple[Alert, float, float, float]]) -> None:
    """Ten polls a second; `seen` says of each alert from when it is pending, firing, and quiet again."""
    for k in range(int((to_s - from_s) * 10)):
        at_s = from_s + k / 10
        tape.at(
            at_s + 0.01,
            AlertsSeen(
                source="monitor",
                planned_s=at_s,
                asked_s=at_s,
                answered_s=at_s + 0.01,
                firing=tuple(a for a, _, fires, ends in seen.values() if fires <= at_s < ends),
                pending=tuple(a for a, waits, fires, _ in seen.values() if waits <= at_s < fires),
                evaluations=float(k),
            ),
        )


def readings(tape: Tape, from_s: float, to_s: float, rises: float, falls: float, down: bool = False) -> None:
    """Ten readings a second of the training lag, which rises while the fault is in."""
    for k in range(int((to_s - from_s) * 10)):
        at_s = from_s + k / 10
        value = 4.0 + (at_s * 1.0 % 3)
        if at_s > rises:
            value += (min(at_s, falls) - rises) * 0.75 * (1 if at_s < falls + 2.5 else 0)
        gone = down and 14 < at_s < 15
        tape.at(
            at_s + 0.02,
            Reading(
                probe="training_lag",
                planned_s=at_s,
                asked_s=at_s,
                answered_s=at_s + 0.02,
                value=None if gone else value * 3600,
                down="timed out after 500 ms" if gone else None,
            ),
        )


def phases(tape: Tape, *names: tuple[float, str]) -> None:
    for at_s, name in names:
        tape.at(at_s, Phase.model_validate({"phase": name}))


def stages(tape: Tape, fault: str, *named: tuple[float, str], evidence: dict[str, Any] | None = None) -> None:
    for at_s, stage in named:
        told = evidence if stage in ("confirmed", "failed") else None
        body = {"fault": fault, "stage": stage, "lo_s": at_s - 0.04, "hi_s": at_s, "evidence": told or {}}
        tape.at(at_s, FaultSeen.model_validate(body))


EVIDENCE = {"newest_event_age_s": 9412.0, "was_s": 1260.0, "keys_read": 3, "mode": "stop"}


def _base(stale_to: float = 23.4) -> Tape:
    tape = Tape()
    for k, service in enumerate(("pipeline", "server-1", "server-2")):
        tape.at(0.4 + k / 10, ProcessSeen(service=service, node="abc"[k], what="started", at_s=0.4 + k / 10))
    phases(tape, (0.0, "starting"), (1.6, "gate"), (GATE_S, "baseline"), (9.2, "fault"), (21.2, "observing"))
    phases(tape, (END_S, "observed"), (END_S + 0.02, "healing"), (END_S + 0.1, "stopping"))
    tape.at(GATE_S, GateSeen(met=True, at_s=GATE_S, values={"up": 1.0, "fast": 0.07}))
    stages(tape, "quiet-pipeline", (9.2, "injecting"), (9.3, "injected"), (10.9, "confirmed"), evidence=EVIDENCE)
    stages(tape, "quiet-pipeline", (12.9, "effect"), (21.2, "reverting"), (21.5, "reverted"))
    answers(tape, 1.6, END_S, 9.3, stale_to)
    readings(tape, 1.6, END_S, 9.3, 21.5, down=True)
    tape.at(35.0, Closed(reason="completed"))
    return tape


def _clause(id_: str, kind: str, value: Value, reason: str, cites: tuple[int, ...] = (), **measured: Any) -> ClauseResult:
    return ClauseResult(id=id_, kind=kind, value=value, reason=reason, cites=cites, measured=measured)


FAULT = FaultReport(
    id="quiet-pipeline",
    kind="data.stale",
    target="keyspace online-features",
    injected_at_s=9.3,
    confirmed_at_s=10.9,
    reverted_at_s=21.5,
    evidence=EVIDENCE,
)
HARM = Damage(requests=1235, failed=7, slow=3, wrong_before_detection=52, wrong_until_recovery=241, flagged=242, seconds=14)


def passing() -> tuple[Journal, Verdict]:
    tape = _base()
    polls(tape, 1.6, END_S, {"stale": (STALE, 10.6, 11.8, 25.0)})
    journal = tape.journal(plan())
    some = tuple(n for n, _ in journal.alerts[100:104])
    clauses = (
        _clause("gate", "gate", Value.PASS, "the steady state was reached after 2.60 s", some[:1]),
        _clause("seen", "detected", Value.PASS, "FeaturesStale fired 2.41–2.51 s after injection, within 6 s", some,
                alert="FeaturesStale", within_s=6.0, after_lo_s=2.41, after_s=2.51, met=True, detected_at_s=11.81),
        _clause("quiet", "quiet", Value.PASS, "no other alert fired", some[:2],
                alerts=[{"alert": "ScoreDrift", "fired": 0, "met": True}]),
        _clause("serving", "stays", Value.PASS, "never below 99 %", (), probe="availability", limit="≥ 0.99",
                worst=0.99, met=True),
        _clause("right", "stays", Value.PASS, "never above 0.35", (), probe="silent_wrong_answers", limit="≤ 0.35",
                worst=0.333, met=True),
        _clause("fresh-again", "recovered", Value.PASS, "good 1.90 s after revert and held for 3 s", some[1:],
                probe="feature_age_p99", limit="≤ 90min event", within_s=15.0, after_lo_s=1.8, after_s=1.9, met=True,
                recovered_at_s=23.4),
        _clause("caught-up", "recovered", Value.PASS, "good 2.60 s after revert and held for 3 s", (),
                probe="training_lag", limit="≤ 8h event", within_s=15.0, after_lo_s=2.5, after_s=2.6, met=True,
                recovered_at_s=24.1),
        _clause("quiet-again", "cleared", Value.PASS, "quiet 3.51 s after revert", (), alert="FeaturesStale",
                within_s=10.0, after_lo_s=3.4, after_s=3.51, met=True),
        _clause("examples_exactly_once", "integrity", Value.PASS, "1,148 examples, each exactly once"),
    )  # fmt: skip
    reasons = ("every clause was met",)
    return journal, Verdict(scenario="stale-features", value=Value.PASS, reasons=reasons, clauses=clauses, faults=(FAULT,),
                            damage=HARM)  # fmt: skip


def failing() -> tuple[Journal, Verdict]:
    """No alert in time, another one fires, features never fresh again, a server dies, rows are corrupted."""
    tape = _base(stale_to=99.0)
    polls(tape, 1.6, END_S, {"stray": (STRAY, 14.0, 15.2, 19.0), "stale": (STALE, 16.4, 17.6, 99.0)})
    tape.at(18.0, ProcessSeen(service="server-2", node="c", what="exited", at_s=18.0, signal=11))
    tape.at(18.4, ProcessSeen(service="server-2", node="c", what="restarted", at_s=18.4))
    tape.at(11.0, Hit(fault="quiet-pipeline", rows=({"key": "<img src=x onerror=alert(1)>"}, {"key": "EWR"})))
    journal = tape.journal(plan(known_weakness={"reason": "no back-pressure", "ticket": "ML-17", "until": "2099-01-01"}))
    late = tuple(n for n, _ in journal.alerts[155:160])
    died = tuple(n for n, p in journal.of(ProcessSeen) if p.what == "exited")
    clauses = (
        _clause("seen", "detected", Value.FAIL, "FeaturesStale fired 8.21–8.31 s after injection, later than 6 s", late,
                alert="FeaturesStale", within_s=6.0, after_lo_s=8.21, after_s=8.31, met=False, detected_at_s=17.61),
        _clause("quiet", "quiet", Value.FAIL, "ScoreDrift fired", late[:1],
                alerts=[{"alert": "ScoreDrift", "fired": 1, "met": False}]),
        _clause("serving", "stays", Value.UNKNOWN, "a gap in the workload", (), probe="availability",
                limit="≥ 0.99", worst=None, met=None),
        _clause("fresh-again", "recovered", Value.FAIL, "still broken when observation ended", late, probe="feature_age_p99",
                limit="≤ 90min event", within_s=15.0, after_lo_s=None, after_s=None, met=False, recovered_at_s=None),
        _clause("collateral", "collateral", Value.FAIL, "server-2 died by signal 11, and no fault did that", died),
    )  # fmt: skip
    reasons = tuple(c.reason for c in clauses if c.value is Value.FAIL) + ("<script>alert('x')</script> | $5 & more",)
    harm = HARM.model_copy(update={"wrong_after": 310, "rows_hit": 2, "answers_from_hit_rows": 40, "versions_poisoned": (12,)})
    return journal, Verdict(scenario="stale-features", value=Value.FAIL, reasons=reasons, clauses=clauses, faults=(FAULT,),
                            damage=harm, known_weakness="failed as expected")  # fmt: skip


def unknown() -> tuple[Journal, Verdict]:
    """The fault went in and was never confirmed."""
    tape = Tape()
    phases(tape, (0.0, "starting"), (1.6, "gate"), (GATE_S, "baseline"), (9.2, "fault"), (21.2, "observing"))
    phases(tape, (END_S, "observed"))
    tape.at(GATE_S, GateSeen(met=True, at_s=GATE_S))
    stages(tape, "quiet-pipeline", (9.2, "injecting"), (9.3, "injected"), (21.2, "reverting"), (21.5, "reverted"))
    answers(tape, 1.6, END_S, 99.0, 99.0)
    polls(tape, 1.6, END_S, {})
    tape.at(35.0, Closed(reason="completed"))
    fault = FAULT.model_copy(update={"confirmed_at_s": None, "evidence": {}})
    why = "the fault was injected but never confirmed at its seam"
    clause = _clause("seen", "detected", Value.UNKNOWN, why, (3,), alert="FeaturesStale", within_s=6.0, after_lo_s=None,
                     after_s=None, met=None, detected_at_s=None)  # fmt: skip
    return tape.journal(plan()), Verdict(scenario="stale-features", value=Value.UNKNOWN, reasons=(why,), clauses=(clause,),
                                         faults=(fault,), damage=Damage(requests=1235))  # fmt: skip


def control() -> tuple[Journal, Verdict]:
    """The same run without the fault."""
    tape = Tape()
    phases(tape, (0.0, "starting"), (1.6, "gate"), (GATE_S, "baseline"), (9.2, "fault"), (21.2, "observing"))
    phases(tape, (END_S, "observed"))
    tape.at(GATE_S, GateSeen(met=True, at_s=GATE_S))
    answers(tape, 1.6, END_S, 99.0, 99.0)
    readings(tape, 1.6, END_S, 99.0, 99.0)
    polls(tape, 1.6, END_S, {})
    tape.at(35.0, Closed(reason="completed"))
    clause = _clause("quiet", "quiet", Value.PASS, "no alert fired", (1,),
                     alerts=[{"alert": "FeaturesStale", "fired": 0, "met": True}])  # fmt: skip
    fault = FAULT.model_copy(update={"injected_at_s": None, "confirmed_at_s": None, "reverted_at_s": None, "evidence": {}})
    return tape.journal(plan("control")), Verdict(
        scenario="stale-features", value=Value.PASS, reasons=("nothing alarmed and nothing broke",), clauses=(clause,),
        faults=(fault,), damage=Damage(requests=1235), twin="control")  # fmt: skip


def sabotaged() -> tuple[Journal, Verdict]:
    """The alert rule is switched off, and the judge says so."""
    tape = _base()
    polls(tape, 1.6, END_S, {})
    what = Sabotage(kind="alert", name="FeaturesStale", breaks=("seen",), service="monitor", env={"RULES_OFF": "x"})
    reason = "FeaturesStale never fired, and observation went on for 24.70 s"
    clause = _clause("seen", "detected", Value.FAIL, reason, (1,), alert="FeaturesStale", within_s=6.0, after_lo_s=None,
                     after_s=None, met=False, detected_at_s=None)  # fmt: skip
    return tape.journal(plan("sabotage", what)), Verdict(
        scenario="stale-features", value=Value.FAIL, reasons=(reason,), clauses=(clause,), faults=(FAULT,), damage=HARM,
        twin="sabotage", sabotage="FeaturesStale", caught=True)  # fmt: skip


def interrupted() -> tuple[Journal, Verdict]:
    """Killed while the fault was in: no closing line, the last line cut off."""
    journal, _ = passing()
    head = journal.header.model_dump(mode="json", by_alias=True)
    lines = [json.dumps({"n": 0, "t": 0.0, **head})]
    for line in journal.lines:
        if line.t_s < 15.0:
            lines.append(json.dumps({"n": line.n, "t": line.t_s, **line.body.model_dump(mode="json")}))
    text = [written + "\n" for written in lines] + ['{"n": 9999, "t": 15.0, "ki']
    fault = FAULT.model_copy(update={"reverted_at_s": None})
    why = "the run was interrupted"
    clause = _clause("harness", "harness", Value.UNKNOWN, why)
    return parse(text), Verdict(scenario="stale-features", value=Value.UNKNOWN, reasons=(why,), clauses=(clause,),
                                faults=(fault,), damage=Damage(requests=280))  # fmt: skip


def never_started() -> tuple[Journal, Verdict]:
    """The stack did not come up."""
    tape = Tape()
    phases(tape, (0.0, "starting"))
    tape.at(3.0, Closed(reason="error", error="server-1 did not become healthy within 20 s"))
    why = "server-1 did not become healthy within 20 s"
    clause = _clause("harness", "harness", Value.UNKNOWN, why, (2,))
    return tape.journal(plan()), Verdict(scenario="stale-features", value=Value.UNKNOWN, reasons=(why,), clauses=(clause,))


def no_answers() -> tuple[Journal, Verdict]:
    """A stack without a workload, or one that no request was sent to."""
    tape = Tape()
    phases(tape, (0.0, "starting"), (1.6, "gate"))
    polls(tape, 1.6, 5.0, {})
    tape.at(5.0, GateSeen(met=False, at_s=5.0, why="up: 0 of 100 samples in the window"))
    tape.at(5.1, Closed(reason="gate"))
    why = "the steady state was not reached: up: 0 of 100 samples in the window"
    clause = _clause("gate", "gate", Value.UNKNOWN, why, (36,))
    return tape.journal(plan()), Verdict(scenario="stale-features", value=Value.UNKNOWN, reasons=(why,), clauses=(clause,))


ALL = {
    "pass": passing,
    "fail": failing,
    "unknown": unknown,
    "control": control,
    "sabotage": sabotaged,
    "interrupted": interrupted,
    "never-started": never_started,
    "no-answers": no_answers,
}
