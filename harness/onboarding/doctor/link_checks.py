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
from harness.seams.greetings import ROLES
from harness.seams.link import Exchange

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
        return _without_proxy(name, stack)
    try:
        ports = seams.link(name)
        link = ports[0]
        toxics = [toxic for port in ports for toxic in await port.toxics()]
        request = request_to(link, seams)
        direct = await link.exchange(request, ROUND_TRIP_S, direct=True)
        through = await link.exchange(request, ROUND_TRIP_S)
    except HarnessError as error:
        return Finding("link", name, "wrong", str(error))
    if toxics:
        return Finding("link", name, "wrong", f"has faults on it: {', '.join(toxics)}", "`harness heal` reverts them")
    if direct.outcome != "answered":
        return _unanswered(name, service, "runs through the proxy", direct, faults)
    if through.outcome != "answered":
        return Finding(
            "link", name, "wrong", "no answer comes through its proxy", f"is {service.port} the port in use?"
        )
    says = f"runs through the proxy: {through.time_s * 1e3:.1f} ms; can be confirmed: {', '.join(faults)}"
    return Finding("link", name, "ok", says, confirms=faults)


def _without_proxy(name: str, stack: StackDescription) -> Finding:
    if stack.ownership == "attached":
        says = "runs directly, and an attached stack is not restarted"
        remedy = "start the stack with `harness up --links all`, or have the harness own it"
        return Finding("link", name, "note", says, remedy, confirms=())
    return Finding("link", name, "note", "runs directly; a run with a fault on it starts a proxy for it")


def _unanswered(name: str, service: ServiceSpec, says: str, direct: Exchange, faults: tuple[str, ...]) -> Finding:
    what = (
        f"{service.name} {DOES[direct.outcome]} when it is asked, so that none of {', '.join(faults)} can be confirmed"
    )
    remedy = (
        f"give {service.name} a page to ask for (x-harness.health: {{http: /PATH}}), or the role of its protocol "
        f"(x-harness.roles: one of {', '.join(ROLES)})"
    )
    return Finding("link", name, "note", f"{says}; {what}", remedy, confirms=())
