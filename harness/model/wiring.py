"""How the services of a stack depend on one another, as far as a verdict's advice needs it, written into each plan.

The judge reads no stack file: what its advice says of links, restart policies, probes and rules comes from here. A
journal of an earlier version has none of it, and gets no advice that would rest on it.
"""

from __future__ import annotations

from pydantic import Field

from harness.model.dependencies import reached
from harness.model.fields import Frozen, Link


class ProbeFacts(Frozen):
    """What a probe asks."""

    kind: str
    services: tuple[str, ...] = Field(default=(), description="the services that its settings name")
    health: bool = Field(
        default=False, description="whether it asks no more than whether, and how fast, a page is answered"
    )
    page: str = Field(default="", description="what it asks for: a path, a metric, a query, a key")


class Wiring(Frozen):
    """Who uses whom."""

    links: tuple[str, ...] = ()
    restart: dict[str, str] = Field(default_factory=dict, description="the restart policy of each service")
    replicas: dict[str, int] = Field(
        default_factory=dict, description="how many containers a service has, where it has several"
    )
    probes: dict[str, ProbeFacts] = Field(default_factory=dict)
    workload: str | None = Field(default=None, description="the service that the requests go to")
    keyspaces: dict[str, str] = Field(default_factory=dict, description="key space to the service that holds it")
    datasets: dict[str, str] = Field(default_factory=dict, description="dataset to the service that holds it")
    sources: dict[str, str] = Field(default_factory=dict, description="alert source to the service that is asked")
    rules: dict[str, str] = Field(default_factory=dict, description="alert to the file and line of its rule")

    @property
    def pairs(self) -> tuple[Link, ...]:
        """The links, taken apart."""
        return tuple(map(Link.parse, self.links))

    def used_by(self, service: str) -> tuple[str, ...]:
        """Return the services that a service has links to."""
        return tuple(link.service for link in self.pairs if link.consumer == service)

    def reaches(self, service: str, other: str) -> bool:
        """Whether a service uses another one, itself or by way of those that it uses."""
        return other != service and other in reached([service], self.used_by)

    def only_directly(self, consumer: str, service: str) -> bool:
        """Whether a consumer uses a service, and nothing else that it uses does."""
        used = self.used_by(consumer)
        others = (one for one in used if one not in (service, consumer))
        return service in used and not any(self.reaches(one, service) for one in others)
