"""The examination as a straight line: the ground, the stack (started, or attached to), what it gives, the scenarios."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.model.backend import Backend, StackPlan
from harness.model.errors import ScenarioError
from harness.model.stack import ComposeFields, StackDescription
from harness.onboarding.doctor import examination
from harness.onboarding.doctor.attaching import attach
from harness.onboarding.doctor.findings import Finding
from harness.onboarding.doctor.ground import ground
from harness.onboarding.doctor.observing import observe
from harness.onboarding.doctor.scenarios import scenarios
from harness.runner.backend_factory import backend_for, check_backend


@dataclass(frozen=True)
class ExaminationRequest:
    """What to examine, and how."""

    stack: StackDescription
    backend: str
    attach: str | None = None
    start: bool = False
    watch_s: float = 3.0
    scenarios: Sequence[Path] = ()


def examine(visit: ExaminationRequest) -> list[Finding]:
    """Look at everything once. Raises ScenarioError for what cannot be asked, BackendError without an engine."""
    check_backend(visit.backend)
    stack = _wanted(visit)
    found = ground(visit.backend)
    found += asyncio.run(_on_the_stack(visit, stack))
    broken = examination.unusable(found)
    return found + scenarios(visit.scenarios, stack.file, visit.backend, broken)


def _wanted(visit: ExaminationRequest) -> StackDescription:
    """Return the stack as it is to be examined: attached to a project that runs, or started here."""
    stack = visit.stack
    if visit.start and visit.attach is not None:
        raise ScenarioError("a stack is either started or attached to", field="--start", remedy="leave one of them out")
    if visit.attach is not None and visit.backend == "local":
        remedy = "local processes belong to whoever started them; use --start"
        raise ScenarioError("there is nothing to attach to on the local backend", field="--attach", remedy=remedy)
    if visit.attach is not None:
        compose = ComposeFields.model_validate({**stack.compose.model_dump(), "project": visit.attach})
        return stack.model_copy(update={"ownership": "attached", "compose": compose})
    if not visit.start and not (visit.backend == "compose" and stack.ownership == "attached"):
        remedy = "have it started with --start"
        if visit.backend == "compose":
            remedy = "name the compose project that runs with --attach (see `docker compose ls`), or use --start"
        raise ScenarioError("there is no running stack to examine", remedy=remedy)
    return stack


async def _on_the_stack(visit: ExaminationRequest, stack: StackDescription) -> list[Finding]:
    async with _running(visit, stack) as (backend, found):
        settle_s = stack.ready_within_s if visit.start else visit.watch_s
        observed = await observe(stack, backend, visit.watch_s, settle_s)
        found += examination.services(stack, await backend.status())
        found += examination.event_clock(stack, observed)
        found += examination.probes(stack, observed)
        found += await examination.alert_sources(stack, backend, observed)
        found += await examination.links(stack, backend)
        return found


@contextlib.asynccontextmanager
async def _running(visit: ExaminationRequest, stack: StackDescription) -> AsyncIterator[tuple[Backend, list[Finding]]]:
    backend = backend_for(stack, visit.backend)
    with tempfile.TemporaryDirectory(prefix="harness-doctor-") as folder:
        plan = StackPlan(stack, Path(folder), stack.links)
        try:
            if visit.start:
                told = f"up in {(await backend.start(plan)).ready_s:.1f} s"
            else:
                told = f"attached to the project {(await attach(backend, stack, plan)).project}"
            yield backend, [Finding("stack", stack.name, "ok", told)]
        finally:
            await backend.close()
