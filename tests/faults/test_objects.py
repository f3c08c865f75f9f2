"""Faults on objects: what is there and what comes is changed, and comes back byte for byte."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from confirmations import until
from pydantic import ValidationError

from harness.faults.table import FAULTS
from harness.model.errors import FaultError
from harness.model.fault import Fault
from harness.seams.objects import Objects
from harness.seams.stored import OtherObjectError
from harness.seams.undo_store import UndoStore

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


def contents(bucket: Any) -> dict[str, bytes]:
    listed = bucket.list_objects_v2(Bucket="ml", Prefix="rows/")["Contents"]
    return {one["Key"].removeprefix("rows/"): read(bucket, one["Key"]) for one in listed}


MODELS = {
    "a.onnx": b"weights of a" * 20,
    "b.onnx": b"weights of b" * 20,
    "c.onnx": b"weights of c" * 20,
    "meta.json": b"{}",
}


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"operation": "truncate", "keep": 0.25}, {"a.onnx": MODELS["a.onnx"][:60], "meta.json": b""}),
        ({"operation": "empty"}, {"a.onnx": b"", "meta.json": b""}),
        ({"operation": "content", "content": "<html>"}, {"a.onnx": b"<html>", "meta.json": b"<html>"}),
        ({"operation": "empty", "match": "*.onnx"}, {"a.onnx": b"", "meta.json": b"{}"}),
        ({"operation": "previous", "match": "*.onnx"}, {
            "a.onnx": MODELS["a.onnx"], "b.onnx": MODELS["a.onnx"], "c.onnx": MODELS["b.onnx"], "meta.json": b"{}"}),
    ],
)  # fmt: skip
async def test_an_object_that_is_no_table_is_damaged(
    make: Make, bucket: Any, parameters: dict[str, Any], expected: dict[str, bytes]
) -> None:
    for key, data in MODELS.items():
        put(bucket, f"rows/{key}", data)
    fault = make("object.corrupt", TARGET, parameters)
    undo = await fault.prepare()
    await fault.inject()
    found = contents(bucket)
    assert {key: found[key] for key in expected} == expected
    assert (await fault.confirm()).landed
    hit = {row["object"].removeprefix("rows/"): row["digest"] for row in fault.manifest()}
    assert hit == {k: f"sha256:{hashlib.sha256(v).hexdigest()}" for k, v in found.items() if v != MODELS[k]}
    await fault.revert(undo)
    assert contents(bucket) == MODELS
    assert (await fault.absent()).landed is False


async def test_some_bits_are_the_other_way_round(make: Make, bucket: Any) -> None:
    put(bucket, "rows/a.onnx", MODELS["a.onnx"])
    put(bucket, "rows/nothing", b"")
    written = []
    for _ in range(2):
        fault = make("object.corrupt", TARGET, {"operation": "flip", "bits": 5})
        undo = await fault.prepare()
        await fault.inject()
        written.append(contents(bucket))
        await fault.revert(undo)
    assert written[0] == written[1], "the same seed chooses the same bits"
    flipped = sum((a ^ b).bit_count() for a, b in zip(written[0]["a.onnx"], MODELS["a.onnx"], strict=True))
    assert 1 <= flipped <= 5
    assert written[0]["nothing"] == b""


async def test_another_object_is_one_that_holds_something_else(make: Make, bucket: Any) -> None:
    for key in ("1", "2", "3"):
        put(bucket, f"rows/{key}", b"the same" if key != "3" else b"another")
    fault = make("object.corrupt", TARGET, {"operation": "other"})
    undo = await fault.prepare()
    await fault.inject()
    assert contents(bucket) == {"1": b"another", "2": b"another", "3": b"the same"}, "as they were before the fault"
    await fault.revert(undo)
    assert contents(bucket) == {"1": b"the same", "2": b"the same", "3": b"another"}


async def test_an_object_that_is_written_anew_holds_what_it_held_before(make: Make, bucket: Any) -> None:
    put(bucket, "rows/latest", b"version 1")
    put(bucket, "rows/a-list", b"1")
    fault = make("object.corrupt", TARGET, {"operation": "previous", "match": "latest"})
    undo = await fault.prepare()
    await fault.inject()
    assert read(bucket, "rows/latest") == b"version 1"
    assert (await fault.confirm()).landed is False, "nothing is wrong yet"
    put(bucket, "rows/latest", b"version 2")

    async def landed() -> bool:
        with contextlib.suppress(FaultError):  # read while it is overwritten
            return bool((await fault.confirm()).landed)
        return False

    await until(landed, "what is published is not what was published")
    assert read(bucket, "rows/latest") == b"version 1"
    await fault.revert(undo)
    assert read(bucket, "rows/latest") == b"version 2"


async def test_a_share_of_objects_is_chosen_by_their_keys(make: Make, bucket: Any) -> None:
    for k in range(20):
        put(bucket, f"rows/{k}", b"whole")
    fault = make("object.corrupt", TARGET, {"operation": "empty", "share": 0.5})
    undo = await fault.prepare()
    await fault.inject()
    hit = {key for key, data in contents(bucket).items() if data == b""}
    assert 3 <= len(hit) <= 17
    assert hit == {row["object"].removeprefix("rows/") for row in fault.manifest()}
    await fault.revert(undo)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"operation": "content"}, "which needs it"),
        ({"operation": "empty", "content": "x"}, "goes with the operation"),
        ({"operation": "truncate", "keep": 1}, "less than 1"),
        ({"operation": "shred"}, "operation"),
    ],
)
def test_damage_that_cannot_be_meant(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        FAULTS["object.corrupt"].parameters.model_validate(parameters)


async def test_what_an_object_has_beside_its_bytes_stays(make: Make, bucket: Any) -> None:
    about = {"ContentType": "application/x-model", "CacheControl": "no-cache", "Metadata": {"sha": "abc"}}
    bucket.put_object(Bucket="ml", Key="rows/a.onnx", Body=MODELS["a.onnx"], **about)

    def beside() -> tuple[str, str | None, dict[str, str]]:
        found = bucket.head_object(Bucket="ml", Key="rows/a.onnx")
        return found["ContentType"], found.get("CacheControl"), {k.lower(): v for k, v in found["Metadata"].items()}

    before = beside()
    fault = make("object.corrupt", TARGET, {"operation": "truncate"})
    undo = await fault.prepare()
    await fault.inject()
    assert beside() == before, "a reader that checks its digest finds it"
    await fault.revert(undo)
    assert (beside(), read(bucket, "rows/a.onnx")) == (before, MODELS["a.onnx"])


async def test_an_object_that_is_written_again_right_away_is_damaged_again(make: Make, bucket: Any) -> None:
    put(bucket, "rows/a", b"0123456789")
    fault = make("object.corrupt", TARGET, {"operation": "truncate"})
    undo = await fault.prepare()
    await fault.inject()
    put(bucket, "rows/a", b"0123456789")

    async def damaged() -> bool:
        with contextlib.suppress(ClientError):  # read while it is overwritten
            return read(bucket, "rows/a") == b"01234"
        return False

    await until(damaged, "the same bytes under the same tag are no old news")
    await fault.revert(undo)


async def test_an_object_that_its_owner_has_just_written_anew_is_no_end_of_the_fault(make: Make, bucket: Any) -> None:
    put(bucket, "rows/a", b"0123456789")
    fault = make("object.corrupt", TARGET, {"operation": "truncate"})
    undo = await fault.prepare()
    await fault.inject()
    for k in range(10):
        put(bucket, "rows/a", b"abcdefghi%d" % k)
        assert (await fault.confirm()).landed is True
    await fault.revert(undo)
    assert read(bucket, "rows/a") == b"abcdefghi9"


async def test_a_fault_that_can_keep_no_more_originals_says_so(
    make: Make, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, "rows/a", b"0123456789")
    fault = make("object.corrupt", TARGET, {"operation": "truncate"})
    undo = await fault.prepare()
    await fault.inject()
    assert (await fault.confirm()).landed

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(UndoStore, "keep_object", full)
    put(bucket, "rows/b", b"0123456789")

    async def said() -> bool:
        return (await fault.confirm()).landed is False

    await until(said, "later objects would come in whole")
    assert "No space left" in (await fault.confirm()).evidence["why"]
    await fault.revert(undo)
    assert contents(bucket) == {"a": b"0123456789", "b": b"0123456789"}


REFUSED = FaultError("the object store refused: 503")


async def test_an_object_that_cannot_be_read_keeps_no_other_from_being_put_back(
    make: Make, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in "abc":
        put(bucket, f"rows/{key}", b"0123456789")
    fault = make("object.corrupt", TARGET, {"operation": "truncate"})
    undo = await fault.prepare()
    await fault.inject()
    whole = Objects.read

    async def refused(self: Objects, key: str) -> tuple[bytes, str]:
        if key == "rows/a":
            raise REFUSED
        return await whole(self, key)

    with monkeypatch.context() as patched:
        patched.setattr(Objects, "read", refused)
        with pytest.raises(FaultError, match="503"):
            await fault.revert(undo)
    assert contents(bucket) == {"a": b"01234", "b": b"0123456789", "c": b"0123456789"}
    await fault.revert(undo)
    assert contents(bucket)["a"] == b"0123456789"


async def test_a_store_that_takes_no_writes_for_a_while_gets_the_same_damage_once(
    make: Make, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, "rows/a", b"version 1")
    fault = make("object.corrupt", TARGET, {"operation": "previous"})
    undo = await fault.prepare()
    await fault.inject()
    tries = 0
    whole = Objects.put

    async def refused(self: Objects, key: str, data: bytes, *more: Any) -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise REFUSED
        await whole(self, key, data, *more)

    monkeypatch.setattr(Objects, "put", refused)
    put(bucket, "rows/a", b"version 2")

    async def damaged() -> bool:
        return tries >= 4 and bool((await fault.confirm()).landed)

    await until(damaged, "it is damaged once the store takes writes again")
    assert read(bucket, "rows/a") == b"version 1"
    assert len(fault.manifest()) == 1
    await fault.revert(undo)
    assert read(bucket, "rows/a") == b"version 2"


async def test_what_comes_in_whole_for_long_is_not_the_fault(
    make: Make, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.faults.changed_objects.STUCK_S", 0.3)
    put(bucket, "rows/a", b"0123456789")
    fault = make("object.corrupt", TARGET, {"operation": "truncate"})
    undo = await fault.prepare()
    await fault.inject()
    whole = Objects.put

    async def refused(self: Objects, key: str, *more: Any) -> None:
        if key == "rows/b":
            raise REFUSED
        await whole(self, key, *more)

    monkeypatch.setattr(Objects, "put", refused)
    for key in "bc":
        put(bucket, f"rows/{key}", b"0123456789")

    async def said() -> bool:
        return (await fault.confirm()).landed is None

    await until(said, "the object that cannot be changed is told")
    assert (await fault.confirm()).evidence["why"] == "rows/b: the object store refused: 503"
    assert contents(bucket) == {"a": b"01234", "b": b"0123456789", "c": b"01234"}
    await fault.revert(undo)
    assert set(contents(bucket).values()) == {b"0123456789"}


async def test_what_its_owner_writes_between_reading_and_writing_is_not_lost(
    make: Make, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a store that knows conditions, as most do: the one of these tests does not."""
    put(bucket, "rows/a", b"old, in whole")
    fault = make("object.corrupt", TARGET, {"operation": "truncate"})
    whole, about, news = Objects.put, Objects.about, [b"newer, in whole", b"newest, in whole"]

    async def conditional(self: Objects, key: str, data: bytes, more: Any = None, tag: str | None = None) -> None:
        if tag is not None and tag != bucket.head_object(Bucket="ml", Key=key)["ETag"]:
            raise OtherObjectError("412")
        await whole(self, key, data, more)

    async def overtaken(self: Objects, key: str) -> dict[str, Any]:
        found = await about(self, key)
        if news:
            put(bucket, key, news.pop(0))
        return found

    monkeypatch.setattr(Objects, "put", conditional)
    undo = await fault.prepare()
    with monkeypatch.context() as patched:
        patched.setattr(Objects, "about", overtaken)
        await fault.inject()

        async def landed() -> bool:
            return not news and bool((await fault.confirm()).landed)

        await until(landed, "what came in between is changed in its turn")
        news.append(b"last, in whole")
        await fault.revert(undo)
    assert read(bucket, "rows/a") == b"last, in whole"
    assert (await fault.absent()).landed is False
