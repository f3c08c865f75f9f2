"""Probes that may be had of the services that were found, by kind; each is to be tried by `harness doctor`.

Only what can be asked without writing anything. A candidate says which bound would be good of it, where one can be
told, so that first scenarios can use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.runner.discovery.compose_project import Project
from harness.runner.discovery.guesses import Found


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
    from harness.runner.discovery.store_candidates import of_store
    from harness.runner.discovery.tool_candidates import of_tool

    found: dict[str, Candidate] = {}
    for service in services.values():
        if service.job:
            continue
        for candidate in (*_up(service), *of_tool(project, service), *of_store(project, service, services)):
            found.setdefault(candidate.name, candidate)
    return list(found.values())


def name_of(service: str, ending: str) -> str:
    """Return a probe's name: the service's, and what is measured."""
    return f"{re.sub(r'[^A-Za-z0-9]+', '_', service).strip('_')}_{ending}"


def _up(service: Found) -> Iterator[Candidate]:
    """Whether it answers on its health path; else what its own health check says; else whether it runs."""
    health = service.health
    path = health.value.get("http") if health is not None else None
    up: Mapping[str, Any] = {"at_least": 1}
    if health is not None and path is not None:
        spec = {"http": {"url": f"http://{service.address}{path}"}, "summary": f"1 while {service.name} answers {path}"}
        yield Candidate(name_of(service.name, "up"), spec, service.name, health.why, up, sure=health.sure)
        if service.kind.what in ("serving", "gateway"):
            spec = {"http": {"url": f"http://{service.address}{path}", "read": "latency"}}
            why = "how long that answer takes; better is a request of your own: `method`, `body`"
            yield Candidate(name_of(service.name, "latency"), spec, service.name, why)
    elif service.checks_itself:
        spec = {"container": {"service": service.name, "read": "healthy"}}
        why = "what compose's own health check of it says; in containers only"
        yield Candidate(name_of(service.name, "healthy"), spec, service.name, why, up, sure=True)
    else:
        spec = {"container": {"service": service.name, "read": "up"}}
        why = "whether its container runs, which is little; in containers only"
        yield Candidate(name_of(service.name, "runs"), spec, service.name, why, up, sure=True)
