"""Whether a fault can act on the replicas of the services that it is aimed at: all of them, or those that it names."""

from __future__ import annotations

from harness.model.fault import FaultKind
from harness.model.faultstep import FaultStep
from harness.model.reach import services_named, whole_services
from harness.runner.checking.lookup import Lookup, Problems
from harness.runner.loading.explain import Place


def replica_problems(step: FaultStep, kind: FaultKind, place: Place, lookup: Lookup) -> Problems:
    """Refuse a replica that is not there, and a fault that could act on some replicas only, or on one alone."""
    stack, target = lookup.known.stack, step.target
    if target.part is not None:
        yield from _part(step, kind, (*place, target.part), lookup)
        return
    hit = (*whole_services(target, stack.nodes), *services_named(step)) if kind.in_containers else ()
    for name in hit:
        service = stack.services.get(name)
        if service is None or service.replicas == 1 or (service.replicas and kind.each_replica):
            continue
        has = f"{name!r} has {service.replicas} replicas" if service.replicas else f"{name!r} is scaled to 0"
        remedy = "aim it at a service with one container" if service.replicas else "scale it to one or more"
        message = f"{step.fault} acts on the container of a service, and {has} in {stack.file}"
        yield lookup.source.problem(place, message, remedy)


def _part(step: FaultStep, kind: FaultKind, place: Place, lookup: Lookup) -> Problems:
    stack, target = lookup.known.stack, step.target
    assert target.service is not None
    service = stack.services[target.service]
    if not kind.each_replica:
        why = (
            "acts on links, and the replicas of a service have them in common"
            if "link" in kind.targets
            else ("does not act on one replica by itself")
        )
        remedy = f"leave `{target.part}` out, or use a fault on containers, such as container.pause"
        yield lookup.source.problem(place, f"{step.fault} {why}", remedy)
    elif service.replicas < 2 and stack.ownership == "owned":
        message = f"{service.name!r} has one container, and `{target.part}` says which of several"
        remedy = f"leave `{target.part}` out, or give it `deploy: {{replicas: 3}}` in {stack.file}"
        yield lookup.source.problem(place, message, remedy)
    elif target.replica is not None and stack.ownership == "owned" and target.replica > service.replicas:
        message = f"{service.name!r} has {service.replicas} replicas, and no {target.replica}"
        yield lookup.source.problem(place, message, f"write a number from 1 to {service.replicas}")
