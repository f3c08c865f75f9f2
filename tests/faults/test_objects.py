"""Faults on objects: what is there and what comes is changed, and comes back byte for byte."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from confirmations import until

from harness.model.errors import FaultError
from harness.model.fault import Fault

Make = Callable[..., Fault]
TARGET = {"dataset": "rows"}
SCALED = {"operation": "scale", "factor": 60, "fields": ["delay"]}


def parquet(*rows: tuple[str, int, float | None]) -> bytes:
    table = pa.table(
        {
            "entity": [r[0] for r in rows],
            "event_time": [r[1] for r in rows],
            "delay": pa.array([r[2] for r in rows], pa.float64()),
        }
    )
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"made": "by hand"}), sink)
    return sink.getvalue()


def delays(bucket: Any, key: str) -> list[float | None]:
    found: list[float | None] = pq.read_table(io.BytesIO(read(bucket, key)))["delay"].to_pylist()
    return found


def read(bucket: Any, key: str) -> bytes:
    return bytes(bucket.get_object(Bucket="ml", Key=key)["Body"].read())


def put(bucket: Any, key: str, data: bytes) -> None:
    bucket.put_object(Bucket="ml", Key=key, Body=data)


async def test_objects_there_and_objects_that_come(make: Make, bucket: Any) -> None:
    first, later, other = (
        parquet(("JFK", 1, 10.0), ("LGA", 2, None)),
        parquet(("EWR", 3, 5.0)),
        parquet(("JFK", 9, 1.0)),
    )
    put(bucket, "rows/1.parquet", first)
    put(bucket, "other/1.parquet", other)
    fault = make("features.corrupt", TARGET, SCALED)
    undo = await fault.prepare()
    await fault.inject()
    assert delays(bucket, "rows/1.parquet") == [600.0, None]
    assert pq.read_schema(io.BytesIO(read(bucket, "rows/1.parquet"))).metadata[b"made"] == b"by hand"
    put(bucket, "rows/2.parquet", later)

    told: list[dict[str, Any]] = []

    async def hit() -> bool:
        told.extend(fault.manifest())
        with contextlib.suppress(ClientError, pa.ArrowInvalid):  # read while it is overwritten
            return delays(bucket, "rows/2.parquet") == [300.0] and len(told) > 1
        return False

    await until(hit, "what comes later is hit too")
    rows = [(r["object"], r["entity"], r["event_time"], r["before"], r["after"]) for r in told]
    assert rows == [("rows/1.parquet", "JFK", 1, 10.0, 600.0), ("rows/2.parquet", "EWR", 3, 5.0, 300.0)]
    written = {row["object"]: f"sha256:{hashlib.sha256(read(bucket, row['object'])).hexdigest()}" for row in told}
    assert {row["object"]: row["digest"] for row in told} == written, "who read it is known once it is put back"
    await fault.revert(undo)
    assert [read(bucket, key) for key in ("rows/1.parquet", "rows/2.parquet", "other/1.parquet")] == [
        first,
        later,
        other,
    ]


async def test_what_is_overwritten_or_deleted_meanwhile_is_left_alone(make: Make, bucket: Any) -> None:
    for k in range(3):
        put(bucket, f"rows/{k}.parquet", parquet(("JFK", k, 1.0)))
    fault = make("features.corrupt", TARGET, SCALED)
    undo = await fault.prepare()
    await fault.inject()
    written = parquet(("JFK", 7, None))  # nothing in it can be scaled
    put(bucket, "rows/0.parquet", written)
    bucket.delete_object(Bucket="ml", Key="rows/1.parquet")
    assert (await fault.confirm()).landed
    await fault.revert(undo)
    assert (await fault.absent()).landed is False
    keys = [one["Key"] for one in bucket.list_objects_v2(Bucket="ml", Prefix="rows/")["Contents"]]
    assert keys == ["rows/0.parquet", "rows/2.parquet"]
    assert read(bucket, "rows/0.parquet") == written


async def test_objects_put_right_behind_its_back_are_noticed(make: Make, bucket: Any) -> None:
    put(bucket, "rows/1.parquet", parquet(("JFK", 1, 1.0)))
    fault = make("features.corrupt", TARGET, SCALED)
    undo = await fault.prepare()
    await fault.inject()
    put(bucket, "rows/1.parquet", parquet(("JFK", 1, None)))
    landing = await fault.confirm()
    assert landing.landed is False
    await fault.revert(undo)


async def test_what_is_not_parquet(make: Make, bucket: Any) -> None:
    put(bucket, "rows/notes.txt", b"not rows")
    fault = make("features.corrupt", TARGET, SCALED)
    undo = await fault.prepare()
    with pytest.raises(FaultError, match=r"holds Parquet rows: rows/notes\.txt"):
        await fault.inject()
    put(bucket, "rows/1.parquet", parquet(("JFK", 1, 1.0)))
    await fault.inject()
    assert delays(bucket, "rows/1.parquet") == [60.0]
    await fault.revert(undo)
    assert read(bucket, "rows/notes.txt") == b"not rows"
