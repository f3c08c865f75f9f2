"""The token of a fault proxy: sent with every call, printed nowhere; and leases on a proxy that was restarted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from harness.backends.http_request import request
from harness.model.backend import LinkEndpoint
from harness.model.errors import FaultError
from harness.proxy.access import Access
from harness.proxy.server import ProxyServer, running
from harness.seams.lease import LeaseKeeper
from harness.seams.link import LinkHandle
from harness.seams.toxiproxy import ProxyApi, ToxicSpec

TOKEN = "a-token-of-the-tests-0123456789"
LATE = ToxicSpec("harness-late", "latency", "downstream", {"latency": 1})


@contextlib.contextmanager
def guarded(port: int = 0) -> Iterator[ProxyServer]:
    """A proxy with a token and one link in it."""
    with running(port=port, access=Access(TOKEN), metrics=True) as server:
        body = {"name": "b", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"}
        made = requests.post(
            f"{server.url}/proxies", json=body, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=5
        )
        assert made.status_code == 201
        yield server


def test_every_call_brings_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    netrc.chmod(0o600)
    with guarded() as server:
        monkeypatch.setenv("NETRC", str(netrc))
        api = ProxyApi(server.url, TOKEN)
        assert api.create_lease("run", 60.0)
        api.add_toxic("b", LATE, "run", seed=3)
        api.add_toxic("b", LATE, "run")  # in place of the one of the same name
        assert api.toxics() == {"b": ["harness-late"]}
        assert api.received_bytes() == {}
        api.renew_lease("run")
        api.remove_toxic("b", "harness-late")
        api.remove_toxic("b", "harness-late")
        api.delete_lease("run")
        assert api.toxics() == {"b": []}


@pytest.mark.parametrize("token", [None, "another-token-of-another-run"])
def test_without_it_the_error_says_so_and_does_not_show_it(token: str | None) -> None:
    with guarded() as server:
        api = ProxyApi(server.url, token)
        for call in (api.toxics, api.received_bytes, lambda: api.create_lease("run", 1.0)):
            with pytest.raises(FaultError, match="does not accept the token") as caught:
                call()
            assert "another-token" not in str(caught.value)
            assert caught.value.remedy


async def test_a_backend_s_own_requests_bring_it() -> None:
    with guarded() as server:
        assert (await request("GET", server.host, server.port, "/proxies", token=TOKEN))[0] == 200
        assert (await request("GET", server.host, server.port, "/proxies"))[0] == 401


def test_it_is_not_printed() -> None:
    endpoint = LinkEndpoint("a -> b", "http://127.0.0.1:1", {80: "b"}, TOKEN)
    handle = LinkHandle(endpoint, 80, "127.0.0.1:1", "127.0.0.1:1")
    for thing in (endpoint, handle, handle.api, {"links": [endpoint]}):
        assert TOKEN not in f"{thing!r} {thing}"
    with pytest.raises(FaultError) as caught:
        handle.api.toxics()
    assert TOKEN not in str(caught.value)


async def test_a_link_that_the_proxy_has_lost_is_no_link_without_toxics() -> None:
    with guarded() as server:
        link = LinkHandle(LinkEndpoint("a -> c", server.url, {80: "c"}, TOKEN), 80, "127.0.0.1:1", "127.0.0.1:1")
        with pytest.raises(FaultError, match="does not know the link 'a -> c'"):
            await link.toxics()


async def test_the_renewal_of_a_lease_makes_nothing_anew_in_a_restarted_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.seams.lease.LEASE_RENEW_S", 0.01)
    with guarded() as server:
        port, api = server.port, ProxyApi(server.url, TOKEN)
        lease = LeaseKeeper(api)
        await lease.acquire()
        assert lease.name is not None
        await asyncio.to_thread(api.add_toxic, "b", LATE, lease.name)
    renewed = asyncio.Event()
    really, loop = ProxyApi.renew_lease, asyncio.get_running_loop()

    def renew(self: ProxyApi, name: str) -> None:
        try:
            really(self, name)
        except FaultError as error:
            if "lease not found" in str(error):  # the new one has answered
                loop.call_soon_threadsafe(renewed.set)
            raise

    monkeypatch.setattr(ProxyApi, "renew_lease", renew)
    with guarded(port) as server:
        async with asyncio.timeout(30):
            await renewed.wait()
        assert await asyncio.to_thread(api.toxics) == {"b": []}
        assert await request("GET", server.host, server.port, "/leases", token=TOKEN) == (200, "{}")
        with pytest.raises(FaultError, match="lease not found"):
            await asyncio.to_thread(api.add_toxic, "b", LATE, lease.name)
        await lease.close()
