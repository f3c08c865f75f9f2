"""Objects under one prefix of an S3 store: list, read, write, with deadlines and errors of our tree; and their rows.

The library's client blocks, so each call runs in a thread. Retries are off: a measurement that was retried is not
one. Parquet objects are read as rows and written back with the same schema and metadata.
"""

from __future__ import annotations

import asyncio
import builtins
import io
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from harness.model.errors import FaultError

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """What a row was and what it is to be: only the fields that differ."""

    before: Row
    after: Row


@dataclass(frozen=True, slots=True)
class Stored:
    """One object as a listing shows it."""

    key: str
    etag: str
    size: int


class NoObjectError(FaultError):
    """There is no object under that key, or not any more."""


CALL_S = 2.0
THREADS = 32
T = TypeVar("T")


class Objects:
    """One bucket of an object store. Every call has a deadline and raises FaultError."""

    def __init__(self, url: str, bucket: str, access_key: str = "", secret_key: str = "") -> None:
        self.bucket = bucket
        self._access = url, access_key or "none", secret_key or "none"
        self._making = threading.Lock()
        self._made: Any = None

    @property
    def _client(self) -> Any:
        """The client, made in the thread of the first call: that takes long enough to hold up everything else."""
        with self._making:
            if self._made is None:
                self._made = _client(*self._access)
            return self._made

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
        except (BotoCoreError, ClientError, HTTPError, OSError) as error:
            code = error.response.get("Error", {}).get("Code") if isinstance(error, ClientError) else None
            kind = NoObjectError if code in ("NoSuchKey", "404") else FaultError
            raise kind(f"the object store refused: {error}") from error


def _client(url: str, access_key: str, secret_key: str) -> Any:
    # A session of its own: the library's default one may not be used by several threads.
    return boto3.session.Session().client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(
            connect_timeout=CALL_S,
            read_timeout=CALL_S,
            retries={"total_max_attempts": 1},
            max_pool_connections=THREADS,
            proxies={},  # the environment's proxies are not for a stack's own addresses
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


class ParquetRows:
    """Reads and rewrites whole Parquet objects."""

    def read(self, data: bytes) -> list[dict[str, Any]]:
        """Return the rows. Raises FaultError where the bytes are no Parquet."""
        try:
            # Not `read_table`: it imports pandas where that is installed, half a second in the middle of a run.
            rows: list[dict[str, Any]] = pq.ParquetFile(io.BytesIO(data)).read(use_threads=False).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise FaultError(f"not a Parquet object: {error}") from error
        return rows

    def columns(self, data: bytes, names: tuple[str, ...]) -> dict[str, list[Any]]:
        """Return some columns, as far as they are there. Raises FaultError where the bytes are no Parquet."""
        try:
            file = pq.ParquetFile(io.BytesIO(data))
            there = [name for name in names if name in file.schema_arrow.names]
            found: dict[str, list[Any]] = file.read(columns=there, use_threads=False).to_pydict()
        except (pa.ArrowException, OSError) as error:
            raise FaultError(f"not a Parquet object: {error}") from error
        return found

    def rewrite(self, data: bytes, rows: list[dict[str, Any]]) -> bytes:
        """Return an object with these rows and the schema and metadata of the original. Raises FaultError."""
        sink = io.BytesIO()
        try:
            schema = pq.read_schema(io.BytesIO(data))
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
        except (pa.ArrowException, OSError) as error:
            raise FaultError(f"the rows do not fit the object's schema: {error}") from error
        return sink.getvalue()
