"""One of each real server for all tests of faults, and a small stack that consists of them."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import boto3
import pytest
import redis.asyncio as redis
import requests
from botocore.config import Config

sys.path.insert(0, str(Path(__file__).parents[1] / "seams"))

from confirmations import NOW_EVENT, SEED
from real_servers import ACCESS, FakeBackend, clear_toxics, fault_proxy, object_store, own_address, using, valkey

from harness.faults.installed import Faults
from harness.model.backend import LinkEndpoint
from harness.model.datasets import DatasetSpec, Integrity, KeyspaceSpec, StoreSpec
from harness.model.eventtime import EventClock
from harness.model.fault import Fault
from harness.model.faultstep import FaultStep
from harness.model.stack import Health, ServiceSpec, StackDescription
from harness.seams import Seams

LINKS = ("server -> online-store", "trainer -> object-store")


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.faults.rewriting.LOOK_S", 0.2)


@pytest.fixture(scope="session")
def valkey_address() -> Iterator[str]:
    with valkey() as address:
        yield address


@pytest.fixture(scope="session")
def store_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with object_store(tmp_path_factory.mktemp("buckets")) as address:
        yield address


@pytest.fixture(scope="session")
def proxy_url(valkey_address: str, store_address: str) -> Iterator[str]:
    with fault_proxy() as url:
        for name, upstream in zip(("online", "objects"), (valkey_address, store_address), strict=True):
            listen = f"{own_address(4)}:{upstream.rpartition(':')[2]}"
            body = {"name": name, "listen": listen, "upstream": upstream, "enabled": True}
            assert requests.post(f"{url}/proxies", json=body, timeout=5).status_code == 201
        with using(*(f"{own_address(4)}:{port}" for port in (18379, 18900))):  # a fault that meets nobody never lands
            yield url


@pytest.fixture
def description() -> StackDescription:
    def service(name: str, node: str, port: int | None = None) -> ServiceSpec:
        return ServiceSpec(name=name, index=0, node=node, port=port, health=Health(tcp=True) if port else None)

    stamps = {"delay": "delay_t", "temp": "weather_t", "wind": "weather_t"}
    return StackDescription(
        schema=1,
        name="small",
        file="compose.yaml",
        services={
            "online-store": service("online-store", "a", 18379),
            "object-store": service("object-store", "a", 18900),
            "server": service("server", "b", 18001),
            "pipeline": service("pipeline", "b"),
            "trainer": service("trainer", "c"),
        },
        keyspaces={"features": KeyspaceSpec(service="online-store", prefix="f:", stamps=stamps)},
        datasets={"rows": DatasetSpec(service="object-store", bucket="ml", prefix="rows/")},
        integrity=Integrity(
            store=StoreSpec(service="object-store", bucket="ml", access_key=ACCESS[0], secret_key=ACCESS[1])
        ),
    )


@pytest.fixture
def backend(valkey_address: str, store_address: str, proxy_url: str) -> Iterator[FakeBackend]:
    at = own_address(4)
    yield FakeBackend(
        addresses={"online-store": valkey_address, "object-store": store_address, "server": f"{own_address(5)}:18001"},
        through={("server", "online-store"): f"{at}:18379", ("trainer", "object-store"): f"{at}:18900"},
        endpoints={
            LINKS[0]: LinkEndpoint(LINKS[0], proxy_url, {18379: "online"}),
            LINKS[1]: LinkEndpoint(LINKS[1], proxy_url, {18900: "objects"}),
        },
        states=dict.fromkeys(("server", "pipeline", "trainer", "online-store", "object-store"), "S"),
    )
    clear_toxics(proxy_url, "online", "objects")


@pytest.fixture
async def seams(backend: FakeBackend, description: StackDescription, tmp_path: Path) -> AsyncIterator[Seams]:
    made = Seams(backend, description, EventClock(NOW_EVENT, time.time(), 1.0), tmp_path / "undo", SEED)
    yield made
    await made.close()


@pytest.fixture
async def online(valkey_address: str) -> AsyncIterator[redis.Redis]:
    host, _, port = valkey_address.rpartition(":")
    client = redis.Redis(host=host, port=int(port), decode_responses=True)
    await client.flushall()
    await client.config_set("notify-keyspace-events", "")
    yield client
    await client.aclose()


@pytest.fixture
def bucket(store_address: str) -> Iterator[object]:
    client = boto3.client(
        "s3", endpoint_url=f"http://{store_address}", region_name="us-east-1",
        aws_access_key_id=ACCESS[0], aws_secret_access_key=ACCESS[1],
        # An object may be overwritten while it is read, and then the checksum of its head is of another body.
        config=Config(response_checksum_validation="when_required"),
    )  # fmt: skip
    yield client
    for one in client.list_objects_v2(Bucket="ml").get("Contents", ()):
        client.delete_object(Bucket="ml", Key=one["Key"])
    client.close()


@pytest.fixture
def make(seams: Seams) -> Callable[..., Fault]:
    """Make a fault as a scenario asks for it."""

    def made(kind: str, target: dict[str, object], parameters: dict[str, object] | None = None, seed: int = 1) -> Fault:
        step = FaultStep.model_validate(
            {"id": "it", "at": "0s", "fault": kind, "target": target, "with": parameters or {}, "for": "1s"}
        )
        return Faults()[kind].make(step, seams, seed)

    return made
