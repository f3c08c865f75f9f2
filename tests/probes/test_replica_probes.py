"""HTTP probes of a service with several replicas: each asked where it is now, one by its number or all together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from real_probes import Probing
from real_servers import FakeBackend
from servers import serving

from harness.model.errors import BackendError, ProbeError


class Several(FakeBackend):
    """A backend with replicas of `web`, at the addresses that the test gives."""

    def __init__(self, places: Mapping[int, str | None]) -> None:
        super().__init__(addresses={"web": "127.0.0.1:1", "db": "127.0.0.1:2"})
        self.places = dict(places)

    def has_replicas(self, service: str) -> bool:
        return service == "web"

    async def replica_places(self, service: str, port: int) -> Mapping[int, str | None]:
        if self.down:
            raise BackendError("the engine does not answer")
        return self.places


def answering(status: int) -> Any:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=request.headers["Host"])

    return handler


URL = "http://web:1/x"
PROBES: dict[str, Any] = {
    "all": {"http": {"url": URL}},
    "first": {"http": {"url": URL, "replica": 1}},
    "second": {"http": {"url": URL, "replica": 2}},
    "status": {"http": {"url": URL, "read": "status", "replica": 2}},
    "slowest": {"http": {"url": URL, "read": "latency"}},
}


async def test_each_replica_is_asked_where_it_is_now(tmp_path: Path) -> None:
    async with serving(answering(200)) as good, serving(answering(503)) as bad:
        well, ill = good.removeprefix("http://"), bad.removeprefix("http://")
        backend = Several({1: well, 2: ill})
        async with Probing(tmp_path, PROBES, backend=backend) as probing:
            seen = await probing.once()
            values = {name: reading.value for name, reading in seen.items()}
            assert values == {"all": 0.0, "first": 1.0, "second": 0.0, "status": 503.0, "slowest": None}
            assert seen["slowest"].down == "status 503"
            backend.places = {1: ill, 2: well}  # both were started again, and each has the other's address
            values = {name: reading.value for name, reading in (await probing.once()).items()}
            assert (values["all"], values["first"], values["second"], values["status"]) == (0.0, 0.0, 1.0, 200.0)
            backend.places = {1: well, 2: well}
            seen = await probing.once()
            assert seen["all"].value == 1.0
            assert seen["slowest"].value is not None
            backend.places = {1: well, 2: None}
            seen = await probing.once()
            assert (seen["all"].value, seen["first"].value, seen["second"].value) == (0.0, 1.0, 0.0)
            assert seen["status"].down == "the replica is not there"


async def test_what_the_engine_does_not_tell_is_not_down(tmp_path: Path) -> None:
    backend = Several({})
    backend.down = True
    async with Probing(tmp_path, PROBES, backend=backend) as probing:
        assert {seen.kind for seen in (await probing.once()).values()} == {"gap"}


async def test_no_container_at_all_is_down(tmp_path: Path) -> None:
    async with Probing(tmp_path, PROBES, backend=Several({})) as probing:
        assert (await probing.once())["all"].value == 0.0


async def test_a_local_process_has_no_replicas(tmp_path: Path) -> None:
    backend = FakeBackend(addresses={"web": "127.0.0.1:1"})
    async with Probing(tmp_path, {"second": PROBES["second"]}, backend=backend) as probing:
        assert {seen.kind for seen in (await probing.once()).values()} == {"gap"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": URL, "read": "status"}, "has many values.*name one of them with `replica`"),
        ({"url": "http://127.0.0.1:1/", "replica": 1}, "names a service of the stack"),
    ],
)
async def test_probes_that_can_mean_nothing(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match=message):
        async with Probing(tmp_path, {"p": {"http": settings}}, backend=Several({})):
            pass
