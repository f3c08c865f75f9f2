"""The fault proxy of a stack in containers: back by itself after it ended, with its links."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from proxied import BOX, LATE, LINK, api_of, asked, box, came_back, crash, endpoint_of, restart, running, until

from harness.backends.compose.attached import AttachedBackend
from harness.backends.compose.backend import ComposeBackend
from harness.backends.compose.engine import client
from harness.backends.compose.leftovers import remove_run
from harness.backends.compose.snapshots import ContainerSnapshot, containers_of
from harness.faults.table import FAULTS
from harness.model.backend import StackPlan
from harness.model.errors import BackendError, FaultError
from harness.model.faultstep import FaultStep
from harness.model.stack import StackDescription
from harness.seams import Seams

pytestmark = pytest.mark.docker


@pytest.fixture
async def backend(small: StackDescription, tmp_path: Path) -> AsyncIterator[ComposeBackend]:
    async with running(small, tmp_path) as started:
        yield started


@pytest.mark.parametrize("end", [restart, crash])
async def test_a_proxy_that_ended_comes_back_with_its_links_and_without_a_fault(
    backend: ComposeBackend, small: StackDescription, end: Callable[[str], None]
) -> None:
    given = {"id": "late", "fault": "network.latency", "at": "0s", "for": "60s", "target": {"link": LINK.name}}
    step = FaultStep.model_validate(given | {"with": {"latency": "200ms"}})
    seams = Seams(backend, small)
    fault = FAULTS["network.latency"].make(step, seams, 1)
    undo = await fault.prepare()
    await fault.inject()

    async def confirmed() -> bool:
        assert await asked(backend) == 200  # the consumer's own traffic has to meet it
        return (await fault.confirm()).landed is True

    await until(confirmed)
    started = box(backend.project)["State"]["StartedAt"]
    await asyncio.to_thread(end, backend.project)

    async def passes() -> bool:
        again = await came_back(backend.project, started)
        return again and await asked(backend) == 200 and await asked(backend, "/ask-second") == 200

    await until(passes)
    confirmation = await fault.confirm()
    assert (confirmation.landed, confirmation.evidence["why"]) == (False, "toxics are not on")
    with pytest.raises(FaultError, match="lease not found"):
        await fault.inject()
    assert (await fault.absent()).landed is False
    await fault.revert(undo)
    assert (await fault.absent()).landed is False
    assert await asyncio.to_thread(api_of(backend).toxics) == {
        name: [] for name in endpoint_of(backend).proxies.values()
    }
    await seams.close()


async def test_toxiproxy_s_own_image_comes_back_with_its_links_too(
    small: StackDescription, tmp_path: Path, toxiproxy_boxes: None
) -> None:
    async with running(small, tmp_path) as backend:
        assert endpoint_of(backend).proxy_token is None, "it has none"
        api, names = api_of(backend), list(endpoint_of(backend).proxies.values())
        for end in (restart, crash):
            api.add_toxic(names[0], LATE)
            assert api.toxics() == {names[0]: ["harness-late"], names[1]: []}
            started = box(backend.project)["State"]["StartedAt"]
            await asyncio.to_thread(end, backend.project)

            async def passes(started: str = started) -> bool:
                again = await came_back(backend.project, started)
                return again and await asked(backend) == 200 and await asked(backend, "/ask-second") == 200

            await until(passes)
            assert api.toxics() == {name: [] for name in names}


async def test_an_attached_run_finds_the_token_again_even_after_a_restart(
    small: StackDescription, tmp_path: Path
) -> None:
    async with ComposeBackend(small, keep=True) as owner:
        await owner.start(StackPlan(small, tmp_path / "up", (LINK,)))
        token, project = str(endpoint_of(owner).proxy_token), owner.leave()
    try:
        restart(project)
        async with AttachedBackend(small, project) as backend:
            await backend.find(StackPlan(small, tmp_path / "run", (LINK,)))
            assert endpoint_of(backend).proxy_token == token
            api, name = api_of(backend), next(iter(endpoint_of(backend).proxies.values()))

            async def answers() -> bool:
                return name in await asyncio.to_thread(api.toxics)

            await until(answers)
            api.add_toxic(name, LATE)
            assert api.toxics()[name] == ["harness-late"]
            api.remove_toxic(name, "harness-late")
            assert urlsplit(api.url).hostname == box(project)["Config"]["Labels"]["ml-chaos-harness.api"]
        engine = client()
        engine.api.stop(box(project)["Id"], timeout=1)
        engine.close()
        async with AttachedBackend(small, project) as backend:
            with pytest.raises(BackendError, match=rf"'{BOX}' of the attached stack is exited.*docker start") as caught:
                await backend.find(StackPlan(small, tmp_path / "run", (LINK,)))
            assert token not in str(caught.value)
            await backend.find(StackPlan(small, tmp_path / "run"))  # a run that needs no link needs no proxy
    finally:
        engine = client()
        remove_run(engine, project)
        engine.close()


async def test_an_attached_run_waits_for_a_proxy_that_is_being_started_again(
    backend: ComposeBackend, small: StackDescription, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coming = [True, True]

    def containers(client: Any, project: str) -> list[ContainerSnapshot]:
        state = "restarting" if coming and coming.pop() else "running"
        found = containers_of(client, project)
        return [dataclasses.replace(one, state=state) if one.service == BOX else one for one in found]

    monkeypatch.setattr("harness.backends.compose.attached.containers_of", containers)
    async with AttachedBackend(small, backend.project) as attached:
        await attached.find(StackPlan(small, tmp_path / "run", (LINK,)))
        assert list(attached.links) == [LINK.name]
    coming += [True] * 1000
    monkeypatch.setattr("harness.backends.compose.attached.PROXY_BACK_WITHIN_S", 0.3)
    async with AttachedBackend(small, backend.project) as attached:
        with pytest.raises(BackendError, match=rf"'{BOX}' of the attached stack is restarting"):
            await attached.find(StackPlan(small, tmp_path / "run", (LINK,)))


async def test_a_proxy_that_cannot_start_says_why(
    small: StackDescription, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.backends.compose.proxies.READY_WITHIN_S", 3.0)
    monkeypatch.setattr("harness.backends.compose.proxies.new_token", lambda: "too-short")
    backend = ComposeBackend(small)
    with pytest.raises(BackendError, match=rf"(?s)the fault proxy '{BOX}' did not answer.*must have at least 16"):
        await backend.start(StackPlan(small, tmp_path, (LINK,)))
    await backend.close()
