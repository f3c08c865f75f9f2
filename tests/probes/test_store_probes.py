"""Probes of stores, against real ones: a Redis-protocol server, an S3 server, a database."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from google.protobuf import timestamp_pb2
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from real_probes import Probing, read
from servers import event_clock

sys.path.insert(0, str(Path(__file__).parents[1] / "seams"))

from real_servers import ACCESS, object_store, valkey

from harness.model.errors import HarnessError, ProbeError, ScenarioError
from harness.model.probekinds import ProbeSpec
from harness.probes.reader import NoAnswerError
from harness.probes.redis_store import timestamp

pytestmark = pytest.mark.slow

PASSWORD = "p@ss:wo/rd?#%"


@pytest.fixture(scope="module")
def store() -> Iterator[tuple[str, redis.Redis]]:
    with valkey(number=8) as place:
        host, _, port = place.partition(":")
        client = redis.Redis(host=host, port=int(port))
        client.config_set("requirepass", PASSWORD)
        yield place, redis.Redis(host=host, port=int(port), password=PASSWORD)


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_PASSWORD", PASSWORD)
    monkeypatch.setenv("STORE_SECRET", ACCESS[1])


def in_store(**settings: Any) -> dict[str, Any]:
    return {"redis": {"service": "online", "password": "${secret:STORE_PASSWORD}", **settings}}


async def test_values_ages_and_counts_of_keys(tmp_path: Path, store: tuple[str, redis.Redis]) -> None:
    place, client = store
    now = time.time()
    client.flushall()
    client.set("n", "2.5")
    client.hset("f:JFK", mapping={"delay": "3", "at": str(now - 60)})
    client.hset("f:LGA", mapping={"delay": "5", "at": str((now - 90) * 1000)})
    client.rpush("queue", "a", "b", "c")
    client.xadd("stream", {"a": 1})
    client.set("text", "abc")
    client.hset("event", "at", "1371000000")
    found = await read(
        tmp_path, {"online": place}, event_clock(),
        n=in_store(key="n"), delay=in_store(key="f:JFK", field="delay"), worst=in_store(keys="f:*", field="delay"),
        least=in_store(keys="f:*", field="delay", agg="min"), oldest=in_store(keys="f:*", field="at", read="age"),
        newest=in_store(keys="f:*", field="at", read="age", agg="min"), count=in_store(keys="f:*", read="count"),
        none=in_store(keys="g:*", read="count"), queue=in_store(key="queue", read="length"),
        stream=in_store(key="stream", read="length"), gone=in_store(key="gone", read="length"),
        event=in_store(key="event", field="at", read="event_age"),
    )  # fmt: skip
    values = {name: reading.value for name, reading in found.items()}
    assert [values[n] for n in ("n", "delay", "worst", "least", "count", "none", "queue", "stream", "gone")] == [
        2.5, 3.0, 5.0, 3.0, 2.0, 0.0, 3.0, 1.0, 0.0
    ]  # fmt: skip
    assert values["oldest"] == pytest.approx(90, abs=5)
    assert values["newest"] == pytest.approx(60, abs=5)
    assert values["event"] is not None
    assert values["event"] >= 0
    assert all(reading.down is None for reading in found.values())


async def test_what_a_store_has_not_says_why(tmp_path: Path, store: tuple[str, redis.Redis]) -> None:
    place, client = store
    client.flushall()
    client.set("text", "abc")
    client.set("inf", "inf")
    client.rpush("queue", "a")
    found = await read(
        tmp_path, {"online": place},
        gone=in_store(key="gone"), text=in_store(key="text"), stamp=in_store(key="text", read="age"),
        inf=in_store(key="inf"), kind=in_store(key="queue"), hash=in_store(key="queue", field="x"),
        no_keys=in_store(keys="g:*", field="x"), no_field=in_store(keys="t*", field="x"),
        wrong=in_store(key="text", password="wrong"),
    )  # fmt: skip
    assert all(reading.value is None for reading in found.values())
    for name, why in (
        ("gone", "there is no value of 'gone'"), ("text", "'abc' is no number"), ("stamp", "'abc' is not a time stamp"),
        ("inf", "the value is inf"), ("kind", "WRONGTYPE"), ("hash", "WRONGTYPE"), ("no_keys", "no key matches 'g:*'"),
        ("no_field", "WRONGTYPE"), ("wrong", "invalid username-password"),
    ):  # fmt: skip
        assert why in (found[name].down or ""), name


@pytest.mark.parametrize("url", ["redis://:${secret:STORE_PASSWORD}@online/0", "redis://online:1", "${secret:WHOLE}"])
async def test_a_store_by_its_url(
    tmp_path: Path, store: tuple[str, redis.Redis], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    place, client = store
    client.set("n", "4")
    monkeypatch.setenv("WHOLE", f"redis://:{quote(PASSWORD, safe='')}@{place}/0")
    found = await read(tmp_path, {"online": place}, p={"redis": {"url": url, "key": "n"}})
    if url == "redis://online:1":
        assert "Authentication required" in (found["p"].down or "")
    else:
        assert found["p"].value == 4.0


async def test_a_store_that_hangs_or_is_gone_costs_its_deadline(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        found = await read(
            tmp_path, {"online": place}, p={"redis": {"service": "online", "key": "n"}, "timeout": "200ms"}
        )
        assert found["p"].value is None
        # The deadline of the probe, or that of its connection: they are the same, and either may be noticed first.
        assert found["p"].down in ("no answer within 0.2 s", f"TimeoutError: Timeout reading from {place}")
    found = await read(tmp_path, {"online": "127.0.0.1:1"}, p={"redis": {"service": "online", "key": "n"}})
    assert "Connect" in (found["p"].down or "")


async def test_the_connection_outlives_a_restart_of_the_store(tmp_path: Path, store: tuple[str, redis.Redis]) -> None:
    place, client = store
    client.set("n", "4")
    async with Probing(tmp_path, {"p": in_store(key="n")}, {"online": place}) as probing:
        assert (await probing.once())["p"].value == 4.0
        client.client_kill_filter(_type="normal", skipme=True)
        await probing.once()
        assert (await probing.once())["p"].value == 4.0


def serialized(seconds: int, nanos: int = 0) -> bytes:
    return bytes(timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos).SerializeToString())


async def test_the_age_of_features_in_feasts_online_store(tmp_path: Path, store: tuple[str, redis.Redis]) -> None:
    place, client = store
    client.flushall()
    now = int(time.time())
    for entity, age in (("1001", 60), ("1002", 3600)):
        key = b"\x02\x00\x00\x00driver_id\x04\x00\x00\x00" + entity.encode() + b"shop"
        client.hset(key, mapping={b"_ts:driver_stats": serialized(now - age), b"\x01\x02\x03\x04": b"\x19\x00"})
    client.hset(b"other-key-of-shopping", mapping={b"_ts:driver_stats": serialized(now - 9999)})
    client.hset(b"zzshop", mapping={b"_ts:other_view": serialized(now - 9999)})
    access = {"service": "online", "password": "${secret:STORE_PASSWORD}", "project": "shop"}
    found = await read(
        tmp_path, {"online": place},
        oldest={"feast": {**access, "view": "driver_stats"}},
        newest={"feast": {**access, "view": "driver_stats", "agg": "min"}},
        count={"feast": {**access, "view": "driver_stats", "read": "count"}}, none={"feast": {**access, "view": "x"}},
        glob={"feast": {**access, "project": "s*p", "view": "driver_stats", "read": "count"}},
    )  # fmt: skip
    assert found["oldest"].value == pytest.approx(3600, abs=5)
    assert found["newest"].value == pytest.approx(60, abs=5)
    assert (found["count"].value, found["glob"].value) == (2.0, 0.0)
    assert "has no row of the view 'x'" in (found["none"].down or "")


@given(st.integers(-62_135_596_800, 253_402_300_799), st.integers(0, 999_999_999))
def test_timestamps_are_read_as_protocol_buffers_write_them(seconds: int, nanos: int) -> None:
    assert timestamp(serialized(seconds, nanos)) == pytest.approx(seconds + nanos / 1e9)


@given(st.binary(max_size=30))
def test_any_bytes_are_a_moment_or_no_answer(data: bytes) -> None:
    with contextlib.suppress(NoAnswerError):
        assert isinstance(timestamp(data), float)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    root = tmp_path_factory.mktemp("s3")
    with object_store(root, number=9) as place:
        yield place, root / "ml"


def in_bucket(**settings: Any) -> dict[str, Any]:
    keys = {"access_key": ACCESS[0], "secret_key": "${secret:STORE_SECRET}"}
    return {"s3": {"service": "objects", "bucket": "ml", **keys, **settings}}


async def test_objects_of_a_store(tmp_path: Path, objects: tuple[str, Path]) -> None:
    place, bucket = objects
    (bucket / "models").mkdir()
    (bucket / "models" / "1.bin").write_bytes(b"one")
    (bucket / "models" / "2.bin").write_bytes(b"two!")
    import os

    os.utime(bucket / "models" / "1.bin", (time.time() - 500,) * 2)
    digest = f"sha256:{hashlib.sha256(b'one').hexdigest()}"
    probes = {
        "newest": in_bucket(prefix="models/"), "oldest": in_bucket(prefix="models/", of="oldest"),
        "count": in_bucket(prefix="models/", read="count"), "bytes": in_bucket(prefix="models/", read="bytes"),
        "equal": in_bucket(key="models/1.bin", read="equal", digest=digest),
        "other": in_bucket(key="models/2.bin", read="equal", digest=digest),
        "changed": in_bucket(key="models/2.bin", read="changed"), "all_changed": in_bucket(prefix="", read="changed"),
        "gone": in_bucket(key="models/3.bin"), "none": in_bucket(prefix="x/"),
        "no_count": in_bucket(prefix="x/", read="count"), "not_there": in_bucket(key="models/3.bin", read="count"),
        "denied": in_bucket(key="models/1.bin", secret_key="wrong"),
        "by_url": {"s3": {**in_bucket(key="models/1.bin")["s3"], "service": None, "url": "http://objects:1"}},
    }  # fmt: skip
    probes = {name: {**spec, "timeout": "20s"} for name, spec in probes.items()}  # a busy machine is no finding
    async with Probing(tmp_path, probes, {"objects": place}) as probing:
        found = await probing.once()
        values = {name: reading.value for name, reading in found.items()}
        assert values["newest"] == pytest.approx(0, abs=30)
        assert values["oldest"] == pytest.approx(500, abs=30)
        assert values["by_url"] == pytest.approx(500, abs=30)
        expected = {"count": 2, "bytes": 7, "equal": 1, "other": 0, "changed": 0, "all_changed": 0, "no_count": 0}
        assert {name: values[name] for name in expected} == expected
        assert values["not_there"] == 0
        assert "no object 'models/3.bin'" in (found["gone"].down or "")
        assert "no object begins with 'x/'" in (found["none"].down or "")
        assert found["denied"].value is None
        (bucket / "models" / "2.bin").write_bytes(b"three!")
        values = {name: reading.value for name, reading in (await probing.once()).items()}
        assert (values["changed"], values["all_changed"], values["bytes"]) == (1.0, 1.0, 9.0)
        shutil.rmtree(bucket / "models")
        assert (await probing.once())["changed"].value == 1.0


async def test_an_object_store_that_hangs_is_a_reading_and_threads_do_not_pile_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        probes = {"p": in_bucket(prefix="") | {"timeout": "200ms"}}
        async with Probing(tmp_path, probes, {"objects": place}) as probing:
            first, second = (await probing.once())["p"], (await probing.once())["p"]
    assert first.value is None
    assert second.value is None


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as made:
        made.execute("create table runs (id integer, at text, score real)")
        made.executemany("insert into runs values (?, ?, ?)", [(1, "2026-01-01 00:00:00", 0.5), (2, "x", None)])
    made.close()
    return path


def sql(query: str, **more: Any) -> dict[str, Any]:
    return {"sql": {"url": "sqlite:///shop.db", "query": query, **more}}


async def test_queries_of_a_database(tmp_path: Path, database: Path) -> None:
    probes = {
        "count": sql("select count(*) from runs"),
        "score": sql("SELECT score FROM runs WHERE id = 1 -- it's 12:30 :x %s"),
        "age": sql("select at from runs where id = 1", **{"as": "age"}), "text": sql("select '7.5'"),
        "null": sql("select score from runs where id = 2"), "none": sql("select 1 where 1 = 0"),
        "word": sql("select 'x'"), "blob": sql("select x'00'"), "table": sql("select * from missing"),
        "no_age": sql("select at from runs where id = 2", **{"as": "age"}), "syntax": sql("select from"),
        "with": sql("with a as (select 3 as n) select n from a;"),
    }  # fmt: skip
    async with Probing(tmp_path, probes) as probing:
        found = await probing.once()
        values = {name: reading.value for name, reading in found.items()}
        assert {name: values[name] for name in ("count", "score", "text", "with")} == {
            "count": 2.0, "score": 0.5, "text": 7.5, "with": 3.0,
        }  # fmt: skip
        assert (values["age"] or 0) > 0
        for name, why in (
            ("null", "NULL"), ("none", "no row"), ("word", "'x', which is no number"), ("blob", "a bytes"),
            ("table", "no such table"), ("no_age", "'x' is not a time stamp"), ("syntax", "syntax error"),
        ):  # fmt: skip
            assert values[name] is None, name
            assert why in (found[name].down or ""), name
        with sqlite3.connect(database) as other:
            other.execute("insert into runs values (3, 'x', 1)")
        other.close()
        assert (await probing.once())["count"].value == 3.0, "each reading sees what is there now"


async def test_a_query_that_hangs_is_a_reading_and_is_not_asked_again_meanwhile(tmp_path: Path, database: Path) -> None:
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000000) select max(i) from n"
    async with Probing(tmp_path, {"p": sql(endless) | {"timeout": "20ms"}}) as probing:
        first, second = (await probing.once())["p"], (await probing.once())["p"]
        assert first.down == "no answer within 0.02 s"
        assert second.down in ("the call before this one has not come back yet", "no answer within 0.02 s")
        # What is on its way is waited for, so that nothing is left behind.
        (reader,) = [poller._reader for poller in probing.pollers]  # type: ignore[attr-defined]
        await asyncio.to_thread(reader._thread._free.acquire)
        reader._thread._free.release()


@pytest.mark.parametrize(
    ("probe", "error", "hint"),
    [
        ({"sql": {"url": "nosuchdb://a/b", "query": "select 1"}}, ProbeError, "cannot be used"),
        ({"sql": {"url": "postgresql://u:${secret:GONE}@db:5432/x", "query": "select 1"}}, ScenarioError,
         "'GONE' is not"),
        ({"redis": {"url": "${secret:STORE_PASSWORD}", "key": "x"}}, ProbeError, "is not one such as"),
        ({"redis": {"service": "db", "key": "x", "password": "${secret:GONE}"}}, ScenarioError, "'GONE' is not"),
    ],
)  # fmt: skip
async def test_what_cannot_be_made_ready_says_so(
    tmp_path: Path, probe: dict[str, Any], error: type[HarnessError], hint: str
) -> None:
    with pytest.raises(error, match=hint) as caught:
        await read(tmp_path, {"db": "127.0.0.1:1"}, p=probe)
    assert PASSWORD not in str(caught.value)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"redis": {"key": "x"}}, "exactly one of `service` and `url`"),
    ({"redis": {"service": "a", "url": "redis://a", "key": "x"}}, "exactly one of `service` and `url`"),
    ({"redis": {"service": "a"}}, "exactly one of `key` and `keys`"),
    ({"redis": {"service": "a", "key": "x", "read": "count"}}, "give `keys`"),
    ({"redis": {"service": "a", "keys": "x", "read": "count", "field": "f"}}, "leave `field` out"),
    ({"redis": {"url": "http://a", "key": "x"}}, "not a URL such as redis://"),
    ({"redis": {"url": "redis://a", "db": 2, "key": "x"}}, "holds user, password and database"),
    ({"s3": {"service": "a", "bucket": "b"}}, "exactly one of `key` and `prefix`"),
    ({"s3": {"bucket": "b", "key": "k"}}, "exactly one of `service` and `url`"),
    ({"s3": {"service": "a", "bucket": "b", "key": "k", "read": "equal"}}, "goes with `read: equal`"),
    ({"s3": {"service": "a", "bucket": "b", "key": "k", "read": "equal", "digest": "abc"}}, "sha256:"),
    ({"s3": {"service": "a", "bucket": "b", "prefix": "k", "read": "equal", "digest": f"sha256:{'0' * 64}"}},
     "one object"),
    ({"sql": {"url": "postgresql://a/b", "query": "delete from x"}}, "a probe only reads"),
    ({"sql": {"url": "postgresql://a/b", "query": "select 1; delete from x"}}, "one statement"),
    ({"sql": {"url": "postgresql://a/b", "query": "select 1", "password": "x"}}, "goes with a `username`"),
    ({"sql": {"url": "postgresql://u:p@a/b", "query": "select 1", "username": "u"}}, "not in both"),
    ({"sql": {"url": "${secret:URL}", "query": "select 1", "username": "u"}}, "not in both"),
    ({"sql": {"url": "db:5432", "query": "select 1"}}, "not a URL such as postgresql://"),
    ({"feast": {"service": "a", "project": "", "view": "v"}}, "at least 1 character"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "hint"), BAD)
def test_settings_that_cannot_be_meant(spec: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ProbeSpec.model_validate(spec)
    assert hint in str(caught.value)
