"""The harness's end of a supervisor's control connection: requests with deadlines, and the events in between.

Closing the connection ends the stack. A supervisor that does not answer in time, or that is gone, is a BackendError.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.model.errors import BackendError

ANSWER_WITHIN_S = 5.0
END_WITHIN_S = 3.0
_LONGEST_LINE = 4 * 1024 * 1024


class Control:
    """One supervisor."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, on_event: Callable[[Any], None]):
        self._reader = reader
        self._writer = writer
        self._on_event = on_event
        self._answers: dict[int, asyncio.Future[Any]] = {0: asyncio.get_running_loop().create_future()}
        self._last = 0
        self._listening = asyncio.create_task(self._listen())
        self.pid = 0
        self.scratch = Path()

    @classmethod
    async def open(cls, zygote: Path, on_event: Callable[[Any], None]) -> Control:
        """Have a supervisor forked. Raises BackendError."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                reader, writer = await asyncio.open_unix_connection(zygote, limit=_LONGEST_LINE)
        except (OSError, TimeoutError) as error:
            remedy = "the process that started it may have ended"
            raise BackendError(f"the zygote at {zygote} does not answer: {error}", remedy=remedy) from error
        control = cls(reader, writer, on_event)
        try:
            hello = await control._answer(0, "start the supervisor", ANSWER_WITHIN_S)
        except BaseException:
            await control.close()
            raise
        control.pid, control.scratch = int(hello["supervisor"]), Path(hello["scratch"])
        return control

    async def ask(self, what: str, *, within_s: float | None = None, **arguments: Any) -> Any:
        """Ask for something. Raises BackendError when it fails or is not done in time."""
        self._last += 1
        number = self._last
        self._answers[number] = asyncio.get_running_loop().create_future()
        if self._listening.done():
            self._answers[number].set_result(None)
        else:
            self._writer.write(json.dumps({"id": number, "do": what, **arguments}).encode() + b"\n")
        return await self._answer(number, what, ANSWER_WITHIN_S if within_s is None else within_s)

    async def _answer(self, number: int, what: str, within_s: float) -> Any:
        try:
            async with asyncio.timeout(within_s):
                message = await self._answers[number]
        except TimeoutError as error:
            raise BackendError(f"the supervisor of the stack did not {what} within {within_s:g} s") from error
        finally:
            self._answers.pop(number, None)
        if message is None:
            raise BackendError("the supervisor of the stack has ended", remedy="was it, or its zygote, killed?")
        if "error" in message:
            raise BackendError(f"the supervisor of the stack could not {message['error']}")
        return message["ok"]

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                message = json.loads(line)
                if "event" in message:
                    self._on_event(message["event"])
                elif (waiting := self._answers.get(message["id"])) is not None and not waiting.done():
                    waiting.set_result(message)
        except (OSError, ValueError):
            pass  # a connection that broke has ended as well
        finally:
            self._on_event(None)
            for waiting in self._answers.values():
                if not waiting.done():
                    waiting.set_result(None)

    async def close(self) -> None:
        """End the stack by closing the connection, and see that the supervisor has ended."""
        if self._writer.can_write_eof() and not self._writer.is_closing():
            with contextlib.suppress(OSError):
                self._writer.write_eof()
        # Its end of the connection closes when it exits, after everything below it is gone.
        _, late = await asyncio.wait([self._listening], timeout=END_WITHIN_S)
        if late and self.pid:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)  # its zygote ends what it leaves behind
            await asyncio.wait([self._listening], timeout=END_WITHIN_S)
        self._listening.cancel()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
