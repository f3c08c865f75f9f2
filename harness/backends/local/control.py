"""The harness's end of a supervisor's control connection: requests with deadlines, events, and jobs.

Closing the connection ends the stack. A supervisor that is gone or does not answer in time is a BackendError. A job is
forked from the zygote under a supervisor of its own, and needs no running stack.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.backends.local.layout import located, tail
from harness.backends.local.spawn import ProcessSpec
from harness.backends.local.zygote_handle import ZygoteHandle
from harness.model.backend import JobResult
from harness.model.errors import BackendError

ANSWER_WITHIN_S = 5.0
END_WITHIN_S = 3.0
_LONGEST_LINE = 4 * 1024 * 1024


def gone() -> BackendError:
    """Return the error of a stack that ended while it was needed."""
    return BackendError("the supervisor of the stack has ended", remedy="was it, or its zygote, killed?")


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

    @property
    def ended(self) -> bool:
        """Whether the supervisor is gone, and the stack with it."""
        return self._listening.done()

    async def ask(self, what: str, *, within_s: float | None = None, **arguments: Any) -> Any:
        """Ask for something. Raises BackendError when it fails or is not done in time."""
        self._last += 1
        number = self._last
        self._answers[number] = asyncio.get_running_loop().create_future()
        if self.ended:
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
            raise gone()
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


async def run_job(
    zygote: ZygoteHandle, argv: list[str], env: dict[str, str], home: Path, timeout_s: float
) -> JobResult:
    """Run a command to its end. Raises BackendError when it does not end in time."""
    ended: asyncio.Future[dict[str, Any] | None] = asyncio.get_running_loop().create_future()

    def on_event(event: dict[str, Any] | None) -> None:
        if (event is None or event["what"] in ("exited", "killed")) and not ended.done():
            ended.set_result(event)

    control = await Control.open(zygote.path, on_event)
    try:
        out, errors = control.scratch / "out", control.scratch / "errors"
        spec = ProcessSpec(
            name="job",
            argv=located(tuple(argv), home),
            env=env,
            directory=str(Path.cwd()),
            log=str(out),
            errors=str(errors),
            search=[str(home)],
        )
        await control.ask("launch", processes=[dataclasses.asdict(spec)])
        try:
            async with asyncio.timeout(timeout_s):
                event = await ended
        except TimeoutError as error:
            last = "\n".join(tail(errors, 5))
            raise BackendError(f"the job {' '.join(argv)} did not end within {timeout_s:g} s\n{last}") from error
        if event is None:
            raise BackendError(f"the supervisor of the job {' '.join(argv)} has ended")
        code = event["exit_code"] if event["signal"] is None else -event["signal"]
        return JobResult(code, _text(out), _text(errors))
    finally:
        await control.close()


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.exists() else ""
