"""Stacks without a run: `up` starts one and keeps it running.

A local stack belongs to the process that started it and dies with it; a note in a private directory that the process
keeps locked says which process that is. A stack of containers outlives its process, and is found by its labels.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psutil

from harness.backends.compose.labels import started_by
from harness.backends.local.backend import LocalBackend
from harness.backends.local.scratch import make_scratch, remove_scratch, scratch_folders, sweep_scratch
from harness.liveness import ProcessId
from harness.model.backend import LinkEndpoint, StackPlan
from harness.model.errors import BackendError, ScenarioError
from harness.model.fields import Link
from harness.model.stack import StackDescription
from harness.runner.progress import OnProgress, Progress

NOTE = "up.json"
_LOOK_AGAIN_S = 0.1


def up(
    stack: StackDescription,
    links: Sequence[Link],
    backend: str,
    seed: int,
    on_progress: OnProgress,
    name: str | None = None,
) -> None:
    """Start a stack and keep it: a local one until Ctrl-C, SIGTERM or `down`, containers until `down`.

    `seed` is that of the fault proxy, `name` that of the compose project of containers; without one it is taken from
    this folder. Raises BackendError where the stack does not start.
    """
    if backend == "compose":
        asyncio.run(_up_in_containers(stack, links, seed, on_progress, name))
        return
    if name is not None:
        remedy = "leave it out, or add --backend compose"
        raise ScenarioError("a name is for a stack of containers", field="--name", remedy=remedy)
    with _noted(stack.name) as folder:
        asyncio.run(_up(stack, links, seed, folder, on_progress))


async def _up_in_containers(
    stack: StackDescription, links: Sequence[Link], seed: int, on_progress: OnProgress, name: str | None
) -> None:
    from harness.backends.compose.backend import ComposeBackend
    from harness.backends.compose.images import have_images

    def report(text: str) -> None:
        on_progress(Progress(stack.name, 0.0, "note", text))

    await asyncio.to_thread(have_images, stack, links=bool(links))
    with tempfile.TemporaryDirectory() as folder:
        async with _alone_in_folder(), ComposeBackend(stack, keep=True, name=await _name_of(stack, name)) as backend:
            info = await backend.start(StackPlan(stack, Path(folder), tuple(links), seed=seed))
            report(f"up in {info.ready_s:.1f} s, as the compose project {backend.project}")
            for service, spec in stack.services.items():
                if spec.replicas != 1:
                    where = f"{spec.replicas} replicas"
                elif spec.port:
                    where = backend.resolve(f"{service}:{spec.port}")
                else:
                    where = info.addresses.get(service, "no address of its own")
                report(f"{service}: {where}")
            for name, endpoint in backend.links.items():
                report(f"{name}: {_proxies(endpoint)}")
            report(f"run scenarios on it with --attach {backend.project}, or in this folder with --attach .")
            report(f"`harness down {backend.project}` removes it")
            backend.leave()


async def _name_of(stack: StackDescription, given: str | None) -> str | None:
    """Return the name of the stack's compose project; None where chance is to choose one."""
    from harness.backends.compose.engine import lent_client
    from harness.backends.compose.project_names import given_name, name_from_folder
    from harness.guard.stack_owner import owner_of_stack

    def choose() -> str | None:
        with lent_client() as engine:
            if given is not None:
                name: str | None = given_name(engine, given)
            else:
                name = name_from_folder(engine, stack.name, Path.cwd())
            # The stack of that name is gone, and the run that owned it is not healed: it would heal this one.
            owner = owner_of_stack(engine, name) if name is not None else None
            if owner is not None and given is not None:
                raise owner.refusal()
            return name if owner is None else None

    return await asyncio.to_thread(choose)


@asynccontextmanager
async def _alone_in_folder() -> AsyncIterator[None]:
    """Let no other `up` of this folder choose a name at the same time: the engine does not tell of one not yet used."""
    folder = os.open(".", os.O_RDONLY)
    try:
        while True:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_LOOK_AGAIN_S)
            except OSError:  # a file system without locks: then there is one chance in many
                break
        yield
    finally:
        os.close(folder)


async def _up(stack: StackDescription, links: Sequence[Link], seed: int, folder: Path, on_progress: OnProgress) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)

    def report(text: str) -> None:
        on_progress(Progress(stack.name, 0.0, "note", text))

    async with LocalBackend(stack) as backend:
        starting = asyncio.create_task(backend.start(StackPlan(stack, folder, tuple(links), seed=seed)))
        stopped = asyncio.create_task(ended.wait())
        await asyncio.wait([starting, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait([starting])
            stopped.cancel()
            return
        info = starting.result()
        report(f"up in {info.ready_s:.1f} s; logs in {folder / 'logs'}")
        for service, address in info.addresses.items():
            port = stack.services[service].port
            report(f"{service}: {address}:{port}" if port else f"{service}: {address}")
        for name, endpoint in backend.links.items():
            report(f"{name}: {_proxies(endpoint)}")
        report(f"Ctrl-C, or `harness down {stack.name}` elsewhere, stops it")
        await stopped
    report("stopped")


def _proxies(endpoint: LinkEndpoint) -> str:
    names = ", ".join(map(repr, endpoint.proxies.values()))
    token = ", with the token in its container's environment" if endpoint.proxy_token is not None else ""
    return f"{'proxy' if len(endpoint.proxies) == 1 else 'proxies'} {names} at {endpoint.proxy_api_url}{token}"


@contextmanager
def _noted(stack: str) -> Iterator[Path]:
    sweep_scratch()
    try:
        folder, lock = make_scratch("up")
        note = {**started_by(), **ProcessId.here().to_dict(), "stack": stack}
        (folder / NOTE).write_text(json.dumps(note), encoding="utf-8")
    except OSError as error:
        raise BackendError(f"no private directory for the stack: {error}", remedy="set TMPDIR elsewhere") from error
    try:
        yield folder
    finally:
        os.close(lock)
        remove_scratch(folder)


def kept_here(stack: str) -> bool:
    """Whether a `harness up` on this machine, of this user, keeps a stack of that name as local processes."""
    owned = [note for folder in scratch_folders("up") if owner_of(note := folder / NOTE) is not None]
    return any(json.loads(note.read_text(encoding="utf-8")).get("stack") == stack for note in owned)


def owner_of(note: Path) -> psutil.Process | None:
    """Return the process that keeps the stack of a note; None where it is gone."""
    try:
        process = ProcessId.from_dict(json.loads(note.read_text(encoding="utf-8")))
        return psutil.Process(process.pid) if process is not None and process.lives() else None
    except (OSError, ValueError, psutil.Error):
        return None
