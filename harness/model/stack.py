"""The stack description: what the harness knows of a system under test, read from its compose file.

Compose says which services there are; the `x-harness` fields say what compose cannot: nodes, ports, health, the local
command, probes, alert sources, and where the evidence of data integrity lies. Pure records:
`harness.description.stackfile` reads the file, and both backends and the checks of scenarios use what it gives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from harness.model.alertsources import AlertSource
from harness.model.clauses import Bound
from harness.model.datasets import Age, CheckSpec, DatasetSpec, Integrity, KeyspaceSpec
from harness.model.errors import did_you_mean
from harness.model.eventtime import EventTimes
from harness.model.fields import Command, Frozen, GrpcName, Link, Name, Port, Url
from harness.model.guardrails import Guardrails
from harness.model.probekinds import ProbeSpec
from harness.model.units import PositiveWallSeconds
from harness.model.workload import WorkloadSpec

MOST_SERVICES = 100
_OF_CALLERS = re.compile(r"CORS|ALLOWED|(^|_)(TRUSTED_)?ORIGINS?$|REDIRECT_UR[IL]S?$|(^|_)PUBLIC_URL$")
Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]
LinkName = Annotated[str, AfterValidator(lambda value: Link.parse(value).name)]


class Health(Frozen):
    """How to tell that a service is ready, on its port: an answer 200–399 to a GET of `http`, a connection for `tcp`,
    or SERVING as the answer to the health check of `grpc`, the name of a gRPC service.
    """

    http: str | None = None
    tcp: bool = False
    grpc: GrpcName | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Health:
        if (self.http is not None) + self.tcp + (self.grpc is not None) != 1:
            raise ValueError('exactly one of `http: /path`, `tcp: true` and `grpc: ""` is needed')
        if self.http is not None and not self.http.startswith("/"):
            raise ValueError(f"{self.http!r} is not a path; begin it with '/'")
        return self


class LocalCommand(Frozen):
    """How the local backend runs a service."""

    command: Command | None = None
    environment: dict[str, str] = Field(default_factory=dict)
    preload: tuple[str, ...] = ()


class ServiceFields(Frozen):
    """The `x-harness` fields of one service."""

    node: Name | None = None
    roles: tuple[Name, ...] = ()
    port: Port | None = None
    ports: tuple[Port, ...] = Field((), description="further ports, besides `port` and those that compose names")
    health: Health | None = None
    local: LocalCommand = Field(default_factory=LocalCommand)

    @model_validator(mode="after")
    def _health_needs_a_port(self) -> ServiceFields:
        if self.health is not None and self.port is None:
            raise ValueError("the health check needs `port`, which is missing")
        return self


class ServiceSpec(Frozen):
    """One service: what compose says of it that matters here, and its `x-harness` fields."""

    name: Name
    index: int
    node: Name
    roles: tuple[Name, ...] = ()
    port: Port | None = None
    ports: tuple[Port, ...] = Field((), description="every port inside the container that is known, the main one first")
    health: Health | None = None
    image: str | None = None
    build: bool = Field(False, description="whether compose can build its image")
    healthcheck: bool = Field(False, description="whether compose itself checks its health")
    networks: tuple[str, ...] = ("default",)
    environment: dict[str, str] = Field(default_factory=dict)
    command: tuple[str, ...] | None = None
    depends_on: dict[str, Condition] = Field(default_factory=dict)
    restart: str = "no"
    aliases: tuple[str, ...] = Field((), description="further names and addresses at which others reach it")
    names: tuple[str, ...] = Field((), description="other services that its part of the compose file names anywhere")
    inside: tuple[str, ...] = Field((), description="services whose network, processes or volumes it has as its own")
    joined: tuple[str, ...] = Field((), description="those of them whose network, processes or memory it has")
    mounts: tuple[str, ...] = Field((), description="volumes and folders that it mounts and others may mount too")
    replicas: int = Field(1, ge=0, description="how many containers compose starts of it")
    local: LocalCommand = Field(default_factory=LocalCommand)

    @property
    def local_command(self) -> tuple[str, ...] | None:
        """The argv of the local backend: the local one, else compose's."""
        return self.local.command or self.command


class EventClockEndpoint(Frozen):
    """Where the stack publishes its event time."""

    url: Url


class OffSwitch(Frozen):
    """The ordinary configuration that switches something off: environment variables of one service."""

    service: Name
    env: Annotated[dict[str, str], Field(min_length=1)]


class Switchable(Frozen):
    """An alert rule, a recovery or a guard of the stack, and how a sabotage twin switches it off."""

    summary: str = ""
    off: OffSwitch | None = None
    rule: str = Field("", description="of an alert: the file and line of its rule, for advice")


class ComposeFields(Frozen):
    """What the compose backend alone needs to know."""

    ready_within_s: Annotated[PositiveWallSeconds, Field(alias="ready_within")] = 120.0
    """For images that are there already."""
    project: Name | None = None
    """The compose project of an attached stack."""


