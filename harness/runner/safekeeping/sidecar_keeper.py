"""Keeps the sidecar of a run: starts it, sends it heartbeats, and says when it must have taken the faults out."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Protocol

from harness.journal.owner import LEASE_S, RENEW_S
from harness.model.errors import BackendError
from harness.runner.faulting.driver import bounded

END_WITHIN_S = 15.0
"""How long the last heartbeat may take, and the removal: longer than the calls of one heartbeat before them."""


class KeptSidecar(Protocol):
    """A sidecar. All calls but `close` block, and raise BackendError."""

    def start(self) -> None:
        """Start it, anew if need be, and wait until it watches."""

    def beat(self) -> bool:
        """Send a heartbeat. Returns whether it has begun to take faults out."""

    def remove(self) -> None:
        """Remove it."""

    def close(self) -> None:
        """Close the connection to it. Idempotent."""


class SidecarKeeper:
    """The sidecar, as its run keeps it."""

    def __init__(self, sidecar: KeptSidecar, now_s: Callable[[], float] = time.monotonic) -> None:
        self._sidecar = sidecar
        self._now_s = now_s
        self._calling = asyncio.Lock()
        self._beat_s: float | None = None
        """When it got the last heartbeat; None before it watches."""
        self._ending = False
        self.is_lost = False
        """Whether no heartbeat came for so long that it takes the faults out."""

    async def start(self) -> None:
        """Start it and wait until it watches. Raises BackendError."""
        await asyncio.to_thread(self._start)
        self._beat_s = self._now_s()

    def _start(self) -> None:
        self._sidecar.start()
        if self._ending:  # nobody waits for it any more
            self._sidecar.remove()

    async def keep(self, every_s: float = RENEW_S) -> None:
        """Send heartbeats again and again. Start it anew where it has ended."""
        while True:
            await asyncio.sleep(every_s)
            with contextlib.suppress(BackendError):  # `check` says so once that was so for long enough
                await self.beat()

    async def beat(self) -> None:
        """Send a heartbeat, and what has changed. Raises BackendError."""
        async with self._calling:
            try:
                acted = await asyncio.to_thread(self._sidecar.beat)
            except BackendError:
                if self._is_overdue():
                    self.is_lost = True
                if self.is_lost or self._ending:
                    raise
                await self.start()  # where the engine is not reached, this fails as well
            else:
                self._beat_s = self._now_s()
                self.is_lost = self.is_lost or acted

    def check(self) -> None:
        """Raise BackendError where it takes out, or must be taking out, what the run has in."""
        # A call that does not return says nothing, and brings no heartbeat either.
        if self.is_lost or (self._beat_s is not None and self._is_overdue()):
            message = "the guard in a container got no heartbeat for too long, and takes the run's faults out"
            raise BackendError(message, remedy="see whether the engine is reached all the time")

    def _is_overdue(self) -> bool:
        return self._beat_s is None or self._now_s() - self._beat_s > LEASE_S

    async def last_beat(self) -> None:
        """Send a heartbeat, and start nothing anew from now on. Raises BackendError."""
        self._ending = True
        await bounded(END_WITHIN_S, "the last heartbeat to the guard in a container", self.beat(), BackendError)

    async def remove(self) -> None:
        """Remove it: nothing of the run is left. Raises BackendError."""
        self._ending = True
        await bounded(END_WITHIN_S, "removing the guard in a container", self._remove(), BackendError)

    async def _remove(self) -> None:
        async with self._calling:  # one that is being started yet would come back
            await asyncio.to_thread(self._sidecar.remove)

    def close(self) -> None:
        """Close the connection to the engine. Idempotent."""
        self._sidecar.close()
