"""The containers of one compose project, for faults: found by their labels, started, stopped and inspected.

What the engine itself can do is here; what only root on its machine can do is in `container_host`, networks and
replacement in their own modules.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from signal import Signals
from typing import TYPE_CHECKING, Any

from harness.backends.compose.container_common import TaskError
from harness.backends.compose.container_host import EngineHost
from harness.backends.compose.container_processes import send_signal
from harness.backends.compose.container_replacing import Replacing, connect, disconnect, networks_of
from harness.backends.compose.engine import engine_call
from harness.backends.compose.labels import ONE_OFF, PROJECT, RUN, SERVICE
from harness.backends.compose.snapshots import number_of
from harness.model.backend import JobResult
from harness.model.containers import KEPT_SUFFIX, ContainerState, Mount, Replacement, ReplicaGoneError
from harness.model.errors import FaultError, did_you_mean
from harness.model.replicas import replica_of, replicas_named

if TYPE_CHECKING:
    import docker

NOT_FOUND = 127
CHANGE_S = 70.0
"""How long a change may take: a stop with its grace, and a start."""
HARMLESS = ("STOP", "CONT", "CHLD", "URG", "WINCH")
PERHAPS = ("HUP", "USR1", "USR2")
"""Signals that end no process, and those that a process survives where it catches them, as to reload its settings."""

PAUSE_ATTEMPTS = 5
"""With control groups of version 1 an engine gives up after milliseconds if a container has not come to a stop."""


class EngineContainers:
    """The handle of `harness.model.containers.Containers` on a Docker engine."""

    def __init__(self, client: docker.DockerClient, project: str, labels: Mapping[str, str]) -> None:
        """`labels` are put on every container made here; `ml-chaos-harness.run` must be one of them."""
        self._client = client
        self._project = project
        self._labels = dict(labels)
        self._run = labels[RUN]
        self._changing: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self.host = EngineHost(client, self._labels)
        self._replacing = Replacing(client, self._labels)
        self.on_end: Callable[[Iterable[str]], object] = lambda _: None
        """Called with the services that the harness is about to end, before it ends them."""
        self.on_own: Callable[[str, bool], object] = lambda _service, _on: None
        """Called with a service and whether the harness causes its ends from now on."""

    def expect_ends(self, service: str, on: bool) -> None:
        """Say that every end of a service is the harness's own doing, from now on or no more."""
        self.on_own(service, on)

    async def inspect(self, service: str) -> dict[str, Any]:
        """Return the engine's `inspect` of a service's container. Raises FaultError where it has none."""
        return await engine_call(f"looking for the container of {service!r}", self._inspect, service)

    def _inspect(self, service: str) -> dict[str, Any]:
        import docker.errors

        of, number = replica_of(service)
        # One that had a single container when it was hit may have several by now: that one has the lowest number.
        replicas = self._replicas(of)
        found = next((id_ for known, id_ in replicas.items() if number in (None, known)), None)
        if found is None:
            message = f"the service {of!r} has no replica {number} in the project {self._project!r}"
            raise ReplicaGoneError(message, remedy=f"its replicas: {', '.join(map(str, replicas))}")
        try:
            return dict(self._client.api.inspect_container(found))
        except docker.errors.NotFound:
            raise FaultError(f"the container of {service!r} is being replaced by somebody") from None

    def _replicas(self, service: str) -> dict[int, str]:
        """Return the containers of a service by their numbers. Raises FaultError where it has none."""
        labels = [f"{PROJECT}={self._project}"]
        rows = self._client.api.containers(all=True, filters={"label": labels})
        rows = [row for row in rows if row["Labels"].get(ONE_OFF, "False") != "True"]
        rows = [row for row in rows if not row["Names"][0].endswith(KEPT_SUFFIX)]
        found = {number_of(row["Labels"]): row["Id"] for row in rows if row["Labels"].get(SERVICE) == service}
        if not found:
            known = sorted({row["Labels"].get(SERVICE, "") for row in rows})
            message = f"the service {service!r} has no container in the project {self._project!r}"
            raise FaultError(message, remedy=did_you_mean(service, known))
        return dict(sorted(found.items()))

    async def replicas(self, service: str) -> tuple[int, ...]:
        """Return the numbers of the containers of a service."""
        return tuple(await engine_call(f"looking for the containers of {service!r}", self._replicas, service))

    async def state(self, service: str) -> ContainerState:
        """Ask the engine for a service's container."""
        reply = await self.inspect(service)
        state = reply["State"]
        return ContainerState(
            service=service,
            container=reply["Id"],
            name=reply["Name"].lstrip("/"),
            image=reply["Image"],
            status=state["Status"],
            pid=state["Pid"] if state["Running"] and not state["Restarting"] else 0,
            exit_code=state["ExitCode"],
            oom_killed=state["OOMKilled"],
            restarts=reply["RestartCount"],
            started_at=state["StartedAt"],
            finished_at=state["FinishedAt"],
            restart_policy=reply["HostConfig"]["RestartPolicy"]["Name"] or "no",
        )

    async def crash(self, service: str, signal: int) -> None:
        """Signal the service's process from the engine machine's own process namespace."""
        state = await self.running(service)
        await self._announce(state, signal)
        if self.host.beside_us(state.pid, state.container):
            _signal(state.pid, state.container, signal)
        else:
            await self.host.ask("signal", state.pid, state.container, number=signal)

    async def _announce(self, state: ContainerState, signal: int) -> None:
        """Say beforehand that a service will end, where it will."""
        name = Signals(signal).name.removeprefix("SIG")
        survived = name in HARMLESS
        if name in PERHAPS:
            reply = await self.host.ask("process", state.pid, state.container, names=[])
            survived = signal in reply["catches"]
        if not survived:
            self.on_end([state.service])

    async def running(self, service: str) -> ContainerState:
        """Return the state of a container that runs. Raises FaultError."""
        state = await self.state(service)
        if not state.pid:
            remedy = "let the fault begin when it runs"
            raise FaultError(f"the container of {service!r} does not run: it is {state.status}", remedy=remedy)
        return state

    async def _change(self, service: str, doing: str, act: Callable[[dict[str, Any]], object]) -> None:
        """Look at a container and act on it, in one go.

        One change of a service at a time: a call that was given up on may still be at work in its thread, and what is
        to undo it must come after it.
        """

        def change() -> None:
            with self._changing[service]:
                act(self._inspect(service))

        await engine_call(doing, change, within_s=CHANGE_S)

    async def kill(self, service: str, signal: int) -> None:
        """Have the engine signal the main process."""
        await self._announce(await self.running(service), signal)
        await self._change(service, f"signalling {service!r}", lambda reply: self._client.api.kill(reply["Id"], signal))

    async def stop(self, service: str, grace_s: float) -> None:
        """Have the engine stop it."""
        self.on_end([service])
        grace = round(grace_s)
        await self._change(service, f"stopping {service!r}", lambda reply: self._client.api.stop(reply["Id"], grace))

    async def start(self, service: str) -> None:
        """Start it where it does not run."""
        if (await self.state(service)).status == "restarting":
            self.on_end([service])

        def start(reply: dict[str, Any]) -> None:
            state = reply["State"]
            if state["Restarting"]:  # it waits for the engine's back-off, which a stop ends
                self._client.api.stop(reply["Id"], 0)
            if state["Restarting"] or not state["Running"]:
                self._client.api.start(reply["Id"])

        await self._change(service, f"starting {service!r}", start)

    async def pause(self, service: str) -> None:
        """Freeze all its processes."""
        api = self._client.api

        def freeze(reply: dict[str, Any]) -> None:
            if not reply["State"]["Paused"]:
                api.pause(reply["Id"])

        for attempts_left in reversed(range(PAUSE_ATTEMPTS)):
            try:
                await self._change(service, f"pausing {service!r}", freeze)
                break
            except FaultError as error:
                if "unable to freeze" not in str(error) or not attempts_left:
                    raise

    async def unpause(self, service: str) -> None:
        """Let them go on."""
        api = self._client.api
        doing = f"letting {service!r} go on"
        await self._change(service, doing, lambda reply: api.unpause(reply["Id"]) if reply["State"]["Paused"] else None)

    async def ask(self, service: str, task: str, **arguments: Any) -> dict[str, Any]:
        """Have a task done by the kernel of the engine's machine."""
        state = await (self.state(service) if task == "oom_log" else self.running(service))
        if task == "fill_memory":
            self.on_end([service])
        return await self.host.ask(task, state.pid, state.container, **arguments)

    async def run(self, service: str, argv: Sequence[str], timeout_s: float) -> JobResult:
        """Run a command in the container."""
        state = await self.running(service)

        def execute() -> JobResult:
            import docker.errors

            api = self._client.api
            try:
                made = api.exec_create(state.container, list(argv), stdout=True, stderr=True)["Id"]
                out, err = api.exec_start(made, demux=True)
            except docker.errors.APIError as error:
                if "executable file not found" in str(error):
                    return JobResult(NOT_FOUND, "", str(error))
                raise
            code = api.exec_inspect(made)["ExitCode"]
            texts = [(part or b"").decode("utf-8", "replace") for part in (out, err)]
            return JobResult(code, *texts)

        return await engine_call(f"running {argv[0]!r} in {service!r}", execute, within_s=timeout_s)

    async def read_file(self, service: str, path: str) -> bytes | None:
        """Return a file of the container as it is; None where there is none."""
        state = await self.state(service)
        return await engine_call(f"reading {path} of {service!r}", self._replacing.read, state.container, path)

    async def mounts(self, service: str) -> tuple[Mount, ...]:
        """Return what is declared to be mounted."""
        reply = await self.inspect(service)
        found = [
            Mount(m["Type"], m.get("Name") or m.get("Source", ""), m["Destination"], not m.get("RW", True))
            for m in reply["Mounts"]
        ]
        for target, options in (reply["HostConfig"].get("Tmpfs") or {}).items():
            found.append(Mount("tmpfs", "", target, "ro" in options.split(",")))
        return tuple({mount.target: mount for mount in found}.values())

    async def networks(self, service: str) -> dict[str, dict[str, Any]]:
        """Return its networks by name."""
        return networks_of(await self.inspect(service))

    async def disconnect(self, service: str, network: str) -> None:
        """Take it off a network."""

        def off(reply: dict[str, Any]) -> None:
            found = networks_of(reply).get(network)
            if found is not None:
                disconnect(self._client, reply["Id"], found["id"] or network)

        await self._change(service, f"taking {service!r} off the network {network!r}", off)

    async def connect(self, service: str, network: str, endpoint: Mapping[str, Any]) -> None:
        """Put it on a network as it was."""

        def on(reply: dict[str, Any]) -> None:
            if network not in reply["NetworkSettings"]["Networks"]:
                connect(self._client, reply["Id"], network, endpoint)

        await self._change(service, f"putting {service!r} on the network {network!r}", on)

    async def plan_replacement(self, service: str, change: Replacement) -> dict[str, Any]:
        """Return what `put_back` needs."""
        reply = await self.inspect(service)
        return await engine_call(f"planning for {service!r}", self._replacing.plan, service, reply, change)

    async def replace(self, service: str, change: Replacement, undo: Mapping[str, Any]) -> None:
        """Stop and keep the container, and start one in its place that differs by the change."""
        self.on_own(service, True)

        def replace() -> None:
            with self._changing[service]:
                self._replacing.replace(undo, change)

        await engine_call(f"replacing {service!r}", replace, within_s=CHANGE_S)

    async def put_back(self, undo: Mapping[str, Any]) -> None:
        """Remove what stands in and put the kept container back."""

        def put_back() -> None:
            with self._changing[str(undo.get("service"))]:
                self._replacing.put_back(undo)

        await engine_call(f"putting {undo.get('name')!r} back", put_back, within_s=CHANGE_S)
        self.on_own(str(undo.get("service")), False)

    async def replaced(self, undo: Mapping[str, Any]) -> bool:
        """Whether another container stands in."""
        return await engine_call(f"looking for {undo.get('name')!r}", self._replacing.replaced, undo)

    async def owned_volumes(self, services: Sequence[str]) -> tuple[str, ...]:
        """Return the volumes of some services, all of which belong to this run."""
        names: set[str] = set()
        for service in services:
            for one in replicas_named(service, await self.replicas(service)):
                names |= {mount.source for mount in await self.mounts(one) if mount.kind == "volume"}
        for name in names:
            await self._owned(name)
        return tuple(sorted(names))

    async def _owned(self, volume: str) -> None:
        found = await engine_call("looking at a volume", self._client.api.inspect_volume, volume)
        if (found.get("Labels") or {}).get(RUN) != self._run:
            remedy = "only what the harness itself made may be lost"
            raise FaultError(f"the volume {volume!r} is not of this run", remedy=remedy)

    async def empty_volume(self, volume: str) -> None:
        """Remove all that is in a volume of this run."""
        await self._volume("empty", volume)

    async def volume_entries(self, volume: str) -> int:
        """Return how many entries a volume of this run has at its top."""
        return int((await self._volume("entries", volume))["entries"])

    async def _volume(self, task: str, volume: str) -> dict[str, Any]:
        await self._owned(volume)
        return await self.host.ask_of_volume(task, volume)


def _signal(pid: int, container: str, number: int) -> None:
    try:
        send_signal(pid, container, number)
    except (OSError, TaskError) as error:
        raise FaultError(f"the container's main process could not be signalled: {error}") from None
