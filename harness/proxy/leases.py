"""Time limits on toxics, proxies and downtimes: a time to live each, or a lease that holds several.

The owner of a lease renews it; when the owner dies, the lease expires and everything created under it is undone. A time
to live is the same for one thing alone. What has neither stays until it is removed; it is not ours. A lifetime that
says nothing, or nothing that can be read, counts as over.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from harness.proxy.loop import Loop, Timer
from harness.proxy.wire import ApiError


class Lifetime(NamedTuple):
    """How long something is to last: a time to live, or as long as a lease."""

    ttl_ms: int | None
    lease: str | None


class Expiry:
    """The end of one thing's lifetime: calls `undo` when its time to live or its lease expires."""

    __slots__ = ("_leases", "_timer", "_ttl_ms", "_until", "lease", "name", "undo")

    def __init__(self, leases: "Leases", lifetime: Lifetime, name: str, undo: Callable[[str], None]) -> None:
        self._leases = leases
        self.name = name
        self.undo = undo
        self.lease = leases.get(lifetime.lease) if lifetime.lease is not None else None
        self._ttl_ms = lifetime.ttl_ms
        self._timer: Timer | None = None
        self._until = 0.0
        if self.lease is not None:
            self.lease.holds.append(self)
        else:
            self._until = leases.loop.now() + (lifetime.ttl_ms or 0) / 1000
            self._timer = leases.loop.at(self._until, self._expire)

    def cancel(self) -> None:
        """The thing is gone, or has another expiry: undo nothing."""
        if self._timer is not None:
            self._timer.cancel()
        if self.lease is not None and self in self.lease.holds:
            self.lease.holds.remove(self)

    def as_json(self) -> dict[str, Any]:
        if self.lease is not None:
            return {"lease": self.lease.name}
        return {"ttl": self._ttl_ms, "expires_in": self._leases.ms_until(self._until)}

    def _expire(self) -> None:
        self._timer = None
        self.undo("ttl expired")


class ProxyLease:
    """A name with a time to live that its owner renews."""

    __slots__ = ("holds", "name", "timer", "ttl_ms", "until")

    def __init__(self, name: str, ttl_ms: int) -> None:
        self.name = name
        self.ttl_ms = ttl_ms
        self.holds: list[Expiry] = []
        self.timer: Timer | None = None
        self.until = 0.0


class Leases:
    """All leases by name."""

    def __init__(self, loop: Loop, record: Callable[..., None]) -> None:
        self.loop = loop
        self._record = record
        self._leases: dict[str, ProxyLease] = {}

    def get(self, name: str) -> ProxyLease:
        if name not in self._leases:
            raise ApiError("lease not found", 404)
        return self._leases[name]

    def create(self, name: str, ttl_ms: int | None) -> ProxyLease:
        if not name or ttl_ms is None:
            raise ApiError(f"missing required field: {'ttl' if name else 'name'}", 400)
        if name in self._leases:
            raise ApiError("lease already exists", 409)
        lease = self._leases[name] = ProxyLease(name, ttl_ms)
        self._record("lease_created", lease=name, ttl_ms=ttl_ms)
        self.renew(lease, None)
        return lease

    def renew(self, lease: ProxyLease, ttl_ms: int | None) -> None:
        lease.ttl_ms = ttl_ms or lease.ttl_ms
        if lease.timer is not None:
            lease.timer.cancel()
        lease.until = self.loop.now() + lease.ttl_ms / 1000
        lease.timer = self.loop.at(lease.until, lambda: self.end(lease, "lease expired"))

    def end(self, lease: ProxyLease, reason: str) -> None:
        """Undo everything created under a lease, the latest first; an undo that fails keeps none of the others."""
        del self._leases[lease.name]
        if lease.timer is not None:
            lease.timer.cancel()
        self._record("lease_ended", lease=lease.name, why=reason)
        while lease.holds:
            expiry = lease.holds.pop()
            try:
                expiry.undo(f"{reason}: {lease.name}")
            except Exception as error:  # noqa: BLE001 - a defect at one thing must not leave the others in for ever
                self._record("undo_failed", lease=lease.name, what=expiry.name, why=repr(error))

    def ms_until(self, when: float) -> int:
        return max(0, round((when - self.loop.now()) * 1000))

    def as_json(self, lease: ProxyLease) -> dict[str, Any]:
        holds = [expiry.name for expiry in lease.holds]
        return {"name": lease.name, "ttl": lease.ttl_ms, "expires_in": self.ms_until(lease.until), "holds": holds}

    def all_as_json(self) -> dict[str, Any]:
        return {name: self.as_json(lease) for name, lease in sorted(self._leases.items())}
