"""Objects under one prefix of an S3 store: list, read, write, with deadlines and errors of our own.

The client of the library blocks, so each call runs in a thread. Retries are off: a measurement that was retried is
not one.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from harness.model.errors import FaultError

CALL_S = 2.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stored:
    """One object as a listing shows it."""

    key: str
    etag: str
    size: int


class Objects:
    """One bucket of an object store. Every call has a deadline and raises FaultError."""

    def __init__(self, url: str, bucket: str, access_key: str = "", secret_key: str = "") -> None:
        self.bucket = bucket
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=access_key or "none",
            aws_secret_access_key=secret_key or "none",
            config=Config(
                connect_timeout=CALL_S,
                read_timeout=CALL_S,
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    async def list(self, prefix: str) -> builtins.list[Stored]:
        """Return all objects whose keys begin with the prefix, by key."""
        return await self._call(lambda: self._list(prefix))

    def _list(self, prefix: str) -> builtins.list[Stored]:
        found: builtins.list[Stored] = []
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            found.extend(Stored(o["Key"], o["ETag"].strip('"'), int(o["Size"])) for o in page.get("Contents", ()))
        return sorted(found, key=lambda o: o.key)

    async def get(self, key: str) -> bytes:
        """Return an object's bytes."""
        return await self._call(lambda: bytes(self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()))

    async def put(self, key: str, data: bytes) -> None:
        """Write an object."""
        await self._call(lambda: self._client.put_object(Bucket=self.bucket, Key=key, Body=data))

    async def _call(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(call)
        except (BotoCoreError, ClientError, OSError) as error:
            raise FaultError(f"the object store did not do as asked: {error}") from error
