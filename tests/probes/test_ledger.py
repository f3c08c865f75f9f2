"""The ledger of a run, read from objects made by hand: facts as they are, and a reason where they cannot be read."""

from __future__ import annotations

import hashlib
import io
import json
import time
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web
from servers import START, serving, workload

from harness.model.backend import JobResult
from harness.model.datasets import CheckSpec, DatasetSpec, ExamplesSpec, Integrity, PrefixSpec, StoreSpec, UrlSpec
from harness.model.eventtime import DAY_S, EventClock
from harness.model.hitrows import HitRow
from harness.model.ledger import Examples, Lineage
from harness.model.readings import Evidence
from harness.model.stack import StackDescription
from harness.probes.ledger import Ledger
from harness.seams.stored import NoObjectError, Stored

HISTORY = [{"seq": 1, "version": 1, "digest": "d1", "action": "promote", "at_event": 5, "reason": None, "more": 1}]
SPEC = Integrity(
    store=StoreSpec(service="store", bucket="ml"), examples=ExamplesSpec(prefix="training/"),
    quarantine=PrefixSpec(prefix="quarantine/"), lineage=PrefixSpec(prefix="lineage/"),
    promotions=UrlSpec(url="http://registry:1/history"), checkpoints=CheckSpec(command=("restore",)),
)  # fmt: skip


HIT = HitRow("JFK", START - 60, "delay")
BAD = "sha256:" + "b" * 64


def examples(*rows: tuple[str, float, int, int], without: str = "", **columns: list[Any]) -> bytes:
    names = ("id", "delay", "delay__t", "matured_at")
    held = {name: [row[k] for row in rows] for k, name in enumerate(names)} | {"entity": ["JFK"] * len(rows)}
    held |= columns
    sink = io.BytesIO()
    pq.write_table(pa.table({name: values for name, values in held.items() if name != without}), sink)
    return sink.getvalue()


class Stack:
    """Stands for seams, backend and store at once."""

    def __init__(self, url: str, objects: dict[str, bytes], job: JobResult, spec: Integrity) -> None:
        datasets = {
            "training": DatasetSpec(service="store", bucket="ml", prefix="training/"),
            "features": DatasetSpec(service="store", bucket="ml", prefix="features/"),
            "elsewhere": DatasetSpec(service="store", bucket="other", prefix="training/"),
        }
        self.stack = StackDescription(schema=1, name="s", file="f", services={}, integrity=spec, datasets=datasets)
        self.clock: EventClock | None = None
        self.backend = self
        self._url, self._objects, self._job = url, objects, job
        self.gets: list[str] = []

    def resolve(self, _: str) -> str:
        return self._url

    async def run_job(self, *_: Any) -> JobResult:
        return self._job

    def objects(self, *_: str) -> Stack:
        return self

    async def list(self, prefix: str) -> list[Stored]:
        return [Stored(key, "", len(data)) for key, data in sorted(self._objects.items()) if key.startswith(prefix)]

    async def get(self, key: str) -> bytes:
        self.gets.append(key)
        if key not in self._objects:
            raise NoObjectError(f"no object {key}")
        return self._objects[key]


PARTS = {
    "training/1.parquet": examples(("a", 2.0, START - 60, 100), ("b", 120.0, START - 60, 200)),
    "training/2.parquet": examples(("c", 1.0, START - 7200, 300)),
    "quarantine/1.parquet": examples(("d", 120.0, START - 60, 400)),
}
LINEAGE = {
    "version": 1, "digest": "d1", "parent": None, "trained_until": 50, "examples": 2,
    "trained_on": [{"key": "training/1.parquet", "digest": "sha256:x", "rows": 2}],
}  # fmt: skip
RESTORED = JobResult(0, '{"key": "checkpoints/1", "ok": true, "error": null}\n', "")


async def read(
    objects: dict[str, bytes], hits: set[HitRow] | None = None, job: JobResult = RESTORED,
    history: str | None = None, clock: EventClock | None = None, made: bool = True, spec: Integrity = SPEC,
) -> tuple[dict[str, Evidence], Stack]:  # fmt: skip
    async def promotions(_: web.Request) -> web.StreamResponse:
        return web.Response(text=json.dumps(HISTORY) if history is None else history)

    async with serving(promotions) as url:
        stack = Stack(url, objects, job, spec)
        stack.clock = clock
        work = workload(1) if made else None
        found = await Ledger(stack, work, hits or set()).read()  # type: ignore[arg-type]
    return {evidence.check: evidence for evidence in found}, stack


