"""The examination: the machine, the stack (started, or attached to), what it answers, and the scenarios."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.model.backend import Backend, StackInfo, StackPlan
from harness.model.errors import ScenarioError
from harness.model.stack import ComposeFields, Link, StackDescription
from harness.onboarding.doctor import checks
from harness.onboarding.doctor.checks import Finding
from harness.onboarding.doctor.machine import check_machine
from harness.onboarding.doctor.observing import observe
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


def examine(request: ExaminationRequest) -> list[Finding]:
    """Check everything once. Raises ScenarioError for an invalid request, BackendError without an engine."""
    check_backend(request.backend)
    stack = _wanted(request)
    found = check_machine(request.backend)
    found += asyncio.run(_on_the_stack(request, stack))
    broken = checks.unusable(found)
    return found + checks.scenarios(request.scenarios, stack.file, request.backend, broken)


def _wanted(request: ExaminationRequest) -> StackDescription:
    """Return the stack as it is to be examined: attached to a project that runs, or started here."""
    stack = request.stack
    if request.start and request.attach is not None:
        raise ScenarioError("--start and --attach exclude each other", field="--start", remedy="use one of them")
    if request.attach is not None and request.backend == "local":
        remedy = "local processes belong to whoever started them; use --start"
        raise ScenarioError("there is nothing to attach to on the local backend", field="--attach", remedy=remedy)
    if request.attach is not None:
        compose = ComposeFields.model_validate({**stack.compose.model_dump(), "project": request.attach})
        return stack.model_copy(update={"ownership": "attached", "compose": compose})
    if not request.start and not (request.backend == "compose" and stack.ownership == "attached"):
        remedy = "use --start"
        if request.backend == "compose":
            remedy = "name the compose project that runs with --attach (see `docker compose ls`), or use --start"
        raise ScenarioError("there is no running stack to examine", remedy=remedy)
    return stack


async def _on_the_stack(request: ExaminationRequest, stack: StackDescription) -> list[Finding]:
    async with _running(request, stack) as (backend, found):
        settle_s = stack.ready_within_s if request.start else request.watch_s
        observed = await observe(stack, backend, request.watch_s, settle_s)
        found += checks.services(stack, await backend.status())
        found += checks.event_clock(stack, observed)
        found += checks.probes(stack, observed)
        found += await checks.alert_sources(stack, backend, observed)
        found += await checks.links(stack, backend)
        return found


@contextlib.asynccontextmanager
async def _running(
    request: ExaminationRequest, stack: StackDescription
) -> AsyncIterator[tuple[Backend, list[Finding]]]:
    backend = backend_for(stack, request.backend)
    with tempfile.TemporaryDirectory(prefix="harness-doctor-") as folder:
        plan = StackPlan(stack, Path(folder), stack.links)
        try:
            if request.start:
                message = f"up in {(await backend.start(plan)).ready_s:.1f} s"
            else:
                message = f"attached to the project {(await attach(backend, stack, plan)).project}"
            yield backend, [Finding("stack", stack.name, "ok", message)]
        finally:
            await backend.close()


async def attach(backend: Backend, stack: StackDescription, plan: StackPlan) -> StackInfo:
    """Attach a backend to the project that runs; nothing of it need be healthy. Raises BackendError."""
    from harness.backends.compose.attached import AttachedBackend

    assert isinstance(backend, AttachedBackend)
    links = await asyncio.to_thread(_links_with_proxies, stack)
    return await backend.find(StackPlan(stack, plan.run_dir, links))


def _links_with_proxies(stack: StackDescription) -> tuple[Link, ...]:
    """Return the links of the stack that run through a proxy, as the labels of the project's containers say."""
    from harness.backends.compose.engine import client
    from harness.backends.compose.leftovers import LINKS
    from harness.backends.compose.processes import containers_of

    engine = client()
    try:
        found = containers_of(engine, stack.compose.project or stack.name.lower())
    finally:
        engine.close()
    led = {name for one in found for name in json.loads(one.labels.get(LINKS, "{}"))}
    return tuple(link for link in stack.links if link.name in led)
