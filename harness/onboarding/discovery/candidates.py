"""Probes that may be had of the services that were found, by kind; each is to be tried by `harness doctor`.

Only what can be asked without writing anything. A candidate says which bound would be good of it, where one can be
told, so that first scenarios can use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.onboarding.discovery.compose_project import Project
from harness.onboarding.discovery.guesses import Found


@dataclass(frozen=True, slots=True)
class Candidate:
    """A probe: its name, what is written of it, the service that it is about, why, and the bound that is good."""

    name: str
    spec: Mapping[str, Any]
    service: str
    why: str
    good: Mapping[str, Any] = field(default_factory=dict)
    ages: bool = False
    """Whether it tells how old something is."""
    sure: bool = False


def candidates(project: Project, services: Mapping[str, Found]) -> list[Candidate]:
    """Return the probes that may be had, in the order of the services."""
    from harness.onboarding.discovery.store_candidates import of_store
    from harness.onboarding.discovery.tool_candidates import of_tool

    found: dict[str, Candidate] = {}
    for service in services.values():
        if service.job:
            continue
        own = [*_up(project, service), *of_tool(project, service), *of_store(project, service, services)]
        if not any(candidate.good for candidate in own):
            own.insert(0, _runs(service))
        for candidate in own:
            found.setdefault(candidate.name, candidate)
    return list(found.values())


def name_of(service: str, ending: str) -> str:
    """Return a probe's name: the service's, and what is measured."""
    return f"{re.sub(r'[^A-Za-z0-9]+', '_', service).strip('_')}_{ending}"


def _up(project: Project, service: Found) -> Iterator[Candidate]:
    """Whether it answers on its health path, and how fast."""
    health = service.health
    path = health.value.get("http") if health is not None else None
    if health is None or path is None:
        return
    access = {"url": f"http://{service.address}{path}", **as_neighbour(project, service)}
    spec = {"http": access, "summary": f"1 while {service.name} answers {path}"}
    yield Candidate(name_of(service.name, "up"), spec, service.name, health.why, {"at_least": 1}, sure=health.sure)
    if service.kind.what in ("serving", "gateway"):
        spec = {"http": {**access, "read": "latency"}, "summary": f"How long {service.name} takes to answer {path}"}
        why = "what its users wait for is another request, which only you can write: `method`, `body`"
        yield Candidate(name_of(service.name, "latency"), spec, service.name, why)


def as_neighbour(project: Project, service: Found) -> dict[str, Any]:
    """Return the headers that a service asks for which only answers to names that it knows."""
    line = str(project.services[service.name].get("command") or "")
    picky = "MLFLOW_SERVER_ALLOWED_HOSTS" in service.environment or "--allowed-hosts" in line
    return {"headers": {"Host": service.address}} if picky else {}


def _runs(service: Found) -> Candidate:
    """What the engine says of it: where nothing better can be asked."""
    if service.checks_itself:
        spec = {"container": {"service": service.name, "read": "healthy"}}
        why, name = "what compose's own health check of it says; in containers only", name_of(service.name, "healthy")
    else:
        spec = {"container": {"service": service.name, "read": "up"}}
        why, name = "whether its container runs, which is little; in containers only", name_of(service.name, "runs")
    return Candidate(name, spec, service.name, why, {"at_least": 1}, sure=True)
