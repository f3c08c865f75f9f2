"""How long until the reference stack is ready: all services healthy, and one correct, fresh answer.

Cold: a new process of the harness and a new zygote, from the start of the process. Next: the next stack from the same
zygote, from the call to start it. The answer is judged as in a run, against the truth and the model's artefact. The
workload is made beforehand; the files of the programs are in the system's cache, as after any first start.

`python -m benchmarks.starts [--quick]`
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Cell, spread_cells, table
from benchmarks.results import ROOT, CannotMeasureError, Options, Result, main, say

if TYPE_CHECKING:  # imported where they are used: the time of imports is part of a cold start
    import aiohttp

    from harness.backends.local.backend import LocalBackend
    from harness.model.eventtime import EventClock
    from harness.model.stack import StackDescription
    from harness.probes.verify import Verifier
    from harness.probes.workload_file import Request, Workload

STACK = "reference"
START_AT = "2013-06-14T06:00"
HOURS = "120"
WORKLOAD = "workload.jsonl"
COLD, NEXT = 7, 3
QUICK_COLD, QUICK_NEXT = 1, 2
WITHIN_S = 120.0
CLOCK_EVERY_S = 0.01
COLD_TARGET_S, NEXT_TARGET_S = 4.0, 1.2


def measure(options: Options) -> Result:
    """Start the stack cold several times, and after each several times more."""
    cold, following = (QUICK_COLD, QUICK_NEXT) if options.quick else (COLD, NEXT)
    colds: list[dict[str, float]] = []
    nexts: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        _one_process(Path(folder), 0, "make")  # makes the workload, and fills the system's cache
        for k in range(1, cold + 1):
            starts = _one_process(Path(folder), following)
            colds.append(starts[0])
            nexts += starts[1:]
            say(f"{k}: " + ", ".join(f"{start['right_s']:.2f} s" for start in starts))
    rows: list[list[Cell]] = []
    for kind, starts, target_s in (("cold", colds, COLD_TARGET_S), ("next", nexts, NEXT_TARGET_S)):
        rows.append([f"{kind}: ready", *spread_cells([s["right_s"] for s in starts]), f"≤ {target_s:g}"])
        rows.append([f"{kind}: of it, until all healthy", *spread_cells([s["healthy_s"] for s in starts]), ""])
    columns = ("start, s", "median", "min", "max", "n", "target")
    figures = {"cold": colds, "next": nexts, "targets_s": {"cold": COLD_TARGET_S, "next": NEXT_TARGET_S}}
    return Result([table("Start of the reference stack", columns, rows)], figures)


def _one_process(folder: Path, following: int, how: str = "start") -> list[dict[str, float]]:
    """Start a process that starts the stack cold and then so many times more; return the times of each start."""
    began_s = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.starts", f"--{how}-in", str(folder), repr(began_s), str(following)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    if done.returncode != 0:
        raise CannotMeasureError(f"the stack did not start: {done.stderr.strip()[-2000:]}")
    found: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


async def _starts(folder: Path, began_s: float, following: int) -> list[dict[str, float]]:
    from harness.backends.local.backend import LocalBackend
    from harness.description.stackfile import resolve_stack

    stack = resolve_stack(STACK)
    found = []
    # What judges the answer is made ready while the stack starts, as a run's own process does.
    ready = asyncio.create_task(asyncio.to_thread(_make_ready, folder))
    async with LocalBackend(stack) as backend:
        for k in range(following + 1):
            found.append(await _start(stack, backend, folder, ready, began_s if k == 0 else time.monotonic()))
            await backend.stop()
    return found


async def _start(
    stack: StackDescription, backend: LocalBackend, folder: Path, ready: asyncio.Task[Workload], began_s: float
) -> dict[str, float]:
    from harness.model.backend import StackPlan

    with tempfile.TemporaryDirectory(prefix="run-", dir=folder) as run_dir:
        await backend.start(StackPlan(stack, Path(run_dir), start_at=START_AT, seed=1))
        healthy_s = time.monotonic() - began_s
        await _right_answer(stack, backend, await ready)
        return {"healthy_s": healthy_s, "right_s": time.monotonic() - began_s}


async def _right_answer(stack: StackDescription, backend: LocalBackend, workload: Workload) -> None:
    """Ask, each request when it is due, until an answer is right, fresh and not flagged."""
    import aiohttp

    from harness.probes.verify import Artefacts, Verifier
    from harness.seams import Seams

    spec = stack.integrity
    assert stack.event_clock is not None
    assert stack.workload is not None
    assert spec.store is not None
    assert spec.models is not None
    async with aiohttp.ClientSession() as session:
        clock = await _event_clock(session, backend.resolve(stack.event_clock.url))
        seams = Seams(backend, stack, clock)
        artefacts = Artefacts(seams.objects(spec.store.service, spec.store.bucket), spec.models.prefix)
        freshness_s = {group: age.value for group, age in stack.freshness.items()}
        verifier = Verifier(workload, clock, freshness_s, artefacts)
        url = backend.resolve(stack.workload.url)
        try:
            for request in workload.requests:
                early_s = clock.unix_of(request.at_event) - time.time()
                if early_s >= 0:
                    await asyncio.sleep(early_s)
                    if await _is_right(session, url, request, verifier):
                        return
        finally:
            await seams.close()
    raise CannotMeasureError("no answer of the whole workload was right and fresh")


async def _event_clock(session: aiohttp.ClientSession, url: str) -> EventClock:
    """Ask until the clock goes: it is set once every service that needs it is there."""
    import aiohttp

    from harness.model.eventtime import EventClock

    while True:
        try:
            async with session.get(url) as response:
                return EventClock.from_json(await response.json(content_type=None))
        except (aiohttp.ClientError, ValueError, KeyError):
            await asyncio.sleep(CLOCK_EVERY_S)


async def _is_right(session: aiohttp.ClientSession, url: str, request: Request, verifier: Verifier) -> bool:
    import aiohttp

    from harness.probes.verify import MalformedError

    try:
        async with session.post(url, json=request.body) as response:
            if response.status != 200:
                return False
            answer = await response.json(content_type=None)
        checked = await verifier.check(request, answer)
    except (aiohttp.ClientError, ValueError, MalformedError):
        return False
    return checked.wrong is False and not checked.stale and answer.get("fallback") is None


def _make_ready(folder: Path) -> Workload:
    import importlib

    from harness.probes.workload_file import read_workload

    for module in ("boto3", "onnxruntime"):
        importlib.import_module(module)
    return read_workload(folder / WORKLOAD)


async def _make_workload(folder: Path) -> None:
    """Have the stack's own tooling make the workload, after a start that fills the system's cache."""
    from harness.backends.local.backend import LocalBackend
    from harness.description.stackfile import resolve_stack
    from harness.model.backend import StackPlan

    stack = resolve_stack(STACK)
    assert stack.workload is not None
    assert stack.workload.make is not None
    filled = {"{start}": START_AT, "{hours}": HOURS, "{out}": str(folder / WORKLOAD)}
    async with LocalBackend(stack) as backend:
        await backend.start(StackPlan(stack, folder / "first", start_at=START_AT, seed=1))
        await backend.run_job([filled.get(word, word) for word in stack.workload.make], WITHIN_S)


def _child(how: str, folder: Path, began_s: float, following: int) -> None:
    if how == "--make-in":
        asyncio.run(_make_workload(folder))
        print("[]")
    else:
        print(json.dumps(asyncio.run(_starts(folder, began_s, following))))


if __name__ == "__main__":
    if sys.argv[1:2] in (["--make-in"], ["--start-in"]):
        _child(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
        sys.exit(0)
    sys.exit(main("starts", measure))
