"""Planned links of a local stack: a fault proxy as one more process, and one proxy of it for each link.

The proxy is a program of its own, driven through its Toxiproxy API alone. It runs before the consumers start, so that
not one of their connections misses the link.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping

from harness.backends.http_request import request
from harness.backends.local.addresses import PROXY_PORT, Addresses
from harness.model.backend import LinkEndpoint
from harness.model.errors import BackendError
from harness.model.stack import Link, StackDescription

POLL_S = 0.01
READY_WITHIN_S = 10.0


def proxy_command(addresses: Addresses, seed: int) -> list[str]:
    """Return the command of the fault proxy."""
    where = ["--host", addresses.proxy, "--port", str(PROXY_PORT)]
    return ["python", "-m", "harness.proxy", "serve", *where, "--seed", str(seed), "--die-with-parent"]


def link_endpoints(addresses: Addresses) -> dict[str, LinkEndpoint]:
    """Return where each planned link can be disturbed."""
    api = f"http://{addresses.proxy}:{PROXY_PORT}"
    return {
        link.name: LinkEndpoint(link.name, api, f"{number}-{link.consumer}-{link.service}")
        for number, link in enumerate(addresses.links)
    }


async def create_proxies(addresses: Addresses, description: StackDescription) -> None:
    """Wait for the fault proxy and create every link in it. Raises BackendError."""
    await _wait_for_api(addresses.proxy)
    endpoints = link_endpoints(addresses)
    await asyncio.gather(*(_create(addresses, description, link, endpoints) for link in addresses.links))


async def _create(
    addresses: Addresses, description: StackDescription, link: Link, endpoints: Mapping[str, LinkEndpoint]
) -> None:
    port = description.services[link.service].port
    body = {
        "name": endpoints[link.name].proxy_name,
        "listen": f"{addresses.links[link]}:{port}",
        "upstream": f"{addresses.services[link.service]}:{port}",
        "enabled": True,
    }
    try:
        status, text = await request("POST", addresses.proxy, PROXY_PORT, "/proxies", body, within_s=5.0)
    except (OSError, ValueError) as error:
        raise BackendError(f"the fault proxy did not answer when the link {link.name} was made: {error}") from error
    if status != 201:
        raise BackendError(f"the fault proxy refused the link {link.name}: {status} {_error_in(text)}")


async def _wait_for_api(address: str) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            if (await request("GET", address, PROXY_PORT, "/version"))[0] == 200:
                return
        except (OSError, ValueError, IndexError):
            if time.monotonic() > deadline:
                raise BackendError(f"the fault proxy did not answer within {READY_WITHIN_S:g} s") from None
        await asyncio.sleep(POLL_S)


def _error_in(text: str) -> str:
    try:
        return str(json.loads(text)["error"])
    except (ValueError, LookupError, TypeError):
        return text.strip()
