"""Watching processes and services from a test: waiting for a condition with a deadline, never for a time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from harness.backends.http_request import request
from harness.backends.local import linux
from harness.backends.local.zygote_handle import ZygoteHandle
from harness.model.backend import Backend

MARKER = "HARNESS_TEST_MARKER"
SOON_S = 5.0


def marked(marker: str) -> list[int]:
    """Every process that carries the marker in its environment, but this one."""
    found = []
    for path in Path("/proc").iterdir():
        try:
            if path.name.isdigit() and marker.encode() in (path / "environ").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def below(zygote: ZygoteHandle) -> set[int]:
    """Every process below a zygote."""
    assert zygote.pid is not None
    return linux.family({zygote.pid}, linux.processes()) - {zygote.pid}


async def pids(backend: Backend) -> dict[str, int]:
    """The processes of a stack that runs, by service."""
    return {status.service: status.pid for status in await backend.status() if status.pid is not None}


async def supervisor(backend: Backend) -> int:
    """The process that started a stack's services."""
    found = linux.process(next(iter((await pids(backend)).values())))
    assert found is not None
    return found.parent


def eventually(condition: Callable[[], object], what: str, within_s: float = SOON_S) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.005)


async def soon(condition: Callable[[], Awaitable[object]], what: str, within_s: float = SOON_S) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + within_s
    while not await condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.005)


async def get(backend: Backend, url: str, consumer: str | None = None) -> tuple[int, str]:
    """Ask a service."""
    host, _, path = backend.resolve(url, consumer).removeprefix("http://").partition("/")
    address, port = host.split(":")
    return await request("GET", address, int(port), f"/{path}")
