"""The fault proxy of a stack in containers: closed to the stack's own containers, and back by itself after it ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from small_stack import STACK

from harness.backends.compose.attached import AttachedBackend
from harness.backends.compose.backend import ComposeBackend
from harness.backends.compose.engine import client
from harness.backends.compose.leftovers import remove_run, runs
from harness.backends.compose.proxies import TOKEN
from harness.backends.compose.snapshots import containers_of
from harness.backends.http_request import request
from harness.description.stackfile import load_stack
from harness.faults.table import FAULTS
from harness.model.backend import LinkEndpoint, StackPlan
from harness.model.errors import BackendError, FaultError
from harness.model.faultstep import FaultStep
from harness.model.fields import Link
from harness.model.stack import StackDescription
from harness.seams import Seams
from harness.seams.toxiproxy import ProxyApi, ToxicSpec

pytestmark = pytest.mark.docker
LINK = Link("relay", "echo")
BOX = "harness-proxy-1"
WITHIN_S = 30.0
LATE = ToxicSpec("harness-late", "latency", "downstream", {"latency": 200})
CALL = """
import json, sys, urllib.error, urllib.request
verb, url, token, body = sys.argv[1:]
headers = {"Authorization": f"Bearer {token}"} if token else {}
asked = urllib.request.Request(url, body.encode() or None, headers, method=verb)
try:
    with urllib.request.urlopen(asked, timeout=5) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""

CONNECT = ["python3", "-c", """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 18474), 3).close()
    print("open")
except OSError:
    print("closed")
"""]  # fmt: skip


@contextlib.asynccontextmanager
async def running(stack: StackDescription, folder: Path) -> AsyncIterator[ComposeBackend]:
    """The small stack, with a fault proxy between relay and echo; nothing of it is left afterwards."""
    async with ComposeBackend(stack) as backend:
        await backend.start(StackPlan(stack, folder, (LINK,)))
        project = backend.project
        yield backend
    engine = client()
    assert project not in runs(engine), "the restart policy brings nothing back that the run itself has ended"
    engine.close()


@pytest.fixture
async def backend(small: StackDescription, tmp_path: Path) -> AsyncIterator[ComposeBackend]:
    async with running(small, tmp_path) as started:
        yield started


def endpoint_of(backend: ComposeBackend) -> LinkEndpoint:
    return backend.links[LINK.name]


def api_of(backend: ComposeBackend) -> ProxyApi:
    return ProxyApi(endpoint_of(backend).proxy_api_url, endpoint_of(backend).proxy_token)


def box(project: str) -> dict[str, Any]:
    """All that the engine says of the proxy's container."""
    engine = client()
    found = next(one for one in containers_of(engine, project) if one.service == BOX)
    about: dict[str, Any] = engine.api.inspect_container(found.id)
    engine.close()
    return about


async def asked(backend: ComposeBackend, path: str = "/ask") -> int:
    host, _, port = backend.resolve("relay:17102").rpartition(":")
    return (await request("GET", host, int(port), path, within_s=5.0))[0]


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it is true, whatever the question raises meanwhile."""
    deadline_s = time.monotonic() + WITHIN_S
    found: object = False
    while found is not True:
        assert time.monotonic() < deadline_s, found
        await asyncio.sleep(0.02)
        try:
            found = await true()
        except (OSError, ValueError, FaultError) as error:
            found = error


async def from_inside(
    backend: ComposeBackend, verb: str, path: str, token: str, body: object = None
) -> tuple[int, str]:
    """Call the API as a worker of the stack would, from its container."""
    url = f"{endpoint_of(backend).proxy_api_url}{path}"
    words = ["python3", "-c", CALL, verb, url, token, json.dumps(body) if body is not None else ""]
    done = await backend.containers.run("flaky", words, 30.0)
    assert done.exit_code == 0, done
    status, _, text = done.stdout.partition(" ")
    return int(status), text


async def test_the_stack_s_own_containers_cannot_use_the_api(backend: ComposeBackend) -> None:
    name = next(iter(endpoint_of(backend).proxies.values()))
    toxic = {"type": "timeout", "attributes": {"timeout": 0}}
    to_host = {"name": "host", "listen": "0.0.0.0:2222", "upstream": "172.17.0.1:22"}
    for verb, path, body in (
        ("GET", "/proxies", None),
        ("POST", f"/proxies/{name}/toxics", toxic),
        ("POST", f"/proxies/{name}", {"enabled": False}),
        ("POST", "/proxies", to_host),
        ("POST", "/reset", None),
        ("GET", "/journal", None),
    ):
        for token in ("", "a-guess-of-a-worker-0123456789"):
            status, text = await from_inside(backend, verb, path, token, body)
            assert (status, "token" in text) == (401, True), (path, text)
    assert await asyncio.to_thread(api_of(backend).toxics) == {
        name: [] for name in endpoint_of(backend).proxies.values()
    }
    assert await asked(backend) == 200
    token = str(endpoint_of(backend).proxy_token)
    status, text = await from_inside(backend, "POST", "/proxies", token, to_host)
    assert (status, "'172.17.0.1:22' is not allowed; allowed: echo:17101, echo:17109" in text) == (403, True), text
    status, text = await from_inside(backend, "POST", f"/proxies/{name}", token, {"upstream": "172.17.0.1:22"})
    assert status == 403


async def test_the_token_is_in_the_container_s_environment_alone(backend: ComposeBackend, tmp_path: Path) -> None:
    token = str(endpoint_of(backend).proxy_token)
    about = box(backend.project)
    assert f"{TOKEN}={token}" in about["Config"].pop("Env")
    assert token not in json.dumps(about), "neither in labels nor on the command line"
    assert token not in text_of(Path(f"/proc/{about['State']['Pid']}/cmdline"))
    engine = client()
    for one in containers_of(engine, backend.project):
        assert one.service == BOX or token not in json.dumps(engine.api.inspect_container(one.id))
        assert token not in engine.api.logs(one.id).decode()
    engine.close()
    await backend.stop()
    assert token not in text_of(tmp_path)


def text_of(place: Path) -> str:
    """The text of a file, or of all files in a folder."""
    files = [file for file in place.rglob("*") if file.is_file()] if place.is_dir() else [place]
    return "\n".join(file.read_text("utf-8", "replace") for file in files)


async def test_no_two_runs_have_the_same_token(
    backend: ComposeBackend, small: StackDescription, tmp_path: Path
) -> None:
    async with running(small, tmp_path / "other") as other:
        assert endpoint_of(other).proxy_token != endpoint_of(backend).proxy_token
        with pytest.raises(FaultError, match="does not accept the token"):
            ProxyApi(endpoint_of(other).proxy_api_url, endpoint_of(backend).proxy_token).toxics()


def restart(project: str) -> None:
    engine = client()
    engine.api.restart(box(project)["Id"], timeout=1)
    engine.close()


def crash(project: str) -> None:
    """As the kernel's out-of-memory killer does it: not by the engine."""
    os.kill(box(project)["State"]["Pid"], signal.SIGKILL)


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


