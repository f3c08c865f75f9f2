"""What a fault can do to the containers of a stack, and what it can ask their engine and their kernel.

A backend that runs containers offers this beside `Backend`. The engine starts, stops and replaces; the kernel of the
machine that it runs on is asked what really is so. Every call has a deadline; what goes wrong is a FaultError or a
BackendError. A service is named as in the stack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from harness.model.errors import FaultError

if TYPE_CHECKING:
    from harness.model.backend import JobResult

KEPT_SUFFIX = ".harness-kept"
"""Ends the name of an original container while another stands in for it; it is no container of its service then."""


@dataclass(frozen=True, slots=True)
class ContainerState:
    """A service's container as its engine sees it. Moments are the engine's own texts, to be compared, not computed."""

    service: str
    container: str
    name: str
    image: str
    status: str
    """`created`, `running`, `paused`, `restarting`, `exited` or `dead`."""
    pid: int
    """On the engine's machine; 0 where it does not run."""
    exit_code: int
    oom_killed: bool
    restarts: int
    started_at: str
    finished_at: str
    restart_policy: str


@dataclass(frozen=True, slots=True)
class Mount:
    """What is mounted in a container, as its engine declares it."""

    kind: str
    """`volume`, `bind` or `tmpfs`."""
    source: str
    """A volume's name, or a path on the engine's machine; empty for tmpfs."""
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Replacement:
    """How the container that stands in differs from the original; all else is the same."""

    image: str | None = None
    set_environment: Mapping[str, str] = field(default_factory=dict)
    unset_environment: Sequence[str] = ()
    read_only: Sequence[str] = ()
    """Targets of mounts that are mounted read-only."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Contents by path, put in before it starts, in the place of what is mounted there."""


class ReplicaGoneError(FaultError):
    """A replica that is not there any more, while its service is: somebody scaled it."""


@runtime_checkable
class Containers(Protocol):
    """The containers of one running stack. Unknown services raise FaultError.

    A service that has several replicas is named with the number of one, as in `scorer#2`.
    """

    async def replicas(self, service: str) -> tuple[int, ...]:
        """Return the numbers of the containers of a service, from the lowest."""

    async def state(self, service: str) -> ContainerState:
        """Ask the engine for a service's container."""

    def expect_ends(self, service: str, on: bool) -> None:
        """Say that every end of a service is the harness's own doing, from now on or no more."""

    async def crash(self, service: str, signal: int) -> None:
        """Signal the main process from outside, as a crash would: the engine's restart policy applies."""

    async def kill(self, service: str, signal: int) -> None:
        """Have the engine signal the main process; it does not restart what dies of that."""

    async def stop(self, service: str, grace_s: float) -> None:
        """Have the engine stop it: SIGTERM or what the image says, SIGKILL after the grace. Idempotent."""

    async def start(self, service: str) -> None:
        """Start it where it does not run; wakes what waits for its restart. Idempotent."""

    async def pause(self, service: str) -> None:
        """Freeze all its processes. Idempotent."""

    async def unpause(self, service: str) -> None:
        """Let them go on. Idempotent."""

    async def ask(self, service: str, task: str, **arguments: Any) -> dict[str, Any]:
        """Have a task done by the kernel of the engine's machine, as root there, for the running container.

        The tasks, their arguments and answers are those of `harness/backends/compose/container_agent.py`. What the
        kernel refuses is a FaultError, or `refused` in the answer where a refusal is what a task is to find out.
        """

    async def run(self, service: str, argv: Sequence[str], timeout_s: float) -> JobResult:
        """Run a command in the container. A command that is not there ends with 126 or 127."""

    async def read_file(self, service: str, path: str) -> bytes | None:
        """Return a file of the container as it is; None where there is none."""

    async def mounts(self, service: str) -> tuple[Mount, ...]:
        """Return what is declared to be mounted."""

    async def networks(self, service: str) -> dict[str, dict[str, Any]]:
        """Return its networks by name: `id`, `addresses`, and `endpoint`, by which it can be connected again as it was.

        `addresses` is empty while it does not run.
        """

    async def disconnect(self, service: str, network: str) -> None:
        """Take it off a network. Idempotent."""

    async def connect(self, service: str, network: str, endpoint: Mapping[str, Any]) -> None:
        """Connect it to a network with an endpoint of `networks`. Idempotent."""

    async def plan_replacement(self, service: str, change: Replacement) -> dict[str, Any]:
        """Return, as data, what `put_back` needs, and see to it that the image is there. Changes nothing."""

    async def replace(self, service: str, change: Replacement, undo: Mapping[str, Any]) -> None:
        """Stop and keep the container, and start one in its place that differs by the change."""

    async def put_back(self, undo: Mapping[str, Any]) -> None:
        """Remove what stands in and put the kept container back as it was. Idempotent."""

    async def replaced(self, undo: Mapping[str, Any]) -> bool:
        """Whether a stand-in is in the place of the container in the undo."""

    async def owned_volumes(self, services: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the volumes of some services. Raises FaultError for one that is not of this run."""

    async def empty_volume(self, volume: str) -> None:
        """Remove all that is in a volume of this run."""

    async def volume_entries(self, volume: str) -> int:
        """Return how many entries a volume of this run has at its top."""
