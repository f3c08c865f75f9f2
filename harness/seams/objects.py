"""Objects under one prefix of an S3 store: list, read, write, with deadlines and errors of our tree.

The library's client blocks, so each call runs in a thread. Retries are off: a measurement that was retried is not one.
"""

from __future__ import annotations

import asyncio
import builtins
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import create_loader
from urllib3.exceptions import HTTPError

from harness.model.errors import FaultError
from harness.seams.stored import NoObjectError, OtherObjectError, Stored

CALL_S = 2.0
THREADS = 32
ABOUT = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Metadata",
)
"""What an object has beside its bytes, by the names of the API."""
_CHANGED = ("PreconditionFailed", "ConditionalRequestConflict", "412")
_NO_CONDITIONS = ("NotImplemented", "InvalidArgument", "InvalidRequest", "400", "501")
"""What a store answers to a condition on what it holds: that it is not met, or that it knows none."""
_SERVICES = create_loader()
"""The library's description of S3, read once a process: reading it is most of what a client costs."""
T = TypeVar("T")


class Objects:
    """One bucket of an object store. Every call has a deadline and raises FaultError."""

    def __init__(self, url: str, bucket: str, access_key: str = "", secret_key: str = "") -> None:
        self.bucket = bucket
        self._access = url, access_key or "none", secret_key or "none"
        self._making = threading.Lock()
        self._made: Any = None
        self._conditions = True
        """Whether the store is thought to know conditions on what it holds."""

    @property
    def place(self) -> tuple[str, str]:
        """The store and the bucket: the same for all datasets in it."""
        return self._access[0], self.bucket

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
        return (await self.read(key))[0]

    async def read(self, key: str) -> tuple[bytes, str]:
        """Return an object's bytes, and the tag that it has with them."""
        return await self._call(lambda: self._read(key))

    def _read(self, key: str) -> tuple[bytes, str]:
        found = self._client.get_object(Bucket=self.bucket, Key=key)
        return bytes(found["Body"].read()), str(found["ETag"])

    async def about(self, key: str) -> dict[str, Any]:
        """Return what the store keeps of an object beside its bytes: its type and metadata, as `put` takes them."""
        found = await self._call(lambda: self._client.head_object(Bucket=self.bucket, Key=key))
        return {name: found[name] for name in ABOUT if found.get(name)}

    async def put(self, key: str, data: bytes, about: Mapping[str, Any] | None = None, tag: str | None = None) -> None:
        """Write an object; with what it is to have beside its bytes, where that is given.

        With a `tag`, only over what still has it, as far as the store knows such conditions: else it writes all the
        same. Raises OtherObjectError where somebody has written the object meanwhile.
        """
        more = dict(about or {})
        await self._call(lambda: self._put(key, data, more, tag))

    def _put(self, key: str, data: bytes, more: Mapping[str, Any], tag: str | None) -> None:
        condition = {"IfMatch": tag} if tag is not None and self._conditions else {}
        try:
            self._client.put_object(Bucket=self.bucket, Key=key, Body=data, **more, **condition)
        except ClientError as error:
            if not condition or error.response.get("Error", {}).get("Code") not in _NO_CONDITIONS:
                raise
            self._client.put_object(Bucket=self.bucket, Key=key, Body=data, **more)
            self._conditions = False

    async def _call(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(call)
        except (BotoCoreError, ClientError, HTTPError, OSError) as error:
            code = error.response.get("Error", {}).get("Code") if isinstance(error, ClientError) else None
            kind = NoObjectError if code in ("NoSuchKey", "404") else FaultError
            kind = OtherObjectError if code in _CHANGED else kind
            raise kind(f"the object store refused: {error}") from error


def warm_up() -> None:
    """Read what every client needs, so that the first one is not made in the middle of a run."""
    _client("http://127.0.0.1", "none", "none")


def _client(url: str, access_key: str, secret_key: str) -> Any:
    # A session of its own: the library's default one may not be used by several threads.
    session = botocore.session.Session()
    session.register_component("data_loader", _SERVICES)
    return boto3.session.Session(botocore_session=session).client(
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