async def came_back(project: str, started: str) -> bool:
    state = (await asyncio.to_thread(box, project))["State"]
    return bool(state["Running"]) and state["StartedAt"] != started


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


async def test_a_proxy_that_cannot_start_says_why(
    small: StackDescription, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.backends.compose.proxies.READY_WITHIN_S", 3.0)
    monkeypatch.setattr("harness.backends.compose.proxies.new_token", lambda: "too-short")
    backend = ComposeBackend(small)
    with pytest.raises(BackendError, match=rf"(?s)the fault proxy '{BOX}' did not answer.*must have at least 16"):
        await backend.start(StackPlan(small, tmp_path, (LINK,)))
    await backend.close()


def two_networks(file: Path) -> StackDescription:
    """A stack of which the front shares no network with the back, written into a file."""

    def service(port: int, *networks: str) -> dict[str, Any]:
        return {
            "image": os.environ["TESTSTACK_IMAGE"],
            "command": ["python3", "-u", "/teststack/teststack_echo.py"],
            "volumes": [f"{STACK.parent}:/teststack:ro"],
            "environment": {"BIND": f"0.0.0.0:{port}"},
            "networks": list(networks),
            "x-harness": {"port": port, "health": {"http": "/healthz"}},
        }

    links = ["front -> middle", "middle -> back"]
    document = {
        "name": "teststack",
        "x-harness": {"schema": 1, "stack": "teststack", "ready_within": "30s", "links": links},
        "services": {
            "front": service(17101, "beside"),
            "middle": service(17102, "beside", "under"),
            "back": service(17103, "under"),
        },
        "networks": {"beside": {}, "under": {}},
    }
    file.write_text(json.dumps(document))
    return load_stack(file)


async def test_the_api_is_on_one_network_alone(tmp_path: Path, small_images: None) -> None:
    stack = two_networks(tmp_path / "compose.yaml")
    links = (Link("front", "middle"), Link("middle", "back"))
    async with ComposeBackend(stack, keep=True) as backend:
        await backend.start(StackPlan(stack, tmp_path / "run", links))
        project = backend.leave()
    try:
        networks = box(project)["NetworkSettings"]["Networks"]
        places = {name.rpartition("_")[2]: one["IPAddress"] for name, one in networks.items()}
        async with AttachedBackend(stack, project) as backend:
            await backend.find(StackPlan(stack, tmp_path / "run", links))
            assert {end.proxy_api_url for end in backend.links.values()} == {f"http://{places['beside']}:18474"}
            assert (await backend.containers.run("front", [*CONNECT, places["beside"]], 20.0)).stdout == "open\n"
            for place in places.values():
                assert (await backend.containers.run("back", [*CONNECT, place], 20.0)).stdout == "closed\n", place
    finally:
        engine = client()
        remove_run(engine, project)
        engine.close()
