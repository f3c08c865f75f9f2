"""The object store as a client sees it: get, put, list, delete with time-outs, timed for the monitor.

Four requests of S3's protocol over a pool of kept connections, signed by botocore; botocore's own client does the same
for five times the processor, half of it for features that these services do not use. Every request's latency goes into
a summary, and the age of the oldest one under way into a gauge, so that a store that never answers is detected as well
as a slow one.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from prometheus_client import CollectorRegistry, Counter, Gauge, Summary
from urllib3.exceptions import HTTPError

from refstack.service import number, setting

T = TypeVar("T")
REGION = "us-east-1"


class StoreError(Exception):
    """A request to the object store failed; the message has the request and the reason."""


class MissingObject(StoreError):  # noqa: N818
    """There is no object of that key."""


class ObjectStore:
    """One bucket."""

    def __init__(self, metrics: CollectorRegistry) -> None:
        self._bucket = setting("S3_BUCKET", "ml")
        self._attempts = int(number("S3_ATTEMPTS", 2))
        self._under_way: dict[int, float] = {}
        self._numbers = itertools.count()
        self._seconds = Summary(
            "object_store_request_seconds", "Latency of requests to the object store", ["op"], registry=metrics
        )
        self._errors = Counter("object_store_errors_total", "Failed requests", ["op"], registry=metrics)
        oldest = Gauge("object_store_oldest_request_seconds", "Age of the oldest one under way", registry=metrics)
        oldest.set_function(self._oldest_s)
        self._endpoint = setting("S3_ENDPOINT").rstrip("/")
        self._signer = S3SigV4Auth(Credentials(setting("S3_ACCESS_KEY"), setting("S3_SECRET_KEY")), "s3", REGION)
        timeout = urllib3.Timeout(connect=number("S3_CONNECT_TIMEOUT", 0.3), read=number("S3_READ_TIMEOUT", 0.5))
        self._pool = urllib3.connection_from_url(self._endpoint, maxsize=8, timeout=timeout, retries=False)

    def _oldest_s(self) -> float:
        started = list(self._under_way.values())
        return time.monotonic() - min(started) if started else 0.0

    def _timed(self, op: str, key: str, work: Callable[[], T]) -> T:
        for attempt in itertools.count(1):
            ticket, began = next(self._numbers), time.monotonic()
            self._under_way[ticket] = began
            try:
                return work()
            except MissingObject:
                raise
            except StoreError as error:
                failure = error
            except (HTTPError, OSError) as error:
                failure = StoreError(f"{op} {key}: {type(error).__name__}: {error}")
            finally:
                del self._under_way[ticket]
                self._seconds.labels(op).observe(time.monotonic() - began)
            self._errors.labels(op).inc()
            if attempt >= self._attempts:
                raise failure
        raise AssertionError("unreachable")

    def _request(self, method: str, key: str, query: Mapping[str, str] | None = None, data: bytes = b"") -> bytes:
        path = quote(f"/{self._bucket}/{key}" if key else f"/{self._bucket}", safe="/-_.~")
        if query:
            path = f"{path}?{urlencode(query, quote_via=quote)}"
        request = AWSRequest(method, self._endpoint + path, data=data)
        self._signer.add_auth(request)
        answer = self._pool.request(
            method, path, body=data or None, headers=dict(request.headers.items()), redirect=False
        )
        if answer.status == 404 and b"NoSuchBucket" not in answer.data:
            raise MissingObject(f"{method} {key}: no such object")
        if answer.status >= 300:
            raise StoreError(f"{method} {key or self._bucket}: status {answer.status}: {answer.data[:200]!r}")
        return answer.data

    def get(self, key: str) -> bytes:
        return self._timed("get", key, partial(self._request, "GET", key))

    def put(self, key: str, data: bytes) -> None:
        self._timed("put", key, partial(self._request, "PUT", key, None, data))

    def delete(self, key: str) -> None:
        self._timed("delete", key, partial(self._request, "DELETE", key))

    def keys(self, prefix: str, after: str = "") -> list[str]:
        """All keys under the prefix, in order, that come after the given one."""
        found: list[str] = []
        query = {"list-type": "2", "prefix": prefix} | ({"start-after": after} if after else {})
        while True:
            keys, token = self._timed("list", prefix, partial(self._page, query))
            found.extend(keys)
            if not token:
                return sorted(key for key in found if key > after)
            query["continuation-token"] = token

    def _page(self, query: Mapping[str, str]) -> tuple[list[str], str | None]:
        data = self._request("GET", "", query)
        try:
            page = ElementTree.fromstring(data)  # noqa: S314 - the stack's own store
        except ElementTree.ParseError as error:
            raise StoreError(f"list {query['prefix']}: not XML: {error}") from error
        return [str(key.text) for key in page.iterfind("{*}Contents/{*}Key")], page.findtext("{*}NextContinuationToken")
