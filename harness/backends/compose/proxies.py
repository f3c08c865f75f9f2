"""The containers of the fault proxies: ours, put into a plain Python image, or Toxiproxy's own image.

They are up, with every link made in them, before a consumer starts, so that not one connection misses its link. Only
containers with planned links are ever made. The links are a file in the container, so that a proxy that ends comes back
with them, and without any toxic. Other containers of the stack can reach the API: it asks for a token.
"""

from __future__ import annotations

import asyncio
import importlib.resources
import json
import os
import secrets
from collections.abc import Mapping
from typing import Any

from harness.backends.compose.archives import packed
from harness.backends.compose.labels import API_ADDRESS, LINKS
from harness.backends.compose.layout import API_PORT, Layout, ProxyBox
from harness.backends.fault_proxy import link_entry, why_not_up
from harness.model.backend import LinkEndpoint
from harness.model.errors import BackendError, did_you_mean
from harness.model.fields import Link

KIND, IMAGE, TOKEN = "HARNESS_PROXY", "HARNESS_PROXY_IMAGE", "HARNESS_PROXY_TOKEN"
PUBLIC_IMAGES = {"harness": "python:3.12-slim", "toxiproxy": "ghcr.io/shopify/toxiproxy:2.12.0"}
HOME = "/opt/harness-proxy"
LINKS_FILE = f"{HOME}/links.json"
ANYWHERE = "0.0.0.0"  # noqa: S104 - inside the container
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


def new_token() -> str | None:
    """Return what the API of a run's proxies is to ask for; None for Toxiproxy, which cannot."""
    return secrets.token_urlsafe(32) if proxy_kind() == "harness" else None


def token_of(client: Any, container: str) -> str | None:
    """Return the token of a proxy that runs, from its container's environment. Blocks."""
    environment: list[str] = client.api.inspect_container(container)["Config"]["Env"] or []
    return next((text for name, _, text in (one.partition("=") for one in environment) if name == TOKEN), None)


def proxy_service(box: ProxyBox, seed: int, api_address: str | None) -> dict[str, Any]:
    """Return the compose service of a box, but for networks and ports.

    `api_address`: the one of its addresses at which the API is reached; None where that is not known.
    """
    labels = {LINKS: json.dumps({link.name: ports for link, ports in box.links.items()})}
    service: dict[str, Any] = {
        "image": proxy_image(),
        "labels": labels | ({API_ADDRESS: api_address} if api_address is not None else {}),
        # One that crashes cuts off its consumers; it comes back with the links, until the run stops it.
        "restart": "unless-stopped",
        "init": False,
        "cap_drop": ["ALL"],
        "cap_add": ["NET_BIND_SERVICE"],
        "security_opt": ["no-new-privileges:true"],
        # A proxy that waits for a processor behind the stack's own work would be a fault that is in no scenario.
        "cpu_shares": 4096,
    }
    where = ["-host", api_address or ANYWHERE, "-port", str(API_PORT), "-seed", str(seed), "-config", LINKS_FILE]
    if proxy_kind() == "toxiproxy":
        return service | {"command": [*where, "-proxy-metrics"]}
    options = [f"-{word}" if word.startswith("-") else word for word in where]
    for upstream in dict.fromkeys(entry["upstream"] for entry in _entries(box)):
        options += ["--allow-upstream", upstream]
    command = ["python3", "-m", "harness.proxy", "serve", *options, "--metrics"]
    # The token's value is that of the compose command's own environment: it is in no file.
    environment = {"PYTHONPATH": HOME, "PYTHONDONTWRITEBYTECODE": "1", TOKEN: None}
    return service | {"entrypoint": command, "command": [], "environment": environment, "stop_signal": "SIGKILL"}


def archive(box: ProxyBox) -> bytes:
    """Return what is put into a box's container: its links and, where it is ours, the proxy itself.

    The proxy needs nothing but Python.
    """
    home = importlib.resources.files("harness")
    files = [(LINKS_FILE, json.dumps(_entries(box)).encode())]
    if proxy_kind() == "harness":
        files.append((f"{HOME}/harness/__init__.py", home.joinpath("__init__.py").read_bytes()))
        for folder in ("proxy", "proxy/toxics"):
            sources = (entry for entry in home.joinpath(folder).iterdir() if entry.name.endswith(".py"))
            files += ((f"{HOME}/harness/{folder}/{entry.name}", entry.read_bytes()) for entry in sources)
    return packed(files)


def proxy_name(link: Link, port: int) -> str:
    """Return the name, in the proxy's API, of the proxy of one port of a link."""
    return f"{link.consumer}-to-{link.service}-{port}"


def _entries(box: ProxyBox) -> list[dict[str, Any]]:
    """The links of a box, one entry for each port, in Toxiproxy's form."""
    return [
        link_entry(proxy_name(link, port), f"{ANYWHERE}:{port}", f"{link.service}:{port}")
        for link, ports in box.links.items()
        for port in ports
    ]


def endpoints(layout: Layout, api: Mapping[str, str], tokens: Mapping[str, str | None]) -> dict[str, LinkEndpoint]:
    """Return where each link can be disturbed; `api`: `host:port` of each box's API, `tokens`: what it asks for."""
    return {
        link.name: LinkEndpoint(
            link.name,
            f"http://{api[box.name]}",
            {port: proxy_name(link, port) for port in ports},
            tokens.get(box.name),
        )
        for box in layout.boxes
        for link, ports in box.links.items()
    }


async def links_made(layout: Layout, api: Mapping[str, str], token: str | None) -> None:
    """Return when every box's proxy answers and has its links. Raises BackendError."""
    await asyncio.gather(*(_made(box, api[box.name], token) for box in layout.boxes))


async def _made(box: ProxyBox, api: str, token: str | None) -> None:
    host, _, port = api.rpartition(":")
    names = [entry["name"] for entry in _entries(box)]
    why = await why_not_up(host, int(port), names, READY_WITHIN_S, POLL_S, token)
    if why is not None:
        remedy = f"does {proxy_image()} have python3 of 3.11 or later? {IMAGE} names another image"
        raise BackendError(f"the fault proxy {box.name!r} {why}", remedy=remedy)
