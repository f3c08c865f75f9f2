"""Faults on links and processes: what is undone behind their backs is noticed, a broken proxy costs bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis.asyncio as redis
import requests
from confirmations import NOW_EVENT, SEED, lands
from real_servers import (
    FakeBackend,
    add_proxy,
    add_toxic,
    clear_toxics,
    ending,
    fault_proxy,
    leases,
    lose_link,
    toxic_seeds,
    toxics,
    using,
)  # fmt: skip

from harness.faults.links import LinkFault
from harness.model.backend import LinkEndpoint
from harness.model.errors import BackendError, FaultError
from harness.model.fault import Fault
from harness.seams import Seams
from harness.seams.link import Exchange, Outcome

pytestmark = pytest.mark.slow

Make = Callable[..., Fault]
LINK = {"link": "trainer -> object-store"}


async def test_the_latency_measured_is_the_latency_added(make: Make) -> None:
    fault = make("network.latency", LINK, {"latency": "150ms"})
    undo = await fault.prepare()
    await fault.inject()
    landing = await lands(fault)
    assert 120 <= landing.evidence["through_ms"]["trainer -> object-store"] < 1000
    assert landing.evidence["direct_ms"]["trainer -> object-store"] < 120
    await fault.revert(undo)


async def test_an_answer_that_comes_too_early_is_no_latency(make: Make, backend: FakeBackend) -> None:
    backend.through["trainer", "object-store"] = backend.addresses["object-store"]  # past the proxy
    fault = make("network.latency", LINK, {"latency": "1s"})
    undo = await fault.prepare()
    await fault.inject()
    confirmation = await fault.confirm()
    assert confirmation.landed is False
    assert "the link answers, and only " in confirmation.evidence["why"]
    await fault.revert(undo)


@pytest.mark.parametrize(
    ("through_s", "direct_s", "landed"),
    [(0.159, 0.0, False), (0.159, 0.1, False), (0.205, 0.059, None), (0.9, 0.75, None), (0.205, 0.04, True)],
)
async def test_a_slow_service_makes_no_latency_absent(
    through_s: float, direct_s: float, landed: bool | None, make: Make
) -> None:
    fault = make("network.latency", LINK, {"latency": "200ms"})
    assert isinstance(fault, LinkFault)
    assert fault.judge(Exchange("answered", through_s), Exchange("answered", direct_s))[0] is landed


async def test_links_of_several_proxy_servers(make: Make, backend: FakeBackend, store_address: str) -> None:
    with fault_proxy(7) as second:  # both call their proxy by the same name, which must not be taken for one
        listen = add_proxy(second, "online", store_address)
        backend.endpoints["trainer -> object-store"] = LinkEndpoint(
            "trainer -> object-store", second, {18900: "online"}
        )
        backend.through["trainer", "object-store"] = listen
        both = {"links": ["trainer -> object-store", "server -> online-store"]}
        fault = make("network.latency", both, {"latency": "60ms"})
        undo = await fault.prepare()
        await fault.inject()
        with using(listen):
            await lands(fault)
        clear_toxics(second, "online")
        assert (await fault.confirm()).landed is False, "gone from one of them"
        await fault.revert(undo)
        assert (await fault.absent()).landed is False


async def test_the_seed_of_the_run_decides_even_where_the_proxy_was_started_with_another(
    make: Make, proxy_url: str
) -> None:
    fault = make("network.latency", LINK, {"latency": "50ms", "jitter": "20ms"})
    undo = await fault.prepare()
    await fault.inject()
    assert toxic_seeds(proxy_url, "objects") == [SEED]
    await fault.revert(undo)


async def test_toxics_of_others_are_never_touched(make: Make, proxy_url: str) -> None:
    theirs: dict[str, object] = {"name": "theirs", "type": "latency", "attributes": {"latency": 1}}
    add_toxic(proxy_url, "objects", theirs)
    fault = make("storage.slow", LINK, {"latency": "50ms", "bandwidth_kb_s": 100})
    undo = await fault.prepare()
    await fault.inject()
    await lands(fault)
    await fault.revert(undo)
    assert toxics(proxy_url, "objects") == ["theirs"]


async def test_a_latency_longer_than_any_wait_shows_itself_as_silence(
    make: Make, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.faults.links.LONGEST_S", 0.2)
    fault = make("network.latency", LINK, {"latency": "5s"})
    undo = await fault.prepare()
    await fault.inject()
    assert (await fault.confirm()).landed
    await fault.revert(undo)


@pytest.mark.parametrize("how", ["refused", "reset", "closed"])
async def test_a_lost_node_whose_links_are_not_silent_is_not_confirmed(
    how: str, make: Make, backend: FakeBackend
) -> None:
    fault = make("node.loss", {"node": "a"})
    undo = await fault.prepare()
    await fault.inject()
    assert (await fault.confirm()).landed
    async with ending(how) as address:
        backend.through["trainer", "object-store"] = address
        fault = make("node.loss", {"node": "a"})
        confirmation = await fault.confirm()
        assert confirmation.landed is False
        assert confirmation.evidence["links_to_node"]["trainer -> object-store"] == how
    await fault.revert(undo)


class Refusing(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(500, "out of order")

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def served(handler: type[Refusing]) -> Iterator[str]:
    """Serve something in the place of a fault proxy; gives its URL."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(params=["dead", "hung", "answering 500", "not Toxiproxy"])
