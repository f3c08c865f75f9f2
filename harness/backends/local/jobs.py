"""A job: one command of the stack's own tooling, forked from the zygote under a supervisor of its own.

It needs no running stack. What it started goes with it when it ends, when its time is over, and when the caller goes.
"""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

from harness.backends.local.control import Control
from harness.backends.local.layout import located, tail
from harness.backends.local.spawn import ProcessSpec
from harness.backends.local.zygote_handle import Zygote
from harness.model.backend import JobResult
from harness.model.errors import BackendError


async def run_job(zygote: Zygote, argv: list[str], env: dict[str, str], home: Path, timeout_s: float) -> JobResult:
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
