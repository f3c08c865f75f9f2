"""The fault proxy of a stack in containers: closed to the stack's own containers."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from proxied import BOX, api_of, asked, box, endpoint_of, running
from small_stack import STACK

from harness.backends.compose.attached import AttachedBackend
from harness.backends.compose.backend import ComposeBackend
from harness.backends.compose.engine import client
from harness.backends.compose.leftovers import remove_run
from harness.backends.compose.proxies import TOKEN
from harness.backends.compose.snapshots import containers_of
from harness.description.stackfile import load_stack
from harness.model.backend import StackPlan
from harness.model.errors import FaultError
from harness.model.fields import Link
from harness.model.stack import StackDescription
from harness.seams.toxiproxy import ProxyApi

pytestmark = pytest.mark.docker
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


@pytest.fixture
async def backend(small: StackDescription, tmp_path: Path) -> AsyncIterator[ComposeBackend]:
    async with running(small, tmp_path) as started:
        yield started


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
