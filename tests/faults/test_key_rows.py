"""Faults on live rows: every row that is written is hit, the manifest says exactly which, and no other is touched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import redis.asyncio as redis
from confirmations import lands, until

from harness.model.errors import FaultError
from harness.model.fault import Confirmation, Fault, chosen

Make = Callable[..., Fault]
ON_DELAY = {"operation": "scale", "factor": 60, "fields": ["delay"]}
TARGET = {"keyspace": "features"}


async def write(online: redis.Redis, entity: str, stamp: int, **fields: object) -> None:
    await online.hset(f"f:{entity}", mapping={k: str(v) for k, v in fields.items()} | {"delay_t": str(stamp)})


def told(rows: list[dict[str, Any]]) -> set[tuple[str, int, str, str, str]]:
    return {(r["entity"], r["event_time"], r["field"], r["before"], r["after"]) for r in rows}


async def test_rows_that_are_there_and_rows_that_come_are_hit(make: Make, online: redis.Redis) -> None:
    await write(online, "JFK", 100, delay=1.5)
    fault = make("features.corrupt", TARGET, ON_DELAY)
    undo = await fault.prepare()
    await fault.inject()
    for stamp in range(101, 106):
        await write(online, "LGA", stamp, delay=2)
        await until(lambda: is_(online, "LGA", "120.0"), "each new row is hit")
    await fault.revert(undo)  # a change shows in the store a moment before it is noted; the revert waits for both
    assert told(fault.manifest()) == {
        ("JFK", 100, "delay", "1.5", "90.0"),
        *(("LGA", stamp, "delay", "2", "120.0") for stamp in range(101, 106)),
    }
    assert await online.hget("f:JFK", "delay") == "1.5"
    assert await online.hget("f:LGA", "delay") == "2"


async def is_(online: redis.Redis, entity: str, value: str, field: str = "delay") -> bool:
    return bool(await online.hget(f"f:{entity}", field) == value)


async def test_a_field_that_was_left_alone_is_not_changed_twice(make: Make, online: redis.Redis) -> None:
    fault = make("features.corrupt", TARGET, ON_DELAY | {"fields": ["delay", "temp"]})
    undo = await fault.prepare()
    await fault.inject()
    await write(online, "JFK", 100, delay=2)
    await until(lambda: is_(online, "JFK", "120.0"), "the delay is hit")
    for stamp in (200, 201):  # only the other group is written
        await online.hset("f:JFK", mapping={"temp": "70", "weather_t": str(stamp)})
        await until(lambda: is_(online, "JFK", "4200.0", "temp"), "the temperature is hit")
    assert await is_(online, "JFK", "120.0")
    await fault.revert(undo)
    assert len(told(fault.manifest())) == 3
    row = await online.hgetall("f:JFK")
    assert (row["delay"], row["temp"]) == ("2", "70")


async def test_a_row_written_again_the_same_is_hit_again_and_listed_once(make: Make, online: redis.Redis) -> None:
    fault = make("features.corrupt", TARGET, ON_DELAY)
    undo = await fault.prepare()
    await fault.inject()
    for _ in range(3):
        await write(online, "JFK", 100, delay=2)
        await until(lambda: is_(online, "JFK", "120.0"), "it is hit each time")
    assert fault.manifest() == [{"entity": "JFK", "event_time": 100, "field": "delay", "before": "2", "after": "120.0"}]
    await fault.revert(undo)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"operation": "scale", "factor": 0.5}, ("6.0", "35.0")),
        ({"operation": "sign"}, ("-12.0", "-70.0")),
        ({"operation": "null"}, ("nan", "nan")),
        ({"operation": "swap", "fields": ["delay", "temp"]}, ("70.0", "12.0")),
    ],
)
async def test_operations(
    operation: dict[str, Any], expected: tuple[str, str], make: Make, online: redis.Redis
) -> None:
    await online.hset(
        "f:JFK", mapping={"delay": "12", "delay_t": "5", "temp": "70", "weather_t": "6", "name": "Kennedy"}
    )
    before = await online.hgetall("f:JFK")
    fault = make("features.corrupt", TARGET, operation)
    undo = await fault.prepare()
    await fault.inject()
    await lands(fault)
    row = await online.hgetall("f:JFK")
    assert (row["delay"], row["temp"]) == expected
    assert {k: v for k, v in row.items() if k not in ("delay", "temp")} == {
        "delay_t": "5",
        "weather_t": "6",
        "name": "Kennedy",
    }
    await fault.revert(undo)
    assert await online.hgetall("f:JFK") == before


async def rows_told(fault: Fault, count: int) -> set[tuple[str, int]]:
    """Return the rows of the manifest once there are so many: a row is in the store a moment before it is told."""
    rows: set[tuple[str, int]] = set()

    async def enough() -> bool:
        rows.update((row["entity"], row["event_time"]) for row in fault.manifest())
        return len(rows) >= count

    await until(enough, "every hit row is told")
    return rows


async def test_the_same_seed_hits_the_same_rows_in_whatever_order_they_come(make: Make, online: redis.Redis) -> None:
    rows = [(entity, stamp) for entity in ("JFK", "LGA", "EWR") for stamp in range(20)]
    hits: list[set[tuple[str, int]]] = []
    for seed, order in ((7, rows), (7, rows[::-1]), (8, rows)):
        await online.flushall()
        fault = make("features.corrupt", TARGET, ON_DELAY | {"share": 0.5}, seed)
        undo = await fault.prepare()
        await fault.inject()
        hit = []
        for entity, stamp in order:
            await write(online, entity, stamp, delay=1)
            if chosen(0.5, seed, "it", entity, stamp):
                await until(lambda e=entity: is_(online, e, "60.0"), "a chosen row is hit")  # type: ignore[misc]
                hit.append((entity, stamp))
        hits.append(await rows_told(fault, len(hit)))
        assert hits[-1] == set(hit), "and no other"
        await fault.revert(undo)
    assert hits[0] == hits[1] != hits[2]
    assert 15 < len(hits[0]) < 45


async def test_repair_leaves_alone_what_was_overwritten(make: Make, online: redis.Redis) -> None:
    await write(online, "JFK", 100, delay=1)
    await write(online, "LGA", 100, delay=1)
    fault = make("features.corrupt", TARGET, ON_DELAY)
    undo = await fault.prepare()
    await fault.inject()
    await online.config_set("notify-keyspace-events", "")  # it goes deaf
    await write(online, "JFK", 101, delay=60)
    await fault.revert(undo)
    assert await online.hget("f:JFK", "delay") == "60"
    assert await online.hget("f:LGA", "delay") == "1"


async def test_rows_put_right_behind_its_back_are_noticed(make: Make, online: redis.Redis) -> None:
    await write(online, "JFK", 100, delay=1)
    fault = make("features.corrupt", TARGET, ON_DELAY)
    undo = await fault.prepare()
    await fault.inject()
    assert (await fault.confirm()).landed
    await online.config_set("notify-keyspace-events", "")
    seen: list[Confirmation] = []

    async def noticed() -> bool:
        # A notification of an earlier write may still be under way, and then the row is changed once more.
        await write(online, "JFK", 100, delay=1)
        seen.append(await fault.confirm())
        return seen[-1].landed is False

    await until(noticed, "rows that are as they were are noticed")
    assert seen[-1].evidence["why"] == "no changed row was read back"
    await fault.revert(undo)


async def test_the_previous_notifications_come_back(make: Make, online: redis.Redis) -> None:
    await online.config_set("notify-keyspace-events", "EA")
    was = await online.config_get("notify-keyspace-events")
    fault = make("features.corrupt", TARGET, ON_DELAY)
    undo = await fault.prepare()
    await fault.inject()
    assert "K" in (await online.config_get("notify-keyspace-events"))["notify-keyspace-events"]
    assert "E" in (await online.config_get("notify-keyspace-events"))["notify-keyspace-events"]
    await fault.revert(undo)
    assert await online.config_get("notify-keyspace-events") == was


async def test_keys_that_are_no_rows_are_left_alone(make: Make, online: redis.Redis) -> None:
    await online.set("f:counter", "5")
    await online.hset("f:odd", mapping={"delay": "late", "delay_t": "yesterday"})
    await online.hset("f:nan", mapping={"delay": "nan", "delay_t": "7"})
    fault = make("features.corrupt", TARGET, ON_DELAY)
    undo = await fault.prepare()
    await fault.inject()
    await write(online, "JFK", 1, delay=1)
    await lands(fault)
    assert {row["entity"] for row in fault.manifest()} == {"JFK"}
    await fault.revert(undo)
    assert await online.get("f:counter") == "5"


async def test_old_values_come_again_under_new_stamps(make: Make, online: redis.Redis) -> None:
    await write(online, "JFK", 100, delay=1)
    fault = make("data.stale", TARGET, {"mode": "replay"})
    undo = await fault.prepare()
    await fault.inject()
    assert fault.manifest() == []
    await write(online, "JFK", 200, delay=9)
    await until(lambda: is_(online, "JFK", "1"), "the old value is back")
    assert await online.hget("f:JFK", "delay_t") == "200"
    await write(online, "SFO", 200, delay=5)  # nothing old is known of it
    assert (await lands(fault)).evidence["key"] == "f:JFK"
    await fault.revert(undo)
    assert await online.hget("f:JFK", "delay") == "9"
    assert await online.hget("f:SFO", "delay") == "5"


async def test_a_change_that_is_cut_short_is_taken_back_all_the_same(make: Make, online: redis.Redis) -> None:
    for k in range(40):
        await write(online, f"E{k}", k, delay=1)
    for steps in (1, 3, 9, 27, 60):
        fault = make("features.corrupt", TARGET, ON_DELAY)
        undo = await fault.prepare()
        injecting = asyncio.create_task(fault.inject())
        for _ in range(steps):
            await asyncio.sleep(0)
        injecting.cancel()
        await asyncio.wait([injecting])
        await fault.revert(undo)
        assert {await online.hget(f"f:E{k}", "delay") for k in range(40)} == {"1"}


@pytest.mark.slow
async def test_a_store_that_hangs_costs_one_deadline(
    make: Make, online: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.seams.keyspace.CALL_S", 0.3)
    fault = make("features.corrupt", TARGET, ON_DELAY)
    await online.client_pause(1500)
    answered = asyncio.create_task(online.ping())
    with pytest.raises(FaultError, match="key space features did not answer"):
        await fault.prepare()
    assert not answered.done(), "the store still hangs"
    await answered
