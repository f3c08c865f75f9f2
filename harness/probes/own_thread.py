"""Calls of clients that block, each in a thread of its own, one at a time.

A call that hangs costs its deadline and is a reading; until it comes back, no other is begun, so that threads never
pile up. The threads are daemons: one that hangs for ever keeps no process from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from harness.probes.reader import NoAnswerError

T = TypeVar("T")


class OwnThread:
    """Runs one blocking call after the other."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._free = threading.Lock()

    async def call(self, work: Callable[[], T]) -> T:
        """Return what the call returns, or raise what it raises. Raises NoAnswerError while one before it hangs."""
        if not self._free.acquire(blocking=False):
            raise NoAnswerError("the call before this one has not come back yet")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if done.done():
                return  # nobody waits for it any more
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]

        def run() -> None:
            result: Any = None
            error: BaseException | None = None
            try:
                result = work()
            except BaseException as failure:  # noqa: BLE001 - it is raised where it is waited for
                error = failure
            finally:
                self._free.release()
            with contextlib.suppress(RuntimeError):  # the loop is closed: the run is long over
                loop.call_soon_threadsafe(settle, result, error)

        threading.Thread(target=run, name=self._name, daemon=True).start()
        return await done
