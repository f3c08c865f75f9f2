"""From checked scenarios to plans: one a run, with seed, twin, links and the stack's facts decided.

The same files, stack and options give the same plans, in the order of the files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from harness.faults.installed import Faults
from harness.model.backend import project_of
from harness.model.faultstep import FaultStep
from harness.model.fields import Link
from harness.model.guard import Guarded, guard_of
from harness.model.guardrails import AbortRule, Guardrails, Limits, all_rules, strictest
from harness.model.plan import Plan, Sabotage, StackFacts, Twin
from harness.model.scenario import Scenario
from harness.model.stack import OffSwitch, StackDescription
from harness.model.workload import SLOW_S
from harness.runner.loading.load import Loaded
from harness.runner.loading.variables import as_text
from harness.runner.planning.catalogue import Catalogue
from harness.runner.planning.misfire import aim
from harness.runner.planning.wiring import wiring_of

DEFAULT_SEED = 1
LONGEST_NAME = 160
LONGEST_OF_A_TWIN = 240
_UNSAFE = re.compile(r"[^\w.=,@~-]+")


def make_plans(
    loaded: Sequence[Loaded],
    stack: StackDescription,
    *,
    seed: int | None = None,
    twin: Twin | None = None,
    backend: str = "local",
    attach: str | None = None,
    guardrails: Guardrails | None = None,
) -> list[Plan]:
    """Return the plans of these scenarios, which are all of one stack: one each, or one for each of its sabotages.

    `guardrails` are those of the command line, besides those of the stack and of the scenarios.
    """
    catalogue = Catalogue(stack, Faults())
    facts = stack_facts(catalogue)
    plans: list[Plan] = []
    for item in loaded:
        scenario = with_steady_state(item.scenario, stack)
        plan = Plan(
            run=run_name(item),
            scenario=scenario,
            stack=facts,
            seed=effective_seed(seed, scenario),
            backend=backend,
            guard=planned_guard(scenario, catalogue),
            links=proxied_links(scenario.timeline, catalogue),
            file=item.source.file,
            matrix=item.matrix,
            attach=attached_project(stack, backend, attach),
            abort_if=rules_of(scenario, stack, guardrails),
            limits=limits_of(scenario, stack, guardrails),
        )
        plans += _twins(plan, catalogue, twin)
    return plans


def attached_project(stack: StackDescription, backend: str, given: str | None) -> str | None:
    """Return the compose project that a run attaches to: the given one, or that of a stack the harness does not own."""
    return project_of(stack, given) if backend == "compose" and stack.ownership == "attached" else given


def with_steady_state(scenario: Scenario, stack: StackDescription) -> Scenario:
    """Return a scenario with its stack's steady state after its own; one of its own replaces that of the same id."""
    own = {bound.id for bound in scenario.steady_state}
    more = tuple(bound for bound in stack.steady_state if bound.id not in own)
    return scenario.model_copy(update={"steady_state": (*scenario.steady_state, *more)}) if more else scenario


def rules_of(scenario: Scenario, stack: StackDescription, given: Guardrails | None = None) -> tuple[AbortRule, ...]:
    """Return when a run is aborted: every rule of the stack, of the scenario, and of those given."""
    return all_rules((stack.guardrails.abort_if, scenario.abort_if, given.abort_if if given is not None else ()))


def limits_of(scenario: Scenario, stack: StackDescription, given: Guardrails | None = None) -> Limits:
    """Return how much the faults of a run may do: of each limit the strictest."""
    return strictest([stack.guardrails.limits, scenario.limits, *([given.limits] if given is not None else [])])


def _twins(plan: Plan, catalogue: Catalogue, twin: Twin | None) -> Iterator[Plan]:
    if twin is None:
        yield plan
    elif twin == "control":
        yield control_of(plan)
    elif twin == "misfire":
        yield misfire_of(plan, catalogue)
    else:
        for sabotage in sabotages(plan.scenario, catalogue.stack):
            name = _bounded(f"{plan.run}~sabotage-{sabotage.kind}-{sabotage.name}", LONGEST_OF_A_TWIN)
            yield plan.model_copy(update={"run": name, "twin": "sabotage", "sabotage": sabotage})


def control_of(plan: Plan) -> Plan:
    """Return the same run without its fault."""
    control = {"run": f"{plan.run}~control", "twin": "control", "control_of": plan.run, "paired": False}
    return plan.model_copy(update=control)


