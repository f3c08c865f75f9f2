"""The limit in a rule's query: the number that a value must exceed, and the age in seconds where the value is one.

A value that grows by a second each second reaches its limit only after so many seconds, whatever is broken. So an age
whose unit cannot be told is no age that is known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.probes.promql_tree import FunctionCall, Operation, Query, Selects, constant, is_time, walk

_NAMED_AS_AGE = re.compile(r"(^|_)(age|lag|staleness|freshness|since)(_|$)", re.I)
_UNIT = re.compile(r"(?:^|_)(milliseconds|millis|ms|seconds|secs|sec|minutes|mins|hours|days)(?:_|$)", re.I)
_UNITS_S = {"mi": 1e-3, "ms": 1e-3, "se": 1.0, "ho": 3600.0, "da": 86400.0}


@dataclass(frozen=True, slots=True)
class Above:
    """A condition that a value exceeds a constant."""

    value: Query
    limit: float


def conditions(query: Query) -> Iterator[Above]:
    """Yield the conditions of a query that something exceeds a constant: the outer ones before those inside them."""
    for one in walk(query):
        if isinstance(one, Operation) and one.operator in (">", ">="):
            limit = constant(one.right)
            if limit is not None:
                yield Above(one.left, limit)


def limit_of(query: Query, about: Callable[[str], bool]) -> float | None:
    """Return the number that a query's value must exceed: of several, that of the first one about such a name."""
    found = _condition(query, about)
    return None if found is None else found.limit


def time_limit_s(query: Query, about: Callable[[str], bool]) -> float | None:
    """Return the same of a time, in seconds: those are meant unless a name says another unit."""
    found = _condition(query, about)
    if found is None:
        return None
    value, factor = _unscaled(found.value)
    return found.limit * factor * (_named_unit_s(value, about) or 1.0)


def age_limit_s(query: Query) -> float | None:
    """Return the age in seconds from which on a query fires; None where it is about none, or its unit is not told."""
    found = _condition(query, lambda name: name == "time" or is_named_age(name))
    if found is None:
        return None
    value, factor = _unscaled(found.value)
    unit_s = next(filter(None, map(_since_unit_s, walk(value))), None) or _named_unit_s(value, is_named_age)
    return None if unit_s is None else found.limit * factor * unit_s


def is_age(query: Query) -> bool:
    """Whether a query measures how long ago something was."""
    return any(_since_unit_s(one) is not None for one in walk(query))


def is_named_age(metric: str) -> bool:
    """Whether the name of a metric says that it is an age."""
    return _NAMED_AS_AGE.search(metric) is not None


def _condition(query: Query, about: Callable[[str], bool]) -> Above | None:
    """Return the first condition whose value has such a name, of a metric or a function; else the first one."""
    found = list(conditions(query))
    fitting = (one for one in found if any(map(about, _names(one.value))))
    return next(fitting, found[0] if found else None)


def _names(value: Query) -> Iterator[str]:
    for one in walk(value):
        if isinstance(one, Selects) and one.metric is not None:
            yield one.metric
        elif isinstance(one, FunctionCall):
            yield one.function


def _since_unit_s(query: Query) -> float | None:
    """Return the unit of the time since a moment, as in `time() - written` or `time() * 1000 - written_ms`."""
    if not isinstance(query, Operation) or query.operator != "-":
        return None
    now, factor = _unscaled(query.left)
    return factor if is_time(now) else None


def _named_unit_s(value: Query, about: Callable[[str], bool]) -> float | None:
    """Return the unit of the first such metric whose name tells one."""
    for name in _names(value):
        unit = _UNIT.search(name)
        if about(name) and unit is not None:
            word = unit[1].lower()
            return 60.0 if word in ("minutes", "mins") else _UNITS_S[word[:2]]
    return None


def _unscaled(value: Query) -> tuple[Query, float]:
    """Return what is scaled by constants before it is compared, and by what its limit has to be multiplied for that.

    What scales only a part of the value, as in `time() - written_ms / 1000`, is of another's unit.
    """
    factor = 1.0
    while isinstance(value, Operation) and value.operator in ("*", "/"):
        by = constant(value.right)
        if not by:
            break
        factor *= by if value.operator == "/" else 1 / by
        value = value.left
    return value, factor
