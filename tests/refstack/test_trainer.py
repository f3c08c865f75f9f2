"""Jobs from partitions to an offered version, with the test as worker: retry, resume, each partition once."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from refstack.checkpoints import dump, job_key, load, version_key
from refstack.eventtime import hour_end, hour_of, parse
from refstack.objects import StoreError
from refstack.partitions import TRAINING_ROWS, encode, training_key
from refstack.promotions import PromotionHistory, Version
from refstack.schema import DEFAULTS, GROUPS, stamp_field
from refstack.trainer import JobError, Trainer
from refstack.worker import TrainingWorker

pytestmark = pytest.mark.slow

FIRST = hour_of(parse("2013-06-14T06:00"))


class MemoryRegistry:
    """The registry's two calls; refuses what it is told to."""

    def __init__(self) -> None:
        self.state = PromotionHistory()
        self.state.decide(Version(1, "sha256:1", None, 0, 0), None, 0)
        self.refuse_next: str | None = None

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        if path == "/promoted":
            return {**self.state.pointer(), "next_version": self.state.next_version}
        assert (method, path) == ("POST", "/register")
        assert body is not None
        refusal, self.refuse_next = self.refuse_next, None
        return {"promoted": self.state.decide(Version(**body), refusal, 0)}


class DirectPeer:
    """Calls the trainer's lease service without a wire."""

    def __init__(self, trainer: Trainer) -> None:
        leases = trainer.lease_service
        self._routes = {"/lease": leases.lease, "/renew": leases.renew, "/result": leases.result}

    def call(self, _: str, path: str, body: dict[str, Any]) -> Any:
        return self._routes[path](body)[1]


def service() -> Any:
    return SimpleNamespace(
        metrics=CollectorRegistry(), log=logging.getLogger("test"), stop=threading.Event(), name="worker-1"
    )


@pytest.fixture
def registry(store, root: Path) -> MemoryRegistry:
    lineage = {"version": 1, "digest": "sha256:1", "parent": None, "trained_on": [], "trained_until": 0, "examples": 0}
    store.put("lineage/1.json", json.dumps(lineage).encode())
    weights = json.loads((root / "weights-1.json").read_text())
    store.put(version_key(1), dump({"version": 1, "weights": weights}))
    return MemoryRegistry()


@pytest.fixture
def make(store, registry: MemoryRegistry, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Trainer]:
    monkeypatch.setenv("REGISTRY", "127.0.0.1:1")
    monkeypatch.setenv("TRAINER", "127.0.0.1:1")

    def made() -> Trainer:
        trainer = Trainer(service(), store)
        trainer._registry = registry  # type: ignore[assignment]
        return trainer

    return made


def partition(store, number: int, rows: int = 20) -> str:
    features = {**DEFAULTS, **{stamp_field(group): 4 for group in GROUPS}}
    made = [
        {
            "id": f"{number}-{n}",
            "label": n % 2,
            "matured_at": 5,
            "entity": "JFK",
            "carrier": "UA",
            "distance": 100.0 * n,
            "hour": 7,
            "weekday": 4,
            **features,
            "model_version": 1,
        }
        for n in range(rows)
    ]
    key = training_key(FIRST + number)
    store.put(key, encode(made, TRAINING_ROWS))
    return key


def round_with_worker(trainer: Trainer, store) -> bool:
    """One round of the trainer while a worker works."""
    worker = TrainingWorker(service(), store)
    worker._trainer = DirectPeer(trainer)  # type: ignore[assignment]
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            worker.step()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        return trainer.round()
    finally:
        ended.set()
        thread.join(10)


def lineage(store, version: int) -> dict[str, Any]:
    return json.loads(store.get(f"lineage/{version}.json"))


def test_a_job_needs_enough_partitions(store, registry, make) -> None:
    partition(store, 0)
    assert not round_with_worker(make(), store)
    assert registry.state.promoted == 1


def test_each_partition_is_learned_from_once_in_the_chain_and_a_refused_versions_again(store, registry, make) -> None:
    trainer = make()
    first = [partition(store, n) for n in range(3)]
    assert round_with_worker(trainer, store)
    assert [item["key"] for item in lineage(store, 2)["trained_on"]] == first
    assert (lineage(store, 2)["examples"], lineage(store, 2)["trained_until"]) == (60, hour_end(FIRST + 2))
    second = [partition(store, n) for n in range(3, 6)]
    registry.refuse_next = "too bad"
    assert round_with_worker(trainer, store)
    assert registry.state.promoted == 2
    assert round_with_worker(trainer, store)
    assert registry.state.promoted == 4
    assert (lineage(store, 4)["parent"], [item["key"] for item in lineage(store, 4)["trained_on"]]) == (2, second)
    assert not round_with_worker(trainer, store)
    registry.state.rollback(None, 0, None)
    assert round_with_worker(make(), store)
    assert [item["key"] for item in lineage(store, 5)["trained_on"]] == second


def test_hours_without_examples_move_training_on(store, registry, make) -> None:
    for number in range(3):
        partition(store, number, rows=0)
    assert round_with_worker(make(), store)
    assert registry.state.current.trained_until == hour_end(FIRST + 2)
    assert load(store.get(version_key(2)))["weights"] == load(store.get(version_key(1)))["weights"]


def test_a_changed_partition_is_left_out_and_taken_when_it_is_right_again(store, registry, make) -> None:
    trainer = make()
    keys = [partition(store, n) for n in range(3)]
    right = store.get(keys[1])
    store.put(keys[1], right[:-200])
    assert round_with_worker(trainer, store)
    assert [item["key"] for item in lineage(store, 2)["trained_on"]] == [keys[0], keys[2]]
    store.put(keys[1], right)
    later = [partition(store, n) for n in range(3, 6)]
    assert round_with_worker(trainer, store)
    assert [item["key"] for item in lineage(store, 3)["trained_on"]] == [*later, keys[1]]


def test_a_restarted_trainer_goes_on_from_the_newest_checkpoint_that_restores(store, registry, make) -> None:
    keys = [partition(store, n) for n in range(3)]
    weights = load(store.get(version_key(1)))["weights"]
    done = {keys[0]: {"weights": weights, "rows": 7, "digest": "sha256:from-before"}}
    body = {"version": 2, "parent": 1, "keys": keys, "weights": weights, "shards": done}
    store.put(job_key(2, 1), dump(body))
    store.put(job_key(2, 2), dump({**body, "shards": {}})[:50])
    assert round_with_worker(make(), store)
    assert [item["rows"] for item in lineage(store, 2)["trained_on"]] == [7, 20, 20]


def test_a_job_without_workers_fails_in_time_and_the_next_one_takes_over(
    store, registry, make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB_TIMEOUT", "0.01")
    trainer = make()
    for number in range(3):
        partition(store, number)
    with pytest.raises(JobError, match="3 shards not done"):
        trainer.round()
    trainer._timeout_s = 10.0
    assert round_with_worker(trainer, store)
    assert registry.state.promoted == 2


def test_a_store_that_is_down_is_an_error_and_loses_nothing(store, registry, make) -> None:
    trainer = make()
    for number in range(3):
        partition(store, number)
    store.down = True
    with pytest.raises(StoreError):
        trainer.round()
    store.down = False
    assert round_with_worker(trainer, store)
    assert lineage(store, 2)["examples"] == 60
