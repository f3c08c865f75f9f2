"""The online store as a client sees it: keys, streams, time-outs, one error for all trouble.

Ids of the event stream are event times (`<watermark>-<n>`), so a reader's position means something even
after the store has lost everything and the replayer has published its history again.
"""

from __future__ import annotations

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from refstack.service import address, number

EVENTS = "events"
SCHEDULE = "schedule"
SERVED = "served"
WATERMARK = "watermark"
POSITION = "pipeline:position"
PARTITIONED = "pipeline:partitioned"
OnlineError = (redis.RedisError, OSError)


def features_key(entity: str) -> str:
    return f"features:{entity}"


def board_key(entity: str) -> str:
    return f"board:{entity}:departures"


def quarantine_key(entity: str) -> str:
    return f"quarantine:{entity}"


def connect(timeout_s: float | None = None) -> redis.Redis:
    host, port = address("ONLINE_STORE")
    limit_s = number("ONLINE_TIMEOUT", 0.4) if timeout_s is None else timeout_s
    return redis.Redis(
        host=host,
        port=port,
        decode_responses=True,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=limit_s,
        socket_connect_timeout=min(limit_s, 0.3),
        driver_info=None,
    )


BATCH = 2000
Entry = tuple[str, dict[str, str]]


class StreamReader:
    """Reads several streams onward from its positions; entries of one answer are one consistent cut."""

    def __init__(self, client: redis.Redis, positions: dict[str, str]) -> None:
        self._client = client
        self.positions = positions

    def read(self, block_ms: int | None = 50) -> dict[str, list[Entry]]:
        """New entries of each stream, at most a batch, and the positions moved past them; None does not wait."""
        positions: Any = dict(self.positions)
        return self.take(self._client.xread(positions, count=BATCH, block=block_ms))

    def ask(self, pipe: Any) -> None:
        """Put a read that does not wait into a pipeline; its answer is for `take`."""
        pipe.xread(dict(self.positions), count=BATCH)

    def take(self, answer: Any) -> dict[str, list[Entry]]:
        """The entries of an answer by stream, and the positions moved past them."""
        found: dict[str, list[Entry]] = {}
        for stream, entries in answer or ():
            if entries:
                found[stream] = entries
                self.positions[stream] = entries[-1][0]
        return found


def slot_of_id(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
