"""The steady-state gate: no fault is injected before the stack is healthy and its detectors are evaluating and quiet.

All conditions must hold at one moment within the scenario's `gate_timeout`; otherwise the gate names those that do not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from harness.journal.clock import Clock
from harness.model.answers import silent_wrong
from harness.model.clauses import Bound
from harness.model.plan import Plan
from harness.model.readings import AlertsSeen, Answer, GateSeen
from harness.model.series import Point
from harness.model.stack import StackDescription
from harness.runner.planning.catalogue import OF_EXPECTED
from harness.runner.watching.live import Live

EVERY_S = 0.05
WRONG_OVER_S = 1.0
WAITING_S, WAITING_OVER_S = 1.0, 3.0
"""How long the newest answers may be waited for, at the least, and the seconds that tell how long is usual."""
# Required in every scenario: there are answers, and they are right and fresh.
SANE = tuple(
    Bound.model_validate({"id": f"gate-{probe}", "probe": probe, "over": "1s", "min_samples": 5} | limit)
    for probe, limit in (("availability", {"at_least": 0.9}), ("silent_wrong_answers", {"at_most": 0}))
)


async def wait_for_steady_state(
    plan: Plan,
    stack: StackDescription,
    live: Live,
    clock: Clock,
    settled_s: Callable[[], float],
    place_of: Callable[[Answer], str] = lambda answer: f"the request {answer.id}",
) -> GateSeen:
    """Wait until every condition holds at once. `settled_s` returns the time up to which all answers are in.

    `place_of` returns where the request of an answer is written.
    """
    deadline_s = clock.now_s() + plan.scenario.gate_timeout
    bounds = gate_bounds(plan, stack)
    while True:
        now_s = clock.now_s()
        values: dict[str, float | None] = {}
        missing = [*_gone(plan, live), *_quiet(plan, stack, live, now_s), *_waiting(live, settled_s(), now_s)]
        if not plan.stack.scores_checked:
            missing += _known_wrong(live, settled_s())
        unmet: list[tuple[Bound, str]] = []
        for bound in bounds:
            point = live.point(bound, settled_s())
            values[bound.id] = point.value
            if point.good is not True:
                why = point.why or _example(bound, live, settled_s(), place_of)
                unmet.append((bound, _unmet(bound, point, why)))
        missing += _once(unmet)
        if not missing:
            return GateSeen(met=True, at_s=now_s, values=values)
        if now_s > deadline_s:
            busy = live.machine_busy()
            why = "; ".join([*missing, *([busy] if busy is not None else [])])
            return GateSeen(met=False, at_s=now_s, why=why, values=values)
        await asyncio.sleep(EVERY_S)


def gate_bounds(plan: Plan, stack: StackDescription) -> tuple[Bound, ...]:
    """Return every bound that the gate waits for: those of each scenario, the scenario's own, and those to be left."""
    return (*_sane(plan, stack), *plan.scenario.steady_state, *plan.scenario.expect.noticed)


def _example(bound: Bound, live: Live, settled_s: float, place_of: Callable[[Answer], str]) -> str | None:
    """Return the last of the answers that keep a bound from being met: where its request is, and what is wrong."""
    says = _SAYS.get(bound.probe)
    if says is None:
        return None
    for _, answer in reversed(live.answers_between(settled_s - bound.over, settled_s)):
        what = says(answer)
        if what is not None:
            return f"for one, {place_of(answer)}: {what}"
    return None


def _failed(answer: Answer) -> str | None:
    return None if answer.ok else answer.error or "it was not answered"


def _wrong(answer: Answer) -> str | None:
    if not answer.ok or not (answer.wrong or answer.stale):
        return None
    return answer.why if answer.wrong and answer.why else "it is stale" if answer.stale else "it is wrong"


def _slow(answer: Answer) -> str | None:
    took_s = answer.done_s - answer.due_s
    return f"it took {took_s * 1e3:.0f} ms" if answer.ok and answer.slow else _failed(answer)


_SAYS: Mapping[str, Callable[[Answer], str | None]] = {
    "availability": _failed,
    "failed_requests": _failed,
    "slow_answers": _slow,
    "latency_p50": _slow,
    "latency_p99": _slow,
    "wrong_answers": _wrong,
    "silent_wrong_answers": _wrong,
    "stale_answers": _wrong,
}
"""Of each probe of answers with answers to point at: what is wrong with one, None where it is as it should be."""


