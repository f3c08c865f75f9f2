"""The examination: what a run needs of the machine, the stack (started or attached to), its answers, the scenarios."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.backends.local.startup import LEAST_FREE_BYTES
from harness.backends.local.zygote_handle import zygotes
from harness.faults.installed import Faults
from harness.model.backend import Backend, StackInfo, StackPlan, project_of
from harness.model.errors import ScenarioError
from harness.model.fields import Link
from harness.model.stack import ComposeFields, StackDescription
from harness.onboarding.discovery.project import compose_command
from harness.onboarding.doctor import checks
from harness.onboarding.doctor.alert_rules import dead_rules, without_scenario
from harness.onboarding.doctor.checks import Finding
from harness.onboarding.doctor.link_checks import links
from harness.onboarding.doctor.observing import observe
from harness.onboarding.doctor.protocols import protocols
from harness.onboarding.doctor.steady import wait_until_steady
from harness.onboarding.doctor.workload import secrets, workload
from harness.runner.execution.backend_factory import backend_for, check_backend
from harness.runner.keeping.up import kept_here
from harness.runner.loading.load import discover, load_each
from harness.runner.planning.catalogue import Catalogue
from harness.suite.quiet import crowded, look_once

ENOUGH_FOR_IMAGES_BYTES = 2 * 1024**3


def check_machine(backend: str, attached: str | None = None) -> list[Finding]:
    """Check what a run and the backend need. Raises BackendError where there is no engine to be had.

    `attached`: the compose project that is examined as it runs.
    """
    return [asyncio.run(_processors()), *(_local() if backend == "local" else _engine(attached))]


async def _processors() -> Finding:
    """Look for a second at what others leave of the machine."""
    seen = await look_once()
    why = crowded(seen)
    if why is not None:
        remedy = "verdicts may be unknown meanwhile; `harness run --wait-for-quiet 60s` waits, --retry-busy repeats"
        return Finding("machine", "processors", "note", why, remedy)
    others = "" if seen.others is None else f", of which others use {seen.others:.1f}"
    return Finding("machine", "processors", "ok", f"{seen.processors:g}{others}")


def _local() -> Iterator[Finding]:
    yield _room(Path(tempfile.gettempdir()), LEAST_FREE_BYTES, "set TMPDIR to a place with room")
    running = len(list(zygotes()))
    if running:
        message = f"{running} stack{'s' if running != 1 else ''} running on this machine"
        yield Finding(
            "machine", "other stacks", "note", message, "they take processors too; wait until they have ended"
        )
    else:
        yield Finding("machine", "other stacks", "ok", "none")


def _engine(attached: str | None) -> Iterator[Finding]:
    from harness.backends.compose.engine import connect

    engine = connect()
    try:
        yield Finding("machine", "engine", "ok", f"Docker {engine.version} answers; you may use it")
        command = compose_command()
        message = command[1] if command is not None else " ".join(engine.compose)
        yield Finding("machine", "compose", "ok", message)
        reached = "by their own addresses" if engine.reached_directly else f"by published ports, at {engine.host}"
        yield Finding("machine", "containers", "ok", f"reached {reached}")
        root = Path(str(engine.client.info().get("DockerRootDir") or "/var/lib/docker"))
        if engine.loopback and root.exists():
            yield _room(root, ENOUGH_FOR_IMAGES_BYTES, "`docker system prune` frees what nothing uses")
        yield _leftovers(engine.client)
        yield from _owners(engine.client, attached)
    finally:
        engine.close()


def _leftovers(client: Any) -> Finding:
    from harness.backends.compose.labels import RUN, owner_lives

    runs: Counter[str] = Counter()
    for container in client.api.containers(all=True, filters={"label": RUN}):
        labels = container.get("Labels") or {}
        if not owner_lives(labels):
            runs[str(labels.get(RUN))] += 1
    if not runs:
        return Finding("machine", "leftovers", "ok", "none")
    message = (
        f"{sum(runs.values())} containers of {len(runs)} runs whose harness is gone: {', '.join(sorted(runs)[:3])}"
    )
    return Finding("machine", "leftovers", "wrong", message, f"`harness down {' '.join(sorted(runs))}` removes them")


def _owners(client: Any, attached: str | None) -> Iterator[Finding]:
    """Yield the stacks that a run owns: one that has ended may have left a fault in, which matters to its own stack."""
    from harness.guard.stack_owner import owned_stacks

    for owner in owned_stacks(client):
        refusal, may_live = owner.refusal(), owner.may_live()
        remedy = refusal.remedy if not may_live else "no other run can attach to it until that one has ended"
        is_wrong = not may_live and owner.project == attached
        yield Finding("machine", "owner", "wrong" if is_wrong else "note", refusal.message, remedy)


def _room(folder: Path, least_bytes: int, remedy: str) -> Finding:
    try:
        free_bytes = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding("machine", "free space", "note", f"{folder} cannot be looked at: {error.strerror}")
    message = f"{free_bytes / 1e9:.1f} GB are free in {folder}"
    if free_bytes < least_bytes:
        return Finding("machine", "free space", "wrong", message, remedy)
    return Finding("machine", "free space", "ok", message)


@dataclass(frozen=True)
class ExaminationRequest:
    """What to examine, and how."""

    stack: StackDescription
    backend: str
    attach: str | None = None
    start: bool = False
    watch_s: float = 3.0
    send: bool = False
    """Whether a stack that is attached to is sent requests, too, that may change something in it."""
    scenarios: Sequence[Path] = ()


def examine(request: ExaminationRequest) -> list[Finding]:
    """Check everything once. Raises ScenarioError for an invalid request, BackendError without an engine."""
    check_backend(request.backend)
    stack = _wanted(request)
    if request.scenarios:
        discover(request.scenarios)  # a path that is wrong is met before anything is started
    _ = Catalogue(stack, Faults()).requests  # and so is a file of requests
    attached = None if request.start else project_of(stack, request.attach)
    found = [*check_machine(request.backend, attached), *secrets(stack)]
    found += asyncio.run(_on_the_stack(request, stack))
    return found + checks.scenarios(request.scenarios, stack.file, request.backend, found)


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
        if request.backend == "local" and kept_here(stack.name):
            what = f"the local stack {stack.name!r} that `harness up` keeps cannot be attached to"
            raise ScenarioError(what, remedy="use --start, which starts a stack of its own beside it")
        if request.backend == "compose":
            remedy = "name the compose project that runs with --attach (see `docker compose ls`), or use --start"
        raise ScenarioError("there is no running stack to examine", remedy=remedy)
    return stack


async def _on_the_stack(request: ExaminationRequest, stack: StackDescription) -> list[Finding]:
    async with _running(request, stack) as (backend, found):
        settle_s = request.watch_s
        if request.start:
            settle_s, remedy = _ready_within(request)
            found.append(await wait_until_steady(stack, backend, settle_s, remedy))
        observed = await observe(stack, backend, request.watch_s, settle_s)
        found += checks.services(stack, await backend.status())
        if request.start or request.send:
            found += await protocols(stack, backend)
        found += checks.event_clock(stack, observed)
        found += checks.probes(stack, observed)
        found += await workload(stack, backend, all_methods=request.start or request.send)
        found += await checks.alert_sources(stack, backend, observed)
        dead, rules = await dead_rules(stack, backend, settle_s)
        found += dead
        if request.scenarios:
            found += without_scenario(rules, (item.scenario for item in load_each(request.scenarios)[0]))
        found += await links(stack, backend)
        return found


def _ready_within(request: ExaminationRequest) -> tuple[float, str]:
    """Return how long a stack that is started may take until all works, and how it is given longer."""
    if request.backend == "compose":
        return request.stack.compose.ready_within_s, "give it a longer x-harness.compose.ready_within"
    return request.stack.ready_within_s, "give it a longer x-harness.ready_within"


@contextlib.asynccontextmanager
async def _running(
    request: ExaminationRequest, stack: StackDescription
) -> AsyncIterator[tuple[Backend, list[Finding]]]:
    backend = backend_for(stack, request.backend)
    with tempfile.TemporaryDirectory(prefix="harness-doctor-") as folder:
        plan = StackPlan(stack, Path(folder), stack.links)
        try:
            if request.start:
                if request.backend == "compose":
                    await asyncio.to_thread(_have_images, stack)
                message = f"up in {(await backend.start(plan)).ready_s:.1f} s"
            else:
                message = f"attached to the project {(await attach(backend, stack, plan)).project}"
            yield backend, [Finding("stack", stack.name, "ok", message)]
        finally:
            await backend.close()


def _have_images(stack: StackDescription) -> None:
    from harness.backends.compose.images import have_images

    have_images(stack, links=bool(stack.links))


async def attach(backend: Backend, stack: StackDescription, plan: StackPlan) -> StackInfo:
    """Attach a backend to the project that runs; nothing of it need be healthy. Raises BackendError."""
    from harness.backends.compose.attached import AttachedBackend

    assert isinstance(backend, AttachedBackend)
    links = await asyncio.to_thread(_links_with_proxies, stack)
    return await backend.find(StackPlan(stack, plan.run_dir, links))


def _links_with_proxies(stack: StackDescription) -> tuple[Link, ...]:
    """Return the links of the stack that run through a proxy, as the labels of the project's containers say."""
    from harness.backends.compose.engine import client
    from harness.backends.compose.labels import LINKS
    from harness.backends.compose.snapshots import containers_of

    engine = client()
    try:
        found = containers_of(engine, stack.compose.project or stack.name.lower())
    finally:
        engine.close()
    led = {name for one in found for name in json.loads(one.labels.get(LINKS, "{}"))}
    return tuple(link for link in stack.links if link.name in led)
