"""Links between services: whether each runs through a proxy now, and which faults can be confirmed there.

A fault on a link is confirmed by an answer to a request of the harness's own, in the protocol of the service. Of a
service that answers none, no fault could ever be told from silence, and a run with one would be unknown.
"""

from __future__ import annotations

import asyncio

from harness.faults.links import DOES, request_to
from harness.faults.table import FAULTS
from harness.model.backend import Backend
from harness.model.errors import HarnessError
from harness.model.fields import Link
from harness.model.stack import ServiceSpec, StackDescription
from harness.onboarding.doctor.checks import Finding
from harness.seams import Seams
from harness.seams.greetings import ROLES, asked_as, request_of
from harness.seams.link import Exchange, LinkHandle, exchange_at

ROUND_TRIP_S = 2.0


async def links(stack: StackDescription, backend: Backend) -> list[Finding]:
    """Examine every link of the stack."""
    if not stack.links:
        remedy = "name the port together with the service (db:5432), or list x-harness.links"
        return [Finding("link", "none", "note", "no link between services was found", remedy)]
    by_answers = tuple(name for name, kind in FAULTS.items() if kind.by_answers)
    seams = Seams(backend, stack)
    return list(await asyncio.gather(*(_link(link, stack, backend, seams, by_answers) for link in stack.links)))


async def _link(
    planned: Link, stack: StackDescription, backend: Backend, seams: Seams, faults: tuple[str, ...]
) -> Finding:
    name, service = planned.name, stack.services[planned.service]
    if service.port is None:
        return Finding("link", name, "wrong", f"{service.name} has no port", f"add x-harness.port to {service.name}")
    if name not in backend.links:
        return await _without_proxy(name, service, stack, backend, faults)
    try:
        ports = seams.link(name)
        toxics = [toxic for port in ports for toxic in await port.toxics()]
        tried = [await _try(port, seams) for port in ports]
    except HarnessError as error:
        return Finding("link", name, "wrong", str(error))
    if toxics:
        return Finding("link", name, "wrong", f"has faults on it: {', '.join(toxics)}", "`harness heal` reverts them")
    for port, direct, _ in tried:
        if direct.outcome != "answered":
            return _unanswered(name, service, port.port, "runs through the proxy", direct, faults)
    for port, _, through in tried:
        if through.outcome != "answered":
            return Finding(
                "link", name, "wrong", "no answer comes through its proxy", f"is {port.port} the port in use?"
            )
    times = ", ".join(f"{through.time_s * 1e3:.1f} ms" for _, _, through in tried)
    says = f"runs through the proxy: {times} ({_asked(service, service.port)}); can be confirmed: {', '.join(faults)}"
    return Finding("link", name, "ok", says, confirms=faults)


async def _try(port: LinkHandle, seams: Seams) -> tuple[LinkHandle, Exchange, Exchange]:
    """Ask over one port of a link, directly and through its proxy."""
    request = request_to(port, seams)
    direct = await port.exchange(request, ROUND_TRIP_S, direct=True)
    return port, direct, await port.exchange(request, ROUND_TRIP_S)


def _asked(service: ServiceSpec, port: int) -> str:
    if port != service.port:
        return asked_as(port, None)
    return asked_as(port, service.health.http if service.health is not None else None, service.roles)


async def _without_proxy(
    name: str, service: ServiceSpec, stack: StackDescription, backend: Backend, faults: tuple[str, ...]
) -> Finding:
    """Say how a proxy comes to be there, and whether a fault could be confirmed then: the service is asked directly."""
    assert service.port is not None
    says, remedy = "runs directly; a run with a fault on it starts a proxy for it", None
    confirms: tuple[str, ...] | None = None
    if stack.ownership == "attached":
        says, confirms = "runs directly, and an attached stack is not restarted", ()
        remedy = "start the stack with `harness up --links all`, or have the harness own it"
    try:
        direct = await exchange_at(backend.resolve(f"{service.name}:{service.port}"), request_of(service), ROUND_TRIP_S)
    except HarnessError:  # it does not run, or cannot be reached from here: `service` tells
        return Finding("link", name, "note", says, remedy, confirms=confirms)
    if direct.outcome != "answered":
        return _unanswered(name, service, service.port, says, direct, faults)
    says += f"; could be confirmed through one: {', '.join(faults)} ({_asked(service, service.port)})"
    return Finding("link", name, "note", says, remedy, confirms=confirms)


def _unanswered(
    name: str, service: ServiceSpec, port: int, says: str, direct: Exchange, faults: tuple[str, ...]
) -> Finding:
    where = "" if port == service.port else f" at its port {port}"
    what = (
        f"{service.name} {DOES[direct.outcome]}{where} when it is {_asked(service, port)}, so that none of "
        f"{', '.join(faults)} can be confirmed"
    )
    remedy = (
        f"give {service.name} a page to ask for (x-harness.health: {{http: /PATH}}), or the role of its protocol "
        f"(x-harness.roles: one of {', '.join(ROLES)})"
    )
    return Finding("link", name, "note", f"{says}; {what}", remedy, confirms=())
