"""The trainer: every few event-hours a job over the partitions that the promoted version has not learned from.

Shards go to workers by lease; what they bring is averaged, checkpointed as it comes, exported, described in
lineage/ and offered to the registry. A restarted trainer goes on from the newest checkpoint that restores. A
partition belongs to exactly one version of a chain: what a refused or failed version learned is taken again.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import Counter, Gauge

from refstack import model
from refstack.calls import CallError, Peer
from refstack.checkpoints import CheckpointError, dump, job_key, load, version_key
from refstack.dataset import default_dir
from refstack.eventtime import hour_end
from refstack.leases import LeaseTable
from refstack.model import Weights
from refstack.objects import MissingObject, ObjectStore, StoreError
from refstack.partitions import hour_of_key
from refstack.service import Answer, ServiceProcess, address, number, switch

LONG_POLL_S = 0.25
KEEP_VERSIONS = 12
MOST_SHARDS = 12


class JobError(Exception):
    """A job failed; the message has the step."""


@dataclass(frozen=True)
class Job:
    version: int
    parent: int
    base: Weights
    keys: tuple[str, ...]


class LeaseService:
    """Serves leases to workers: the lease table behind a lock, with the running job's base weights."""

    def __init__(self, ttl_s: float, expiry: bool) -> None:
        self.table = LeaseTable(ttl_s, expiry)
        self.changed = threading.Condition()
        self.job: Job | None = None

    def lease(self, body: Mapping[str, Any]) -> Answer:
        worker, until = str(body["worker"]), time.monotonic() + LONG_POLL_S
        with self.changed:
            while True:
                lease = self.table.acquire(worker, time.monotonic()) if self.job else None
                if lease is not None and self.job is not None:
                    return 200, {
                        "shard": lease.shard,
                        "token": lease.token,
                        "version": self.job.version,
                        "weights": self.job.base.as_json(),
                    }
                left_s = until - time.monotonic()
                if left_s <= 0:
                    return 200, {"shard": None}
                self.changed.wait(min(left_s, 0.1))

    def renew(self, body: Mapping[str, Any]) -> Answer:
        with self.changed:
            return 200, {"held": self.table.renew(str(body["shard"]), int(body["token"]), time.monotonic())}

    def result(self, body: Mapping[str, Any]) -> Answer:
        shard, token = str(body["shard"]), int(body["token"])
        with self.changed:
            if "failed" in body:
                taken = self.table.give_up(shard, token)
            else:
                if "weights" in body:
                    Weights.from_json(body["weights"])
                taken = self.table.complete(shard, token, dict(body), time.monotonic())
            self.changed.notify_all()
            return 200, {"taken": taken}


