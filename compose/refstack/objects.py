"""The object store as a client sees it: get, put, list, delete with time-outs, timed for the monitor.

Every request's latency goes into a histogram, and the age of the oldest request under way into a gauge, so
that a store that never answers is seen as well as one that answers slowly.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import Loader, create_loader
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from refstack.service import number, setting

T = TypeVar("T")
BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0)


def _warm_loader() -> Loader:
    """Reads the S3 description once, before the services are forked."""
    loader = create_loader()
    for name in ("service-2", "endpoint-rule-set-1", "paginators-1"):
        loader.load_service_model("s3", name)
    for name in ("endpoints", "partitions", "sdk-default-configuration"):
        loader.load_data(name)
    return loader


_LOADER = _warm_loader()


class StoreError(Exception):
    """The object store did not do what was asked; the message says what and why."""


class MissingObject(StoreError):  # noqa: N818
    """There is no object of that key."""


class ObjectStore:
    """One bucket."""

    def __init__(self, metrics: CollectorRegistry) -> None:
        self._bucket = setting("S3_BUCKET", "ml")
        self._attempts = int(number("S3_ATTEMPTS", 2))
        self._under_way: dict[int, float] = {}
        self._numbers = itertools.count()
        self._seconds = Histogram(
            "object_store_request_seconds",
            "Latency of requests to the object store",
            ["op"],
            buckets=BUCKETS_S,
            registry=metrics,
        )
        self._errors = Counter("object_store_errors_total", "Failed requests", ["op"], registry=metrics)
        oldest = Gauge("object_store_oldest_request_seconds", "Age of the oldest one under way", registry=metrics)
        oldest.set_function(self._oldest_s)
        session = botocore.session.Session()
        session.register_component("data_loader", _LOADER)
        self._client: Any = session.create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=setting("S3_ENDPOINT"),
            aws_access_key_id=setting("S3_ACCESS_KEY"),
            aws_secret_access_key=setting("S3_SECRET_KEY"),
            config=Config(
                connect_timeout=number("S3_CONNECT_TIMEOUT", 0.3),
                read_timeout=number("S3_READ_TIMEOUT", 0.5),
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                max_pool_connections=8,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def _oldest_s(self) -> float:
        started = list(self._under_way.values())
        return time.monotonic() - min(started) if started else 0.0

    def _timed(self, op: str, key: str, work: Callable[[], T]) -> T:
        for attempt in itertools.count(1):
            ticket, began = next(self._numbers), time.monotonic()
            self._under_way[ticket] = began
            try:
                return work()
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                    raise MissingObject(f"{op} {key}: no such object") from error
                failure = StoreError(f"{op} {key}: {error}")
            except (BotoCoreError, OSError) as error:
                failure = StoreError(f"{op} {key}: {type(error).__name__}: {error}")
            finally:
                del self._under_way[ticket]
                self._seconds.labels(op).observe(time.monotonic() - began)
            self._errors.labels(op).inc()
            if attempt >= self._attempts:
                raise failure
        raise AssertionError("unreachable")

    def get(self, key: str) -> bytes:
        def work() -> bytes:
            data: bytes = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            return data

        return self._timed("get", key, work)

    def put(self, key: str, data: bytes) -> None:
        self._timed("put", key, lambda: self._client.put_object(Bucket=self._bucket, Key=key, Body=data))

    def delete(self, key: str) -> None:
        self._timed("delete", key, lambda: self._client.delete_object(Bucket=self._bucket, Key=key))

    def keys(self, prefix: str, after: str = "") -> list[str]:
        """All keys under the prefix, in order, that come after the given one."""

        def page(token: str | None) -> Any:
            more = {"ContinuationToken": token} if token else {}
            return self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, StartAfter=after, **more)

        found: list[str] = []
        token: str | None = None
        while True:
            answer = self._timed("list", prefix, partial(page, token))
            found.extend(str(item["Key"]) for item in answer.get("Contents", ()))
            token = answer.get("NextContinuationToken")
            if not token:
                return sorted(key for key in found if key > after)
