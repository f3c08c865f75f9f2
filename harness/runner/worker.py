"""A process that runs one plan after the other, for a suite: tasks come in as JSON lines, progress and outcomes go out.

One process a run at a time, so that runs side by side never wait for one another's interpreter. When its input ends,
its owner is gone or wants it to stop: the run at hand is healed and stopped, then it ends.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from pathlib import Path
from typing import Any

from harness.backends.stackfile import resolve_stack
from harness.model.errors import HarnessError
from harness.model.plan import Plan
from harness.model.stack import StackDescription
from harness.runner.backends import backend_for
from harness.runner.progress import Progress
from harness.runner.run import Run, RunOutcome

LINE_LIMIT = 16 * 2**20


def _send(kind: str, data: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({kind: data}) + "\n")
    sys.stdout.flush()


def _tell(progress: Progress) -> None:
    fields = ("run", "at_s", "what", "text", "data")
    _send("progress", {f: getattr(progress, f) for f in fields})


class Worker:
    """Takes tasks until there are no more."""

    def __init__(self) -> None:
        self._stacks: dict[str, StackDescription] = {}

    async def serve(self, lines: asyncio.StreamReader) -> None:
        """Run each task; the end of the input cancels the one at hand."""
        # Long-lived objects of the imports are left out of collections: pauses would make the harness late.
        gc.collect()
        gc.freeze()
        line = await lines.readline()
        while line:
            following = asyncio.create_task(lines.readline())
            task = asyncio.create_task(self._one(json.loads(line)))
            await asyncio.wait([following, task], return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and not following.result():
                task.cancel()
            _send("outcome", await task)
            gc.collect()
            line = await following

    async def _one(self, asked: dict[str, Any]) -> dict[str, Any]:
        error: HarnessError | None = None
        try:
            plan = Plan.model_validate(asked["plan"])
            stack = self._stack(asked["stack"])
            outcome = await self._run(plan, stack, Path(asked["run_dir"]), asked["token"])
            error = outcome.error
        except HarnessError as failure:
            error = failure
        except asyncio.CancelledError:
            return {"interrupted": True, "error": None}
        return {"interrupted": False, "error": _plain(error)}

    async def _run(self, plan: Plan, stack: StackDescription, run_dir: Path, token: str) -> RunOutcome:
        backend = backend_for(stack, plan.backend, token)
        try:
            return await Run(plan, stack, backend, run_dir, _tell).go()
        finally:
            await backend.close()

    def _stack(self, name: str) -> StackDescription:
        if name not in self._stacks:
            self._stacks[name] = resolve_stack(name)
        return self._stacks[name]


def _plain(error: HarnessError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    fields = ("message", "file", "line", "field", "remedy")
    return {"kind": type(error).__name__} | {f: getattr(error, f) for f in fields}


async def main() -> None:
    """Serve tasks from standard input."""
    lines = asyncio.StreamReader(limit=LINE_LIMIT)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    await Worker().serve(lines)


if __name__ == "__main__":
    asyncio.run(main())