class StackFields(Frozen):
    """The `x-harness` fields at the top of the compose file."""

    schema_version: Literal[1] = Field(alias="schema")
    stack: Annotated[Name, Field(max_length=100)] | None = None
    base: tuple[str, ...] = Field(
        (), description="the compose files that this one is laid over, relative to its folder"
    )
    profiles: tuple[Name | Literal["*"], ...] | None = Field(
        None, description="compose profiles that are switched on; unless given, those of COMPOSE_PROFILES"
    )
    more_links: tuple[LinkName, ...] = Field(
        (), alias="links", description="links that no service's configuration shows"
    )
    unused_links: tuple[LinkName, ...] = Field(
        (), description="links that a service's configuration shows, and that nobody uses"
    )
    ownership: Literal["owned", "attached"] = "owned"
    ready_within_s: PositiveWallSeconds = Field(20.0, alias="ready_within")
    compose: ComposeFields = Field(default_factory=ComposeFields)
    event_clock: EventClockEndpoint | None = None
    workload: WorkloadSpec | None = None
    freshness: dict[str, Age] = Field(default_factory=dict)
    probes: dict[Name, ProbeSpec] = Field(default_factory=dict)
    alert_sources: tuple[AlertSource, ...] = ()
    alerts: dict[Name, Switchable] = Field(default_factory=dict)
    recoveries: dict[Name, Switchable] = Field(default_factory=dict)
    datasets: dict[Name, DatasetSpec] = Field(default_factory=dict)
    keyspaces: dict[Name, KeyspaceSpec] = Field(default_factory=dict)
    integrity: Integrity = Field(default_factory=Integrity)
    data: CheckSpec | None = Field(None, description="prints the directory that `{data}` stands for")
    events: EventTimes | None = Field(None, description="the event times at which a run can start")
    never_touch: tuple[str, ...] = Field(
        (), description="services, links, key spaces, datasets and nodes that no fault may touch, in any way"
    )
    steady_state: tuple[Bound, ...] = Field(
        (), description="what must hold before the first fault of every scenario goes in"
    )
    guardrails: Guardrails = Field(
        default_factory=Guardrails, description="what aborts every run on this stack, and how much faults may do"
    )


class StackDescription(StackFields):
    """All that the harness knows of a stack: the fields at the top, and the services by name."""

    name: Name
    file: str
    files: tuple[str, ...] = Field((), description="every file for compose's -f, in order")
    services: dict[str, ServiceSpec]

    @property
    def folder(self) -> str:
        """The folder at which relative paths start: that of the first file."""
        return (self.files[0] if self.files else self.file).rpartition("/")[0] or "/"

    @property
    def nodes(self) -> dict[str, tuple[str, ...]]:
        """Each node with its services, in the order of the file."""
        found: dict[str, list[str]] = {}
        for service in self.services.values():
            found.setdefault(service.node, []).append(service.name)
        return {node: tuple(names) for node, names in found.items()}

    @property
    def links(self) -> tuple[Link, ...]:
        """Every link that a fault can reach: those that are shown, but for those that nobody uses."""
        return tuple(link for link in self.shown_links if link.name not in self.unused_links)

    @property
    def shown_links(self) -> tuple[Link, ...]:
        """Every link that is declared, or that its consumer's configuration shows by a port of the other."""
        found = []
        for consumer in self.services.values():
            named = {name for name, _ in self._named_by(consumer)}
            for service in self.services.values():
                link = Link(consumer.name, service.name)
                if consumer is not service and (link.name in self.more_links or service.name in named):
                    found.append(link)
        return tuple(found)

    def no_link(self, name: str) -> tuple[str, str]:
        """Say why a name is that of no link which a fault can reach, and what to do about it."""
        if name in self.unused_links:
            return f"nobody uses the link {name!r}, as x-harness.unused_links says", "take it out there if it is used"
        return f"unknown link {name!r}", did_you_mean(name, [link.name for link in self.links])

    @property
    def may_use(self) -> dict[str, tuple[str, ...]]:
        """Of each service the others that it may use: over a link, by a name in the compose file, or to start after.

        Who starts after another one may use it though `unused_links` says that nobody uses the link.
        """
        found: dict[str, dict[str, None]] = {name: {} for name in self.services}
        for link in self.links:
            found[link.consumer][link.service] = None
        for consumer in self.services.values():
            named = (name for name in consumer.names if Link(consumer.name, name).name not in self.unused_links)
            found[consumer.name] |= dict.fromkeys(name for name in (*named, *consumer.depends_on) if name in found)
        return {consumer: tuple(used) for consumer, used in found.items()}

    def ports_of(self, link: Link) -> tuple[int, ...]:
        """Return every port over which a link may run: those of its service, and those that its consumer names."""
        service = self.services[link.service]
        named = sorted(port for name, port in self._named_by(self.services[link.consumer]) if name == link.service)
        known = (*([service.port] if service.port is not None else []), *service.ports, *named)
        return tuple(dict.fromkeys(known))

    def _named_by(self, consumer: ServiceSpec) -> set[tuple[str, int]]:
        settings = [*consumer.environment.items(), *consumer.local.environment.items()]
        texts = [text for name, text in settings if not names_callers(name)]
        texts += [*(consumer.command or ()), *(consumer.local.command or ())]
        return {found for text in texts for found in references(text, self.services)}


def names_callers(variable: str) -> bool:
    """Whether a variable of this name says who may call a service, not whom it calls."""
    return _OF_CALLERS.search(variable.upper()) is not None


def reference_pattern(services: Mapping[str, Any]) -> re.Pattern[str]:
    """Return the pattern of `service:port` for these services, as a whole word."""
    names = "|".join(re.escape(name) for name in sorted(services, key=len, reverse=True))
    return re.compile(rf"(?<![\w.-])({names}):(\d{{1,5}})(?!\d)")


def references(text: str, services: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return every (service, port) that the text names."""
    return [(m[1], int(m[2])) for m in reference_pattern(services).finditer(text)]