class Trainer:
    def __init__(self, service: ServiceProcess, store: ObjectStore) -> None:
        self._service, self._store = service, store
        self._registry = Peer(address("REGISTRY"), number("REGISTRY_TIMEOUT", 3.0))
        self._every = int(number("TRAIN_EVERY", 3))
        self._timeout_s = number("JOB_TIMEOUT", 6.0)
        self._retry = switch("JOB_RETRY")
        self.lease_service = LeaseService(number("LEASE_TTL", 1.5), switch("LEASE_EXPIRY"))
        self._graph = (default_dir() / "model-1.onnx").read_bytes()
        self._lineage: dict[int, tuple[int | None, frozenset[str]]] = {}
        self._weights: dict[int, Weights] = {}
        self._corrupt: dict[str, str] = {}
        self._leftovers: dict[int, list[str]] = {}
        self._resume = True
        self.halted = False
        metrics = service.metrics
        self._jobs = Counter("trainer_jobs_total", "Jobs by how they ended", ["outcome"], registry=metrics)
        for name, text, read in (
            ("trainer_halted", "1 while training is halted", lambda: float(self.halted)),
            ("trainer_corrupt_partitions", "Partitions found corrupt", lambda: float(len(self._corrupt))),
            ("trainer_leases_expired", "Leases that expired", lambda: float(self.lease_service.table.expired)),
        ):
            Gauge(name, text, registry=metrics).set_function(read)

    def _chain(self, version: int) -> set[str]:
        """Every partition that this version and those it was made from have learned from."""
        learned: set[str] = set()
        at: int | None = version
        while at is not None:
            if at not in self._lineage:
                line = json.loads(self._store.get(f"lineage/{at}.json"))
                self._lineage[at] = (line["parent"], frozenset(item["key"] for item in line["trained_on"]))
            parent, keys = self._lineage[at]
            learned |= keys
            at = parent
        return learned

    def _weights_of(self, version: int) -> Weights:
        if version not in self._weights:
            body = load(self._store.get(version_key(version)))
            self._weights = {version: Weights.from_json(body["weights"])}
        return self._weights[version]

    def round(self) -> bool:
        """One look for new partitions, and a job where there are enough; whether there was one."""
        pointer = self._registry.call("GET", "/promoted")
        version, parent = int(pointer["next_version"]), int(pointer["version"])
        learned = self._chain(parent)
        new = [key for key in self._store.keys("training/") if key not in learned]
        # Those that were no good the last time come last, or they would crowd out the others in the end.
        new.sort(key=lambda key: (key in self._corrupt, key))
        if sum(key not in self._corrupt for key in new) < self._every:
            return False
        self._run(Job(version, parent, self._weights_of(parent), tuple(new[:MOST_SHARDS])))
        return True

    def _run(self, job: Job) -> None:
        began = time.monotonic()
        done = self._resumed(job) if self._resume else {}
        self._resume = False
        step = len(done)
        self._checkpoint(job, done, step)
        with self.lease_service.changed:
            self.lease_service.table.open([key for key in job.keys if key not in done])
            self.lease_service.job = job
            self.lease_service.changed.notify_all()
        try:
            while True:
                with self.lease_service.changed:
                    results, finished = self.lease_service.table.results, self.lease_service.table.done
                    if len(results) + len(done) == step and not finished:
                        self.lease_service.changed.wait(0.1)
                        results, finished = self.lease_service.table.results, self.lease_service.table.done
                if len(results) + len(done) > step:
                    step = len(results) + len(done)
                    self._checkpoint(job, {**done, **results}, step)
                if finished:
                    break
                if time.monotonic() - began > self._timeout_s:
                    raise JobError(
                        f"version {job.version}: {len(job.keys) - step} shards not done after {self._timeout_s:g} s"
                    )
                if self._service.stop.is_set():
                    return
        finally:
            with self.lease_service.changed:
                self.lease_service.job = None
        self._finish(job, {**done, **results})

    def _checkpoint(self, job: Job, shards: Mapping[str, Any], step: int) -> None:
        key = job_key(job.version, step)
        parts = {shard: part for shard, part in shards.items() if "weights" in part}
        self._store.put(
            key,
            dump(
                {
                    "version": job.version,
                    "parent": job.parent,
                    "keys": list(job.keys),
                    "weights": job.base.as_json(),
                    "shards": parts,
                }
            ),
        )
        self._leftovers.setdefault(job.version, []).append(key)

    def _resumed(self, job: Job) -> dict[str, Any]:
        """After a restart: what the newest restorable checkpoint of this very job has."""
        for key in reversed(self._store.keys(f"checkpoints/job-{job.version:06d}-")):
            try:
                body = load(self._store.get(key))
            except (CheckpointError, MissingObject) as error:
                self._service.log.warning("%s is passed over: %s", key, error)
                continue
            if body["parent"] != job.parent:
                continue
            done = {shard: part for shard, part in body["shards"].items() if shard in job.keys}
            self._service.log.info("resumed from %s with %d shards done", key, len(done))
            return done
        return {}

    def _finish(self, job: Job, shards: Mapping[str, Any]) -> None:
        """Averages, exports, describes and offers what the shards have learned."""
        self._corrupt = {key: part["corrupt"] for key, part in shards.items() if "corrupt" in part}
        good = {key: shards[key] for key in job.keys if "weights" in shards[key]}
        if not good:
            raise JobError(f"version {job.version}: no usable partition: {self._corrupt}")
        parts = [(Weights.from_json(part["weights"]), int(part["rows"])) for part in good.values() if part["rows"]]
        weights = model.mix(parts) if parts else job.base
        data = model.reweighted(self._graph, weights)
        digest = model.digest_of(data)
        examples = sum(int(part["rows"]) for part in good.values())
        until = max(hour_end(hour_of_key(key)) for key in good)
        trained_on = [{"key": key, "digest": part["digest"], "rows": part["rows"]} for key, part in good.items()]
        self._store.put(model.model_key(digest), data)
        self._store.put(version_key(job.version), dump({"version": job.version, "weights": weights.as_json()}))
        self._store.put(
            f"lineage/{job.version}.json",
            json.dumps(
                {
                    "version": job.version,
                    "digest": digest,
                    "parent": job.parent,
                    "trained_on": trained_on,
                    "trained_until": until,
                    "examples": examples,
                }
            ).encode(),
        )
        self._lineage.pop(job.version, None)
        outcome = self._registry.call(
            "POST",
            "/register",
            {
                "version": job.version,
                "digest": digest,
                "parent": job.parent,
                "trained_until": until,
                "examples": examples,
            },
        )
        self._jobs.labels("promoted" if outcome["promoted"] else "refused").inc()
        if outcome["promoted"]:
            self._weights = {job.version: weights}
        self._tidy(job.version)

    def _tidy(self, version: int) -> None:
        """Removes checkpoints that nobody will resume from."""
        self._leftovers[version].append(version_key(version))
        for old in [v for v in self._leftovers if v <= version - KEEP_VERSIONS]:
            for key in self._leftovers.pop(old):
                self._store.delete(key)
        jobs = [key for key in self._leftovers.get(version - 1, []) if "/job-" in key]
        for key in jobs:
            self._store.delete(key)
            self._leftovers[version - 1].remove(key)

    def run(self) -> None:
        troubled = False
        while not self._service.stop.is_set():
            if self.halted:
                self._service.stop.wait(0.5)
                continue
            try:
                worked = self.round()
                if troubled:
                    self._service.log.info("training goes on")
                troubled = False
                self._service.stop.wait(0.05 if worked else 0.3)
            except (JobError, StoreError, CheckpointError, CallError) as error:
                started = self._weights != {}
                if not troubled:
                    self._service.log.warning("training failed: %s", error)
                troubled = True
                self._jobs.labels("failed").inc()
                if started and not self._retry:
                    self._service.log.error("halted: JOB_RETRY is off")
                    self.halted = True
                self._service.stop.wait(0.2 if started else 0.03)


def main() -> None:
    service = ServiceProcess("trainer")
    trainer = Trainer(service, ObjectStore(service.metrics))
    leases = trainer.lease_service
    for path, route in (("/lease", leases.lease), ("/renew", leases.renew), ("/result", leases.result)):
        service.routes[("POST", path)] = route
    service.serve()
    trainer.run()
    service.leave()


if __name__ == "__main__":
    main()