async def test_everything_that_is_there() -> None:
    objects = PARTS | {"lineage/1.json": json.dumps(LINEAGE).encode()}
    found, stack = await read(objects, {HIT})
    assert all(evidence.error is None for evidence in found.values()), found
    assert found["examples"].data == Examples(
        training={"training/1.parquet": ("a", "b"), "training/2.parquet": ("c",)},
        quarantine={"quarantine/1.parquet": ("d",)},
        settled_until=400,
        matured={"training/1.parquet": 200, "training/2.parquet": 300},
    )
    (version,) = found["lineage"].data.versions
    assert version.promoted is True
    assert version.parent_recorded
    assert version.trained_on[0].digest_now == (f"sha256:{hashlib.sha256(PARTS['training/1.parquet']).hexdigest()}")
    assert found["lineage"].data.poisoned == {"training/1.parquet": ("b",)}, "a was repaired, and only b still is wrong"
    (entry,) = found["promotions"].data.history
    assert entry.model_dump() == {k: v for k, v in HISTORY[0].items() if k != "more"}
    assert found["checkpoints"].data.checkpoints[0].ok is True
    assert len(stack.gets) == len(set(stack.gets)), "each object is read once"


async def lineage(
    partition: bytes, *hits: HitRow, document: dict[str, Any] = LINEAGE, made: bool = True, spec: Integrity = SPEC
) -> Lineage:
    objects = PARTS | {"training/1.parquet": partition, "lineage/1.json": json.dumps(document).encode()}
    found, _ = await read(objects, set(hits), made=made, spec=spec)
    assert isinstance(found["lineage"].data, Lineage), found["lineage"].error
    return found["lineage"].data


WRONG = ("b", 120.0, START - 60, 200)


@pytest.mark.parametrize(
    ("hit", "why"),
    [
        (HIT._replace(entity=None), "no entity"),
        (HIT._replace(event_time=None), "no event time"),
        (HIT._replace(field=None), "no field"),
        (HIT._replace(field="distance"), "does not say what distance truly was"),
        (HIT._replace(event_time=None, object="features/1", digest=BAD, dataset="features"), "no event time"),
        (HIT._replace(event_time=None, object="training/1", digest=BAD, dataset="elsewhere"), "no event time"),
        (HIT._replace(object="training/1.parquet", dataset="training"), "does not say what it wrote"),
        (HIT._replace(dataset="training"), "does not say what it wrote"),
        (HIT._replace(object="training/1.parquet"), "does not say what it wrote"),
    ],
)
async def test_a_row_that_cannot_be_traced_leaves_open_what_is_poisoned(hit: HitRow, why: str) -> None:
    found = await lineage(examples(WRONG), hit)
    assert found.poisoned == {}
    assert why in (found.untraced or "")
    found = await lineage(examples(WRONG), hit, HIT)
    assert found.poisoned == {"training/1.parquet": ("b",)}, "what can be found is"
    assert why in (found.untraced or "")


@pytest.mark.parametrize("made", [True, False])
async def test_rows_of_a_partition_are_left_to_the_digest_of_what_was_written(made: bool) -> None:
    hit = HitRow("JFK", None, "delay", "training/1.parquet", BAD, "training")
    found = await lineage(examples(WRONG), hit, hit._replace(event_time=START - 60), made=made)
    assert (found.poisoned, found.untraced) == ({}, None)


@pytest.mark.parametrize("column", ["entity", "delay", "delay__t"])
async def test_examples_without_a_column_that_tells_a_row_leave_it_open(column: str) -> None:
    found = await lineage(examples(WRONG, without=column), HIT)
    assert (found.poisoned, found.untraced) == ({}, f"the examples have no column {column}")


@pytest.mark.parametrize(
    ("columns", "poisoned", "why"),
    [
        ({"delay": [2.0]}, {}, None),
        ({"delay": [float("nan")]}, {"training/1.parquet": ("b",)}, None),
        ({"delay": [None]}, {"training/1.parquet": ("b",)}, None),
        ({"delay__t": [None]}, {}, "an example has a delay without its delay__t"),
        ({"delay__t": [None], "delay": [None]}, {}, None),
        ({"entity": pa.array([None], pa.string())}, {}, "an example has a delay without its entity"),
        ({"entity": ["LGA"]}, {}, None),
    ],
)
async def test_a_value_is_told_by_its_entity_and_time_and_compared_with_the_truth(
    columns: dict[str, Any], poisoned: dict[str, Any], why: str | None
) -> None:
    found = await lineage(examples(WRONG, **columns), HIT)
    assert (found.poisoned, found.untraced) == (poisoned, why)


