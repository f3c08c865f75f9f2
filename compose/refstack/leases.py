"""Shards leased to workers: each shard's result is taken once, from the holder of its newest token.

A lease that is not renewed in time is given to the next worker that requests one, under a higher token (a fencing
token): what a worker that was thought dead brings later is refused. Pure: the caller brings the time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class JobLease:
    shard: str
    token: int
    worker: str
    until_s: float


@dataclass
class LeaseTable:
    ttl_s: float
    expiry: bool = True
    expired: int = 0
    _tokens: int = 0
    _waiting: list[str] = field(default_factory=list)
    _held: dict[str, JobLease] = field(default_factory=dict)
    _results: dict[str, Any] = field(default_factory=dict)

    def open(self, shards: list[str]) -> None:
        """Begins a new job: whatever was leased before is worth nothing now."""
        self._waiting, self._held, self._results = list(shards), {}, {}

    def _expire(self, now_s: float) -> None:
        if not self.expiry:
            return
        for lease in [lease for lease in self._held.values() if lease.until_s <= now_s]:
            del self._held[lease.shard]
            self._waiting.insert(0, lease.shard)
            self.expired += 1

    def acquire(self, worker: str, now_s: float) -> JobLease | None:
        self._expire(now_s)
        if not self._waiting:
            return None
        self._tokens += 1
        lease = JobLease(self._waiting.pop(0), self._tokens, worker, now_s + self.ttl_s)
        self._held[lease.shard] = lease
        return lease

    def _holds(self, shard: str, token: int) -> JobLease | None:
        lease = self._held.get(shard)
        return lease if lease is not None and lease.token == token else None

    def renew(self, shard: str, token: int, now_s: float) -> bool:
        self._expire(now_s)
        lease = self._holds(shard, token)
        if lease is None:
            return False
        self._held[shard] = JobLease(shard, token, lease.worker, now_s + self.ttl_s)
        return True

    def give_up(self, shard: str, token: int) -> bool:
        """The worker could not do it; somebody else may."""
        if self._holds(shard, token) is None:
            return False
        del self._held[shard]
        self._waiting.append(shard)
        return True

    def complete(self, shard: str, token: int, result: Any, now_s: float) -> bool:
        self._expire(now_s)
        if self._holds(shard, token) is None:
            return False
        del self._held[shard]
        self._results[shard] = result
        return True

    @property
    def results(self) -> dict[str, Any]:
        return dict(self._results)

    @property
    def done(self) -> bool:
        return not self._waiting and not self._held
