"""The fault proxy of a local stack: it comes back with its links, and a start that it prevents says why."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from urllib.parse import urlsplit

import psutil
import pytest
from watching import get, soon

from harness.backends.local import layout
from harness.model.backend import FAULT_PROXY, Backend, ProcessEvent, StackPlan
from harness.model.errors import BackendError
from harness.model.fields import Link
from harness.seams.toxiproxy import ProxyApi, ToxicSpec

LINK = Link("relay", "echo")
LATE = ToxicSpec("harness-late", "latency", "downstream", {"latency": 1})


def listening(url: str) -> int | None:
    """The process that listens where the API is."""
    place = urlsplit(url)
    for one in psutil.net_connections("tcp4"):
        if one.status == psutil.CONN_LISTEN and one.laddr == (place.hostname, place.port):
            return one.pid
    return None


def is_proxy(event: ProcessEvent) -> bool:
    return event.service == FAULT_PROXY


async def test_a_proxy_that_is_killed_comes_back_with_its_links_and_without_a_fault(
    local_backend: Callable[[], Backend], plan: Callable[..., StackPlan]
) -> None:
    backend = local_backend()
    await backend.start(plan(links=(LINK,)))
    try:
        endpoint = backend.links[LINK.name]
        api = ProxyApi(endpoint.proxy_api_url, endpoint.proxy_token)
        api.add_toxic(endpoint.proxies[17101], LATE)
        killed = listening(api.url)
        assert killed is not None
        os.kill(killed, signal.SIGKILL)

        async def back() -> bool:
            return listening(api.url) not in (None, killed)

        await soon(back, "the proxy is back")
        assert (await get(backend, "http://relay:17102/ask"))[0] == 200
        assert (await get(backend, "http://relay:17102/ask-second"))[0] == 200
        assert api.toxics() == {name: [] for name in endpoint.proxies.values()}
        events = backend.events()
        seen = [(event.what, event.asked) for event in [await anext(events) for _ in range(7)] if is_proxy(event)]
        assert seen == [("started", True), ("killed", False), ("restarted", False)], "a run must be able to notice it"
    finally:
        await backend.close()


async def test_a_link_that_cannot_be_made_fails_the_start_with_the_reason(
    local_backend: Callable[[], Backend], plan: Callable[..., StackPlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = local_backend()
    entries = layout.link_entries
    monkeypatch.setattr(
        "harness.backends.local.backend.link_entries",
        lambda addresses: [entry | {"listen": "127.0.0.1:nobody-s-service"} for entry in entries(addresses)],
    )
    with pytest.raises(BackendError, match=r"(?s)the fault proxy ended while the stack started.*nobody-s-service"):
        await backend.start(plan(links=(LINK,)))
    await backend.close()
