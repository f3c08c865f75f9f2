"""Which guards a failed run shows to be missing: a pure function of its journal and of the clauses that failed.

Wrong advice is worse than none. There is none where the verdict is not `fail`, where several faults were in and none
can be told from the others, or where the journal lacks a part of the evidence that `guards` names for a guard.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from harness.judge.advice.answering import (
    age_limit,
    fallback_flag,
    filled_before_used,
    value_check,
)
from harness.judge.advice.case import Case, MissingGuard
from harness.judge.advice.damaged_objects import digest_on_load, keep_last_good
from harness.judge.advice.guards import GUARDS
from harness.judge.advice.last_runs import run_with_result
from harness.judge.advice.ledger import guarantees
from harness.judge.advice.reconnecting import reconnect
from harness.judge.advice.recovering import catch_up, quick_start, restart_policy
from harness.judge.advice.waiting import client_timeout, replica_ejection, survive_dependency
from harness.judge.advice.watching import (
    absent_rule,
    deep_readiness,
    monitoring_apart,
    rule_in_time,
)
from harness.judge.facts import Facts
from harness.judge.reloading import damage_beside_restarts
from harness.model.advice import Advice, Proof
from harness.model.faultstep import FaultStep
from harness.model.plan import Plan
from harness.model.verdict import ClauseResult, Value
from harness.model.wiring import Wiring

Rule = Callable[[Case], Iterator[MissingGuard]]
RULES: tuple[Rule, ...] = (
    client_timeout,
    survive_dependency,
    restart_policy,
    fallback_flag,
    filled_before_used,
    age_limit,
    digest_on_load,
    keep_last_good,
    value_check,
    deep_readiness,
    absent_rule,
    rule_in_time,
    monitoring_apart,
    run_with_result,
    reconnect,
    quick_start,
    catch_up,
    guarantees,
)
ON_RESTARTS: tuple[Rule, ...] = (digest_on_load, keep_last_good)
"""The rules that tell what damaged objects do from what the restarts do by which they are loaded."""
ON_SOME_REPLICAS: tuple[Rule, ...] = (restart_policy, replica_ejection, guarantees)
"""The rules that hold where other replicas of the service that is hit run on: that one is not gone, nor its links."""


def advise(facts: Facts, clauses: Sequence[ClauseResult], value: Value) -> tuple[Advice, ...]:
    """Return the advice on a run: one for each guard and place, with all the failed clauses that it explains."""
    case = _case(facts, clauses) if value is Value.FAIL else None
    if case is None:
        return ()
    proof = proof_of(facts.journal.plan)
    return tuple(_advice(found, proof) for found in _merged(one for rule in _rules(case) for one in rule(case)))


def _rules(case: Case) -> tuple[Rule, ...]:
    if case.restarts:
        return ON_RESTARTS
    return RULES if case.step.target.part is None else ON_SOME_REPLICAS


def _case(facts: Facts, clauses: Sequence[ClauseResult]) -> Case | None:
    plan = facts.journal.plan
    step = _to_explain(plan.scenario.timeline)
    if plan.twin not in (None, "sabotage") or step is None:
        return None
    others = [facts.faults[one.id] for one in plan.scenario.timeline if one is not step]
    fault = facts.faults[step.id]
    if fault.injected is None or any(one.inconclusive_reason is not None for one in (fault, *others)):
        return None
    restarts = tuple(one.injected for one in others if one.injected is not None)
    failed = tuple(clause for clause in clauses if clause.value is Value.FAIL)
    return Case(facts, step, fault, fault.injected, plan.stack.wiring or Wiring(), failed, restarts)


def _to_explain(timeline: Sequence[FaultStep]) -> FaultStep | None:
    """Return the fault that a run is about: the only one, or damage beside the restarts that make a service load it."""
    return timeline[0] if len(timeline) == 1 else damage_beside_restarts(timeline)


def _merged(found: Iterable[MissingGuard]) -> list[MissingGuard]:
    """Return one finding for each guard and place, with the clauses of all of them."""
    merged: dict[tuple[str, str], MissingGuard] = {}
    for one in found:
        first = merged.setdefault((one.guard, one.where), one)
        if first is not one:
            clauses = tuple(dict.fromkeys((*first.clauses, *one.clauses)))
            merged[one.guard, one.where] = replace(first, clauses=clauses)
    return list(merged.values())


def _advice(found: MissingGuard, proof: Proof) -> Advice:
    guard = GUARDS[found.guard]
    more = f" Expect it in the scenario, by `{found.shown_by}`: other clauses may need more." if found.shown_by else ""
    return Advice(
        id=guard.id,
        guard=guard.guard,
        where=found.where,
        seen=found.seen,
        repair=guard.repair + more,
        clauses=found.clauses,
        cites=found.cites,
        proof=proof,
        sources=guard.sources,
    )


def proof_of(plan: Plan) -> Proof:
    """Return the run that proves a repair: this scenario again, as it is, without what a sabotage switched off."""
    file, name = plan.file, plan.scenario.scenario
    if file is None or not file.endswith((".yaml", ".yml")):
        return Proof(scenario=name, command=f"pytest {shlex.quote(file)}" if file is not None else "")
    where = ["--attach", plan.attach] if plan.attach is not None else []
    where += ["--backend", plan.backend] if plan.backend != "local" else []
    return Proof(scenario=name, command=shlex.join(["harness", "run", file, *where]))
