"""Event time: how fast it runs, what it skips, how old a stamp is, and how systems write one.

Event time is an int of seconds since 1970. An event clock may run faster than the wall clock and skip a stretch of
every day (the night); ages are counted in *active* seconds, which leave the skipped stretch out. A stamp is a moment in
ISO 8601, or a number of seconds, milliseconds, microseconds or nanoseconds since 1970. Its size decides which: as
seconds, the smallest that is read as milliseconds would lie in the year 5138.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from harness.model.fields import Frozen

DAY_S = 86_400
_FINER = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))


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


def _a_moment(raw: str) -> str:
    parse_timestamp(raw)
    return raw


Moment = Annotated[str, AfterValidator(_a_moment)]


class EventTimes(Frozen):
    """The event times at which a run can start, both included."""

    first: Moment = Field(alias="from")
    last: Moment = Field(alias="until")

    def include(self, moment: str) -> bool:
        """Whether a run can start at a moment in ISO 8601. Raises ValueError where it is none."""
        return parse_timestamp(self.first) <= parse_timestamp(moment) <= parse_timestamp(self.last)


def _of_day(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 3600 + int(minutes) * 60


def parse_timestamp(value: Any) -> float:
    """Return a time stamp as unix time, in seconds; one without a zone is UTC. Raises ValueError."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            try:
                value = dt.datetime.fromisoformat(value.strip())
            except ValueError:
                raise ValueError(f"{value[:60]!r} is not a time stamp") from None
    if isinstance(value, dt.datetime):
        return (value if value.tzinfo else value.replace(tzinfo=dt.UTC)).timestamp()
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC).timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(f"{str(value)[:60]!r} is not a time stamp")
    try:
        seconds = float(value)
    except OverflowError:
        raise ValueError("the number is too large for a time stamp") from None
    if not math.isfinite(seconds):
        raise ValueError(f"{seconds} is not a time stamp")
    return seconds / next((size for least, size in _FINER if abs(seconds) >= least), 1.0)
