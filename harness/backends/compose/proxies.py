"""The containers of the fault proxies: ours, put into a plain Python image, or Toxiproxy's own image.

They are up, with every link made in them, before a consumer starts, so that not one connection misses its link. Only
containers with planned links are ever made.
"""

from __future__ import annotations

import asyncio
import importlib.resources
import io
import json
import os
import tarfile
import time
from collections.abc import Mapping
from typing import Any

from harness.backends.compose.layout import API_PORT, Layout, ProxyBox
from harness.backends.compose.leftovers import LINKS
from harness.backends.http_request import request
from harness.model.backend import LinkEndpoint
from harness.model.errors import BackendError, did_you_mean
from harness.model.fields import Link

KIND, IMAGE = "HARNESS_PROXY", "HARNESS_PROXY_IMAGE"
PUBLIC_IMAGES = {"harness": "python:3.12-slim", "toxiproxy": "ghcr.io/shopify/toxiproxy:2.12.0"}
HOME = "/opt/harness-proxy"
READY_WITHIN_S = 20.0
POLL_S = 0.03


def proxy_kind() -> str:
    """Return which proxy is used: `harness`, or `toxiproxy` where the environment asks for it. Raises BackendError."""
    kind = os.environ.get(KIND, "harness")
    if kind not in PUBLIC_IMAGES:
        raise BackendError(f"{KIND} is {kind!r}", remedy=did_you_mean(kind, PUBLIC_IMAGES))
    return kind


def proxy_image() -> str:
    """Return the image of the proxies."""
    return os.environ.get(IMAGE) or PUBLIC_IMAGES[proxy_kind()]


def proxy_service(box: ProxyBox, seed: int) -> dict[str, Any]:
    """Return the compose service of a box, but for networks and ports."""
    service: dict[str, Any] = {
        "image": proxy_image(),
        "labels": {LINKS: json.dumps({link.name: ports for link, ports in box.links.items()})},
        "restart": "no",
        "init": False,
        # A proxy that waits for a processor behind the stack's own work would be a fault that is in no scenario.
        "cpu_shares": 4096,
    }
    if proxy_kind() == "toxiproxy":
        command = ["-host", "0.0.0.0", "-port", str(API_PORT), "-seed", str(seed), "-proxy-metrics"]  # noqa: S104
        return service | {"command": command}
    where = ["--host", "0.0.0.0", "--port", str(API_PORT)]  # noqa: S104 - inside the container
    command = ["python3", "-m", "harness.proxy", "serve", *where, "--seed", str(seed), "--metrics"]
    environment = {"PYTHONPATH": HOME, "PYTHONDONTWRITEBYTECODE": "1"}
    return service | {"entrypoint": command, "command": [], "environment": environment, "stop_signal": "SIGKILL"}


def program() -> bytes:
    """Return our proxy, which needs nothing but Python, as an archive to be put into its container."""
    buffer = io.BytesIO()
    home = importlib.resources.files("harness")
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        _put(archive, f"{HOME}/harness/__init__.py", home.joinpath("__init__.py").read_bytes())
        for folder in ("proxy", "proxy/toxics"):
            for entry in home.joinpath(folder).iterdir():
                if entry.name.endswith(".py"):
                    _put(archive, f"{HOME}/harness/{folder}/{entry.name}", entry.read_bytes())
    return buffer.getvalue()


def _put(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name.lstrip("/"))
    entry.size, entry.mode = len(data), 0o644
    archive.addfile(entry, io.BytesIO(data))


def proxy_name(link: Link, port: int) -> str:
    """Return the name, in the proxy's API, of the proxy of one port of a link."""
    return f"{link.consumer}-to-{link.service}-{port}"


def endpoints(layout: Layout, api: Mapping[str, str]) -> dict[str, LinkEndpoint]:
    """Return where each link can be disturbed; `api`: `host:port` of each box's API."""
    return {
        link.name: LinkEndpoint(link.name, f"http://{api[box.name]}", {port: proxy_name(link, port) for port in ports})
        for box in layout.boxes
        for link, ports in box.links.items()
    }


async def make_links(layout: Layout, api: Mapping[str, str]) -> None:
    """Wait for every box's API and make the links in it. Raises BackendError."""
    await asyncio.gather(*(_make(box, api[box.name]) for box in layout.boxes))


async def _make(box: ProxyBox, api: str) -> None:
    host, _, port = api.rpartition(":")
    await _answers(host, int(port))
    for link, ports in box.links.items():
        for service_port in ports:
            listen, upstream = f"0.0.0.0:{service_port}", f"{link.service}:{service_port}"
            name = proxy_name(link, service_port)
            body = {"name": name, "listen": listen, "upstream": upstream, "enabled": True}
            try:
                status, text = await request("POST", host, int(port), "/proxies", body, within_s=10.0)
            except (OSError, ValueError) as error:
                what = f"the fault proxy did not answer when the link {link.name} was made: {error}"
                raise BackendError(what) from error
            if status != 201:
                raise BackendError(f"the fault proxy refused the link {link.name}: {status} {text.strip()}")


async def _answers(host: str, port: int) -> None:
    deadline_s = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            if (await request("GET", host, port, "/version"))[0] == 200:
                return
        except (OSError, ValueError, IndexError):
            if time.monotonic() > deadline_s:
                remedy = f"does {proxy_image()} have python3 of 3.11 or later? {IMAGE} names another image"
                message = f"the fault proxy did not answer within {READY_WITHIN_S:g} s"
                raise BackendError(message, remedy=remedy) from None
        await asyncio.sleep(POLL_S)
