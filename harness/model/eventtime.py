"""Event time: how fast it runs, what it skips, and how old a stamp is.

Event time is an int of seconds since 1970. An event clock may run faster than the wall clock and skip a stretch of
every day (the night); ages are counted in *active* seconds, which leave the skipped stretch out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class EventClock:
    """The event clock of a stack: `start_event` was at unix time `start_unix`; it runs `speed` times as fast.

    `open_s`..`close_s` is the part of each day that is not skipped, in seconds after midnight.
    """

    start_event: int
    start_unix: float
    speed: float = 1.0
    open_s: int = 0
    close_s: int = DAY_S

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> EventClock:
        """Read the answer of a stack's clock. Raises ValueError or KeyError where it is not of the documented form."""
        skips = data.get("skip") or []
        if len(skips) > 1:
            raise ValueError("an event clock skips at most one stretch of a day")
        open_s, close_s = 0, DAY_S
        if skips:
            close_s, open_s = _of_day(skips[0]["from"]), _of_day(skips[0]["to"])
            if open_s >= close_s:
                raise ValueError("the skipped stretch must go over midnight, as from 23:00 to 05:00")
        return cls(int(data["start_event"]), float(data["start_unix"]), float(data["speed"]), open_s, close_s)

    def active(self, event: float) -> float:
        """Return the active seconds from 1970 to an event time."""
        day, second = divmod(event, DAY_S)
        length = self.close_s - self.open_s
        return day * length + min(max(second - self.open_s, 0), length)

    def event_of_active(self, active: float) -> float:
        """Return the event time that so many active seconds lead to."""
        day, second = divmod(active, self.close_s - self.open_s)
        return day * DAY_S + self.open_s + second

    def age_s(self, now_event: float, stamp: float) -> float:
        """Return the active seconds from a stamp to now; negative where the stamp lies ahead."""
        return self.active(now_event) - self.active(stamp)

    def event_at(self, unix: float) -> float:
        """Return the event time at a moment of the wall clock."""
        return self.event_of_active(self.active(self.start_event) + (unix - self.start_unix) * self.speed)

    def unix_of(self, event: float) -> float:
        """Return the moment of the wall clock at which it is, or was, that event time."""
        return self.start_unix + (self.active(event) - self.active(self.start_event)) / self.speed


def _of_day(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 3600 + int(minutes) * 60
