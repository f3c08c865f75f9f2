"""A model server: reads features from the online store, scores, logs the answer for training, answers.

The promoted model is fetched and verified in a separate thread, off the request path. Every read of the
store has a time-out; after a few failures in a row the store is left alone for a moment and answers are
flagged. An answer is logged before it is given, or it is flagged.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import redis
import redis.asyncio
import uvicorn
from prometheus_client import Counter, Gauge, Histogram, generate_latest
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from refstack.calls import CallError, Peer
from refstack.model import digest_of, model_key
from refstack.objects import ObjectStore, StoreError
from refstack.online import SERVED, WATERMARK, features_key, quarantine_key
from refstack.schema import CATEGORIES, INPUTS
from refstack.scoring import Scorer
from refstack.service import ServiceProcess, address, number, setting
from refstack.serving import Chooser, Snapshot, WatermarkClock, described, parse

FAILURES, PAUSE_S = 3, 0.3
SERVED_KEPT = 6000


class Models:
    """The model in use, kept at the registry's promoted version."""

    def __init__(self, service: ServiceProcess, store: ObjectStore) -> None:
        self._service, self._store = service, store
        self._registry = Peer(address("REGISTRY"), 0.5)
        self._poll_s = number("MODEL_POLL", 0.5)
        self.current: tuple[int, str, Scorer] | None = None
        version = Gauge("server_model_version", "The version in use", registry=service.metrics)
        version.set_function(lambda: self.current[0] if self.current else 0)
        self._failed = Counter("server_model_load_failures_total", "Versions not loaded", registry=service.metrics)

    def refresh(self) -> None:
        pointer = self._registry.call("GET", "/promoted")
        version, digest = int(pointer["version"]), str(pointer["digest"])
        if self.current is not None and self.current[:2] == (version, digest):
            return
        if self.current is not None and self.current[1] == digest:
            self.current = (version, digest, self.current[2])
            return
        data = self._store.get(model_key(digest))
        if digest_of(data) != digest:
            raise StoreError(f"model {version}: the artefact's digest is {digest_of(data)}, not {digest}")
        self.current = (version, digest, Scorer(data))

    def run(self) -> None:
        troubled = False
        while True:
            try:
                self.refresh()
                troubled = False
            except (CallError, StoreError) as error:
                if self.current is not None:
                    self._failed.inc()
                    if not troubled:
                        self._service.log.warning("model not refreshed: %s", error)
                    troubled = True
            self._service.stop.wait(self._poll_s if self.current else 0.02)


class Features:
    """Reads of the online store with a time-out and a breaker."""

    def __init__(self, speed: float) -> None:
        host, port = address("ONLINE_STORE")
        limit_s = number("FEATURE_TIMEOUT", 0.1)
        self._client = redis.asyncio.Redis(
            host=host,
            port=port,
            decode_responses=True,
            protocol=2,
            socket_timeout=limit_s,
            socket_connect_timeout=limit_s,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,
        )
        self.clock = WatermarkClock(speed)
        self._failures = 0
        self._closed_until_s = 0.0

    def _trip(self) -> None:
        self._failures += 1
        if self._failures >= FAILURES:
            self._closed_until_s = time.monotonic() + PAUSE_S

    async def read(self, entity: str) -> tuple[Snapshot | None, str | None, int | None]:
        """The snapshot or what is wrong (`store`, `missing`, `range`), and until when values were verified."""
        if time.monotonic() < self._closed_until_s:
            return None, "store", None
        try:
            pipe = self._client.pipeline(transaction=False)
            pipe.hgetall(features_key(entity))
            pipe.get(WATERMARK)
            pipe.get(quarantine_key(entity))
            fields, watermark, quarantine = await pipe.execute()
        except (redis.RedisError, OSError, TimeoutError):
            self._trip()
            return None, "store", None
        self._failures = 0
        if watermark and str(watermark).isdigit():
            self.clock.see(int(watermark), time.monotonic())
        snapshot, problem = parse(fields)
        good_until = int(quarantine) if quarantine and str(quarantine).isdigit() else None
        return snapshot, problem, good_until

    async def log(self, answer: dict[str, Any]) -> bool:
        try:
            await self._client.xadd(SERVED, {"answer": json.dumps(answer)}, maxlen=SERVED_KEPT, approximate=True)
        except (redis.RedisError, OSError, TimeoutError):
            self._trip()
            return False
        return True


class Server:
    def __init__(self, service: ServiceProcess, models: Models, features: Features) -> None:
        self._service, self._models, self._features = service, models, features
        self._chooser = Chooser()
        metrics = service.metrics
        self._answers = Counter("server_answers_total", "Answers by flag", ["fallback"], registry=metrics)
        self._problems = Counter("server_feature_problems_total", "Unusable reads", ["problem"], registry=metrics)
        self._seconds = Histogram(
            "server_predict_seconds",
            "Time to answer",
            registry=metrics,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
        )

    async def predict(self, request: Request) -> Response:
        began = time.monotonic()
        try:
            body = await request.json()
            entity = str(body["origin"])
            given: dict[str, Any] = {name: int(body[name]) for name in CATEGORIES}
            given |= {"distance": float(body["distance"]), "carrier": str(body["carrier"]), "origin": entity}
            request_id, scheduled = str(body["id"]), int(body["scheduled"])
        except (KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"bad request: {type(error).__name__}: {error}"}, 400)
        model = self._models.current
        if model is None:
            return JSONResponse({"error": "no model yet"}, 503)
        version, digest, scorer = model
        read, problem, good_until = await self._features.read(entity)
        if problem is not None:
            self._problems.labels(problem).inc()
        chosen = self._chooser.choose(entity, read, good_until, self._features.clock.now(began))
        values = {**given, **chosen.values}
        inputs = {name: values[name] for name in INPUTS}
        score = scorer.one(inputs)
        features = described(chosen)
        if problem != "store" and not body.get("synthetic"):
            logged = {
                "id": request_id,
                "scheduled": scheduled,
                "version": version,
                "fallback": chosen.fallback,
                "features": features,
                **given,
            }
            if not await self._features.log(logged) and chosen.fallback is None:
                chosen = replace(chosen, fallback="last_good")
        self._answers.labels(chosen.fallback or "none").inc()
        self._seconds.observe(time.monotonic() - began)
        return JSONResponse(
            {
                "id": request_id,
                "score": score,
                "model": {"version": version, "digest": digest},
                "inputs": inputs,
                "features": features,
                "fallback": chosen.fallback,
                "served_by": self._service.name,
            }
        )

    async def healthz(self, _: Request) -> Response:
        good = self._models.current is not None
        return JSONResponse({"service": self._service.name, "ready": good}, 200 if good else 503)

    async def metrics(self, _: Request) -> Response:
        return Response(generate_latest(self._service.metrics), media_type="text/plain; version=0.0.4")

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/predict", self.predict, methods=["POST"]),
                Route("/healthz", self.healthz),
                Route("/metrics", self.metrics),
            ]
        )


def main() -> None:
    service = ServiceProcess("server")
    models = Models(service, ObjectStore(service.metrics))
    service.thread(models.run, "models")
    server = Server(service, models, Features(number("SPEED", 3600.0)))
    uvicorn.run(
        server.app(),
        host=setting("BIND", "0.0.0.0"),  # noqa: S104
        port=int(number("PORT", 8000)),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
        backlog=256,
    )
    service.leave()


if __name__ == "__main__":
    main()
