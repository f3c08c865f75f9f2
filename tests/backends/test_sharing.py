"""Stacks side by side, start after start, and what they must not share."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from watching import below, eventually, get

from harness.backends.local import scratch
from harness.backends.local.backend import LocalBackend
from harness.backends.local.control import Control
from harness.backends.local.supervisor import GUARD_PORT, block_name
from harness.backends.local.zygote import Zygote as ForkServer
from harness.backends.local.zygote import peer_uid
from harness.backends.local.zygote_handle import ZygoteHandle
from harness.model.backend import StackPlan
from harness.model.errors import BackendError

pytestmark = pytest.mark.slow

Plan = Callable[..., StackPlan]


async def test_two_stacks_of_one_zygote_side_by_side(plan: Plan, zygote: ZygoteHandle, tmp_path: Path) -> None:
    plans = [dataclasses.replace(plan(), run_dir=tmp_path / name, seed=n) for n, name in enumerate("ab")]
    backends = [LocalBackend(p.description, zygote) for p in plans]
    infos = await asyncio.gather(*(b.start(p) for b, p in zip(backends, plans, strict=True)))
    assert not set(infos[0].addresses.values()) & set(infos[1].addresses.values())
    await backends[0].kill(["echo", "relay"], suppress_restart=True)
    assert (await get(backends[1], "http://echo:17101/healthz"))[0] == 200
    await backends[0].stop()
    assert (await get(backends[1], "http://relay:17102/healthz"))[0] == 200
    await backends[1].close()
    eventually(lambda: below(zygote) == set(), "nothing is left below the zygote")


async def test_twenty_starts_in_a_row_lose_no_port(plan: Plan, zygote: ZygoteHandle) -> None:
    planned = dataclasses.replace(plan(), links=plan().description.links)
    async with LocalBackend(planned.description, zygote) as backend:
        for _ in range(20):
            await backend.start(planned)
            assert (await get(backend, "http://relay:17102/ask"))[0] == 200
            await backend.stop()


async def test_a_block_whose_guard_is_taken_is_passed_over(zygote: ZygoteHandle) -> None:
    first = os.getpid()
    with socket.socket() as guard:
        guard.bind((f"{block_name(first)}.1", GUARD_PORT))
        guard.listen()
        control = await Control.open(zygote.path, lambda _: None)
        try:
            assert await control.ask("claim", first=first, tries=2) == block_name(first + 1)
            with pytest.raises(BackendError, match="none of 1 address blocks is free"):
                await control.ask("claim", first=first, tries=1)
        finally:
            await control.close()


def test_blocks_are_loopback_and_distinct() -> None:
    names = {block_name(number) for number in range(224 * 254)}
    assert len(names) == 224 * 254
    assert all(name.startswith("127.") and name != "127.0.0" for name in names)
    assert block_name(224 * 254) == block_name(0)


async def test_a_supervisor_survives_nonsense_requests(zygote: ZygoteHandle) -> None:
    control = await Control.open(zygote.path, lambda _: None)
    with pytest.raises(BackendError, match="dance"):
        await control.ask("dance")
    with pytest.raises(BackendError, match="launch: TypeError"):
        await control.ask("launch", processes=[{"colour": "blue"}])
    assert await control.ask("status") == []
    await control.close()


def test_the_zygote_is_private_to_its_user(zygote: ZygoteHandle) -> None:
    assert zygote.path.parent.stat().st_mode & 0o077 == 0
    assert zygote.path.parent.parent.stat().st_mode & 0o077 == 0


def test_another_user_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_fork() -> int:
        raise AssertionError("nothing is forked for another user")

    own = os.getuid()
    monkeypatch.setattr(os, "fork", no_fork)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as caller:
        listener.bind(f"\0ml-chaos-test-{os.getpid()}")
        listener.listen()
        caller.connect(listener.getsockname())
        assert peer_uid(caller) == own
        monkeypatch.setattr(os, "getuid", lambda: own + 1)
        ForkServer(listener, owner=-1, keep=set()).accept()
        assert caller.recv(1) == b"", "the connection is closed"


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files; its path is short, for a socket must fit into it."""
    path = tmp_path_factory.mktemp("t")
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


def test_directories_of_the_dead_are_swept_and_those_of_the_living_kept(temporary: Path) -> None:
    dead, dead_lock = scratch.make_scratch("stack")
    alive, alive_lock = scratch.make_scratch("stack")
    os.close(dead_lock)
    scratch.sweep_scratch()
    assert dead.exists(), "a directory so young may be about to be locked"
    long_ago = time.time() - 60
    for path in (dead, alive):
        os.utime(path, (long_ago, long_ago))
    scratch.sweep_scratch()
    assert not dead.exists()
    assert alive.exists()
    os.close(alive_lock)


def test_a_base_directory_that_others_can_write_is_refused(temporary: Path) -> None:
    base = temporary / f"ml-chaos-{os.getuid()}"
    base.mkdir()
    base.chmod(0o777)
    with pytest.raises(BackendError, match="not a private directory"):
        ZygoteHandle.start()


def test_a_folder_too_deep_for_a_socket_is_passed_over(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / ("x" * 80)))
    path, lock = scratch.make_scratch("stack")
    assert str(path).startswith("/tmp/")
    scratch.remove_scratch(path)
    os.close(lock)
