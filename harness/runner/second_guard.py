"""The second guard of a run, in a container beside its stack: started, kept, and told that the run goes on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

from harness.guard.beside import GuardBeside
from harness.journal.owner import LEASE_S, RENEW_S
from harness.model.errors import BackendError
from harness.model.undo import RunUndo


class SecondGuard:
    """The second guard, as its run keeps it."""

    def __init__(self, run_dir: Path, undo: RunUndo) -> None:
        self._guard = GuardBeside(run_dir, undo)
        self._telling = asyncio.Lock()
        self._told_s: float | None = None
        """When it last heard that the run goes on; None before it watches."""
        self.is_lost = False
        """Whether it has heard nothing for so long that it takes the faults out."""

    async def start(self) -> None:
        """Start it and wait until it watches. Raises BackendError."""
        await asyncio.to_thread(self._guard.start)
        self._told_s = time.monotonic()

    async def keep(self) -> None:
        """Tell it again and again that the run goes on. Start it anew where it has ended."""
        while True:
            await asyncio.sleep(RENEW_S)
            with contextlib.suppress(BackendError):  # `check` says so once that was so for long enough
                await self.tell()

    async def tell(self) -> None:
        """Tell it that the run goes on, and what has changed. Raises BackendError."""
        async with self._telling:
            try:
                acted = await asyncio.to_thread(self._guard.tell)
            except BackendError:
                if self.is_lost or self._told_s is None or time.monotonic() - self._told_s > LEASE_S:
                    self.is_lost = True
                    raise
                await self.start()  # where the engine is not reached, this fails as well
            else:
                self._told_s = time.monotonic()
                self.is_lost = self.is_lost or acted

    def check(self) -> None:
        """Raise BackendError where it takes out, or must be taking out, what the run has in."""
        # A call that does not return says nothing; by then it has heard nothing all the same.
        if self.is_lost or (self._told_s is not None and time.monotonic() - self._told_s > LEASE_S):
            message = "the guard beside the stack heard nothing of the run for too long, and takes its faults out"
            raise BackendError(message, remedy="see whether the engine is reached all the time")

    async def remove(self) -> None:
        """Remove it: nothing of the run is left. Raises BackendError."""
        await asyncio.to_thread(self._guard.remove)

    def close(self) -> None:
        """Close the connection to the engine. Idempotent."""
        self._guard.close()
