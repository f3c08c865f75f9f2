"""Keeps the sidecar of a run: starts it, sends it heartbeats, and says when it must have taken the faults out."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

from harness.guard.sidecar import Sidecar
from harness.journal.owner import LEASE_S, RENEW_S
from harness.model.errors import BackendError
from harness.model.undo import RunUndo


class SidecarKeeper:
    """The sidecar, as its run keeps it."""

    def __init__(self, run_dir: Path, undo: RunUndo) -> None:
        self._sidecar = Sidecar(run_dir, undo)
        self._beating = asyncio.Lock()
        self._beat_s: float | None = None
        """When it got the last heartbeat; None before it watches."""
        self.is_lost = False
        """Whether no heartbeat came for so long that it takes the faults out."""

    async def start(self) -> None:
        """Start it and wait until it watches. Raises BackendError."""
        await asyncio.to_thread(self._sidecar.start)
        self._beat_s = time.monotonic()

    async def keep(self) -> None:
        """Send heartbeats again and again. Start it anew where it has ended."""
        while True:
            await asyncio.sleep(RENEW_S)
            with contextlib.suppress(BackendError):  # `check` says so once that was so for long enough
                await self.beat()

    async def beat(self) -> None:
        """Send a heartbeat, and what has changed. Raises BackendError."""
        async with self._beating:
            try:
                acted = await asyncio.to_thread(self._sidecar.beat)
            except BackendError:
                if self.is_lost or self._beat_s is None or time.monotonic() - self._beat_s > LEASE_S:
                    self.is_lost = True
                    raise
                await self.start()  # where the engine is not reached, this fails as well
            else:
                self._beat_s = time.monotonic()
                self.is_lost = self.is_lost or acted

    def check(self) -> None:
        """Raise BackendError where it takes out, or must be taking out, what the run has in."""
        # A call that does not return says nothing, and brings no heartbeat either.
        if self.is_lost or (self._beat_s is not None and time.monotonic() - self._beat_s > LEASE_S):
            message = "the guard in a container got no heartbeat for too long, and takes the run's faults out"
            raise BackendError(message, remedy="see whether the engine is reached all the time")

    async def remove(self) -> None:
        """Remove it: nothing of the run is left. Raises BackendError."""
        await asyncio.to_thread(self._sidecar.remove)

    def close(self) -> None:
        """Close the connection to the engine. Idempotent."""
        self._sidecar.close()
