"""The control twin: the same run without the fault. It must be silent, and what a fault is to break must stay whole
in it."""

from __future__ import annotations

from harness.journal.records import Journal
from harness.judge.alert_history import episodes
from harness.judge.bounds import series, stays
from harness.judge.facts import Facts, gather
from harness.judge.moments import met
from harness.judge.quiet import quiet
from harness.model.expectations import Detected, Recovered
from harness.model.verdict import ClauseResult, Value


def check(facts: Facts) -> list[ClauseResult]:
    """Judge a control: no alert fired, every `stays` held, nothing that should recover ever broke."""
    expect = facts.scenario.expect
    return [
        quiet(facts, ()),
        *(stays(clause, facts) for clause in expect.stays),
        *(_unbroken(clause, facts) for clause in expect.recovered),
    ]


def _unbroken(clause: Recovered, facts: Facts) -> ClauseResult:
    points = series(clause, facts.journal, facts.gate_s, facts.end_s)
    broken = [p for p in points if p.good is False]
    blind = [p for p in points if p.good is None]
    limit = f"{'at least' if clause.at_least is not None else 'at most'} {clause.limit}"
    if broken:
        value, cited = Value.FAIL, broken[:4]
        reason = f"{clause.probe} broke its bound ({limit}) at {broken[0].hi_s:.2f} s without any fault"
    elif blind or not points:
        value, cited = Value.UNKNOWN, blind[:4]
        reason = f"{clause.probe} could not be judged: {blind[0].why if blind else 'nothing was measured'}"
    else:
        value, cited, reason = Value.PASS, points[-1:], f"{clause.probe} never broke its bound ({limit})"
    return ClauseResult(
        id=clause.id,
        kind="unbroken",
        value=value,
        reason=reason,
        cites=tuple(n for p in cited for n in p.cites),
        measured={"probe": clause.probe, "limit": limit, "met": met(value)},
    )


def belongs(journal: Journal, control: Journal) -> bool:
    """Whether a control is that run's own: same scenario, same seed, same stretch of data, and no fault in it."""
    run, other = journal.plan, control.plan
    same = (run.scenario.scenario, run.seed, run.scenario.start_at, run.matrix, run.stack.name)
    return other.twin == "control" and same == (
        other.scenario.scenario,
        other.seed,
        other.scenario.start_at,
        other.matrix,
        other.stack.name,
    )


def void(clause: ClauseResult, expected: Detected, control: Journal) -> ClauseResult:
    """Take back the pass of a detection whose alert fired in the control too: it tells nothing about the fault."""
    if clause.value is not Value.PASS:
        return clause
    since_s = gather(control).gate_s
    for episode in episodes(control.alerts):
        over = episode.end is not None and episode.end.hi <= since_s
        if episode.is_of(expected.alert, expected.labels) is not False and not over:
            at_s = f"{episode.start.hi:.2f} s"
            reason = f"{expected.alert} fired in the control too, at {at_s}: it does not tell the fault apart"
            return clause.model_copy(
                update={"value": Value.UNKNOWN, "reason": reason, "measured": clause.measured | {"met": None}}
            )
    return clause