def broken(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a fault proxy that is of no use."""
    if request.param == "dead":
        yield "http://127.0.0.1:1"
    elif request.param == "hung":
        with socket.create_server(("127.0.0.1", 0)) as hung:
            yield f"http://127.0.0.1:{hung.getsockname()[1]}"
    else:

        class Other(Refusing):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b'{"a": 1}')

            do_POST = do_GET  # noqa: N815

        with served(Refusing if request.param == "answering 500" else Other) as url:
            yield url


@pytest.mark.parametrize("kind", ["network.latency", "storage.slow", "node.loss"])
async def test_a_broken_proxy_is_an_error_in_bounded_time(
    kind: str, broken: str, make: Make, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.seams.toxiproxy.CALL_S", 0.15)
    monkeypatch.setattr("harness.faults.links.BACK_WITHIN_S", 0.15)
    fault = make(
        kind,
        {"node": "b"} if kind == "node.loss" else {"link": "server -> online-store"},
        {} if kind == "node.loss" else {"latency": "50ms"},
    )
    backend.endpoints = {}
    fault = remade(make, kind, backend, broken)
    undo = {"services": ["server"]}
    for step in (fault.prepare, fault.inject, fault.confirm, lambda: fault.revert(undo), fault.absent):
        async with asyncio.timeout(30.0):  # one that hangs does so for ever
            with pytest.raises(FaultError, match="fault proxy"):
                await step()


async def test_what_is_put_on_lasts_no_longer_than_its_run(
    make: Make, seams: Seams, proxy_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.seams.lease.LEASE_RENEW_S", 0.05)
    fault = make("network.latency", LINK, {"latency": "50ms"})
    await fault.prepare()
    await fault.inject()
    (lease,) = [one for one in leases(proxy_url) if one["holds"]]
    assert lease["name"].startswith("harness-")
    left = lease["expires_in"]
    async with asyncio.timeout(10):  # it is renewed: what is left of it grows
        while (now := leases(proxy_url)[0]["expires_in"]) <= left:
            left = now
            await asyncio.sleep(0.01)
    assert (await fault.confirm()).landed
    await seams.close()  # the run is over without its revert
    assert leases(proxy_url) == []
    assert toxics(proxy_url, "objects") == []
    assert (await fault.absent()).landed is False


async def test_a_killed_run_takes_its_toxics_along_and_a_lapse_is_noticed(
    make: Make, proxy_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.seams.lease.LEASE_TTL_S", 2.0)
    monkeypatch.setattr("harness.seams.lease.LEASE_RENEW_S", 3600.0)  # as of an owner that is dead
    fault = make("storage.slow", LINK, {"latency": "50ms"})
    undo = await fault.prepare()
    await fault.inject()
    async with asyncio.timeout(10):
        while (await fault.absent()).landed:
            pass
    assert toxics(proxy_url, "objects") == []
    assert (await fault.confirm()).landed is False
    await fault.revert(undo)


async def test_a_proxy_that_was_restarted_is_noticed(make: Make, proxy_url: str) -> None:
    """It comes back with its links and without the fault, or, where it has lost a link, without that."""
    fault = make("storage.slow", LINK, {"latency": "50ms"})
    undo = await fault.prepare()
    await fault.inject()
    assert (await fault.confirm()).landed
    link = lose_link(proxy_url, "objects")
    lost = await fault.confirm()
    assert (lost.landed, lost.evidence["why"]) == (False, "toxics are not on")
    with pytest.raises(FaultError, match="does not know the link 'trainer -> object-store'"):
        await fault.absent()
    add_proxy(proxy_url, "objects", link["upstream"], link["listen"])
    assert (await fault.confirm()).landed is False
    await fault.revert(undo)
    assert (await fault.absent()).landed is False


async def test_a_revert_waits_for_a_proxy_that_is_being_started_again(
    make: Make, proxy_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.faults.links.BACK_WITHIN_S", 60.0)
    fault = make("storage.slow", LINK, {"latency": "50ms"})
    undo = await fault.prepare()
    await fault.inject()
    away = [requests.ConnectionError("refused"), requests.ConnectTimeout("no answer")]
    really = requests.delete

    def delete(url: str, **given: Any) -> Any:
        if away:
            raise away.pop()
        return really(url, **given)

    monkeypatch.setattr(requests, "delete", delete)
    await fault.revert(undo)
    assert toxics(proxy_url, "objects") == []


async def test_a_revert_does_not_wait_for_a_proxy_for_ever(
    make: Make, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.faults.links.BACK_WITHIN_S", 0.0)
    with pytest.raises(FaultError, match="the fault proxy did not answer"):
        await remade(make, "network.latency", backend, "http://127.0.0.1:1").revert({})


async def test_a_proxy_that_knows_no_leases_is_used_without(make: Make, backend: FakeBackend) -> None:
    asked: list[str] = []

    class Plain(Refusing):
        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path == "/metrics":
                self.send_response(200)
                self.end_headers()
            else:
                self.send_error(404)

        do_POST = do_GET  # noqa: N815

    with served(Plain) as url:
        fault = remade(make, "network.latency", backend, url)
        await fault.prepare()
        with pytest.raises(FaultError):
            await fault.inject()  # this one knows no toxics either
    assert asked == ["/leases", "/metrics", "/proxies/online/toxics"]


def remade(make: Make, kind: str, backend: FakeBackend, url: str) -> Fault:
    backend.endpoints["server -> online-store"] = LinkEndpoint("server -> online-store", url, {18379: "online"})
    target = {"node": "b"} if kind == "node.loss" else {"link": "server -> online-store"}
    return make(kind, target, {} if kind == "node.loss" else {"latency": "50ms"})


async def test_a_lost_node_is_gone_and_silent(make: Make, backend: FakeBackend) -> None:
    fault = make("node.loss", {"node": "b"})
    undo = await fault.prepare()
    await fault.inject()
    assert backend.states["server"] == backend.states["pipeline"] == "absent"
    assert backend.states["trainer"] == "S"
    assert (await fault.confirm()).landed
    backend.states["pipeline"] = "S"
    assert (await fault.confirm()).landed is False, "one of its processes is back"
    await fault.revert(undo)
    assert (await fault.absent()).landed is False


async def test_a_lost_node_whose_links_speak_again_is_noticed(make: Make, proxy_url: str) -> None:
    fault = make("node.loss", {"node": "a"})
    undo = await fault.prepare()
    await fault.inject()
    assert (await fault.confirm()).landed
    clear_toxics(proxy_url, "online", "objects")
    landing = await fault.confirm()
    assert landing.landed is False
    assert landing.evidence["toxics_missing"]
    await fault.revert(undo)


async def test_processes_are_brought_back_even_if_the_proxy_is_gone(
    make: Make, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.faults.links.BACK_WITHIN_S", 0.0)
    fault = remade(make, "node.loss", backend, "http://127.0.0.1:1")
    await backend.kill(["server", "pipeline"])
    with pytest.raises(FaultError):
        await fault.revert({"services": ["server", "pipeline"]})
    assert backend.states["server"] == "S"


async def test_a_producer_that_goes_on_behind_its_back_is_noticed(
    make: Make, backend: FakeBackend, online: redis.Redis
) -> None:
    old, new = str(NOW_EVENT - 7200), str(NOW_EVENT - 60)
    await online.hset("f:JFK", mapping={"delay": "1", "delay_t": old})
    fault = make("data.stale", {"service": "pipeline"}, {"keyspace": "features", "older_than": "30min event"})
    undo = await fault.prepare()
    await fault.inject()
    assert (await fault.confirm()).landed
    await online.hset("f:JFK", mapping={"delay": "2", "delay_t": new})
    assert (await fault.confirm()).landed is False, "frozen, but what it would write is fresh"
    await online.hset("f:JFK", mapping={"delay": "1", "delay_t": old})
    await backend.resume(["pipeline"])
    assert (await fault.confirm()).landed is False, "old, but not frozen"
    await online.flushall()
    assert (await fault.confirm()).landed is None, "nothing to read an age from"
    await fault.revert(undo)


async def test_a_backend_that_does_not_answer_is_an_error(make: Make, backend: FakeBackend) -> None:
    fault = make("data.stale", {"service": "pipeline"}, {"keyspace": "features"})
    backend.down = True
    with pytest.raises(BackendError):
        await fault.inject()
    await asyncio.sleep(0)


@contextlib.contextmanager
def alone(backend: FakeBackend, *services: str) -> Iterator[dict[str, str]]:
    """Put the links of these consumers on a proxy of which nobody else knows; gives where each link is."""
    links = {name: name.partition(" -> ") for name in backend.endpoints}
    with fault_proxy(7) as url:
        places = {}
        for name, (consumer, _, service) in links.items():
            if consumer not in services:
                continue
            places[name] = add_proxy(url, consumer, backend.addresses[service])
            (port,) = backend.endpoints[name].proxies
            backend.endpoints[name] = LinkEndpoint(name, url, {port: consumer})
            backend.through[consumer, service] = places[name]
        yield places


SLOW = {"latency": "60ms"}


async def test_a_link_that_nobody_uses_is_not_confirmed(make: Make, backend: FakeBackend) -> None:
    with alone(backend, "trainer") as places:
        fault = make("network.latency", LINK, SLOW)
        undo = await fault.prepare()
        with using(*places.values()):
            pass  # what was sent before the fault has not met it
        await fault.inject()
        for _ in range(3):  # the exchanges of the harness itself are no traffic of the trainer
            confirmation = await fault.confirm()
            assert confirmation.landed is False
            assert confirmation.evidence["why"] == "no traffic of 'trainer' met it"
            assert confirmation.evidence["through_ms"]["trainer -> object-store"] >= 48
        with using(*places.values()):
            await lands(fault)
        assert (await fault.confirm()).landed, "what met it once has met it"
        await fault.revert(undo)


@pytest.mark.parametrize("kind", ["network.latency", "network.reset"])
async def test_a_consumer_that_only_connects_is_no_traffic(make: Make, backend: FakeBackend, kind: str) -> None:
    with alone(backend, "trainer") as places:
        fault = make(kind, LINK, SLOW if kind == "network.latency" else {})
        undo = await fault.prepare()
        await fault.inject()
        for _ in range(3):
            host, _, port = places["trainer -> object-store"].partition(":")
            socket.create_connection((host, int(port)), 1).close()
            confirmation = await fault.confirm()
            assert confirmation.landed is False
            assert confirmation.evidence["why"] == "no traffic of 'trainer' met it"
        await fault.revert(undo)


async def test_a_consumer_that_keeps_its_connection_is_traffic(make: Make, backend: FakeBackend) -> None:
    with alone(backend, "trainer") as places, using(*places.values(), kept_open=True):
        fault = make("network.latency", LINK, SLOW)
        undo = await fault.prepare()
        await fault.inject()
        await lands(fault)
        await fault.revert(undo)


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ({"service": "object-store"}, None),
        ({"links": ["trainer -> object-store", "pipeline -> object-store"]}, "no traffic of 'pipeline' met it"),
    ],
)
async def test_of_the_links_to_a_service_one_must_be_in_use_of_those_named_all(
    target: dict[str, object], why: str | None, make: Make, backend: FakeBackend
) -> None:
    idle = "pipeline -> object-store"
    backend.endpoints[idle] = LinkEndpoint(idle, "", {18900: ""})
    with alone(backend, "trainer", "pipeline") as places, using(places["trainer -> object-store"]):
        fault = make("network.latency", target, SLOW)
        undo = await fault.prepare()
        await fault.inject()
        if why is None:
            await lands(fault)
        else:
            for _ in range(3):
                assert (await fault.confirm()).evidence["why"] == why
        await fault.revert(undo)


@pytest.mark.parametrize("spoken", ["answered", "silent"])
async def test_a_fault_is_on_every_port_of_a_link(
    spoken: Outcome, make: Make, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.faults.links.LONGEST_S", 0.5)
    async with ending(spoken) as second:
        with fault_proxy(7) as url:
            link = "trainer -> object-store"
            main, further = (add_proxy(url, name, upstream) for name, upstream in (
                ("main", backend.addresses["object-store"]), ("further", second),
            ))  # fmt: skip
            backend.endpoints[link] = LinkEndpoint(link, url, {18900: "main", 9999: "further"})
            backend.addresses["object-store:9999"] = second
            backend.through |= {("trainer", "object-store"): main, ("trainer", "object-store:9999"): further}
            fault = make("network.latency", LINK, SLOW)
            undo = await fault.prepare()
            await fault.inject()
            assert toxics(url, "main") == toxics(url, "further") == ["harness-it"]
            assert (await fault.confirm()).evidence["why"] == "no traffic of 'trainer' met it"
            with using(further):
                landing = await lands(fault)
            measured = {f"{link}": "answered"} | ({f"{link}:9999": "answered"} if spoken == "answered" else {})
            assert landing.evidence["through"] == measured
            assert landing.evidence["consumer_bytes"][link] == 0
            assert landing.evidence["consumer_bytes"][f"{link}:9999"] > 0
            clear_toxics(url, "further")
            assert (await fault.confirm()).evidence["toxics_missing"] == [f"{link}:9999: harness-it"]
            await fault.revert(undo)
            assert toxics(url, "main") == []


async def test_a_proxy_that_does_not_count_traffic_is_refused_before_anything_is_put_in(
    make: Make, backend: FakeBackend
) -> None:
    asked: list[str] = []

    class Uncounting(Refusing):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_POST = do_GET  # noqa: N815

    with served(Uncounting) as url:
        fault = remade(make, "network.latency", backend, url)
        with pytest.raises(FaultError, match="does not count traffic") as refused:
            await fault.prepare()
    assert refused.value.remedy == "start Toxiproxy with -proxy-metrics"
    assert asked == ["/leases", "/metrics"]
