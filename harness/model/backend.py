"""The seam between the harness and whatever runs a stack: local processes, containers, or a stack that runs already.

A backend starts, stops, kills, pauses and inspects; it never judges. Every call has a deadline: something that hangs
costs bounded time and is a BackendError. Moments are seconds on the system's monotonic clock. Every backend refuses
names of services, settings of services and links that do not exist.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from harness.model.errors import BackendError, did_you_mean
from harness.model.fields import Link
from harness.model.stack import StackDescription

FAULT_PROXY = "harness:proxy"  # the fault proxy's name in process events; no service can be called so


@dataclass(frozen=True, slots=True)
class StackPlan:
    """One start of one stack, decided: which links run through the fault proxy, and what is set differently."""

    description: StackDescription
    run_dir: Path
    links: tuple[Link, ...] = ()
    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    start_at: str | None = None
    seed: int = 0
    run_id: str | None = None
    """Tells the run from every other: what it makes on an engine carries it."""
    on_wait: Callable[[str], object] | None = None
    """Is told what the start waits for, where that takes longer than usual."""


@dataclass(frozen=True, slots=True)
class StackInfo:
    """A stack that is up: at which addresses, and how long that took."""

    name: str
    addresses: Mapping[str, str]
    ready_s: float
    project: str | None = None
    """The compose project, for a stack of containers."""
    owned: bool = True
    """Whether it was started here, rather than found running."""


@dataclass(frozen=True, slots=True)
class LinkEndpoint:
    """Where a planned link can be disturbed: proxies of one Toxiproxy API, one for each port of the service."""

    name: str
    proxy_api_url: str
    proxies: Mapping[int, str]
    """The name of the proxy of each port; the service's main port comes first."""
    proxy_token: str | None = field(default=None, repr=False)
    """What the API asks for, None where it asks for nothing. It belongs into no record, message or command line."""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service as its supervisor sees it."""

    service: str
    node: str
    pid: int | None
    state: Literal["running", "paused", "exited", "suppressed"]
    restarts: int
    health: str | None = None
    """`healthy`, `unhealthy` or `starting`, where something goes on checking it while it runs."""
    replica: int | None = None
    """Which of the service's replicas it is; None where there is only one."""


@dataclass(frozen=True, slots=True)
class ProcessEvent:
    """Something that happened to a service's process. `asked`: the harness itself requested it."""

    service: str
    what: Literal["started", "exited", "killed", "restarted"]
    at_s: float
    exit_code: int | None = None
    signal: int | None = None
    asked: bool = False
    replica: int | None = None
    """Of which of the service's replicas; None where there is only one."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """What a job of the stack's own tooling left behind."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Roots:
    """What all processes of a stack descend from: processes, and containers by the engine's identifiers."""

    processes: frozenset[int] = frozenset()
    containers: frozenset[str] = frozenset()


@runtime_checkable
class Backend(Protocol):
    """What every backend can do. Names of services that do not exist raise BackendError with the nearest valid name.

    A service that has several replicas stands for all of them, and `service#2` for one; states are told of each.
    """

    @property
    def links(self) -> Mapping[str, LinkEndpoint]:
        """The links of the running stack that lead through proxies, the planned ones among them, by their names."""

    @property
    def roots(self) -> Roots:
        """What the processes of the running stack descend from, besides the harness's own process."""

    async def start(self, plan: StackPlan) -> StackInfo:
        """Start the stack and wait until every service is healthy. On failure nothing is left running."""

    async def stop(self) -> None:
        """Stop the stack. Idempotent and bounded; it may be started again."""

    async def close(self) -> None:
        """Stop the stack and give up whatever outlives one. Idempotent."""

    def resolve(self, url: str, consumer: str | None = None) -> str:
        """Turn `http://service:port/…` or `service:port` into a reachable address: direct, or as `consumer` sees it."""

    async def status(self) -> tuple[ServiceStatus, ...]:
        """Return every service's state, in the order of the description."""

    def events(self) -> AsyncIterator[ProcessEvent]:
        """Yield every process event of the running stack from its start on, then each as it happens, until it stops."""

    async def kill(self, services: Iterable[str], signal: int = 9, suppress_restart: bool = False) -> None:
        """Signal all of them at once. After SIGKILL nothing of them is left when this returns."""

    async def restore(self, services: Iterable[str]) -> None:
        """Lift the suppression and start those that do not run. Idempotent."""

    async def pause(self, services: Iterable[str]) -> None:
        """Stop the processes where they are (SIGSTOP)."""

    async def resume(self, services: Iterable[str]) -> None:
        """Let paused processes go on (SIGCONT)."""

    async def process_states(self, services: Iterable[str]) -> Mapping[str, str]:
        """Measure each service's state letter (R, S, D, T, Z) or `absent`; T only if all of its processes are."""

    async def run_job(self, argv: Iterable[str], timeout_s: float, env: Mapping[str, str] | None = None) -> JobResult:
        """Run a command of the stack's own tooling, before or while the stack runs."""

    def logs(self, service: str, lines: int) -> list[str]:
        """Return the service's last log lines."""


def known_services(stack: StackDescription, services: Iterable[str]) -> list[str]:
    """Return the names of services. Raises BackendError for one that does not exist, with the nearest that does."""
    names = list(services)
    for name in names:
        if name not in stack.services:
            raise BackendError(f"unknown service {name!r}", remedy=did_you_mean(name, stack.services))
    return names


def project_of(stack: StackDescription, given: str | None) -> str:
    """Return the compose project that a run attaches to: the given one, else what the stack's file says."""
    return given or stack.compose.project or stack.name.lower()


def check_settings(plan: StackPlan) -> None:
    """Raise BackendError for settings of a service that does not exist."""
    services = plan.description.services
    for name in plan.environment:
        if name not in services:
            raise BackendError(f"settings for unknown service {name!r}", remedy=did_you_mean(name, services))


def check_links(plan: StackPlan) -> None:
    """Raise BackendError for a link through which nothing would run."""
    possible = {link.name for link in plan.description.links}
    for link in plan.links:
        if link.name not in possible:
            what = f"the link {link.name!r} is in nobody's configuration, so nothing would run through it"
            raise BackendError(what, remedy=did_you_mean(link.name, possible))
