"""Whether the faults of a scenario can go in on its stack: their kind, target and parameters, and those of misfires."""

from __future__ import annotations

from pydantic import ValidationError

from harness.faults.installed import Faults
from harness.model.errors import ScenarioError, did_you_mean
from harness.model.fault import FaultKind
from harness.model.faultstep import TARGETS, FaultStep
from harness.model.reach import whole_services
from harness.runner.checking.check_replicas import replica_problems
from harness.runner.checking.lookup import Lookup, Problems
from harness.runner.loading.explain import Place, problems, read_model
from harness.runner.loading.load import Loaded
from harness.runner.planning.misfire import in_common
from harness.runner.planning.never_touch import forbidden, named_by_commands


def check_fault(step: FaultStep, place: Place, lookup: Lookup) -> Problems:
    """Look up what one fault of the timeline names, and what it would touch."""
    if step.after is not None and step.after.alert is not None:
        yield from lookup.alert(step.after.alert, (*place, "after", "alert"))
    if step.after is not None and step.after.probe is not None:
        yield from lookup.bound(step.after.probe, (*place, "after", "probe"))
    if step.fault not in lookup.known.faults:
        remedy = did_you_mean(step.fault, lookup.known.faults)
        yield lookup.source.problem((*place, "fault"), f"unknown fault {step.fault!r}", remedy)
        return
    try:
        kind = lookup.known.faults[step.fault]
    except ScenarioError as error:
        yield lookup.source.problem((*place, "fault"), error.message, error.remedy)
        return
    wrong = [*_target(step, kind, (*place, "target"), lookup), *_parameters(step, kind, (*place, "with"), lookup)]
    wrong = wrong or list(replica_problems(step, kind, (*place, "target"), lookup))
    yield from wrong or _forbidden(step, place, lookup)
    yield from () if wrong else _stranded(step, kind, place, lookup)
    if step.misfire is not None:
        yield from _misfire(step, step.aimed_at(step.misfire), kind, (*place, "misfire"), lookup)


def needs_containers(loaded: Loaded) -> Problems:
    """Yield the faults of a scenario, one that was checked, that cannot go into a stack of local processes."""
    kinds = Faults()
    for index, step in enumerate(loaded.scenario.timeline):
        if kinds[step.fault].in_containers:
            message = f"{step.fault} acts on containers, and the stack would run as local processes"
            yield loaded.source.problem(("timeline", index, "fault"), message, "run it with --backend compose")


def _misfire(step: FaultStep, aimed: FaultStep, kind: FaultKind, place: Place, lookup: Lookup) -> Problems:
    wrong = [*_target(aimed, kind, (*place, "target"), lookup), *_parameters(aimed, kind, (*place, "with"), lookup)]
    wrong = wrong or list(replica_problems(aimed, kind, (*place, "target"), lookup))
    yield from wrong or _forbidden(aimed, place, lookup)
    shared = in_common(step, aimed, lookup.known) if not wrong else None
    if shared is not None:
        message = f"the fault matters here too: both targets have {shared} in common"
        yield lookup.source.problem((*place, "target"), message, "name a target that nothing judged depends on")


def _forbidden(step: FaultStep, place: Place, lookup: Lookup) -> Problems:
    """Refuse a fault that touches what the stack says must never be touched."""
    named = named_by_commands(step, lookup.known)
    inside, found = named if named is not None else (("target",), forbidden(step, lookup.known))
    if found is not None:
        remedy = f"aim it at something else; {lookup.known.stack.file} lists it in x-harness.never_touch"
        yield lookup.source.problem((*place, *inside), found, remedy)


def _stranded(step: FaultStep, kind: FaultKind, place: Place, lookup: Lookup) -> Problems:
    """Refuse a fault that no revert restores: services in the network of a container stay without it once it ends."""
    services = lookup.known.stack.services
    hit = set(whole_services(step.target, lookup.known.stack.nodes)) if kind.may_restart(step) else set()
    for name in sorted(hit):
        left = sorted(other for other, spec in services.items() if name in spec.joined and other not in hit)
        if left:
            those = ", ".join(map(repr, left))
            message = f"{step.fault} starts {name!r} again, and {those} in its network or processes would lose them"
            remedy = (
                "aim it at a node that has all of them, or use a fault that ends no container, such as container.pause"
            )
            yield lookup.source.problem((*place, "target"), message, remedy)


def _target(step: FaultStep, kind: FaultKind, place: Place, lookup: Lookup) -> Problems:
    given = step.target.kind
    if given not in kind.targets:
        message = f"{step.fault} does not act on a {given}"
        yield lookup.source.problem((*place, given), message, f"it acts on: {', '.join(kind.targets)}")
        return
    valid = lookup.known.of_target(given)
    value = getattr(step.target, given)
    if not isinstance(value, tuple):
        yield from lookup.named(given, value, valid, (*place, given))
        if given == "service" and value in valid and "link" in kind.targets and not lookup.known.links_of(step):
            message = f"{step.fault} acts on the links that lead to {value!r}, and none does"
            yield lookup.source.problem((*place, given), message, f"links: {', '.join(lookup.known.links)}")
        return
    if not value:
        yield lookup.source.problem((*place, given), "this is empty", "at least one is needed here")
    for index, name in enumerate(value):
        yield from lookup.named(given.removesuffix("s"), name, valid, (*place, given, index))
        if name in value[:index]:
            yield lookup.source.problem((*place, given, index), f"{name!r} is listed twice")


def _parameters(step: FaultStep, kind: FaultKind, place: Place, lookup: Lookup) -> Problems:
    try:
        read_model(kind.parameters, step.parameters)
    except ValidationError as error:
        yield from problems(error, kind.parameters, step.parameters, lookup.source, place)
        return
    # A parameter that is called like a kind of target names one.
    for name in kind.parameters.model_fields:
        value = step.parameters.get(name)
        if name in TARGETS and isinstance(value, str):
            yield from lookup.named(name, value, lookup.known.of_target(name), (*place, name))