async def test_a_time_of_which_nothing_is_known_leaves_it_open() -> None:
    early = START - 9 * 3600
    found = await lineage(examples(("b", 1.0, early, 200)), HIT._replace(event_time=early))
    assert (found.poisoned, "truly was at" in (found.untraced or "")) == ({}, True)


@pytest.mark.parametrize(
    ("own", "with_history", "without"),
    [({}, False, None), ({"promoted": True}, None, True), ({"promoted": False}, False, False)],
)
async def test_whether_a_version_was_promoted_is_known_from_the_history_or_from_its_document(
    own: dict[str, Any], with_history: bool | None, without: bool | None
) -> None:
    document = LINEAGE | {"version": 2} | own
    (version,) = (await lineage(PARTS["training/1.parquet"], document=document)).versions
    assert version.promoted is with_history
    spec = SPEC.model_copy(update={"promotions": None})
    (version,) = (await lineage(PARTS["training/1.parquet"], document=document, spec=spec)).versions
    assert version.promoted is without


async def test_an_empty_moment_of_maturing_is_no_moment() -> None:
    found, _ = await read({"training/1.parquet": examples(WRONG, matured_at=[float("nan")])})
    assert found["examples"].data == Examples(training={"training/1.parquet": ("b",)}, settled_until=None)


async def test_a_number_without_end_is_not_of_the_documented_form() -> None:
    found, _ = await read({"training/1.parquet": examples(WRONG, matured_at=[float("inf")])})
    assert "documented form" in (found["examples"].error or "")


@pytest.mark.parametrize("speed", [3600.0, 1.0])
async def test_d3_what_must_be_written_by_now_is_read_from_the_event_clock(speed: float) -> None:
    # The clock has run for nine hours and skips the night, from the sixth hour of this day on.
    clock = EventClock(10 * DAY_S, time.time() - 9 * 3600 / speed, speed, 0, 6 * 3600)
    found, _ = await read(PARTS, clock=clock)
    examples = found["examples"].data
    assert isinstance(examples, Examples)
    # Nine active hours lead to the third hour of the next day; six active hours before that it was three o'clock.
    assert examples.due_until == pytest.approx(10 * DAY_S + 3 * 3600, abs=speed * 5)


async def test_d4_what_a_fault_poisoned_cannot_be_told_without_a_made_workload() -> None:
    objects = PARTS | {"lineage/1.json": json.dumps(LINEAGE).encode()}
    found, _ = await read(objects, {HIT}, made=False)
    lineage = found["lineage"].data
    assert isinstance(lineage, Lineage)
    assert lineage.poisoned is None
    found, _ = await read(objects, made=False)
    assert found["lineage"].data.poisoned == {}, "nothing was hit"


@pytest.mark.parametrize(
    ("objects", "broken"),
    [
        ({"lineage/1.json": json.dumps(LINEAGE).encode()}, {"lineage"}),  # its partition is gone
        (PARTS | {"lineage/1.json": b"{"}, {"lineage"}),
        (PARTS | {"lineage/1.json": b"[]"}, {"lineage"}),
        (PARTS | {"training/3.parquet": b"not rows"}, {"examples"}),
        (PARTS | {"training/3.parquet": PARTS["training/1.parquet"][:-20]}, {"examples"}),
    ],
)
async def test_what_cannot_be_read_says_why_and_keeps_nothing_else_back(
    objects: dict[str, bytes], broken: set[str]
) -> None:
    found, _ = await read(objects)
    assert {check for check, evidence in found.items() if evidence.error} == broken


async def test_a_restore_check_and_a_registry_that_do_not_do_as_asked() -> None:
    found, _ = await read({}, job=JobResult(3, "", "Traceback\nno such bucket"), history='{"not": "a list"}')
    assert "exited with 3" in (found["checkpoints"].error or "")
    assert "no such bucket" in (found["checkpoints"].error or "")
    assert "documented form" in (found["promotions"].error or "")
    assert found["examples"].error is None
    found, _ = await read({}, job=JobResult(0, "not json\n", ""), history="<html>")
    assert found["checkpoints"].error
    assert found["promotions"].error
