"""A run on its own thread, for a caller that is not asynchronous.

The thread has the event loop, the journal and the backend; the caller's calls are sent there, each with a deadline.
Once the run has ended, every call raises the reason at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from harness.model.backend import Backend
from harness.model.errors import BackendError, HarnessError
from harness.runner.caller_script import CallerScript
from harness.runner.messages import RunOutcome
from harness.runner.run import Run
from harness.runner.warming import waiting_threads

T = TypeVar("T")
BEGIN_S = 30.0
END_S = 120.0
"""More than all the limits together that healing, stopping and reading the ledger have."""
SLACK_S = 5.0


class RunEndedError(HarnessError):
    """The run has ended without a failure of the harness: its steady state was not met."""


class Session:
    """One run for one caller."""

    def __init__(self, script: CallerScript, make: Callable[[], tuple[Run, Backend]]) -> None:
        """`make` is called on the session's own thread, for the run of that script."""
        self._script = script
        self._make = make
        self._loop: asyncio.AbstractEventLoop | None = None
        self._going: asyncio.Task[RunOutcome] | None = None
        self._release: asyncio.Event | None = None
        self._begun = threading.Event()
        self._failure: BaseException | None = None
        self._outcome: RunOutcome | None = None
        self._thread = threading.Thread(target=self._serve, name="harness-run", daemon=True)

    def start(self, limit_s: float) -> None:
        """Start the stack and wait until its steady state is met. Raises HarnessError."""
        self._thread.start()
        if not self._begun.wait(BEGIN_S):
            raise BackendError(f"the run did not start within {BEGIN_S:g} s")
        self.call(_ready, limit_s)

    def call(self, work: Callable[[CallerScript], Coroutine[Any, Any, T]], limit_s: float) -> T:
        """Call the script and return the result. Raises HarnessError, at the latest after the limit."""
        if self._loop is None or not self._thread.is_alive():
            raise self._ended()
        future = asyncio.run_coroutine_threadsafe(self._while_it_runs(work, limit_s), self._loop)
        try:
            return future.result(limit_s + SLACK_S)
        except TimeoutError:
            future.cancel()
            raise BackendError(f"the call did not return within {limit_s:g} s") from None

    def finish(self, failure: str | None = None, limit_s: float = END_S) -> RunOutcome:
        """End the run and return its outcome. Raises unexpected errors of the run."""
        if self._loop is None or not self._thread.is_alive():
            return self._closed()
        going = self._going
        assert going is not None

        def end() -> None:
            if failure is not None and not self._script.ready.is_set():
                going.cancel()
            self._script.finish(failure)

        self._loop.call_soon_threadsafe(end)
        return self.close(limit_s)

    def interrupt(self) -> RunOutcome:
        """Break the run off: it heals and stops its stack. Idempotent."""
        if self._loop is not None and self._going is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._going.cancel)
        return self.close(END_S)

    def close(self, limit_s: float) -> RunOutcome:
        """Wait for the end of the run, and of its thread."""
        if self._thread.is_alive() and self._loop is not None and self._release is not None:
            self._loop.call_soon_threadsafe(self._release.set)
        if self._thread.ident is not None:
            self._thread.join(limit_s)
        return self._closed()

    def _closed(self) -> RunOutcome:
        if self._thread.is_alive():
            raise BackendError("the run did not end in time")
        if self._failure is not None:
            raise self._failure
        assert self._outcome is not None
        return self._outcome

    def _serve(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 - raised on in the caller's thread
            self._failure = error
        finally:
            self._begun.set()

    async def _main(self) -> None:
        asyncio.get_running_loop().set_default_executor(waiting_threads())
        run, backend = self._make()
        self._release = asyncio.Event()
        self._going = asyncio.create_task(self._go(run))
        self._loop = asyncio.get_running_loop()
        self._begun.set()
        try:
            await asyncio.wait([self._going])
            await self._release.wait()
        finally:
            await backend.close()
        self._outcome = self._going.result()

    async def _go(self, run: Run) -> RunOutcome:
        try:
            return await run.go()
        except asyncio.CancelledError:
            return RunOutcome(run.plan, run.run_dir, interrupted=True)

    async def _while_it_runs(self, work: Callable[[CallerScript], Coroutine[Any, Any, T]], limit_s: float) -> T:
        assert self._going is not None
        task = asyncio.create_task(work(self._script))
        await asyncio.wait([task, self._going], timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait([task])
        if self._going.done():
            raise self._ended()
        raise BackendError(f"the run was not ready within {limit_s:g} s")

    def _ended(self) -> BaseException:
        if self._failure is not None:
            return self._failure
        outcome = self._outcome
        if outcome is None and self._going is not None and self._going.done() and not self._going.cancelled():
            if (failure := self._going.exception()) is not None:
                return failure
            outcome = self._going.result()
        if outcome is not None and outcome.error is not None:
            return outcome.error
        return RunEndedError("the run is over")


async def _ready(script: CallerScript) -> None:
    await script.ready.wait()
