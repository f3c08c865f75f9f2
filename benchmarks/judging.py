"""What judging a stored run and writing its report cost: CPU seconds for a journal of 4,000 lines.

The journal is made by hand, line for line of the form and in the proportions of a run of the reference stack. Each step
is measured in a warm process, and the two commands as a user starts them, imports included.

`python -m benchmarks.judging [--quick] [--out DIR]`
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.figures import Cell, spread, table
from benchmarks.measured import cost
from benchmarks.results import Options, Result, main
from harness.journal.files import NAME, read
from harness.journal.records import SCHEMA, Header, Journal
from harness.judge import judge
from harness.model.plan import Plan
from harness.model.verdict import Verdict
from harness.report import write_run

LIMIT_S = 0.15
RATE = 60
GATE_S, INJECTED_S, DETECTED_S, REVERTED_S, CLEARED_S, RECOVERED_S, OBSERVED_S = 3.0, 9.0, 12.0, 21.0, 24.0, 27.0, 49.5
STORE = {"name": "ObjectStoreSlow", "labels": {"service": "trainer", "severity": "page"}, "started_s": 11.4}
Timed = tuple[float, dict[str, Any]]


def plan() -> Plan:
    """Return the plan of the run: one fault, and an expectation of every kind."""
    event = {"probe": "feature_age_p99", "at_most": "90min event"}
    expect = {
        "detected": [{"id": "seen", "alert": "ObjectStoreSlow", "labels": {"service": "trainer"}, "within": "6s"}],
        "quiet": "others",
        "stays": [
            {"id": "serving", "probe": "availability", "at_least": 0.99},
            {"id": "right", "probe": "silent_wrong_answers", "at_most": 0.01},
        ],
        "recovered": [
            {"id": "caught-up", "probe": "training_lag", "at_most": "8h event", "within": "15s"},
            {"id": "fresh-again", "within": "15s", **event},
        ],
        "cleared": [{"id": "quiet-again", "alert": "ObjectStoreSlow", "within": "10s"}],
    }
    fault = {"id": "slow", "at": "6s", "fault": "network.latency", "target": {"link": "trainer -> object-store"}}
    scenario = {
        "schema": 1,
        "scenario": "judging",
        "summary": "A run made by hand, to be judged and drawn.",
        "stack": "reference",
        "steady_state": [{"id": "up", "probe": "availability", "at_least": 0.99, "over": "2s"}],
        "timeline": [fault | {"for": "12s"}],
        "expect": expect,
    }
    alerts = ["ObjectStoreSlow", "FeaturesStale", "TrainingLagging"]
    stack = {
        "name": "reference",
        "alerts": alerts,
        "alert_sources": ["monitor"],
        "probe_units": {"training_lag": "event"},
    }
    return Plan.model_validate({"run": "judging", "seed": 7, "stack": stack, "scenario": scenario})


def journal_text() -> str:
    """Return the journal: its header and about 4,000 records."""
    records = sorted([*_answers(), *_polls(), *_readings(), *_course()], key=lambda timed: timed[0])
    header = Header(schema=SCHEMA, harness="0", started="2026-06-01T10:00:00+00:00", plan=plan())
    bodies = [(0.0, header.model_dump(mode="json", by_alias=True)), *records]
    return "".join(
        json.dumps({"n": n, "t": round(t_s, 6), **body}, separators=(",", ":")) + "\n"
        for n, (t_s, body) in enumerate(bodies)
    )


def _answers() -> Iterator[Timed]:
    for k in range(round(RATE * (OBSERVED_S + 0.1))):
        due_s = k / RATE
        age_s = 1800.0 + 7 * (k % 97) + (3600 * (due_s - INJECTED_S) if INJECTED_S < due_s < RECOVERED_S - 3 else 0)
        at_event = 1371189600 + 240 * k
        body = {"kind": "answer", "id": f"2013-06-14-{k}", "entity": ("JFK", "LGA", "EWR")[k % 3], "ok": True}
        body |= {"due_s": due_s, "sent_s": due_s + 0.0004, "done_s": due_s + 0.008 + 0.0001 * (k % 53)}
        body |= {"at_event": at_event, "flagged": "stale" if age_s > 7200 else None}
        body |= {"ages": {"dep_delay_2h": age_s, "dep_count_2h": age_s, "weather": 2400.0}}
        body |= {"stamps": {"dep_delay_2h": at_event, "dep_count_2h": at_event, "weather": 1371186000}}
        body |= {"version": 11 + k // 400, "score": 0.05 + (k * 37 % 89) / 100, "outcome": int(k * 31 % 7 == 0)}
        yield due_s + 0.02, body | {"outcome_at": at_event + 3600}


def _polls() -> Iterator[Timed]:
    for k in range(round(10 * (OBSERVED_S + 0.1))):
        at_s = k / 10
        body: dict[str, Any] = {"kind": "alerts", "source": "monitor", "planned_s": at_s, "asked_s": at_s + 0.001}
        body |= {"answered_s": at_s + 0.004, "evaluations": float(k // 2), "interval_s": 0.2, "awake": True}
        if DETECTED_S <= at_s < CLEARED_S:
            body["firing"] = [STORE]
        elif DETECTED_S - 1 <= at_s < DETECTED_S:
            body["pending"] = [STORE]
        body["fired"] = [[{"name": "ObjectStoreSlow"}, float(at_s >= DETECTED_S)]]
        yield at_s + 0.004, body


def _readings() -> Iterator[Timed]:
    for k in range(round(10 * (OBSERVED_S + 0.1))):
        at_s = k / 10 + 0.05
        broken = INJECTED_S + 4 < at_s < RECOVERED_S
        body = {"kind": "reading", "probe": "training_lag", "planned_s": at_s, "asked_s": at_s + 0.001}
        yield at_s + 0.003, body | {"answered_s": at_s + 0.003, "value": 3600.0 * (12 if broken else 5)}


def _course() -> Iterator[Timed]:
    """What the runner does: phases, the gate, the stages of the fault, the end."""
    for at_s, phase in ((0.0, "starting"), (0.5, "gate"), (GATE_S, "baseline"), (INJECTED_S, "fault"),
                        (REVERTED_S, "observing"), (OBSERVED_S, "observed"), (OBSERVED_S + 1, "stopping")):  # fmt: skip
        yield at_s, {"kind": "phase", "phase": phase}
    yield GATE_S, {"kind": "gate", "met": True, "at_s": GATE_S, "values": {"up": 1.0}}
    effects = [(INJECTED_S + 1 + k, "effect") for k in range(12)]
    for at_s, stage in ((INJECTED_S, "injecting"), (INJECTED_S, "injected"), (INJECTED_S + 0.4, "confirmed"), *effects,
                        (REVERTED_S, "reverting"), (REVERTED_S + 0.2, "reverted")):  # fmt: skip
        landed = stage in ("confirmed", "effect")
        body = {"kind": "fault", "fault": "slow", "stage": stage, "lo_s": at_s - 0.02, "hi_s": at_s, "landed": landed}
        yield at_s, body | {"evidence": {"round_trip_ms": 812.4, "was_ms": 1.3}}
    yield OBSERVED_S + 2, {"kind": "closed", "reason": "completed"}


def cpu_s(step: Callable[[], object], repeats: int) -> list[float]:
    """Return the CPU seconds of each of some calls, after one that is not counted."""
    step()
    found = []
    for _ in range(repeats):
        began_s = time.process_time()
        step()
        found.append(time.process_time() - began_s)
    return found


def measure(options: Options) -> Result:
    """Measure reading, judging and reporting, each by itself and as a command."""
    repeats = 3 if options.quick else 15
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "suite" / "judging"
        run.mkdir(parents=True)
        (run / NAME).write_text(journal_text(), encoding="utf-8")
        journal = read(run)
        verdict = judge(journal)
        steps = _steps(run, journal, verdict, repeats)
        harness = str(Path(sys.executable).with_name("harness"))
        commands = {"harness judge": ["judge", str(run)], "harness report": ["report", str(run.parent)]}
        for name, arguments in commands.items():
            steps[name] = [cost([harness, *arguments]).cpu_s for _ in range(max(3, repeats // 3))]
    medians = {name: found.median for name, values in steps.items() if (found := spread(values)) is not None}
    rows: list[tuple[Cell, ...]] = [
        (name, medians[name] * 1e3, min(values) * 1e3, len(values)) for name, values in steps.items()
    ]
    title = f"CPU for a journal of {len(journal.lines) + 1} lines, verdict {verdict.value}"
    wrong = [] if verdict.value == "pass" else [f"the journal is judged {verdict.value}: {verdict.reasons}"]
    note = f"To reach: read + judge, and report, at most {LIMIT_S * 1e3:g} ms each in a warm process."
    return Result([table(title, ("step", "median ms", "min ms", "n"), rows, note)], {"cpu_s": medians}, wrong)


def _steps(run: Path, journal: Journal, verdict: Verdict, repeats: int) -> dict[str, list[float]]:
    return {
        "read": cpu_s(lambda: read(run), repeats),
        "judge": cpu_s(lambda: judge(journal), repeats),
        "read + judge": cpu_s(lambda: judge(read(run)), repeats),
        "report": cpu_s(lambda: write_run(run, journal, verdict), repeats),
    }


if __name__ == "__main__":
    sys.exit(main("judging", measure))
