"""Probes of a store of the Redis protocol: values, ages and counts of keys, and Feast's online store in one.

Feast keeps the event time of a view's row in the hash field `_ts:<view>`, as a Timestamp of Protocol Buffers; the
project's name ends the key. Both are part of Feast's documented format of its online store.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any
from urllib.parse import unquote, urlsplit

from harness.model.errors import ProbeError, install_extra
from harness.model.secrets import reveal
from harness.model.storeprobes import FeastProbe, RedisAccess, RedisProbe
from harness.probes.gauges import AGGREGATES
from harness.probes.reader import NoAnswerError, ProbeContext, failing

MOST_KEYS = 20_000
BATCH = 500
PORT = 6379
_LENGTHS = {b"list": "llen", b"set": "scard", b"zset": "zcard", b"hash": "hlen", b"stream": "xlen", b"string": "strlen"}


def connect(access: RedisAccess, around: ProbeContext) -> Any:
    """Return a client with one deadline a call and no tries of its own. Raises ProbeError, ScenarioError."""
    try:
        import redis.asyncio as redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise missing("redis", error) from error
    place, more = _where(access, around)
    return redis.Redis(
        host=place[0],
        port=place[1],
        socket_timeout=around.deadline_s,
        socket_connect_timeout=around.deadline_s,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        **more,
    )


def missing(extra: str, error: ImportError) -> ProbeError:
    """Return the error that names the extra to install."""
    remedy = install_extra(extra)
    return ProbeError(f"this probe needs the package {error.name}", remedy=remedy)


def _where(access: RedisAccess, around: ProbeContext) -> tuple[tuple[str, int], dict[str, Any]]:
    if access.service is not None:
        named = {"db": access.db, "username": access.username, "password": access.password}
        more = {name: reveal(value) if isinstance(value, str) else value for name, value in named.items()}
        return around.place(access.service), more
    # The URL is split before secrets are filled in: a password may contain any character.
    whole = str(access.url)
    text = reveal(whole) if whole.startswith("${secret:") else whole
    try:
        parts = urlsplit(text)
        host, port, db = parts.hostname, parts.port, int(parts.path.strip("/") or 0)
    except ValueError:
        raise ProbeError("the URL of the store is not one such as redis://:password@host:6379/0") from None
    if parts.scheme not in ("redis", "rediss") or not host:
        raise ProbeError("the URL of the store is not one such as redis://:password@host:6379/0")
    service = around.service_of(host)
    place = around.place(service, port) if service is not None else (host, port or PORT)
    more = {
        "db": db,
        "username": reveal(unquote(parts.username)) if parts.username else None,
        "password": reveal(unquote(parts.password)) if parts.password else None,
    }
    return place, more | ({"ssl": True} if parts.scheme == "rediss" else {})


class _Store:
    """What both readers have: a client, and its errors as readings."""

    def __init__(self, access: RedisAccess, around: ProbeContext) -> None:
        self._around = around
        self._client = connect(access, around)

    async def _read(self) -> float:
        """Return the number. Raises NoAnswerError, or what the client raises."""
        raise NotImplementedError

    async def read(self) -> float:
        """Return the number. Raises NoAnswerError."""
        from redis.exceptions import RedisError

        try:
            return await self._read()
        except (RedisError, OSError) as error:
            raise failing(error) from None

    async def keys(self, pattern: str | bytes) -> list[bytes]:
        """Return the keys that match a pattern."""
        found: list[bytes] = []
        async for key in self._client.scan_iter(match=pattern, count=BATCH):
            found.append(key)
            if len(found) > MOST_KEYS:
                raise NoAnswerError(f"more than {MOST_KEYS} keys match")
        # A scan may give a key twice.
        return list(dict.fromkeys(found))

    async def values(self, keys: list[bytes] | list[str], field: str | None) -> list[bytes | None]:
        """Return each key's value, or that of a field of it."""
        found: list[bytes | None] = []
        for start in range(0, len(keys), BATCH):
            async with self._client.pipeline(transaction=False) as pipe:
                for key in keys[start : start + BATCH]:
                    if field is None:
                        pipe.get(key)
                    else:
                        pipe.hget(key, field)
                found += await pipe.execute()
        return found

    async def close(self) -> None:
        """Close the connections."""
        from redis.exceptions import RedisError

        with contextlib.suppress(RedisError, OSError):
            await self._client.aclose()


class RedisReader(_Store):
    """Reads a `redis` probe: a value, an age, a length or a count."""

    def __init__(self, settings: RedisProbe, around: ProbeContext) -> None:
        super().__init__(settings, around)
        self._settings = settings

    async def _read(self) -> float:
        settings = self._settings
        keys: list[Any] = [settings.key] if settings.key is not None else await self.keys(str(settings.keys))
        if settings.read == "count":
            return float(len(keys))
        if not keys:
            raise NoAnswerError(f"no key matches {settings.keys!r}")
        if settings.read == "length":
            return AGGREGATES[settings.agg]([await self._length(key) for key in keys])
        found = await self.values(keys, settings.field)
        there = [value for value in found if value is not None]
        if not there:
            what = f"the field {settings.field!r} is in none" if settings.field is not None else "there is no value"
            raise NoAnswerError(f"{what} of {settings.key or settings.keys!r}")
        return AGGREGATES[settings.agg]([self._number(value) for value in there])

    def _number(self, value: bytes) -> float:
        if self._settings.read != "value":
            return self._around.age(value, self._settings.read)
        try:
            number = float(value)
        except ValueError:
            raise NoAnswerError(f"{value[:60].decode('utf-8', 'replace')!r} is no number") from None
        if not math.isfinite(number):
            raise NoAnswerError(f"the value is {number}")
        return number

    async def _length(self, key: str | bytes) -> float:
        kind = await self._client.type(key)
        if kind == b"none":
            return 0.0
        if kind not in _LENGTHS:
            raise NoAnswerError(f"a key of type {kind.decode()} has no length")
        return float(await getattr(self._client, _LENGTHS[kind])(key))


class FeastReader(_Store):
    """Reads a `feast` probe: the age of a view's rows, or how many there are."""

    def __init__(self, settings: FeastProbe, around: ProbeContext) -> None:
        super().__init__(settings, around)
        self._settings = settings

    async def _read(self) -> float:
        settings = self._settings
        keys = await self.keys(b"*" + _literal(settings.project))
        found = await self.values(keys, f"_ts:{settings.view}")
        stamps = [timestamp(value) for value in found if value is not None]
        if settings.read == "count":
            return float(len(stamps))
        if not stamps:
            raise NoAnswerError(f"the project {settings.project!r} has no row of the view {settings.view!r}")
        return AGGREGATES[settings.agg]([self._around.age(stamp, settings.read) for stamp in stamps])


def _literal(text: str) -> bytes:
    """Return a text as a pattern of keys that stands for itself."""
    return "".join(f"\\{sign}" if sign in "*?[]\\^" else sign for sign in text).encode()


def timestamp(data: bytes) -> float:
    """Return the unix time in a google.protobuf.Timestamp: field 1 are seconds, field 2 nanoseconds, both varints.

    Raises NoAnswerError where the bytes are something else.
    """
    fields = {1: 0, 2: 0}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind != 0 or number not in fields:
            raise NoAnswerError("the row's event time is no Timestamp of Protocol Buffers")
        value, at = _varint(data, at)
        fields[number] = value - (1 << 64) if value >= 1 << 63 else value
    return fields[1] + fields[2] / 1e9


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value & ((1 << 64) - 1), at
    raise NoAnswerError("the row's event time is no Timestamp of Protocol Buffers")