def misfire_of(plan: Plan, catalogue: Catalogue) -> Plan:
    """Return the same run with its faults at targets where they cannot matter; `unaimed` where one has no such target.

    The links that the scenario means run through the fault proxy all the same: nothing but the target is different.
    """
    aimed = aim(plan.scenario, catalogue)
    misfire = {
        "run": f"{plan.run}~misfire",
        "twin": "misfire",
        "scenario": plan.scenario.model_copy(update={"timeline": aimed.timeline}),
        "links": proxied_links((*plan.scenario.timeline, *aimed.timeline), catalogue),
        "meant": aimed.meant,
        "unaimed": aimed.missing,
    }
    return plan.model_copy(update=misfire)


def with_controls(plans: Iterable[Plan]) -> list[Plan]:
    """Return each plan, to be judged as a pair, followed by its control."""
    paired = [plan.model_copy(update={"paired": True}) for plan in plans]
    return [member for plan in paired for member in (plan, control_of(plan))]


def run_name(loaded: Loaded) -> str:
    """Return a name that is safe as a folder's and in a shell: `slow-object-store@latency=1s`."""
    name = loaded.scenario.scenario
    if loaded.matrix:
        values = ",".join(f"{key}={as_text(value)}" for key, value in loaded.matrix.items())
        safe = _UNSAFE.sub("_", values)
        name += f"@{safe}" if safe == values else f"@{safe}-{_digest(values)}"
    # Room is left for the twin's ending: a folder's name has at most 255 bytes.
    return _bounded(name, LONGEST_NAME)


def _bounded(name: str, most_bytes: int) -> str:
    """Return a name of at most so many bytes, which differs where names do."""
    if len(name.encode()) <= most_bytes:
        return name
    return f"{name.encode()[: most_bytes - 9].decode(errors='ignore')}-{_digest(name)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def sabotages(scenario: Scenario, stack: StackDescription) -> list[Sabotage]:
    """Return what the sabotage twins of a scenario switch off, one each: its alert rules, then its recoveries."""
    found = []
    for alert in dict.fromkeys(clause.alert for clause in scenario.expect.detected):
        breaks = tuple(clause.id for clause in scenario.expect.detected if clause.alert == alert)
        off = stack.alerts[alert].off
        if off is not None:
            found.append(_sabotage("alert", alert, breaks, off))
    for recovery, breaks in scenario.sabotage.items():
        off = stack.recoveries[recovery].off
        if off is not None:
            found.append(_sabotage("recovery", recovery, breaks, off))
    return found


def not_sabotaged(scenario: Scenario, stack: StackDescription) -> list[str]:
    """Return the detected alerts whose rules the stack does not say how to switch off."""
    alerts = dict.fromkeys(clause.alert for clause in scenario.expect.detected)
    return [alert for alert in alerts if stack.alerts[alert].off is None]


def _sabotage(kind: Literal["alert", "recovery"], name: str, breaks: tuple[str, ...], off: OffSwitch) -> Sabotage:
    return Sabotage(kind=kind, name=name, breaks=breaks, service=off.service, env=dict(off.env))


def effective_seed(given: int | None, scenario: Scenario) -> int:
    """Return the seed of a run: the given one, else the scenario's, else the default."""
    chosen = given if given is not None else scenario.seed
    return DEFAULT_SEED if chosen is None else chosen


def proxied_links(steps: Iterable[FaultStep], catalogue: Catalogue, extra: Iterable[str] = ()) -> tuple[Link, ...]:
    """Return every link that must run through the fault proxy, in the order of the stack."""
    disturbed = {name for step in steps for name in catalogue.links_of(step)} | set(extra)
    return tuple(link for link in catalogue.stack.links if link.name in disturbed)


def planned_guard(scenario: Scenario, catalogue: Catalogue) -> tuple[Guarded, ...]:
    """Return the guard of a run: the usual limits on what the stack makes measurable, as the scenario widens them."""
    spec = catalogue.stack.workload
    return guard_of(
        scenario.expect.guard,
        catalogue.answer_probes,
        scores_checked=catalogue.scores_checked,
        rate=spec.rate if spec is not None else None,
    )


def stack_facts(catalogue: Catalogue) -> StackFacts:
    """Return what the judge and the reader need to know of the stack."""
    stack = catalogue.stack
    return StackFacts(
        name=stack.name,
        services={service.name: service.node for service in stack.services.values()},
        alerts=tuple(stack.alerts),
        probe_units=catalogue.probe_units,
        freshness_s={group: age.value for group, age in stack.freshness.items()},
        integrity=catalogue.integrity,
        slow_s=stack.workload.slow_s if stack.workload else SLOW_S,
        alert_sources=tuple(source.name for source in stack.alert_sources),
        scores_checked=catalogue.scores_checked,
        probe_every_s={name: probe.every_s for name, probe in stack.probes.items()},
        wiring=wiring_of(stack),
    )
