"""Candidates for probes of the services that were found; `harness doctor` tries each of them.

By what they ask: `stores`, the API of a tool (`tools`), servers with a protocol of their own (`protocols`), and when a
job last ran (`last_runs`). Read-only ones. A candidate has the bound that a healthy service keeps, where one is known,
so that first scenarios can use it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.onboarding.discovery.candidate import Candidate, name_of
from harness.onboarding.discovery.exporting import Exporters
from harness.onboarding.discovery.probes.last_runs import of_last_runs
from harness.onboarding.discovery.probes.protocols import by_protocol
from harness.onboarding.discovery.probes.stores import locked, of_store
from harness.onboarding.discovery.probes.tools import as_neighbour, of_tool, working
from harness.onboarding.discovery.project import Project
from harness.onboarding.discovery.prometheus_files import Rule
from harness.onboarding.discovery.services import FoundService


def candidates(
    project: Project, services: Mapping[str, FoundService], rules: Sequence[Rule], exporters: Exporters
) -> list[Candidate]:
    """Return the probes that may be had: of each service in turn, then those that need its store, then last runs."""
    last_runs = of_last_runs(project, services, rules, exporters)
    return [*_of_each(project, services), *working(project, services), *last_runs]


def no_access(project: Project, services: Mapping[str, FoundService]) -> dict[str, str]:
    """Return the stores of which nothing is probed, each with why nobody is let in who reads these files."""
    stores = [found for found in services.values() if found.port is not None and not found.job]
    found = {store.name: locked(project, store, services) for store in stores}
    return {name: why for name, why in found.items() if why is not None}


def _of_each(project: Project, services: Mapping[str, FoundService]) -> list[Candidate]:
    found: dict[str, Candidate] = {}
    for service in services.values():
        if service.job or service.unreached:
            continue
        own = list(_up(project, service))
        if service.replicas == 1:  # other probes ask at one address, and each replica has its own
            own += [*of_tool(project, service), *of_store(project, service, services)]
            if locked(project, service, services) is None:
                own += by_protocol(project, service, services, unknown=not own)
        if not any(candidate.good for candidate in own):
            own.insert(0, _runs(service))
        for candidate in own:
            found.setdefault(candidate.name, candidate)
    return list(found.values())


def _up(project: Project, service: FoundService) -> Iterator[Candidate]:
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


def _runs(service: FoundService) -> Candidate:
    """What the engine says of it: where nothing better can be asked."""
    if service.checks_itself:
        spec = {"container": {"service": service.name, "read": "healthy"}}
        why, name = "what compose's own health check of it says; in containers only", name_of(service.name, "healthy")
    else:
        spec = {"container": {"service": service.name, "read": "up"}}
        why, name = "whether its process or container runs, which is little", name_of(service.name, "runs")
    if not service.goes_on:
        why += "; it may end by itself"
    return Candidate(name, spec, service.name, why, {"at_least": 1}, sure=service.goes_on)