def _once(unmet: list[tuple[Bound, str]]) -> list[str]:
    """Return what to say of bounds that are not met; the scenario's own bound on a probe says it for both."""
    own = {bound.probe for bound, _ in unmet if not _is_sane(bound)}
    return [text for bound, text in unmet if not (_is_sane(bound) and bound.probe in own)]


def _is_sane(bound: Bound) -> bool:
    return any(bound.id == one.id for one in SANE)


def _sane(plan: Plan, stack: StackDescription) -> tuple[Bound, ...]:
    """Return the bounds on answers, as far as what the stack declares makes them measurable."""
    spec = stack.workload
    if spec is None:
        return ()
    if not plan.stack.scores_checked:
        return tuple(bound for bound in SANE if bound.probe not in OF_EXPECTED)
    if spec.requests is None:
        return SANE
    # A file of requests may send few of them: the window is long enough for some at its rate.
    over_s = max(1.0, 3.0 / spec.rate) if spec.rate is not None else 3.0
    fitted = {"over": over_s, "min_samples": 1}
    return tuple(bound.model_copy(update=fitted) for bound in SANE if bound.probe in plan.stack.probe_units)


def _gone(plan: Plan, live: Live) -> list[str]:
    """Return which services have failed and are not there: one that is started again may fail again."""
    return [
        f"{seen.who} ended at {seen.at_s:.1f} s"
        + (f" with code {seen.exit_code}" if seen.exit_code is not None else f" by signal {seen.signal}")
        + " and does not run"
        for seen in live.ended.values()
        if seen.service not in plan.scenario.may_die
    ]


def _known_wrong(live: Live, settled_s: float) -> list[str]:
    """Return what is wrong with an answer of the last second, where right ones cannot be told: it would never open."""
    seen = [answer for _, answer in live.answers_between(settled_s - WRONG_OVER_S, settled_s) if silent_wrong(answer)]
    if not seen:
        return []
    why = seen[-1].why if seen[-1].wrong else "it is stale"
    return [f"{len(seen)} answers of the last {WRONG_OVER_S:g} s are wrong or stale ({why})"]


def _waiting(live: Live, settled_s: float, now_s: float) -> list[str]:
    """Return that answers fail to come: what was seen before that says nothing of how the stack is now."""
    before = live.answers_between(settled_s - WAITING_OVER_S, settled_s)
    usual_s = max((answer.done_s - answer.due_s for _, answer in before), default=0.0)
    if now_s - settled_s <= max(WAITING_S, 2 * usual_s):
        return []
    return [f"what was due since {settled_s:.1f} s has no answer yet, for {now_s - settled_s:.1f} s"]


def _evaluating(seen: AlertsSeen, heartbeat: bool, live: Live, gate_timeout_s: float, now_s: float) -> bool:
    """Whether a source that tells of evaluations had one of late. One that is too seldom for the gate is not asked."""
    seldom = seen.evaluations is None or (seen.interval_s or 0.0) > gate_timeout_s / 2
    return (seldom and not heartbeat) or live.evaluating(seen.source, now_s)


def _quiet(plan: Plan, stack: StackDescription, live: Live, now_s: float) -> list[str]:
    missing = []
    for source in stack.alert_sources:
        seen = live.alerts.get(source.name)
        if seen is None or seen.down is not None:
            missing.append(f"the alert source {source.name} does not answer" + (f" ({seen.down})" if seen else ""))
        elif seen.awake is False:
            missing.append(f"the watchdog {', '.join(source.watchdog)} does not fire at {source.name}")
        elif not _evaluating(seen, source.heartbeat is not None, live, plan.scenario.gate_timeout, now_s):
            missing.append(f"nothing shows that {source.name} evaluates its rules")
    for clause in plan.scenario.expect.detected:
        firing = live.firing(clause.alert, clause.labels, pending=True)
        if firing:
            missing.append(f"{firing[0].key}, which the fault should raise, is already pending or firing")
    return missing


def _unmet(bound: Bound, point: Point, why: str | None) -> str:
    measured = "has no value" if point.value is None else f"is {bound.amount(point.value)}"
    # A good value of too few samples is not said to be a bad one.
    known = "not" if point.value is None or not bound.met_by(point.value) else "not known to be"
    return f"{bound.probe} {measured}, {known} {bound.limit_text}" + (f" ({why})" if why else "")
