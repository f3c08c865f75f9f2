"""The process events of one running stack, kept whole, so that nobody who follows them late misses one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from harness.model.backend import ProcessEvent


class EventLog:
    """Everything that happened to a stack's processes, from its start to its end."""

    def __init__(self) -> None:
        self._events: list[ProcessEvent] = []
        self._ended = False
        self._failure: Exception | None = None
        self._changed = asyncio.Event()

    def add(self, event: ProcessEvent) -> None:
        """Add an event and wake those who follow."""
        self._events.append(event)
        self._wake()

    def end(self) -> None:
        """End the log, and with it every iteration over it."""
        self._ended = True
        self._wake()

    def fail(self, error: Exception) -> None:
        """End the log because events may be missing: following it raises this error."""
        self._failure = error
        self.end()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def follow(self) -> AsyncIterator[ProcessEvent]:
        """Yield every event from the first, then each as it happens, until the log ends."""
        seen = 0
        while True:
            while seen < len(self._events):
                yield self._events[seen]
                seen += 1
            if self._failure is not None:
                raise self._failure
            if self._ended:
                return
            await self._changed.wait()
