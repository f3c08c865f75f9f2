"""A stack by hand: `up` keeps one running, `down` stops those, `heal` takes out what killed runs left in.

A stack that is up belongs to the process that started it and dies with it, so `down` only has to end that process. It
is found by a note in a private directory that the process keeps locked.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from harness.backends.local.backend import LocalBackend
from harness.backends.local.owners import zygotes
from harness.backends.local.scratch import make_scratch, remove_scratch, scratch_folders, sweep_scratch
from harness.journal.files import read
from harness.model.backend import Link, StackPlan
from harness.model.errors import BackendError, JournalError
from harness.model.stack import StackDescription
from harness.runner.progress import OnProgress, Progress

NOTE = "up.json"
END_WITHIN_S = 10.0


def up(stack: StackDescription, links: Sequence[str], on_progress: OnProgress) -> None:
    """Start a stack and keep it until Ctrl-C, SIGTERM or `down`. Raises BackendError where it does not start."""
    with _noted(stack.name) as folder:
        asyncio.run(_up(stack, links, folder, on_progress))


async def _up(stack: StackDescription, links: Sequence[str], folder: Path, on_progress: OnProgress) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)

    def tell(text: str) -> None:
        on_progress(Progress(stack.name, 0.0, "note", text))

    planned = tuple(Link(*name.split(" -> ")) for name in links)
    async with LocalBackend(stack) as backend:
        starting = asyncio.create_task(backend.start(StackPlan(stack, folder, planned)))
        stopped = asyncio.create_task(ended.wait())
        await asyncio.wait([starting, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait([starting])
            stopped.cancel()
            return
        info = starting.result()
        tell(f"up in {info.ready_s:.1f} s; logs in {folder / 'logs'}")
        for service, address in info.addresses.items():
            port = stack.services[service].port
            tell(f"{service}: {address}:{port}" if port else f"{service}: {address}")
        for name, endpoint in backend.links.items():
            tell(f"{name}: proxy {endpoint.proxy_name!r} at {endpoint.proxy_api_url}")
        tell("Ctrl-C, or `harness down` elsewhere, stops it")
        await stopped
    tell("stopped")


@contextmanager
def _noted(stack: str) -> Iterator[Path]:
    sweep_scratch()
    try:
        folder, lock = make_scratch("up")
        note = {"pid": os.getpid(), "created": psutil.Process().create_time(), "stack": stack}
        (folder / NOTE).write_text(json.dumps(note), encoding="utf-8")
    except OSError as error:
        raise BackendError(f"no private directory for the stack: {error}", remedy="set TMPDIR elsewhere") from error
    try:
        yield folder
    finally:
        os.close(lock)
        remove_scratch(folder)


def down(every: bool) -> int:
    """Stop every stack that `up` keeps; with `every`, all stacks of this user, those of runs too. Returns how many."""
    found = [process for note in scratch_folders("up") if (process := _owner(note / NOTE)) is not None]
    if every:
        mine = {p.pid for p in found}
        found += [zygote for zygote in zygotes() if zygote.ppid() not in mine]
    for process in found:
        process.terminate()
    _, alive = psutil.wait_procs(found, END_WITHIN_S)
    for process in alive:
        process.kill()
    return len(found)


def _owner(note: Path) -> psutil.Process | None:
    try:
        said = json.loads(note.read_text(encoding="utf-8"))
        process = psutil.Process(int(said["pid"]))
        # A number may have been given to another process since.
        return process if abs(process.create_time() - float(said["created"])) < 1e-3 else None
    except (OSError, ValueError, KeyError, psutil.Error):
        return None


def heal(runs: Sequence[Path]) -> list[str]:
    """Take out what runs that were cut off left in, from their journals alone. Returns what could not be.

    A local stack dies with its run and takes every fault with it, so that there is nothing left to take out.
    """
    left = []
    for run in runs:
        try:
            journal = read(run)
        except JournalError as error:
            left.append(f"{run}: {error}")
            continue
        if journal.closed is None and journal.plan.backend != "local":
            left.append(f"{run}: its stack ran on the backend {journal.plan.backend!r}, which is not installed")
    return left
