"""Which evidence a clause of each kind needs: without any one sort of it, it must not pass.

The table is data, for `test_evidence.py` and for docs/scenarios.md, which shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from journals import BACK, CLEAR, SEEN, SLOW, STAYS, Run, lag

from harness.model.alert_clauses import Cleared, Detected, Flaps, Silence
from harness.model.clauses import Bound, Clause, Noticed, Recovered
from harness.model.expectations import Churn, Guarantee
from harness.model.guard import Guard, Guarded, guard_of

Body = Mapping[str, Any]


def _stage(stage: str) -> Callable[[Body], bool]:
    return lambda body: body["kind"] == "fault" and body["stage"] == stage


def _read(probe: str) -> Callable[[Body], bool]:
    return lambda body: body["kind"] == "reading" and body["probe"] == probe


def _part(part: str) -> Callable[[Body], bool]:
    return lambda body: body["kind"] == "integrity" and body["check"] == part


SORTS: dict[str, Callable[[Body], bool]] = {
    "the steady state": lambda body: body["kind"] == "gate",
    "the injection": _stage("injected"),
    "the confirmation": _stage("confirmed"),
    "the effect until revert": _stage("effect"),
    "the absence after revert": _stage("reverted"),
    "polls of every alert source": lambda body: body["kind"] == "alerts",
    "answers of the workload": lambda body: body["kind"] == "answer",
    "readings of the probe": _read("lag"),
    "readings of the readiness endpoint": _read("ready"),
    "readings of the pointer": _read("pointer"),
    "readings of the promoted version": _read("promoted_version"),
    "processes of the service": lambda body: body["kind"] == "process",
    "examples of the ledger": _part("examples"),
    "lineage of the ledger": _part("lineage"),
    "checkpoints of the ledger": _part("checkpoints"),
    "promotions of the ledger": _part("promotions"),
}
"""The sorts of lines in a journal."""
RULES = "evaluations of its rules"
"""Not lines of their own: a field of the polls."""
ALWAYS = ("the steady state", "the injection", "the confirmation", "the effect until revert")
"""What every clause needs."""


@dataclass(frozen=True)
class Needs:
    """The evidence of one kind of clause: `clause` is its id in `whole`, `name` how a scenario calls it."""

    kind: type[Clause]
    name: str
    clause: str
    sorts: tuple[str, ...]


TABLE = (
    Needs(Detected, "`detected`", "seen", ("polls of every alert source",)),
    Needs(Noticed, "`noticed`", "told", ("readings of the readiness endpoint",)),
    Needs(Silence, "`quiet`", "quiet", ("polls of every alert source", RULES)),
    Needs(Bound, "`stays`, of answers", "up", ("answers of the workload",)),
    Needs(Bound, "`stays`, of a probe", "low", ("readings of the probe",)),
    Needs(Recovered, "`recovered`, of answers", "right", ("answers of the workload", "the absence after revert")),
    Needs(Recovered, "`recovered`, of a probe", "back", ("readings of the probe", "the absence after revert")),
    Needs(Cleared, "`cleared`", "clear", ("polls of every alert source", RULES, "the absence after revert")),
    Needs(Flaps, "`flaps_at_most`", "flaps", ("polls of every alert source", RULES)),
    Needs(Churn, "`churn_at_most`, of a service", "calm", ("processes of the service",)),
    Needs(Churn, "`churn_at_most`, of a pointer", "steady", ("readings of the pointer",)),
    Needs(
        Guarantee,
        "`examples_exactly_once`",
        "examples_exactly_once",
        ("answers of the workload", "examples of the ledger", "lineage of the ledger"),
    ),
    Needs(Guarantee, "`checkpoints_restorable`", "checkpoints_restorable", ("checkpoints of the ledger",)),
    Needs(
        Guarantee,
        "`promotion_monotonic`",
        "promotion_monotonic",
        ("promotions of the ledger", "readings of the promoted version"),
    ),
    Needs(
        Guarantee,
        "`nothing_poisoned`",
        "nothing_poisoned",
        ("lineage of the ledger", "readings of the promoted version", "the absence after revert"),
    ),
    Needs(Guarded, "the guard", "guard.failed", ("answers of the workload", "the absence after revert")),
)
EXPECT: dict[str, Any] = {
    "detected": [SEEN],
    "noticed": [{"id": "told", "probe": "ready", "equals": 200, "within": "6s"}],
    "quiet": "others",
    "stays": [
        STAYS | {"at_least": 0.8, "min_samples": 10},
        {"id": "low", "probe": "lag", "at_most": 20},
    ],
    "recovered": [
        {"id": "right", "probe": "wrong_answers", "at_most": 0.1, "over": "2s", "min_samples": 10, "within": "6s"},
        BACK,
    ],
    "cleared": [CLEAR],
    "flaps_at_most": [{"id": "flaps", "alert": SLOW, "at_most": 1}],
    "churn_at_most": [
        {"id": "calm", "service": "trainer", "at_most": 1},
        {"id": "steady", "probe": "pointer", "at_most": 1},
    ],
}
GUARD = guard_of(Guard(), ("availability",), scores_checked=True)
GUARANTEES = tuple(needs.clause for needs in TABLE if needs.kind is Guarantee)
EVERY_S = 0.2
"""How often alerts and probes are polled: half as often as in a run, to keep the tests quick."""


@dataclass(frozen=True)
class Story:
    """What happens in a run besides what is well: what breaks, beyond what the fault does to it."""

    fires: tuple[tuple[str, float, float], ...] = ((SLOW, 7.0, 14.0),)
    lags: tuple[tuple[float, float], ...] = ((6.0, 14.0),)
    refuses: tuple[tuple[float, float], ...] = ((8.0, 13.0),)
    bad: tuple[tuple[float, float, Mapping[str, Any]], ...] = ((6.0, 13.0, {"wrong": True}),)
    restarts: tuple[float, ...] = (9.0,)
    moves: tuple[float, ...] = (9.0,)
    promotes: tuple[tuple[float, float], ...] = ((0.0, 1.0), (8.0, 2.0), (15.0, 3.0))
    poisoned: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    counted: bool = False
    forgetful: bool = False
    """Whether the registry leaves out of its history what was no promotion of something newer."""


def told(story: Story, injected: Any = 5.0, reverted: Any = 12.0) -> Run:
    """Return the run of a story, with all that every kind of clause needs; it passes where nothing else breaks."""
    run = Run(EXPECT, guarantees=GUARANTEES)
    run.plan["stack"]["probe_every_s"] = dict.fromkeys(("lag", "ready", "pointer", "promoted_version"), EVERY_S)
    run.plan["guard"] = [limit.model_dump(mode="json", by_alias=True) for limit in GUARD]
    run.gate().fault(injected=injected, confirmed=5.3, reverted=reverted)
    out_s = (reverted if isinstance(reverted, float) else reverted[0]) - 0.01
    run.add(out_s, "fault", fault="slow", stage="reverting", lo_s=out_s, hi_s=out_s)
    run.add(0.2, "process", service="trainer", what="started", at_s=0.2, asked="harness")
    for at_s in story.restarts:
        run.add(at_s, "process", service="trainer", what="restarted", at_s=at_s)
    starts = [(name, lo) for name, lo, hi in story.fires if lo < hi] if story.counted else None
    run.alerts(*story.fires, counted=starts, every_s=EVERY_S)
    run.answers(*story.bad, rate=10, from_s=0.5)
    run.readings("lag", lag(*story.lags), every_s=EVERY_S)
    refused = lag(*story.refuses)
    run.readings("ready", lambda t_s: 200.0 if refused(t_s) < 5 else 503.0, every_s=EVERY_S)
    run.readings("pointer", lambda t_s: float(sum(at <= t_s for at in story.moves)), every_s=EVERY_S)
    promoted = lambda t_s: max(((t, v) for t, v in story.promotes if t <= t_s), default=(0.0, 1.0))[1]  # noqa: E731
    run.readings("promoted_version", promoted, every_s=EVERY_S)
    run.hit(6.0, {"entity": "JFK", "event_time": 1, "field": "temp"})
    versions = [
        {
            "version": n,
            "parent": 1 if n > 1 else None,
            "promoted": True,
            "trained_on": [{"key": f"t{n}", "digest": f"d{n}"}],
        }
        for n in (1, 2, 3)
    ]
    run.add(6.1, "answer", id="a", at_event=0, due_s=6.0, sent_s=6.0, done_s=6.1, ok=True, wrong=True, outcome_at=10)
    run.add(8.1, "answer", id="b", at_event=0, due_s=8.0, sent_s=8.0, done_s=8.1, ok=True, wrong=True, outcome_at=10)
    partitions = {"t1": ["a"], "t2": [], "t3": [name for name in ("b",) if name not in story.lost]}
    run.evidence("examples", training=partitions, settled_until=36_000)
    run.evidence("lineage", versions=versions, poisoned={key: ["x"] for key in story.poisoned})
    run.evidence("checkpoints", checkpoints=[{"key": "c", "ok": "c" not in story.lost}])
    entries = [int(version) for _, version in story.promotes]
    if story.forgetful:
        entries = [version for k, version in enumerate(entries) if version == max(entries[: k + 1])]
    history = [{"seq": k, "action": "promote", "version": version} for k, version in enumerate(entries)]
    return run.evidence("promotions", history=history).end()
