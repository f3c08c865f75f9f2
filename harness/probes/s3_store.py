"""Probes of an S3 store: age, number and size of objects, and whether they are still the same.

The client of the library blocks: each call runs in a thread, one connection is kept, and nothing is tried twice.
"""

from __future__ import annotations

import hashlib
from typing import Any

from harness.model.secrets import reveal
from harness.model.storeprobes import S3Probe
from harness.probes.reader import NoAnswerError, OwnThread, ProbeContext, failing
from harness.probes.redis_store import missing

MOST_OBJECTS = 50_000
LARGEST_BYTES = 512 * 2**20
BLOCK = 2**20


class S3Reader:
    """Reads an `s3` probe."""

    def __init__(self, settings: S3Probe, around: ProbeContext) -> None:
        try:
            import boto3
        except ImportError as error:
            raise missing("s3", error) from error
        del boto3
        self._settings = settings
        self._around = around
        if settings.service is not None:
            host, port = around.place(settings.service)
            self._url = f"http://{host}:{port}"
        else:
            self._url = around.reachable(str(settings.url))
        self._keys = reveal(settings.access_key) or "none", reveal(settings.secret_key) or "none"
        self._thread = OwnThread("s3 probe")
        self._made: Any = None
        self._first: object = None

    async def read(self) -> float:
        """Return an age, a count, a size, or 1 and 0 for changed and equal."""
        return await self._thread.call(self._read)

    def _read(self) -> float:
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError

        try:
            if self._made is None:
                self._made = _client(self._url, *self._keys, self._settings.region, self._around.deadline_s)
            return self._value()
        except ClientError as error:
            reply = error.response.get("Error", {})
            if reply.get("Code") in ("NoSuchKey", "404", "NotFound"):
                raise NoAnswerError(f"there is no object {self._settings.key!r}") from None
            raise NoAnswerError(f"{reply.get('Code')}: {reply.get('Message') or error}") from None
        except (BotoCoreError, HTTPError, OSError) as error:
            raise failing(error) from None

    def _value(self) -> float:
        settings = self._settings
        if settings.read == "equal":
            return 1.0 if self._digest() == settings.digest else 0.0
        found = self._found()
        if settings.read == "count":
            return float(len(found))
        if settings.read == "bytes":
            return float(sum(one["Size"] for one in found))
        if settings.read == "changed":
            now = tuple(sorted((one["Key"], one["ETag"], one["Size"]) for one in found))
            if self._first is None:
                self._first = now
            return 0.0 if now == self._first else 1.0
        if not found:
            raise NoAnswerError(f"no object begins with {settings.prefix!r}")
        pick = max if settings.of == "newest" else min
        return self._around.age(pick(one["LastModified"] for one in found), "age")

    def _found(self) -> list[dict[str, Any]]:
        settings = self._settings
        if settings.key is not None:
            try:
                head = self._made.head_object(Bucket=settings.bucket, Key=settings.key)
            except self._made.exceptions.ClientError as error:
                gone = error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404", "NotFound")
                if gone and settings.read in ("count", "bytes", "changed"):
                    return []
                raise
            size = head["ContentLength"]
            return [{"Key": settings.key, "ETag": head["ETag"], "Size": size, "LastModified": head["LastModified"]}]
        found: list[dict[str, Any]] = []
        pages = self._made.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=settings.bucket, Prefix=settings.prefix):
            found += page.get("Contents", ())
            if len(found) > MOST_OBJECTS:
                raise NoAnswerError(f"more than {MOST_OBJECTS} objects begin with {settings.prefix!r}")
        return found

    def _digest(self) -> str:
        body = self._made.get_object(Bucket=self._settings.bucket, Key=self._settings.key)["Body"]
        digest, length = hashlib.sha256(), 0
        for block in body.iter_chunks(BLOCK):
            digest.update(block)
            length += len(block)
            if length > LARGEST_BYTES:
                raise NoAnswerError(f"the object is larger than {LARGEST_BYTES} bytes")
        return f"sha256:{digest.hexdigest()}"

    async def close(self) -> None:
        """Give up the connections."""
        if self._made is not None:
            self._made.close()


def _client(url: str, access_key: str, secret_key: str, region: str, deadline_s: float) -> Any:
    import boto3
    from botocore.config import Config

    # A session of its own: the library's default one may not be used by several threads.
    return boto3.session.Session().client(
        "s3",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(
            connect_timeout=deadline_s,
            read_timeout=deadline_s,
            retries={"total_max_attempts": 1},
            max_pool_connections=2,
            proxies={},  # the environment's proxies are not for a stack's own addresses
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
