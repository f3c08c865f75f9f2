"""What the proxy did: events in order, and per toxic what it really did to how many connections and bytes.

So that whoever asked for a fault can prove that it landed. Both lists are bounded; events are numbered, so that a
reader sees what it missed.
"""

import collections
import time
from typing import TYPE_CHECKING, Any

from harness.proxy.toxic import DOWNSTREAM, UPSTREAM, Toxic

if TYPE_CHECKING:
    from harness.proxy.registry import Registry

EVENTS_KEPT = 2000
PAST_TOXICS_KEPT = 200


class EventFile:
    """Remembers; the registry and the leases tell it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.started_unix = time.time()
        self._started = time.monotonic()
        self._number = 0
        self._events: collections.deque[dict[str, Any]] = collections.deque(maxlen=EVENTS_KEPT)
        self._past: collections.deque[dict[str, Any]] = collections.deque(maxlen=PAST_TOXICS_KEPT)
        self._added: dict[Toxic, float] = {}

    def now_s(self) -> float:
        return round(time.monotonic() - self._started, 6)

    def note(self, event: str, **told: Any) -> None:
        self._number += 1
        self._events.append({"seq": self._number, "at_s": self.now_s(), "event": event, **told})

    def toxic_added(self, proxy: str, toxic: Toxic) -> None:
        self._added[toxic] = self.now_s()
        self.note("toxic_added", proxy=proxy, **toxic.shown())

    def toxic_removed(self, proxy: str, toxic: Toxic, why: str) -> None:
        self.note("toxic_removed", proxy=proxy, name=toxic.name, why=why)
        self._past.append({**self._toxic(proxy, toxic), "removed_s": self.now_s(), "removed_because": why})
        self._added.pop(toxic, None)

    def shown(self, registry: "Registry", since: int = 0) -> dict[str, Any]:
        proxies = {}
        for name, proxy in sorted(registry.proxies.items()):
            counts: dict[str, Any] = {
                "connections": proxy.accepted,
                "connections_open": len(proxy.connections),
                "dials_failed": proxy.dials_failed,
            }
            for direction in (UPSTREAM, DOWNSTREAM):
                received, sent = proxy.moved_bytes(direction)
                counts[direction] = {"received_bytes": received, "sent_bytes": sent}
            proxies[name] = counts
        present = [
            {**self._toxic(name, toxic), "removed_s": None, "removed_because": None}
            for name, proxy in sorted(registry.proxies.items())
            for toxic in proxy.ordered_toxics()
        ]
        return {
            "schema": 1,
            "seed": self.seed,
            "started_unix": self.started_unix,
            "now_s": self.now_s(),
            "proxies": proxies,
            "toxics": [*self._past, *present],
            "events": [event for event in self._events if event["seq"] > since],
        }

    def _toxic(self, proxy: str, toxic: Toxic) -> dict[str, Any]:
        return {"proxy": proxy, **toxic.shown(), "added_s": self._added.get(toxic), "did": toxic.tally.shown()}
