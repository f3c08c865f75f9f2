"""What was found, as far as scenarios rest on it: services, who needs whom, what can be measured, alert rules."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.model.dependencies import reached
from harness.model.fault import FaultKind
from harness.model.units import Quantity, Unit
from harness.onboarding.discovery.prometheus_files import Timing
from harness.onboarding.discovery.services import FoundService
from harness.onboarding.discovery.starters.rules import RuleFacts

STORES = ("store", "queue")
PRODUCES = ("pipeline", "training")
_SHOWS_PAGES = ("airflow-web", "prefect")
"""Kinds among the pipelines that show what others do."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing on which a scenario can put a bound: a probe, or the answers to the workload."""

    name: str
    services: frozenset[str]
    """The services that its reading is about."""
    good: Mapping[str, Any]
    """The bound that a healthy stack keeps; empty where none is known."""
    sure: bool
    works: bool
    """Whether its reading needs the service to do its work. A health page is answered without that."""
    needs: tuple[str, ...] = ()
    """The kinds of store that this work needs; where none is named, it may be any."""
    ages: bool = False
    """Whether it tells how old something is."""
    over_http: bool = False
    of_engine: bool = False
    """Whether it only tells what the engine knows of a container."""
    answers: bool = False
    """Whether it is made of the answers to the workload."""
    never_breaks: bool = False
    """Whether its bound must hold whatever is broken: nobody may be told what is wrong without a sign of it."""

    @property
    def breaks_after_s(self) -> int | None:
        """How long whoever writes has to pause until the bound on an age is broken for certain; None if nobody knows.

        Nobody does for an age in event time.
        """
        if not self.ages or "at_most" not in self.good:
            return None
        limit = Quantity.parse(self.good["at_most"])
        return None if limit.unit is Unit.EVENT else int(limit.value * 1.5) + 10


@dataclass(frozen=True, slots=True)
class Declared:
    """The seams that the stack's file declares: which faults on data, and which evidence, are possible."""

    steady: frozenset[str] = frozenset()
    """The probes in the steady state of the stack."""
    workload: frozenset[str] = frozenset()
    """The services that the workload's requests are sent to; empty without one."""
    timeout_s: float | None = None
    """How long an answer to the workload may take until it counts as none."""
    models: tuple[str, ...] = ()
    """The datasets that hold models."""
    model_stores: frozenset[str] = frozenset()
    """The services that keep them."""
    traces_examples: bool = False
    """Whether the evidence of `examples_exactly_once` is declared."""


@dataclass(frozen=True)
class Context:
    """All of it. `memory` has the mounts of a service that lie in memory and have a size."""

    services: Mapping[str, FoundService]
    nodes: Mapping[str, Sequence[str]]
    links: Sequence[tuple[str, str]]
    measures: Sequence[Measure]
    rules: Sequence[RuleFacts]
    timing: Timing
    faults: Mapping[str, FaultKind]
    declared: Declared = field(default_factory=Declared)
    memory: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unclear: Sequence[tuple[str, str]] = ()
    """Links of which it is not clear whether there are any: an environment that others have too names the address."""

    def consumers(self, service: str) -> list[str]:
        """Return who talks to a service, but for jobs that end by themselves and who only watches."""
        return list(self._consumers.get(service, ()))

    @cached_property
    def _consumers(self) -> dict[str, dict[str, None]]:
        found: dict[str, dict[str, None]] = {}
        for consumer, service in self.links:
            if self.services[consumer].kind.what != "watch" and not self.services[consumer].job:
                found.setdefault(service, {})[consumer] = None
        return found

    def callers(self, services: Collection[str]) -> set[str]:
        """Return who needs services: who talks to them, and who talks to those."""
        return reached(services, self.consumers) - set(services)

    def waits_s(self, services: Collection[str]) -> float | None:
        """Return how long requests of the workload wait that may need these services; None where there are none."""
        near = {*services, *self.callers(services)}
        return self.declared.timeout_s if near & self.declared.workload else None

    def could_feel(self, measure: Measure, at: Collection[str], hit: Collection[str]) -> bool:
        """Whether a measure asks for work at these services that may need what is hit."""
        kinds = {self.services[name].kind.name for name in hit if self.services[name].kind.what in STORES}
        fits = not measure.needs or bool(kinds & set(measure.needs))
        asked = measure.services | {one.name for one in self.writers(measure)}
        return measure.works and fits and bool(asked & set(at))

    def writers(self, measure: Measure) -> list[FoundService]:
        """Return who may write what an age tells of; nobody where it is no age."""
        able = filter(self.produces, self.services.values()) if measure.ages else ()
        return [one for one in able if measure.services & set(self.uses(one.name, *STORES))]

    def only_writer(self, measure: Measure) -> FoundService | None:
        """Return who alone writes what an age tells of; None where several may, or have its address."""
        writers = self.writers(measure)
        others = {consumer for consumer, other in self.unclear if other in measure.services}
        sole = len(writers) == 1 and not others - {one.name for one in writers}
        return writers[0] if sole else None

    def produces(self, service: FoundService) -> bool:
        """Whether a service writes into a store: a pipeline, a trainer, or one that nobody but a monitor asks."""
        if not self.uses(service.name, *STORES) or service.job or service.unreached:
            return False
        known = service.kind.what in PRODUCES and service.kind.name not in _SHOWS_PAGES
        return known or (service.kind.what == "other" and service.goes_on and not self.consumers(service.name))

    def uses(self, service: str, *whats: str) -> list[str]:
        """Return whom of these groups a service talks to."""
        used = dict.fromkeys(other for consumer, other in self.links if consumer == service)
        return [name for name in used if self.services[name].kind.what in whats]

    def reachable(self, *whats: str) -> list[FoundService]:
        """Return the services of these groups that have a port, the groups in this order."""
        able = [one for one in self.services.values() if one.port is not None and not one.job and not one.unreached]
        return [service for what in whats for service in able if service.kind.what == what]

    def with_node(self, service: str) -> tuple[str, list[str]]:
        """Return the node of a service, and which others are on it."""
        node = self.services[service].node
        name = str(node.value) if node is not None else service
        return name, [other for other in self.nodes.get(name, ()) if other != service and other in self.services]

    def dies_with(self, services: Collection[str]) -> list[str]:
        """Return who may well end when these are gone: those that talk to them and that the engine starts again."""
        callers = {caller for name in services for caller in self.consumers(name)} - set(services)
        return [name for name in self.services if name in callers and self.services[name].restart not in ("no", "")]

    def concerning(self, services: Collection[str]) -> list[RuleFacts]:
        """Return the rules that may be about these services, or about who needs them."""
        near = {*services, *self.callers(services)}
        return [rule for rule in self.rules if near & rule.about]
