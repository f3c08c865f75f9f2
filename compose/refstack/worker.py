"""A training worker: takes a lease on a shard, learns from it, brings the weights back.

It refuses a partition whose rows are not those that were written, and reports them instead of learning from them.
Between leases it reads a small object from the object store, so that its latency is known before it matters.
"""

from __future__ import annotations

import hashlib
import time
from typing import Any

from prometheus_client import Counter

from refstack import model
from refstack.calls import CallError, Peer
from refstack.dataset import default_dir
from refstack.model import Weights
from refstack.objects import MissingObject, ObjectStore, StoreError
from refstack.partitions import TRAINING_ROWS, PartitionError, Row, decode
from refstack.schema import INPUTS
from refstack.scoring import Encoder
from refstack.service import ServiceProcess, address

IDLE_LOOK_S = 1.0


def columns_of(rows: list[Row]) -> dict[str, list[Any]]:
    return {name: [row["entity" if name == "origin" else name] for row in rows] for name in INPUTS}


class TrainingWorker:
    def __init__(self, service: ServiceProcess, store: ObjectStore) -> None:
        self._service, self._store = service, store
        self._trainer = Peer(address("TRAINER"), 0.8)
        self._encoder = Encoder(model.encoding((default_dir() / "model-1.onnx").read_bytes()))
        self._looked = 0.0
        self._shards = Counter("worker_shards_total", "Shards by outcome", ["outcome"], registry=service.metrics)

    def learn(self, lease: dict[str, Any]) -> dict[str, Any]:
        """The result to bring back: weights and what they were learned from, or why not."""
        held = {"shard": lease["shard"], "token": lease["token"]}
        try:
            data = self._store.get(lease["shard"])
            rows = decode(data, TRAINING_ROWS)
        except MissingObject as error:
            return {**held, "corrupt": str(error)}
        except PartitionError as error:
            return {**held, "corrupt": str(error)}
        except StoreError as error:
            return {**held, "failed": str(error)}
        self._trainer.call("POST", "/renew", held)
        weights = Weights.from_json(lease["weights"])
        if rows:
            weights = model.learn(self._encoder.many(columns_of(rows)), weights, [row["label"] for row in rows])
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        return {**held, "weights": weights.as_json(), "rows": len(rows), "digest": digest}

    def step(self) -> None:
        lease = self._trainer.call("POST", "/lease", {"worker": self._service.name})
        if lease["shard"] is not None:
            result = self.learn(lease)
            taken = self._trainer.call("POST", "/result", result)["taken"]
            kind = next((kind for kind in ("corrupt", "failed") if kind in result), "learned")
            self._shards.labels(kind if taken else "refused").inc()
            if kind != "learned":
                self._service.log.warning("%s: %s", result["shard"], result[kind])
                self._service.stop.wait(0.05)
        elif time.monotonic() - self._looked > IDLE_LOOK_S:
            self._looked = time.monotonic()
            self._store.keys("registry/")

    def run(self) -> None:
        troubled = False
        while not self._service.stop.is_set():
            try:
                self.step()
                troubled = False
            except (CallError, StoreError) as error:
                if not troubled:
                    self._service.log.warning("cannot work: %s", error)
                troubled = True
                self._service.stop.wait(0.1)


def main() -> None:
    service = ServiceProcess("worker")
    worker = TrainingWorker(service, ObjectStore(service.metrics))
    service.serve()
    worker.run()
    service.leave()


if __name__ == "__main__":
    main()
