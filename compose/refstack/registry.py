"""The model registry: decides on offered versions, keeps the promotion pointer, rolls back.

A decision is written to the object store before anybody can see it, so a restart changes nothing. Version 1
is the bootstrap model of the prepared data; it counts as trained until the event clock's start, because no
example is older than that.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter, Gauge

from refstack.calls import CallError, Peer
from refstack.checkpoints import dump, version_key
from refstack.dataset import default_dir
from refstack.eventtime import parse
from refstack.gate import Golden, refuse
from refstack.model import digest_of, model_key
from refstack.objects import MissingObject, ObjectStore, StoreError
from refstack.promotions import PromotionError, PromotionHistory, Version
from refstack.service import Answer, ServiceProcess, address, number, setting

STATE_KEY = "registry/state.json"


class Registry:
    def __init__(self, service: ServiceProcess, store: ObjectStore) -> None:
        self._service, self._store = service, store
        self._root = default_dir()
        self._bound = number("GATE_LOG_LOSS", 0.6)
        self._start = parse(setting("START_AT"))
        self._golden: Golden | None = None
        self._lock = threading.Lock()
        self.state: PromotionHistory | None = None
        self._refused = Counter("registry_refused_total", "Versions refused by the gate", registry=service.metrics)
        version = Gauge("registry_promoted_version", "The promoted version", registry=service.metrics)
        version.set_function(lambda: (self.state.promoted or 0) if self.state else 0)
        until = Gauge("registry_trained_until", "Its last event time learned from", registry=service.metrics)
        until.set_function(lambda: self.state.current.trained_until if self.state else 0)

    def begin(self) -> None:
        try:
            self.state = PromotionHistory.load(self._store.get(STATE_KEY))
        except MissingObject:
            self.state = self._bootstrap()

    def _bootstrap(self) -> PromotionHistory:
        model = (self._root / "model-1.onnx").read_bytes()
        weights = json.loads((self._root / "weights-1.json").read_text())
        first = Version(1, digest_of(model), None, self._start, 0)
        lineage = {
            "version": 1,
            "digest": first.digest,
            "parent": None,
            "trained_on": [],
            "trained_until": self._start,
            "examples": 0,
        }
        self._store.put(model_key(first.digest), model)
        self._store.put("lineage/1.json", json.dumps(lineage).encode())
        self._store.put(version_key(1), dump({"version": 1, "weights": weights}))
        state = PromotionHistory()
        state.decide(first, None, self._start)
        self._store.put(STATE_KEY, state.dump())
        return state

    def _event_now(self) -> int:
        """The event time, for the history; the start where the replayer does not answer."""
        try:
            return int(Peer(address("REPLAYER"), 0.2).call("GET", "/clock")["watermark"])
        except CallError:
            return self._start

    def _change(self, now: PromotionHistory, new: PromotionHistory) -> None:
        if new.seq != now.seq:
            self._store.put(STATE_KEY, new.dump())
            self.state = new

    def register(self, body: Mapping[str, Any]) -> Answer:
        offered = Version(
            int(body["version"]),
            str(body["digest"]),
            body.get("parent"),
            int(body["trained_until"]),
            int(body["examples"]),
        )
        with self._lock:
            if self.state is None:
                return 503, {"error": "starting"}
            new = copy.deepcopy(self.state)
            try:
                if new.known(offered):
                    return 200, self._outcome(new, offered)
                if self._golden is None:
                    self._golden = Golden.load(self._root)
                refusal = refuse(self._store.get(model_key(offered.digest)), offered.digest, self._golden, self._bound)
                if not new.decide(offered, refusal, self._event_now()):
                    self._refused.inc()
                    self._service.log.warning("version %d refused: %s", offered.version, new.refused[offered.version])
                self._change(self.state, new)
            except PromotionError as error:
                return 409, {"error": str(error)}
            except StoreError as error:
                return 503, {"error": str(error)}
            return 200, self._outcome(new, offered)

    def _outcome(self, state: PromotionHistory, offered: Version) -> dict[str, Any]:
        return {"promoted": offered.version in state.versions, "reason": state.refused.get(offered.version)}

    def rollback(self, body: Mapping[str, Any]) -> Answer:
        with self._lock:
            if self.state is None:
                return 503, {"error": "starting"}
            new = copy.deepcopy(self.state)
            try:
                new.rollback(body.get("version"), self._event_now(), body.get("reason"))
                self._change(self.state, new)
            except PromotionError as error:
                return 409, {"error": str(error)}
            except StoreError as error:
                return 503, {"error": str(error)}
            return 200, new.pointer()

    def promoted(self, _: object) -> Answer:
        if self.state is None:
            return 503, {"error": "starting"}
        return 200, {**self.state.pointer(), "next_version": self.state.next_version}

    def history(self, _: object) -> Answer:
        return (200, self.state.history) if self.state else (503, {"error": "starting"})


def main() -> None:
    service = ServiceProcess("registry")
    registry = Registry(service, ObjectStore(service.metrics))
    service.ready = lambda: registry.state is not None
    service.routes[("GET", "/promoted")] = registry.promoted
    service.routes[("GET", "/history")] = registry.history
    service.routes[("POST", "/register")] = registry.register
    service.routes[("POST", "/rollback")] = registry.rollback
    service.serve()
    warned = False
    while registry.state is None and not service.stop.is_set():
        try:
            registry.begin()
        except StoreError as error:
            if not warned:
                service.log.warning("waiting for the object store: %s", error)
            warned = True
            service.stop.wait(0.02)
    service.stop.wait()
    service.leave()


if __name__ == "__main__":
    main()
