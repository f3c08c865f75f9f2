"""What every kind of fault in the table keeps to: one suite, over all of them, on real servers."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis.asyncio as redis
from confirmations import NOW_EVENT, lands
from pydantic import ValidationError
from real_servers import FakeBackend, clear_toxics, ending, proxies

from harness.faults.changed_objects import ChangedObjects
from harness.faults.links import DOES, LINK_TARGETS
from harness.faults.rewriting import Rewriting
from harness.faults.table import FAULTS
from harness.model.fault import Fault
from harness.seams import Seams
from harness.seams.link import Outcome

pytestmark = pytest.mark.slow

Make = Callable[..., Fault]
ALL_ROWS = {"operation": "scale", "factor": 60}
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "latency": ("network.latency", {"link": "trainer -> object-store"}, {"latency": "60ms", "jitter": "10ms"}),
    "slow": ("storage.slow", {"service": "object-store"}, {"latency": "60ms", "bandwidth_kb_s": 500}),
    "slow-links": ("storage.slow", {"links": ["server -> online-store"]}, {"latency": "60ms"}),
    "reset": ("network.reset", {"link": "trainer -> object-store"}, {"after": "50ms"}),
    "reset-answers": ("network.reset", {"service": "online-store"}, {"lose": "response"}),
    "stopped": ("data.stale", {"service": "pipeline"}, {"keyspace": "features", "older_than": "30min event"}),
    "replayed": ("data.stale", {"keyspace": "features"}, {"mode": "replay"}),
    "rows": ("features.corrupt", {"keyspace": "features"}, ALL_ROWS),
    "objects": ("features.corrupt", {"dataset": "rows"}, ALL_ROWS),
    "blobs": ("object.corrupt", {"dataset": "rows"}, {"operation": "flip"}),
    "node": ("node.loss", {"node": "b"}, {}),
    "command": (
        "command",
        {"service": "pipeline"},
        {
            "inject": ["sh", "-c", "echo on > fault-flag"],
            "confirm": ["sh", "-c", "test -e fault-flag"],
            "revert": ["rm", "-f", "fault-flag"],
        },
    ),
}


CONFIRMED_BY: dict[str, Outcome] = {"network.reset": "reset"}
"""Faults on links that show themselves in another way than by a late answer."""
LINK_CASES = [name for name, (kind, _, _) in CASES.items() if FAULTS[kind].targets == LINK_TARGETS]


def test_every_kind_of_the_table_is_here() -> None:
    # Those that only containers have are in tests/containers.
    assert {kind for kind, _, _ in CASES.values()} == {name for name, kind in FAULTS.items() if not kind.in_containers}


@pytest.fixture
async def world(online: redis.Redis, bucket: Any, backend: FakeBackend, proxy_url: str) -> Any:
    """Rows that are two hours old, an object, and a way to see all that a fault could have changed."""
    for name, delay in (("JFK", "12.5"), ("LGA", "3"), ("EWR", "-4.25")):
        stamp = str(NOW_EVENT - 7200)
        await online.hset(f"f:{name}", mapping={"delay": delay, "delay_t": stamp, "temp": "70", "weather_t": stamp})
    table = pa.table({"entity": ["JFK", "LGA"], "event_time": [1, 2], "delay": [10.0, 20.0]})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    bucket.put_object(Bucket="ml", Key="rows/1.parquet", Body=sink.getvalue())

    async def look() -> dict[str, Any]:
        return {
            "rows": {key: await online.hgetall(key) for key in sorted(await online.keys("f:*"))},
            "notify": await online.config_get("notify-keyspace-events"),
            "object": bucket.get_object(Bucket="ml", Key="rows/1.parquet")["Body"].read(),
            "toxics": proxies(proxy_url),
            "states": dict(backend.states),
        }

    return look


async def write_news(online: redis.Redis) -> None:
    stamp = str(NOW_EVENT - 3600)
    await online.hset("f:JFK", mapping={"delay": "99.5", "delay_t": stamp})


@pytest.mark.parametrize("case", CASES)
async def test_a_fault_goes_in_is_seen_and_goes_out_again(
    case: str, make: Make, world: Any, online: redis.Redis
) -> None:
    before = await world()
    fault = make(*CASES[case])
    undo = await fault.prepare()
    assert await world() == before, "preparing changes nothing"
    assert json.loads(json.dumps(undo)) == undo

    assert not (await fault.confirm()).landed, "it is not there before it is put in"
    await fault.inject()
    if case == "replayed":
        await write_news(online)
    landing = await lands(fault)
    json.dumps(landing.evidence, allow_nan=False)
    assert (await fault.absent()).landed is True
    json.dumps(fault.manifest(), allow_nan=False)
    assert fault.manifest() == [], "each row is told once"

    await fault.revert(undo)
    assert (await fault.absent()).landed is False
    after = await world()
    if case == "replayed":
        assert after["rows"]["f:JFK"]["delay"] == "99.5"
        after["rows"] = before["rows"]
    assert after == before
    await fault.revert(undo)
    assert (await fault.absent()).landed is False
    assert not (await fault.confirm()).landed


@pytest.mark.parametrize("case", CASES)
async def test_taking_out_what_is_not_in_is_harmless(case: str, make: Make, world: Any) -> None:
    before = await world()
    fault = make(*CASES[case])
    await fault.revert(await fault.prepare())
    assert await world() == before
    assert (await fault.absent()).landed is False


@pytest.mark.parametrize("case", CASES)
async def test_it_can_be_injected_and_reverted_again(case: str, make: Make, world: Any) -> None:
    before = await world()
    fault = make(*CASES[case])
    undo = await fault.prepare()
    await fault.inject()
    await fault.revert(undo)
    assert await world() == before


@pytest.mark.parametrize("case", CASES)
async def test_another_process_can_take_it_out(case: str, make: Make, world: Any, online: redis.Redis) -> None:
    before = await world()
    fault = make(*CASES[case])
    undo = json.loads(json.dumps(await fault.prepare()))
    await fault.inject()
    if case == "replayed":
        await write_news(online)
    await lands(fault)
    if isinstance(fault, Rewriting):
        await fault._rewriter.stop()  # what dies with its process
    if isinstance(fault, ChangedObjects) and fault._task is not None:
        fault._task.cancel()

    other = make(*CASES[case])
    await other.revert(undo)
    assert (await other.absent()).landed is False
    after = await world()
    if case == "replayed":
        assert after["rows"]["f:JFK"]["delay"] == "99.5"
        after["rows"] = before["rows"]
    assert after == before


@pytest.mark.parametrize("case", LINK_CASES)
async def test_a_toxic_that_somebody_else_removes_is_noticed(case: str, make: Make, proxy_url: str) -> None:
    fault = make(*CASES[case])
    undo = await fault.prepare()
    await fault.inject()
    await lands(fault)
    clear_toxics(proxy_url, "objects", "online")
    confirmation = await fault.confirm()
    assert confirmation.landed is False
    assert confirmation.evidence["toxics_missing"]
    await fault.revert(undo)
    assert (await fault.absent()).landed is False


OTHER_ENDS = [(case, how) for case in LINK_CASES for how in DOES if how != CONFIRMED_BY.get(CASES[case][0], "answered")]


@pytest.mark.parametrize(("case", "how"), OTHER_ENDS)
async def test_a_link_that_ends_exchanges_otherwise_does_not_confirm(
    case: str, how: Outcome, make: Make, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.faults.links.LONGEST_S", 0.5)
    async with ending(how) as address, ending("answered") as service:
        backend.through = dict.fromkeys(backend.through, address)
        backend.addresses = dict.fromkeys(backend.addresses, service)
        fault = make(*CASES[case])
        undo = await fault.prepare()
        await fault.inject()
        confirmation = await fault.confirm()
        assert not confirmation.landed
        assert set(confirmation.evidence["through"].values()) == {how}
        assert f"the link {DOES[how]}" in confirmation.evidence["why"]
        await fault.revert(undo)


@pytest.mark.parametrize("case", LINK_CASES)
async def test_a_service_that_does_not_answer_itself_proves_nothing(
    case: str, make: Make, backend: FakeBackend
) -> None:
    backend.addresses = dict.fromkeys(backend.addresses, "127.0.0.1:1")
    fault = make(*CASES[case])
    undo = await fault.prepare()
    await fault.inject()
    confirmation = await fault.confirm()
    assert confirmation.landed is None
    assert "itself does not answer" in confirmation.evidence["why"]
    await fault.revert(undo)


NONSENSE: list[tuple[str, dict[str, Any]]] = [
    ("network.latency", {}),
    ("network.latency", {"latency": "0s"}),
    ("network.latency", {"latency": 800}),
    ("network.latency", {"latency": "500us"}),
    ("network.latency", {"latency": "2min"}),
    ("network.latency", {"latency": "100ms", "jitter": "100ms"}),
    ("network.latency", {"latency": "100ms", "loss": 1}),
    ("network.reset", {"after": "5s"}),
    ("network.reset", {"lose": "both"}),
    ("storage.slow", {"latency": "100ms", "bandwidth_kb_s": 0}),
    ("storage.slow", {"latency": "100ms", "jitter": "1s"}),
    ("data.stale", {"mode": "melt"}),
    ("data.stale", {"mode": "replay", "keyspace": "features"}),
    ("data.stale", {"mode": "replay", "older_than": "30min event"}),
    ("object.corrupt", {"operation": "truncate", "bits": 3}),
    ("object.corrupt", {"operation": "flip", "keep": 0.2}),
    ("features.corrupt", {"operation": "sign", "factor": 2}),
    ("data.stale", {"older_than": "30min"}),
    ("features.corrupt", {}),
    ("features.corrupt", {"operation": "scale", "share": 0}),
    ("features.corrupt", {"operation": "scale", "share": 1.5}),
    ("features.corrupt", {"operation": "scale", "share": float("nan")}),
    ("features.corrupt", {"operation": "scale", "factor": 1}),
    ("features.corrupt", {"operation": "scale", "factor": float("inf")}),
    ("features.corrupt", {"operation": "swap"}),
    ("features.corrupt", {"operation": "swap", "fields": ["a"]}),
    ("features.corrupt", {"operation": "swap", "fields": ["a", "a"]}),
    ("node.loss", {"harder": True}),
]


@pytest.mark.parametrize(("kind", "parameters"), NONSENSE)
def test_parameters_that_make_no_sense_are_refused(kind: str, parameters: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FAULTS[kind].parameters.model_validate(parameters)


async def test_unknown_names_are_errors_with_the_nearest_name(seams: Seams, make: Make) -> None:
    from harness.model.errors import FaultError

    wrong: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
        ("network.latency", {"link": "trainer -> object-stor"}, {"latency": "1s"}, "trainer -> object-store"),
        ("node.loss", {"node": "bb"}, {}, "'b'"),
        ("features.corrupt", {"keyspace": "feature"}, ALL_ROWS, "features"),
        ("features.corrupt", {"keyspace": "features"}, ALL_ROWS | {"fields": ["delai"]}, "delay"),
        ("features.corrupt", {"dataset": "row"}, ALL_ROWS, "rows"),
        ("data.stale", {"service": "pipelin"}, {"keyspace": "features"}, "pipeline"),
        ("storage.slow", {"service": "server"}, {"latency": "1s"}, "server"),
    ]
    for kind, target, parameters, nearest in wrong:
        with pytest.raises(FaultError) as caught:
            make(kind, target, parameters)
        assert nearest in str(caught.value)
