"""The probe `kafka_lag` against a broker that speaks Kafka's protocol (franz-go's kfake, see `broker/main.go`)."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.structs import OffsetAndMetadata, TopicPartition
from pydantic import ValidationError
from real_probes import Probing

sys.path.insert(0, str(Path(__file__).parents[1] / "seams"))

from real_servers import own_address, running

from harness.model.probekinds import ProbeSpec

# kafka-python leaves sockets that could not connect to the garbage collector.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]

BROKER = Path(__file__).parents[2] / ".bin" / "kafka-broker"
PORT = 19092


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    yield
    gc.collect()


@contextmanager
def broker(number: int, *options: str) -> Iterator[str]:
    """Run a broker with the topic `orders` of two partitions; gives its `host:port`."""
    host = own_address(number)
    with running([str(BROKER), "-listen", f"{host}:{PORT}", *options], host, PORT):
        yield f"{host}:{PORT}"


@pytest.fixture(scope="module")
def place() -> Iterator[str]:
    with broker(10) as place:
        yield place


def send(place: str, *counts: int, topic: str = "orders", **access: Any) -> None:
    """Send so many messages to each partition."""
    producer = KafkaProducer(bootstrap_servers=place, **access)
    for partition, count in enumerate(counts):
        for number in range(count):
            producer.send(topic, b"%d" % number, partition=partition)
    producer.flush()
    producer.close()


def commit(place: str, group: str, *offsets: int | None, **access: Any) -> None:
    """Commit an offset for each partition, or none."""
    admin = KafkaAdminClient(bootstrap_servers=place, **access)
    given = {
        TopicPartition("orders", k): OffsetAndMetadata(at, "", -1) for k, at in enumerate(offsets) if at is not None
    }
    admin.alter_group_offsets(group, given)
    admin.close()


def lag(group: str, **more: Any) -> dict[str, Any]:
    return {"kafka_lag": {"bootstrap": f"broker:{PORT}", "group": group, "topic": "orders", **more}, "timeout": "10s"}


async def test_how_far_groups_are_behind(tmp_path: Path, place: str) -> None:
    send(place, 10, 5)
    commit(place, "late", 4, 3)
    commit(place, "done", 10, 5)
    commit(place, "partly", 4, None)
    commit(place, "lost", 11, 5)
    probes = {name: lag(name) for name in ("late", "done", "partly", "lost", "never")}
    probes["worst"] = lag("late", agg="max")
    probes |= {f"{name}_from_start": lag(name, auto_offset_reset="earliest") for name in ("late", "partly", "never")}
    probes["nowhere"] = lag("late", topic="order")
    probes["outside"] = {"kafka_lag": {**lag("late")["kafka_lag"], "bootstrap": place}, "timeout": "10s"}
    async with Probing(tmp_path, probes, {"broker": place}) as probing:
        found = await probing.once()
        send(place, 3, 0)
        later = await probing.once()
    values = {name: reading.value for name, reading in found.items()}
    assert [values[name] for name in ("late", "done", "worst", "outside")] == [8.0, 0.0, 6.0, 8.0]
    assert [values[f"{name}_from_start"] for name in ("late", "partly", "never")] == [8.0, 11.0, 15.0]
    assert {name: found[name].down for name in ("partly", "lost", "never", "nowhere")} == {
        "partly": "the group 'partly' has committed no offset of partition 1 of 'orders', which holds 5 messages",
        "lost": "the group is at 11 in partition 0 of 'orders', which ends at 10: messages were lost",
        "never": "the group 'never' has committed no offset of 'orders'",
        "nowhere": "the topic 'order': UnknownTopicOrPartitionError",
    }
    assert (later["done"].value, later["late"].value, later["worst"].value) == (3.0, 11.0, 9.0)


async def test_a_broker_by_the_name_that_it_gives_itself(tmp_path: Path) -> None:
    # As in a container: clients are told a name, and a port, that mean something in its own network.
    with broker(11, "-advertise", "broker:29092") as place:
        probes = {"lag": lag("g", auto_offset_reset="earliest")}
        async with Probing(tmp_path, probes, {"broker": f"{own_address(12)}:1"}) as probing:
            probing.backend.addresses |= {f"broker:{PORT}": place, "broker:29092": place}
            assert (await probing.once())["lag"].value == 0.0
    with broker(11, "-advertise", "elsewhere:29092") as place:
        quick = {"lag": {**lag("g"), "timeout": "1s"}}
        async with Probing(tmp_path, quick, {"broker": place}) as probing:
            told = (await probing.once())["lag"]
    assert told.value is None
    assert (told.down or "").startswith("OSError: the broker calls itself elsewhere:29092, which is not to be found: ")


async def test_a_broker_that_is_gone_and_comes_back(tmp_path: Path) -> None:
    probes = {"lag": {**lag("g", auto_offset_reset="earliest"), "timeout": "2s"}}
    place, threads = f"{own_address(12)}:{PORT}", len(threading.enumerate())
    async with Probing(tmp_path, probes, {"broker": place}) as probing:
        first = (await probing.once())["lag"]
        with broker(12):
            send(place, 2, 0)
            assert (await until_answered(probing)) == 2.0
        gone = (await probing.once())["lag"]
        with broker(12):
            assert (await until_answered(probing)) == 0.0
    for thread in threading.enumerate():
        if thread.name == "kafka probe":
            thread.join()
    assert len(threading.enumerate()) == threads, "no client that failed has left its thread"
    assert (first.value, gone.value) == (None, None)
    assert all(reading.down for reading in (first, gone))


async def test_a_broker_that_hangs(tmp_path: Path) -> None:
    probes = {"lag": {**lag("g", auto_offset_reset="earliest"), "timeout": "1s"}}
    host = own_address(14)
    with running([str(BROKER), "-listen", f"{host}:{PORT}"], host, PORT) as process:
        async with Probing(tmp_path, probes, {"broker": f"{host}:{PORT}"}) as probing:
            assert (await until_answered(probing)) == 0.0
            process.send_signal(signal.SIGSTOP)
            assert (await probing.once())["lag"].down is not None
            process.send_signal(signal.SIGCONT)
            assert (await until_answered(probing)) == 0.0


async def until_answered(probing: Probing) -> float:
    """Read until there is a number: a call that began before the broker did may still be on its way."""
    deadline_s = time.monotonic() + 60
    while (value := (await probing.once())["lag"].value) is None:
        assert time.monotonic() < deadline_s, probing.told
        await asyncio.sleep(0.05)
    return value


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"bootstrap": "broker"}, "not an address such as broker:9092"),
        ({"bootstrap": "a:1,b"}, "'b' is not an address"),
        ({"auto_offset_reset": "latest"}, "earliest"),
    ],
)
def test_settings_that_cannot_be_right(settings: dict[str, str], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ProbeSpec.model_validate({"kafka_lag": {**lag("g")["kafka_lag"], **settings}})


CONNECTING = """
from kafka.admin import KafkaAdminClient
try:
    KafkaAdminClient(bootstrap_servers="127.0.0.1:1", bootstrap_timeout_ms=300)
except Exception as error:
    print(type(error).__name__)
"""


def test_the_client_prints_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", CONNECTING], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("KafkaTimeoutError\n", "")
