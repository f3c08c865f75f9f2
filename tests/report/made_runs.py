"""Whole runs made by hand: journals as a runner writes them, with the verdicts that a judge gives.

Every moment is made up here, so that a test can say what a report must show.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

from harness.journal.records import Header, Journal, parse
from harness.model.faultstep import Target
from harness.model.plan import Meant, Plan, Sabotage, StackFacts
from harness.model.readings import (
    Alert,
    AlertsSeen,
    Answer,
    Body,
    Closed,
    FaultSeen,
    GateSeen,
    Hit,
    Line,
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
            {"id": "serving", "probe": "availability", "at_least": 0.95, "over": "2s"},
            {"id": "right", "probe": "wrong_answers", "at_most": 0.02},
        ],
        "recovered": [
            {"id": "fresh-again", "probe": "feature_age_p99", "at_most": "90min event", "within": "15s"},
            {"id": "silent", "probe": "silent_wrong_answers", "at_most": 0.05, "within": "15s"},
            {"id": "caught-up", "probe": "training_lag", "at_most": "8h event", "within": "15s"},
        ],
        "cleared": [{"id": "quiet-again", "alert": "FeaturesStale", "within": "10s"}],
    },
}
STALE = Alert(name="FeaturesStale", labels={"service": "pipeline", "severity": "page"})
STRAY = Alert(name="ScoreDrift", labels={"service": "server-1"})
HOSTILE = "<script>alert('x')</script><img src=http://evil.test/x> | $5 & `more` \x07"
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
        ),
        seed=7,
        twin=twin,
        sabotage=sabotage,
        file="scenarios/stale/stale-features.scenario.yaml",
    )


def answers(tape: Tape, from_s: float, to_s: float, stale_from: float, stale_to: float, per_s: int = 60) -> None:
    """Sixty requests a second; features age from `stale_from`, and their answers are stale, wrong, then flagged."""
    for k in range(int((to_s - from_s) * per_s)):
        due_s = from_s + k / per_s
        noise = math.sin(k * 12.9898) * 43758.5453 % 1.0
        aged_s = max(0.0, due_s - stale_from) if due_s < stale_to else 0.0
        age = 1200 + 900 * noise + aged_s * 3600
        stale = age > 5400
        flagged = "stale" if stale and aged_s > 6.5 and k % 3 else None
        failed = aged_s > 0 and k % 97 == 0
        done_s = due_s + 0.012 + 0.05 * noise**4 + (0.3 if k % 211 == 0 and aged_s else 0.0)
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
    """Ten polls a second, one of them after `to_s`; `seen` says when each alert is pending, firing, and quiet again."""
    for k in range(int((to_s - from_s) * 10) + 2):
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
        body = {
            "fault": fault,
            "stage": stage,
            "lo_s": at_s - 0.04,
            "hi_s": at_s,
            "evidence": told or {},
            "landed": {"confirmed": True, "reverted": False}.get(stage),
        }
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
    for second in range(11, 21):
        body = FaultSeen(fault="quiet-pipeline", stage="effect", lo_s=second, hi_s=second + 0.1, landed=True)
        tape.at(second + 0.1, body)
    stages(tape, "quiet-pipeline", (21.2, "reverting"), (21.5, "reverted"))
    answers(tape, 1.6, END_S, 9.3, stale_to)
    readings(tape, 1.6, END_S, 9.3, 21.5, down=True)
    tape.at(35.0, Closed(reason="completed"))
    return tape


def _clause(
    id_: str, kind: str, value: Value, reason: str, cites: tuple[int, ...] = (), **measured: Any
) -> ClauseResult:
    return ClauseResult(id=id_, kind=kind, value=value, reason=reason, cites=cites, measured=measured)


def _timed(within_s: float, lo_s: float | None, after_s: float | None, met: bool | None, **more: Any) -> dict[str, Any]:
    return {"within_s": within_s, "after_lo_s": lo_s, "after_s": after_s, "met": met} | more


def _verdict(value: Value, clauses: tuple[ClauseResult, ...], **more: Any) -> Verdict:
    reasons = tuple(c.reason for c in clauses if c.value is value and value is not Value.PASS)
    given = {"scenario": "stale-features", "value": value, "clauses": clauses, "reasons": reasons} | more
    return Verdict.model_validate(given)


FAULT = FaultReport(
    id="quiet-pipeline",
    kind="data.stale",
    target="keyspace online-features",
    injected_at_s=9.26,
    confirmed_at_s=10.9,
    reverted_at_s=21.5,
    evidence=EVIDENCE,
)
NOT_PUT_IN = FAULT.model_copy(
    update={"injected_at_s": None, "confirmed_at_s": None, "reverted_at_s": None, "evidence": {}}
)
HARM = Damage(
    requests=1482,
    failed=7,
    slow=3,
    wrong_before_detection=52,
    wrong_until_recovery=241,
    flagged=242,
    seconds=14,
)


def passing() -> tuple[Journal, Verdict]:
    """Detected and recovered in time."""
    tape = _base()
    polls(tape, 1.6, END_S, {"stale": (STALE, 10.6, 11.8, 25.0)})
    journal = tape.journal(plan())
    some = tuple(n for n, _ in journal.alerts[100:104])
    seen = _timed(6.0, 2.41, 2.51, True, alert="FeaturesStale", detected_at_s=11.81)
    fresh = _timed(
        15.0, 4.8, 4.9, True, probe="feature_age_p99", limit="at most 90min event", recovered_at_s=26.4, since="revert"
    )
    caught_up = _timed(
        15.0, 2.5, 2.6, True, probe="training_lag", limit="at most 8h event", recovered_at_s=24.1, since="revert"
    )
    cleared = _timed(10.0, 3.4, 3.51, True, alert="FeaturesStale")
    quiet = {"alerts": [{"alert": "ScoreDrift", "fired": 0, "met": True}]}
    serving = {"probe": "availability", "limit": "at least 0.95", "worst": 0.975, "met": True}
    ok = Value.PASS
    clauses = (
        _clause("seen", "detected", ok, "FeaturesStale fired 2.41–2.51 s after injection (within 6 s)", some, **seen),
        _clause("quiet", "quiet", ok, "no other alert fired", some[:2], **quiet),
        _clause("serving", "stays", ok, "availability stayed at least 0.95, at worst 0.975", (), **serving),
        _clause("fresh-again", "recovered", ok, "good again 4.80–4.90 s after revert", some[1:], **fresh),
        _clause("caught-up", "recovered", ok, "good again 2.50–2.60 s after revert", (), **caught_up),
        _clause("quiet-again", "cleared", ok, "cleared 3.40–3.51 s after revert", (), **cleared),
        _clause("examples_exactly_once", "integrity", ok, "1,148 examples, each exactly once", (), check="examples"),
    )
    return journal, _verdict(Value.PASS, clauses, faults=(FAULT,), damage=HARM)


def failing() -> tuple[Journal, Verdict]:
    """No alert in time, another one fires, features never fresh again, a server dies, rows are corrupted."""
    tape = _base(stale_to=99.0)
    polls(tape, 1.6, END_S, {"stray": (STRAY, 14.0, 15.2, 19.0), "stale": (STALE, 16.4, 17.6, 99.0)})
    tape.at(18.0, ProcessSeen(service="server-2", node="c", what="exited", at_s=18.0, signal=11))
    tape.at(18.4, ProcessSeen(service="server-2", node="c", what="restarted", at_s=18.4))
    fields = tuple({"entity": "EWR", "event_time": 3600, "field": name} for name in ("temp", "wind"))
    tape.at(11.0, Hit(fault="quiet-pipeline", rows=({"key": HOSTILE}, *fields)))
    journal = tape.journal(
        plan(known_weakness={"reason": "no back-pressure", "ticket": "ML-17", "until": "2099-01-01"})
    )
    late = tuple(n for n, _ in journal.alerts[155:160])
    died = tuple(n for n, p in journal.of(ProcessSeen) if p.what == "exited")
    hit = tuple(n for n, _ in journal.of(Hit))
    seen = _timed(6.0, 8.21, 8.31, False, alert="FeaturesStale", detected_at_s=17.61)
    fresh = _timed(
        15.0,
        None,
        None,
        False,
        probe="feature_age_p99",
        limit="at most 90min event",
        recovered_at_s=None,
        since="revert",
    )
    quiet = {"alerts": [{"alert": "ScoreDrift", "fired": 1, "met": False}]}
    serving = {"probe": "availability", "limit": "at least 0.95", "worst": None, "met": None}
    bad = Value.FAIL
    clauses = (
        _clause("seen", "detected", bad, "FeaturesStale fired too late, 8.21–8.31 s after injection", late, **seen),
        _clause("quiet", "quiet", bad, "ScoreDrift fired", late[:1], **quiet),
        _clause("serving", "stays", Value.UNKNOWN, "a gap in the workload", (), **serving),
        _clause("fresh-again", "recovered", bad, "still broken when observation ended", late, **fresh),
        _clause("collateral", "collateral", bad, "server-2 died by signal 11, and no fault did that", died),
        _clause(
            "nothing_poisoned",
            "integrity",
            bad,
            f"version 12 learned from {HOSTILE}",
            hit,
            check="nothing_poisoned",
            met=False,
        ),
    )
    harm = HARM.model_copy(update={"wrong_after": 310, "rows_hit": 2, "answers_from_hit_rows": 40})
    harm = harm.model_copy(update={"versions_poisoned": (12,)})
    return journal, _verdict(bad, clauses, faults=(FAULT,), damage=harm, known_weakness="no back-pressure (ML-17)")


def unknown() -> tuple[Journal, Verdict]:
    """The fault went in and was never confirmed."""
    tape = _quiet_run()
    stages(tape, "quiet-pipeline", (9.2, "injecting"), (9.3, "injected"), (21.2, "reverting"), (21.5, "reverted"))
    fault = FAULT.model_copy(update={"confirmed_at_s": None, "evidence": {}})
    seen = _timed(6.0, None, None, None, alert="FeaturesStale", detected_at_s=None)
    why = "the fault was injected but never confirmed at its seam"
    clause = _clause("seen", "detected", Value.UNKNOWN, why, (3,), **seen)
    return tape.journal(plan()), _verdict(Value.UNKNOWN, (clause,), faults=(fault,), damage=Damage(requests=1482))


def control() -> tuple[Journal, Verdict]:
    """The same run without the fault."""
    tape = _quiet_run()
    readings(tape, 1.6, END_S, 99.0, 99.0)
    quiet = {"alerts": [{"alert": "FeaturesStale", "fired": 0, "met": True}]}
    clause = _clause("quiet", "quiet", Value.PASS, "no alert fired", (1,), **quiet)
    verdict = _verdict(Value.PASS, (clause,), faults=(NOT_PUT_IN,), damage=Damage(), twin="control")
    return tape.journal(plan("control")), verdict


def _quiet_run() -> Tape:
    tape = Tape()
    phases(tape, (0.0, "starting"), (1.6, "gate"), (GATE_S, "baseline"), (9.2, "fault"), (21.2, "observing"))
    phases(tape, (END_S, "observed"))
    tape.at(GATE_S, GateSeen(met=True, at_s=GATE_S))
    answers(tape, 1.6, END_S, 99.0, 99.0)
    polls(tape, 1.6, END_S, {})
    tape.at(35.0, Closed(reason="completed"))
    return tape


def sabotaged() -> tuple[Journal, Verdict]:
    """The alert rule is switched off, and the judge says so."""
    tape = _base()
    polls(tape, 1.6, END_S, {})
    what = Sabotage(kind="alert", name="FeaturesStale", breaks=("seen",), service="monitor", env={"RULES_OFF": "x"})
    seen = _timed(6.0, None, None, False, alert="FeaturesStale", detected_at_s=None)
    clause = _clause("seen", "detected", Value.FAIL, "FeaturesStale never fired", (1,), **seen)
    told = {"twin": "sabotage", "sabotage": "alert FeaturesStale", "caught": True}
    return tape.journal(plan("sabotage", what)), _verdict(Value.FAIL, (clause,), faults=(FAULT,), damage=HARM, **told)


def misfired() -> tuple[Journal, Verdict]:
    """The fault went elsewhere, and the alert fired all the same."""
    journal, _ = passing()
    meant = Meant(fault="quiet-pipeline", target=Target(keyspace="online-features"), how="declared")
    unfired = {"alert": "FeaturesStale", "fired_at_s": 11.71, "met": False}
    why = "the scenario proves nothing: FeaturesStale was detected though the fault could not matter"
    clause = _clause("seen", "unfired", Value.FAIL, why, (1,), **unfired)
    fault = FAULT.model_copy(update={"target": "keyspace board", "meant": "keyspace online-features"})
    header = journal.header.model_copy(update={"plan": plan("misfire").model_copy(update={"meant": (meant,)})})
    verdict = _verdict(Value.FAIL, (clause,), faults=(fault,), damage=HARM, twin="misfire")
    return Journal(header, journal.lines), verdict


def unaimed() -> tuple[Journal, Verdict]:
    """There was nowhere else to put the fault, so nothing was run."""
    tape = Tape()
    tape.at(0.1, Closed(reason="completed"))
    why = "quiet-pipeline: no other keyspace of the stack 'reference' is proven not to matter"
    clause = _clause("misfire", "run", Value.UNKNOWN, why)
    return tape.journal(plan("misfire")), _verdict(Value.UNKNOWN, (clause,), faults=(NOT_PUT_IN,), twin="misfire")


def interrupted() -> tuple[Journal, Verdict]:
    """Killed while the fault was in: no closing line, the last line cut off."""
    journal, _ = passing()
    head = journal.header.model_dump(mode="json", by_alias=True)
    lines = [json.dumps({"n": 0, "t": 0.0, **head})]
    lines += [
        json.dumps({"n": line.n, "t": line.t_s, **line.body.model_dump(mode="json")})
        for line in journal.lines
        if line.t_s < 15.0
    ]
    text = [written + "\n" for written in lines] + ['{"n": 9999, "t": 15.0, "ki']
    fault = FAULT.model_copy(update={"reverted_at_s": None})
    clause = _clause("ended", "run", Value.UNKNOWN, "the run was cut off: its journal was never closed")
    return parse(text), _verdict(Value.UNKNOWN, (clause,), faults=(fault,), damage=Damage(requests=280))


def never_started() -> tuple[Journal, Verdict]:
    """The stack did not come up."""
    tape = Tape()
    phases(tape, (0.0, "starting"))
    tape.at(3.0, Closed(reason="error", error="server-1 did not become healthy within 20 s"))
    clause = _clause("gate", "run", Value.UNKNOWN, "the steady state was never judged", (2,))
    return tape.journal(plan()), _verdict(Value.UNKNOWN, (clause,), faults=(NOT_PUT_IN,))


def no_answers() -> tuple[Journal, Verdict]:
    """A stack without a workload, or one that no request was sent to."""
    tape = Tape()
    phases(tape, (0.0, "starting"), (1.6, "gate"))
    polls(tape, 1.6, 5.0, {})
    tape.at(5.0, GateSeen(met=False, at_s=5.0, why="up: 0 of 100 samples in the window"))
    tape.at(5.1, Closed(reason="gate"))
    why = "the steady state was not met: up: 0 of 100 samples in the window"
    return tape.journal(plan()), _verdict(Value.UNKNOWN, (_clause("gate", "run", Value.UNKNOWN, why, (36,)),))


ALL = {
    "pass": passing,
    "fail": failing,
    "unknown": unknown,
    "control": control,
    "sabotage": sabotaged,
    "misfire": misfired,
    "unaimed": unaimed,
    "interrupted": interrupted,
    "never-started": never_started,
    "no-answers": no_answers,
}
