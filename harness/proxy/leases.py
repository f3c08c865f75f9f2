"""What lasts only as long as somebody cares: toxics, proxies and downs with a time to live, or on a lease.

A lease is renewed by its owner; when the owner dies, it runs out, and all that was put in under it is undone. A time
to live is the same for one thing alone. What carries neither stays until it is removed.
"""

from collections.abc import Callable
from typing import Any

from harness.proxy.entries import Term
from harness.proxy.loop import Loop, Timer
from harness.proxy.wire import ApiError


class Claim:
    """One thing's hold on existence: `undo` is called when it runs out."""

    __slots__ = ("lease", "leases", "name", "timer", "ttl_ms", "undo", "until")

    def __init__(self, leases: "Leases", term: Term, name: str, undo: Callable[[str], None]) -> None:
        self.leases = leases
        self.name = name
        self.undo = undo
        self.ttl_ms = term.ttl_ms
        self.lease = leases.get(term.lease) if term.lease else None
        self.timer: Timer | None = None
        self.until = 0.0
        if self.lease is not None:
            self.lease.claims.append(self)
        elif term.ttl_ms is not None:
            self.until = leases.loop.now() + term.ttl_ms / 1000
            self.timer = leases.loop.at(self.until, self._ran_out)

    def drop(self) -> None:
        """The thing is gone, or has another claim: this one has nothing more to undo."""
        if self.timer is not None:
            self.timer.cancel()
        if self.lease is not None and self in self.lease.claims:
            self.lease.claims.remove(self)

    def shown(self) -> dict[str, Any]:
        if self.lease is not None:
            return {"lease": self.lease.name}
        left_ms = max(0, round((self.until - self.leases.loop.now()) * 1000))
        return {"ttl": self.ttl_ms, "expires_in": left_ms}

    def _ran_out(self) -> None:
        self.timer = None
        self.undo("ttl ran out")


class ProxyLease:
    """A name with a time to live that its owner renews."""

    __slots__ = ("claims", "name", "timer", "ttl_ms", "until")

    def __init__(self, name: str, ttl_ms: int) -> None:
        self.name = name
        self.ttl_ms = ttl_ms
        self.claims: list[Claim] = []
        self.timer: Timer | None = None
        self.until = 0.0


class Leases:
    """All leases by name."""

    def __init__(self, loop: Loop, note: Callable[..., None]) -> None:
        self.loop = loop
        self._note = note
        self.leases: dict[str, ProxyLease] = {}

    def get(self, name: str) -> ProxyLease:
        if name not in self.leases:
            raise ApiError("lease not found", 404)
        return self.leases[name]

    def create(self, name: str, ttl_ms: int | None) -> ProxyLease:
        if not name or ttl_ms is None:
            raise ApiError(f"missing required field: {'ttl' if name else 'name'}", 400)
        if name in self.leases:
            raise ApiError("lease already exists", 409)
        lease = self.leases[name] = ProxyLease(name, ttl_ms)
        self._note("lease_created", lease=name, ttl_ms=ttl_ms)
        self.renew(lease, None)
        return lease

    def renew(self, lease: ProxyLease, ttl_ms: int | None) -> None:
        lease.ttl_ms = ttl_ms or lease.ttl_ms
        if lease.timer is not None:
            lease.timer.cancel()
        lease.until = self.loop.now() + lease.ttl_ms / 1000
        lease.timer = self.loop.at(lease.until, lambda: self.end(lease, "lease ran out"))

    def end(self, lease: ProxyLease, why: str) -> None:
        """Undo all that was put in under a lease, the latest first."""
        del self.leases[lease.name]
        if lease.timer is not None:
            lease.timer.cancel()
        self._note("lease_ended", lease=lease.name, why=why)
        while lease.claims:
            claim = lease.claims.pop()
            claim.undo(f"{why}: {lease.name}")

    def shown(self, lease: ProxyLease) -> dict[str, Any]:
        left_ms = max(0, round((lease.until - self.loop.now()) * 1000))
        things = [claim.name for claim in lease.claims]
        return {"name": lease.name, "ttl": lease.ttl_ms, "expires_in": left_ms, "holds": things}
