"""The processes of a run's services: followed by the engine's events, and acted on by faults.

A thread reads the engine's stream and hands each event to the loop. The engine does not report who sent a kill; the
harness announces its own here before it sends them.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal as signals
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from harness.backends.compose.containers import EngineContainers
from harness.backends.compose.labels import ONE_OFF, PROJECT, SERVICE
from harness.backends.compose.snapshots import number_of
from harness.model.backend import ProcessEvent
from harness.model.errors import BackendError
from harness.model.replicas import replica_name, replica_of, replicas_named

FATAL = 128
GONE_WITHIN_S = 10.0
POLL_S = 0.02


class EventStream:
    """Follows one project's containers until stopped."""

    def __init__(
        self, client: Any, project: str, tell: Callable[[ProcessEvent], None], lost: Callable[[str], None]
    ) -> None:
        """`tell` gets every event, in the loop; `lost` is called once where the engine's stream breaks off."""
        self._client = client
        self._project = project
        self._tell = tell
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._ending: set[str] = set()
        self._ours: set[str] = set()
        self._ended: dict[tuple[str, int], bool] = {}
        self._stopping = False
        self.containers: frozenset[str] = frozenset()
        """The identifiers of all that started so far."""
        self._stream: Any = None
        self._thread = threading.Thread(target=self._follow, name="docker-events", daemon=True)

    def start(self, since_s: float) -> None:
        """Begin with what happened after a moment of the wall clock."""
        self._stream = self._client.events(
            decode=True, since=int(since_s), filters={"label": f"{PROJECT}={self._project}", "type": "container"}
        )
        self._thread.start()

    def expect_end(self, services: Iterable[str]) -> None:
        """The next end of each of these is the harness's own doing."""
        self._ending.update(services)

    def own(self, service: str, on: bool) -> None:
        """From now on, or no more, every end of this one is the harness's own doing."""
        (self._ours.add if on else self._ours.discard)(service)

    def stop(self) -> None:
        """Stop following. Idempotent."""
        self._stopping = True
        if self._stream is not None:
            with contextlib.suppress(Exception):
                self._stream.close()

    def _follow(self) -> None:
        why = "the engine's stream of events ended"
        try:
            for raw in self._stream:
                at_s = time.monotonic()
                if self._stopping:
                    return
                self._post(self._take, raw, at_s)
        except Exception as error:  # noqa: BLE001 - a daemon that goes away breaks the stream in many ways
            why = f"the engine's stream of events broke off: {type(error).__name__}"
        if not self._stopping:
            self._post(self._lost, why)

    def _post(self, call: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(call, *arguments)

    def _take(self, raw: dict[str, Any], at_s: float) -> None:
        actor = raw.get("Actor") or {}
        if raw.get("Action") == "start":
            self.containers |= {str(actor.get("ID"))}
        attributes = actor.get("Attributes") or {}
        service = attributes.get(SERVICE)
        if service is None or attributes.get(ONE_OFF) == "True":
            return
        action, number = str(raw.get("Action")), number_of(attributes)
        names = {service, replica_name(service, number)}
        if action == "die":
            code = int(attributes.get("exitCode") or 0)
            signal = code - FATAL if FATAL < code < FATAL + 65 else None
            expected = bool(names & (self._ours | self._ending))
            self._ending -= names
            self._ended[service, number] = expected
            what: Literal["killed", "exited"] = "killed" if signal is not None else "exited"
            exit_code = None if signal is not None else code
            self._tell(ProcessEvent(service, what, at_s, exit_code, signal, expected, number))
        elif action == "start":
            # A start after an end that the harness did not cause is the engine's own restart.
            expected = self._ended.pop((service, number), True)
            started: Literal["started", "restarted"] = "started" if expected else "restarted"
            self._tell(ProcessEvent(service, started, at_s, asked=expected, replica=number))


class Processes:
    """What the backend lets faults do, on the containers of one run."""

    def __init__(self, containers: EngineContainers, events: EventStream) -> None:
        self._containers = containers
        self._events = events
        self.suppressed: set[str] = set()
        """Services, or replicas of one, that are kept down until they are restored."""

    async def _each(self, names: Iterable[str]) -> list[str]:
        """Return the names of all replicas of some services."""
        found: list[str] = []
        for name in names:
            is_one = replica_of(name)[1] is not None
            found += [name] if is_one else replicas_named(name, await self._containers.replicas(name))
        return found

    async def kill(self, names: Sequence[str], signal: int, suppress_restart: bool) -> None:
        """Signal all of them at once. After SIGKILL nothing of them is left when this returns."""
        names = await self._each(names)
        before = {name: await self._containers.state(name) for name in names}
        alive = [name for name in names if before[name].pid]
        self._events.expect_end(alive)
        if suppress_restart:
            self.suppressed.update(names)
        # The engine does not restart what it killed on request; a crash comes from outside of it.
        act = self._containers.kill if suppress_restart else self._containers.crash
        await asyncio.gather(*(act(name, int(signal)) for name in alive))
        if signal == signals.SIGKILL:
            await asyncio.gather(*(self._gone(name, before[name].started_at) for name in alive))

    async def _gone(self, name: str, started_at: str) -> None:
        deadline_s = time.monotonic() + GONE_WITHIN_S
        while True:
            state = await self._containers.state(name)
            if not state.pid or state.started_at != started_at:
                return
            if time.monotonic() > deadline_s:
                raise BackendError(f"{name!r} was killed, and still runs after {GONE_WITHIN_S:g} s")
            await asyncio.sleep(POLL_S)

    async def restore(self, names: Iterable[str]) -> None:
        """Lift the suppression and start those that do not run. Idempotent."""
        names = await self._each(names)
        self.suppressed.difference_update(names)
        await asyncio.gather(*(self._containers.start(name) for name in names))

    async def pause(self, names: Iterable[str]) -> None:
        """Freeze them."""
        await asyncio.gather(*(self._containers.pause(name) for name in await self._each(names)))

    async def resume(self, names: Iterable[str]) -> None:
        """Let what is frozen go on."""
        await asyncio.gather(*(self._containers.unpause(name) for name in await self._each(names)))

    async def states(self, names: Sequence[str]) -> Mapping[str, str]:
        """Ask the engine for each: `absent`, `T` where it is frozen, else `S`."""
        names = await self._each(names)
        states = await asyncio.gather(*(self._containers.state(name) for name in names))
        letters = ("T" if one.status == "paused" else "S" if one.pid else "absent" for one in states)
        return dict(zip(names, letters, strict=True))
