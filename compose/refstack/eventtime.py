"""Event time: seconds since 1970 reading New York's wall clock as if it were UTC, and its nights left out.

The event clock jumps from 23:00 to 05:00. *Active* seconds count only the day in between, so an age of
active seconds does not jump at night. An instant of the night counts as the 05:00 that follows it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload

import numpy as np
from numpy.typing import NDArray

DAY_S = 86_400
OPEN_S = 5 * 3600
CLOSE_S = 23 * 3600
ACTIVE_DAY_S = CLOSE_S - OPEN_S
HOUR_S = 3600
SLOT_S = 300
"""Watermarks, and the stamps of rolling features, lie on this grid."""

Ints = NDArray[np.int64]
SKIP = [{"from": "23:00", "to": "05:00"}]


@overload
def active(event: int) -> int: ...
@overload
def active(event: Ints) -> Ints: ...
def active(event: int | Ints) -> int | Ints:
    """How many active seconds lie between 1970 and the event time."""
    if isinstance(event, np.ndarray):
        day, second = np.divmod(event, DAY_S)
        clipped: Ints = day * ACTIVE_DAY_S + np.clip(second - OPEN_S, 0, ACTIVE_DAY_S)
        return clipped
    day_i, second_i = divmod(int(event), DAY_S)
    return day_i * ACTIVE_DAY_S + min(max(second_i - OPEN_S, 0), ACTIVE_DAY_S)


@overload
def event_at(active_s: int) -> int: ...
@overload
def event_at(active_s: Ints) -> Ints: ...
def event_at(active_s: int | Ints) -> int | Ints:
    """The event time after so many active seconds; of 23:00 and 05:00, which are one instant, 05:00."""
    day, second = divmod(active_s, ACTIVE_DAY_S)
    return day * DAY_S + OPEN_S + second


def advance(event: int, active_s: int) -> int:
    return event_at(active(event) + active_s)


def age(now: int, stamp: int) -> int:
    """Active seconds from the stamp until now; negative when the stamp lies ahead."""
    return active(now) - active(stamp)


def hour_of(event: int) -> int:
    """The number of the active hour that an event belongs to."""
    return active(event) // HOUR_S


def hour_end(hour: int) -> int:
    return event_at((hour + 1) * HOUR_S)


def hour_name(hour: int) -> str:
    return iso(event_at(hour * HOUR_S))[:13]


def hour_number(name: str) -> int:
    return hour_of(parse(name + ":00"))


def parse(text: str) -> int:
    """The event time of an ISO date and time without a zone."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def iso(event: int) -> str:
    return datetime.fromtimestamp(event, UTC).strftime("%Y-%m-%dT%H:%M:%S")
