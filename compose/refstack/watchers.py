"""The monitor's watchers: one thread each for a scraped service, the online store, partitions and canaries.

None waits for another, and every call has a time-out, so that a hung service delays nothing but its own state.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Mapping
from typing import Any

from refstack.calls import CallError, Peer
from refstack.model import digest_of, model_key
from refstack.objects import ObjectStore, StoreError
from refstack.online import BATCH, EVENTS, OnlineError, StreamReader, connect, features_key, quarantine_key
from refstack.partitions import FEATURE_ROWS, TRAINING_ROWS, PartitionError, decode
from refstack.schema import DELAY, ENTITIES, FEATURES, GROUP_OF, GROUPS, in_range, stamp_field
from refstack.scoring import Scorer
from refstack.service import ServiceProcess
from refstack.sourceview import SourceView, agrees
from refstack.world import ReplayClock, ScrapeTarget, World, parse_metrics

SCRAPE_S, SCRAPE_TIMEOUT_S = 0.35, 0.25
LOOK_S = 0.1
QUARANTINE_MS = 1500
CALM_S = 1.0
AHEAD_S = 1800
CANARY_S = 0.5
PARTITIONS_S = 1.0


def scrape(service: ServiceProcess, world: World, target: ScrapeTarget, address: tuple[str, int]) -> None:
    """Keeps one target's samples; the replayer's clock with them."""
    peer = Peer(address, SCRAPE_TIMEOUT_S)
    while not service.stop.is_set():
        began_s = time.monotonic()
        try:
            status, text = peer.text("GET", "/metrics")
            if status != 200:
                raise CallError(f"status {status}")
            target.good(parse_metrics(text), time.monotonic())
            if target.name == "replayer":
                clock = peer.call("GET", "/clock")
                world.clock = ReplayClock(int(clock["start_event"]), float(clock["start_unix"]), float(clock["speed"]))
        except (CallError, ValueError):
            if target.name != "replayer" or target.seen_s is None or target.seen_s < began_s:
                target.bad(time.monotonic())
        service.stop.wait(max(0.02, SCRAPE_S - (time.monotonic() - began_s)))


def probe_http(service: ServiceProcess, target: ScrapeTarget, address: tuple[str, int]) -> None:
    """For what has no metrics: an HTTP server that answers anything at all."""
    while not service.stop.is_set():
        try:
            with socket.create_connection(address, SCRAPE_TIMEOUT_S) as link:
                link.settimeout(SCRAPE_TIMEOUT_S)
                link.sendall(b"GET /healthz HTTP/1.1\r\nHost: check\r\nConnection: close\r\n\r\n")
                if not link.recv(12).startswith(b"HTTP/1."):
                    raise OSError("no HTTP")
            target.good({}, time.monotonic())
        except OSError:
            target.bad(time.monotonic())
        service.stop.wait(SCRAPE_S)


class OnlineWatch:
    """Compares what is online with what the source events give at the stamps carried."""

    def __init__(self, service: ServiceProcess, world: World, view: SourceView, quarantine: bool) -> None:
        self._service, self._world, self._view = service, world, view
        self._quarantine = quarantine
        self._client = connect(0.25)
        self._target = world.targets["online-store"]
        self._reader = StreamReader(self._client, {EVENTS: "0"})
        self._verified: dict[str, int] = {}
        self._bad_s: dict[str, float] = {}

    def run(self) -> None:
        while not self._service.stop.is_set():
            try:
                self._look()
                self._target.good({}, time.monotonic())
            except OnlineError:
                self._target.bad(time.monotonic())
            self._service.stop.wait(LOOK_S)

    def _look(self) -> None:
        pipe = self._client.pipeline(transaction=False)
        for entity in ENTITIES:
            pipe.hgetall(features_key(entity))
        # Events after features, and the store keeps that order: whatever the features rest on has been read when they
        # are judged.
        self._reader.ask(pipe)
        *hashes, answer = pipe.execute()
        entries = self._reader.take(answer).get(EVENTS, [])
        while entries:
            for _, entry in entries:
                self._view.apply(entry)
            entries = self._reader.read(block_ms=None).get(EVENTS, []) if len(entries) == BATCH else []
        stamps: dict[str, dict[str, int]] = {group: {} for group in GROUPS}
        complete, wide, skewed = {}, set(), set()
        for entity, fields in zip(ENTITIES, hashes, strict=True):
            values = _numbers(fields)
            complete[entity] = all(values[name] is not None for name in FEATURES)
            bad = {name for name, value in values.items() if value is not None and not in_range(name, value)}
            wide |= bad
            wrong = {group for group in GROUPS if not self._right(entity, group, fields, values, stamps)}
            skewed |= {(group, entity) for group in wrong}
            if self._quarantine:
                self._mitigate(entity, fields, bool(bad or wrong))
        world = self._world
        world.stamps = {group: of for group, of in stamps.items() if of}
        world.complete, world.out_of_range, world.skewed = complete, frozenset(wide), frozenset(skewed)
        world.ever_complete = world.ever_complete or all(complete.values())

    def _right(
        self,
        entity: str,
        group: str,
        fields: Mapping[str, str],
        values: dict[str, float | None],
        stamps: dict[str, dict[str, int]],
    ) -> bool:
        try:
            stamp = int(fields[stamp_field(group)])
        except (KeyError, ValueError):
            return True
        stamps[group][entity] = stamp
        if stamp > self._view.watermark + AHEAD_S and self._view.watermark:
            return False
        true = self._view.truth(entity, group, stamp)
        if true is None or any(values[name] is None for name in GROUPS[group]):
            return True  # not to be known here, or a matter of coverage
        return agrees(group, values, true)

    def _mitigate(self, entity: str, fields: Mapping[str, str], bad: bool) -> None:
        """Tells the servers to stay with what was verified before the first bad look, for a little while."""
        now_s = time.monotonic()
        if bad:
            self._bad_s[entity] = now_s
        if now_s - self._bad_s.get(entity, -CALM_S) < CALM_S:
            self._client.set(quarantine_key(entity), self._verified.get(entity, 0), px=QUARANTINE_MS)
        elif fields:
            try:
                self._verified[entity] = int(fields[stamp_field(DELAY)])
            except (KeyError, ValueError):
                return


def _numbers(fields: Mapping[str, str]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name in FEATURES:
        try:
            value = float(fields[name])
        except (KeyError, ValueError):
            value = math.nan
        found[name] = value if math.isfinite(value) else None
    return found


class PartitionWatch:
    """Looks again at the newest partitions: features against the source events, training against its digest."""

    def __init__(self, service: ServiceProcess, world: World, view: SourceView, store: ObjectStore) -> None:
        self._service, self._world, self._view, self._store = service, world, view, store
        self._after = {"features/": "", "training/": ""}
        self._good: dict[str, bytes] = {}

    def run(self) -> None:
        while not self._service.stop.is_set():
            try:
                self._world.offline_skewed = frozenset(self._features())
                self._world.corrupt_partitions = frozenset(self._training())
            except StoreError:
                pass  # known from the latency and errors of this very client
            self._service.stop.wait(PARTITIONS_S)

    def _newest(self, prefix: str) -> list[str]:
        keys = self._store.keys(prefix, self._after[prefix])
        if len(keys) > 2:
            self._after[prefix] = keys[-3]
        return keys[-2:]

    def _features(self) -> set[str]:
        wrong: set[str] = set()
        for key in self._newest("features/"):
            try:
                rows = decode(self._store.get(key), FEATURE_ROWS, verify=False)
                for row in rows:
                    true = self._view.truth(row["entity"], row["group"], int(row["event_time"]))
                    if true is not None and not agrees(row["group"], row, true):
                        wrong.add(str(row["group"]))
            except (PartitionError, KeyError, TypeError, ValueError):
                wrong |= set(GROUPS)
        return wrong

    def _training(self) -> set[str]:
        """Those whose rows are not what was written; the same bytes are decoded once."""
        wrong, good = set(), dict[str, bytes]()
        for key in self._newest("training/"):
            data = self._store.get(key)
            try:
                if self._good.get(key) != data:
                    decode(data, TRAINING_ROWS)
                good[key] = data
            except PartitionError:
                wrong.add(key)
        self._good = good
        return wrong


class Canary:
    """Asks what the answer to is known: the model's own score for the inputs that the answer names."""

    def __init__(self, service: ServiceProcess, world: World, store: ObjectStore, gateway: tuple[str, int]) -> None:
        self._service, self._world, self._store = service, world, store
        self._peer = Peer(gateway, 0.8)
        self._scorer: tuple[str, Scorer] | None = None
        self._count = 0

    def run(self) -> None:
        while not self._service.stop.is_set():
            try:
                good = self._ask()
            except (CallError, StoreError):
                good = None  # no answer is not a wrong answer; others report it
            if good is not None:
                self._world.canaries.append((time.monotonic(), good))
            self._service.stop.wait(CANARY_S)

    def _ask(self) -> bool:
        self._count += 1
        answer: dict[str, Any] = self._peer.call(
            "POST",
            "/predict",
            {
                "id": f"canary-{self._count}",
                "origin": ENTITIES[self._count % len(ENTITIES)],
                "dest": "LAX",
                "carrier": "UA",
                "distance": 2454,
                "hour": 12,
                "weekday": 2,
                "scheduled": 0,
                "synthetic": True,
            },
        )
        digest, score = str(answer["model"]["digest"]), answer["score"]
        if self._scorer is None or self._scorer[0] != digest:
            data = self._store.get(model_key(digest))
            if digest_of(data) != digest:
                return False
            self._scorer = (digest, Scorer(data))
        inputs = answer["inputs"]
        same = all(inputs[name] == value["value"] for name, value in answer["features"].items() if name in GROUP_OF)
        return same and isinstance(score, float) and abs(self._scorer[1].one(inputs) - score) <= 1e-4
