"""The workload of a run: read from a file of requests, or made once by the stack's own tooling for a whole suite."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from harness.backends.jobs import data_directory
from harness.model.backend import Backend
from harness.model.errors import BackendError
from harness.model.plan import Plan
from harness.model.readings import Answer
from harness.model.stack import StackDescription
from harness.probes.request_file import RequestFile, read_requests
from harness.probes.workload_file import Workload, read_workload
from harness.runner.loading.needed_secrets import check_secrets

MAKE_S = 30.0
HOURS = 120
"""Active event hours that a workload covers: at an hour a second, two minutes of a run."""


async def workload_for(
    plan: Plan,
    stack: StackDescription,
    backend: Backend,
    suite_dir: Path,
    notify: Callable[[str], None] | None = None,
) -> Workload | RequestFile | None:
    """Return the workload of a run, made if it is not there. None for a stack without one.

    `notify` gets a line when the stack's data has to be prepared first.

    Raises BackendError, ProbeError for a file that cannot be read, ScenarioError for a secret that is not there.
    """
    check_secrets(stack)
    if stack.workload is None:
        return None
    if stack.workload.requests is not None:
        return await asyncio.to_thread(requests_of, stack)
    start = plan.scenario.start_at or ""
    path = suite_dir / "workloads" / f"{stack.name}-{start.replace(':', '') or 'default'}-{HOURS}h.jsonl"
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            await data_directory(stack, backend.run_job, notify)  # the command below reads it
            await _make(stack, backend, start, path)
    except OSError as error:
        message = f"the workload cannot be written: {error.strerror}"
        raise BackendError(message, file=str(path), remedy="choose a place with room for it with --reports") from error
    return await asyncio.to_thread(read_workload, path)


def requests_of(stack: StackDescription) -> RequestFile:
    """Read the file of requests of a stack that has one. Raises ProbeError with file and line."""
    spec = stack.workload
    assert spec is not None
    assert spec.requests is not None
    return read_requests(Path(stack.file).parent / spec.requests, spec.rate, spec.repeat)


def places_of(workload: Workload | RequestFile | None, stack: StackDescription) -> Callable[[Answer], str]:
    """Return a function that tells where the request of an answer is written: its line, where it is in a file."""
    name = Path(stack.workload.requests).name if stack.workload is not None and stack.workload.requests else None

    def place_of(answer: Answer) -> str:
        line = workload.line_of(answer.id) if isinstance(workload, RequestFile) else None
        return f"the request {answer.id}" if line is None else f"{name}:{line}"

    return place_of


async def _make(stack: StackDescription, backend: Backend, start: str, path: Path) -> None:
    assert stack.workload is not None
    assert stack.workload.make is not None
    # Runs side by side may make the same file at once: each writes its own, and the last rename wins with equal bytes.
    part = path.with_suffix(f".{os.getpid()}.part")
    filled = [
        word.replace("{start}", start).replace("{hours}", str(HOURS)).replace("{out}", str(part.absolute()))
        for word in stack.workload.make
    ]
    done = await backend.run_job(filled, MAKE_S)
    if done.exit_code != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise BackendError(f"the stack's workload could not be made ({' '.join(filled[:3])}): {last}")
    if not part.exists():
        raise BackendError(f"the command that makes the stack's workload wrote no file ({' '.join(filled[:3])})")
    part.rename(path)
