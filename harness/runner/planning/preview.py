"""What a run would do, as far as that is known before anything is started: what its faults hit, what it would read, and
which commands it would run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.faults.command import KIND as COMMAND
from harness.faults.installed import Faults
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen
from harness.model.plan import Plan
from harness.model.reach import services_named
from harness.model.stack import StackDescription
from harness.model.units import format_seconds
from harness.runner.planning.catalogue import Catalogue
from harness.runner.planning.never_touch import touched_by

_OF_COMMANDS = ("prepare", "inject", "confirm", "revert", "absent")
KINDS = ("service", "link", "node", "keyspace", "dataset")
COMMAND_PROBE = "command"


class CommandPreview(Frozen):
    """A command that a run would execute, as a list of words."""

    what: str
    where: str
    argv: tuple[str, ...]


class FaultPreview(Frozen):
    """One fault: when it would go in, on what, and what it would touch besides."""

    id: str
    fault: str
    when: str
    lasts: str
    target: str
    meant: str | None = None
    """In a misfire: the target that the scenario means."""
    injected: bool = True
    """Whether it goes in at all: it does not in a control."""
    hits: dict[str, tuple[str, ...]]
    """What it acts on itself, by kind."""
    touches: dict[str, tuple[str, ...]]
    """What it reaches by that, by kind."""
    parameters: dict[str, Any]


class Preview(Frozen):
    """One run."""

    run: str
    stack: str
    file: str
    backend: str
    attached: str | None
    """The compose project that is left as it is; None where the run owns its stack."""
    containers: str
    faults: tuple[FaultPreview, ...]
    measured: tuple[str, ...]
    commands: tuple[CommandPreview, ...]
    abort_if: tuple[str, ...]
    limits: tuple[str, ...]
    never_touch: tuple[str, ...]
    may_die: tuple[str, ...]


def preview(plan: Plan, stack: StackDescription) -> Preview:
    """Return what a run would do. Starts nothing and asks nothing."""
    catalogue = Catalogue(stack, Faults())
    steps = sorted(plan.scenario.timeline, key=lambda step: (step.at is None, step.at or 0.0))
    return Preview(
        run=plan.run,
        stack=stack.name,
        file=stack.file,
        backend=plan.backend,
        attached=plan.attach,
        containers=_containers(plan, stack),
        faults=() if plan.unaimed is not None else tuple(_fault(step, plan, catalogue) for step in steps),
        measured=tuple(_measured(stack)),
        commands=tuple(_commands(plan, stack)),
        abort_if=tuple(rule.text for rule in plan.abort_if),
        limits=plan.limits.texts,
        never_touch=stack.never_touch,
        may_die=plan.scenario.may_die,
    )


def _containers(plan: Plan, stack: StackDescription) -> str:
    if plan.backend == "local":
        return "none: processes of this run alone"
    if plan.attach is not None:
        return f"those of the running compose project {plan.attach}, found by their labels"
    number, services = sum(one.replicas for one in stack.services.values()), len(stack.services)
    several = any(one.replicas != 1 for one in stack.services.values())
    which = f"{number} of {services} services" if several else f"one for each of {services} services"
    return f"{which}, in a compose project of this run alone"


def when_of(step: FaultStep) -> str:
    """Return when a fault goes in, in words."""
    if step.at is not None:
        return f"at {format_seconds(step.at)}"
    assert step.after is not None
    if step.after.probe is not None:
        return f"after {step.after.probe.text}"
    return f"after {step.after.event or f'alert {step.after.alert}'}"


def _fault(step: FaultStep, plan: Plan, catalogue: Catalogue) -> FaultPreview:
    hits = _hits(step, catalogue)
    touched = touched_by(step, catalogue)
    besides = {kind: _sorted(name for what, name in touched if what == kind) for kind in KINDS}
    rest = {kind: tuple(name for name in names if name not in hits.get(kind, ())) for kind, names in besides.items()}
    meant = plan.meant_by(step)
    return FaultPreview(
        id=step.id,
        fault=step.fault,
        when=when_of(step),
        lasts=format_seconds(step.duration),
        target=str(step.target),
        meant=str(meant) if meant != step.target else None,
        injected=plan.faults_on,
        hits=hits,
        touches={kind: names for kind, names in rest.items() if names},
        parameters=step.parameters,
    )


def _hits(step: FaultStep, catalogue: Catalogue) -> dict[str, tuple[str, ...]]:
    """Return what a fault acts on itself: services, links or data of the stack."""
    if step.fault == COMMAND.kind:
        return {}
    found = catalogue.things_hit(step)
    if others := services_named(step):
        found["service"] = (*found.get("service", ()), *others)
    return {kind: found[kind] for kind in KINDS if kind in found}


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(dict.fromkeys(names)))


def _measured(stack: StackDescription) -> Iterable[str]:
    if stack.workload is not None:
        yield f"answers of {stack.workload.url}"
    for name, probe in stack.probes.items():
        yield f"{name}: {probe.kind}, every {format_seconds(probe.every_s)}"
    for source in stack.alert_sources:
        yield f"alerts of {source.name}"


def _commands(plan: Plan, stack: StackDescription) -> Iterable[CommandPreview]:
    here = f"on this machine, in {stack.folder}"
    for step in plan.scenario.timeline if plan.faults_on and plan.unaimed is None else ():
        for name in _OF_COMMANDS if step.fault == COMMAND.kind else ():
            argv = step.parameters.get(name)
            if argv:
                yield CommandPreview(what=f"fault {step.id}, {name}", where=here, argv=tuple(map(str, argv)))
    for name, probe in stack.probes.items():
        argv = getattr(probe.settings, "argv", None)
        if probe.kind == COMMAND_PROBE and argv:
            yield CommandPreview(what=f"probe {name}", where=here, argv=tuple(argv))
    inside = "in the stack's own environment"
    if stack.workload is not None and stack.workload.make is not None:
        yield CommandPreview(what="workload", where=inside, argv=stack.workload.make)
    if stack.data is not None:
        yield CommandPreview(what="data", where=inside, argv=stack.data.command)
    if stack.integrity.checkpoints is not None:
        yield CommandPreview(what="checkpoints", where=inside, argv=stack.integrity.checkpoints.command)
