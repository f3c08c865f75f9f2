"""Time stamps as systems write them: a unix time in seconds or finer, or a moment in ISO 8601.

A number is seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by its size: as seconds, the
smallest that is read as milliseconds would lie in the year 5138.
"""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

_FINER = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))


def unix_of(value: Any) -> float:
    """Return the unix time that a stamp tells, in seconds; moments without a zone are UTC. Raises ValueError."""
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
