"""A key space of a Redis-protocol store: hashes under one prefix, each a row with its event-time stamps.

A live key is overwritten within milliseconds, so changing it once is no fault. `Rewriter` listens to the store's own
key-space notifications and changes each new row in the moment after it was written, atomically and only if it still
is that row.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from harness.model.datasets import KeyspaceSpec
from harness.model.errors import FaultError
from harness.model.secrets import reveal
from harness.seams.stored import Change, Row

CALL_S = 1.0
NOTIFY = "notify-keyspace-events"
_SWAP_ROW = """
for i = 1, tonumber(ARGV[1]) * 2, 2 do
  if redis.call('HGET', KEYS[1], ARGV[1 + i]) ~= ARGV[2 + i] then return 0 end
end
local from = 2 + tonumber(ARGV[1]) * 2
if #ARGV >= from then redis.call('HSET', KEYS[1], unpack(ARGV, from)) end
return 1
"""

Decide = Callable[[str, Row], Change | None]
Applied = Callable[[str, Row, Change], None]


class Keyspace:
    """Rows of one key space. Every call has a deadline and raises FaultError."""

    def __init__(self, name: str, spec: KeyspaceSpec, address: str) -> None:
        """Raises ScenarioError for a secret that is not in the environment."""
        self.name = name
        self.spec = spec
        host, _, port = address.rpartition(":")
        self._client = redis.Redis(
            host=host,
            port=int(port),
            db=spec.db,
            username=reveal(spec.username) if spec.username is not None else None,
            password=reveal(spec.password) if spec.password is not None else None,
            decode_responses=True,
            socket_timeout=CALL_S,
            socket_connect_timeout=CALL_S,
            protocol=2,
            # Left to itself the client tries ten times more; a store that hangs is to cost one deadline.
            retry=Retry(NoBackoff(), 0),
        )

    def entity(self, key: str) -> str:
        """Return the entity that a key belongs to: what follows the prefix."""
        return key.removeprefix(self.spec.prefix)

    async def rows(self) -> dict[str, Row]:
        """Return every row by key."""
        with _translated(self.name):
            keys = sorted([key async for key in self._client.scan_iter(match=f"{self.spec.prefix}*", count=500)])
            async with self._client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.hgetall(key)
                found = await pipe.execute(raise_on_error=False)
            # A key of another type is no row.
            return {key: row for key, row in zip(keys, found, strict=True) if isinstance(row, dict)}

    async def row(self, key: str) -> Row:
        """Return one row, empty where the key is not there."""
        with _translated(self.name):
            try:
                found: Any = await self._client.hgetall(key)
            except ResponseError:
                return {}  # a key of another type is no row
            return dict(found)

    async def swap(self, key: str, expected: Row, change: Row) -> bool:
        """Change fields of a row, if and only if the expected fields still are as given."""
        guard = [item for pair in expected.items() for item in pair]
        fields = [item for pair in change.items() for item in pair]
        with _translated(self.name):
            return bool(await self._client.eval(_SWAP_ROW, 1, key, len(expected), *guard, *fields))

    async def notifications(self) -> str:
        """Return which key-space notifications the store sends now."""
        with _translated(self.name):
            answer = await self._client.config_get(NOTIFY)
            return str(answer.get(NOTIFY, ""))

    async def notify(self, flags: str) -> None:
        """Set which key-space notifications the store sends."""
        with _translated(self.name):
            await self._client.config_set(NOTIFY, flags)

    def rewriter(self, decide: Decide, applied: Applied) -> Rewriter:
        """Return a rewriter that changes each row for which `decide` gives a change, and reports which it really
        changed."""
        return Rewriter(self, self._client, decide, applied)

    async def close(self) -> None:
        """Close the connections."""
        with contextlib.suppress(RedisError, OSError):
            await self._client.aclose()


class Rewriter:
    """Changes rows as they are written, until stopped."""

    def __init__(self, keyspace: Keyspace, client: redis.Redis, decide: Decide, applied: Applied) -> None:
        self._keyspace = keyspace
        self._client = client
        self._decide = decide
        self._applied = applied
        self._task: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._stopped = False
        self.error: str | None = None
        """Why it stopped by itself, None while all is well."""

    async def start(self) -> None:
        """Listen, then change the rows that are there already. Raises FaultError."""
        spec = self._keyspace.spec
        with _translated(self._keyspace.name):
            pubsub = self._client.pubsub(ignore_subscribe_messages=True)
            await pubsub.psubscribe(f"__keyspace@{spec.db}__:{spec.prefix}*")
        self._task = asyncio.create_task(self._listen(pubsub, f"__keyspace@{spec.db}__:"))
        for key in await self._keyspace.rows():
            await self._change(key)

    async def stop(self) -> None:
        """Stop listening, after the change at hand: one that is half known could not be taken back. Idempotent."""
        async with self._one_at_a_time:
            self._stopped = True
            task, self._task = self._task, None
            if task is not None:
                task.cancel()
        if task is not None:
            await asyncio.wait([task])

    async def _listen(self, pubsub: redis.client.PubSub, head: str) -> None:
        try:
            while True:
                message = await pubsub.get_message(timeout=CALL_S)
                if message is not None and message["data"] in ("hset", "hmset"):
                    await self._change(str(message["channel"]).removeprefix(head))
        except (RedisError, OSError, FaultError) as error:
            self.error = f"the key space could not be watched: {error}"
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            self.error = f"a row could not be read: {type(error).__name__}: {error}"
        finally:
            with contextlib.suppress(RedisError, OSError):
                await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _change(self, key: str) -> None:
        # Shielded and one after the other: a change that went in is always noted, and noted before the store's
        # notification of it is looked at.
        changing = asyncio.ensure_future(self._change_one(key))
        try:
            await asyncio.shield(changing)
        finally:
            if not changing.done():
                changing.add_done_callback(_looked_at)

    async def _change_one(self, key: str) -> None:
        async with self._one_at_a_time:
            if self._stopped:
                return
            row = await self._keyspace.row(key)
            change = self._decide(key, row)
            if change is not None:
                stamps = {field: row[field] for field in set(self._keyspace.spec.stamps.values()) if field in row}
                if await self._keyspace.swap(key, {**stamps, **change.before}, change.after):
                    self._applied(key, row, change)


def _looked_at(task: asyncio.Future[None]) -> None:
    if not task.cancelled():
        task.exception()


@contextlib.contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise FaultError(f"the key space {name} did not answer: {error}") from error
