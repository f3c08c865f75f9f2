"""How many of the services that a rule on what is up reads must be down for it to fire.

A number that no target is counted in is no series and fires nothing: with all of them down, `count(up == 1) < 2` is
silent. And `up` itself stays, with the value 0, for as long as its target is configured: nothing is absent then.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from harness.probes.promql_tree import FunctionCall, Operation, Past, Query, Selects, constant, parts_of, walk

IS_LOW = (("==", 0.0), ("<", 1.0), ("!=", 1.0))
_IS_HIGH = (("==", 1.0), (">", 0.0), (">=", 1.0), ("!=", 0.0))
_COMPARES = ("==", "!=", "<", "<=", ">", ">=")
_UP = re.compile(r"^(up|\w+_up|probe_success)$")


def is_of_up(query: Query) -> bool:
    """Whether a query reads what is up now."""
    if isinstance(query, Past):
        return False
    if isinstance(query, Selects):
        return _UP.match(query.metric or "") is not None
    return any(map(is_of_up, parts_of(query)))


def becomes_absent(call: FunctionCall) -> bool:
    """Whether what is asked to be absent goes when its service does: `up` alone only ever changes its value."""
    compared = any(isinstance(one, Operation) and one.operator in _COMPARES for one in walk(call))
    return compared or any(isinstance(one, Selects) and one.metric != "up" for one in walk(call))


def must_be_down(query: Query, services: int, each: bool) -> int | None:
    """Return how many of so many services must be down for a rule on what is up to fire; None where none can."""
    found = [_needed(one, services) for one in _over_comparisons(query)]
    if None in found:
        return None
    counted = [one for one in found if one is not None]
    return max(counted) if counted else 1 if each else services


def _over_comparisons(query: Query) -> Iterator[Operation]:
    """Yield the conditions on what is made of comparisons of what is up."""
    for one in walk(query):
        if isinstance(one, Operation) and one.operator in _COMPARES and any(_compared(one.left)):
            yield one


def _compared(query: Query) -> Iterator[Operation]:
    for one in walk(query):
        if isinstance(one, Operation) and one.operator in _COMPARES and is_of_up(one.left):
            yield one


def _needed(condition: Operation, services: int) -> int | None:
    limit, of = constant(condition.right), condition.left
    kinds = {(one.operator, constant(one.right)) for one in _compared(of)}
    counts = isinstance(of, FunctionCall) and of.function in ("count", "sum")
    low, high = kinds <= set(IS_LOW), kinds <= set(_IS_HIGH)
    if limit is None or not (low or high):
        return None
    match condition.operator:
        case ">" | ">=" if low and counts:
            needed = max(1, math.floor(limit) + 1 if condition.operator == ">" else math.ceil(limit))
        case ">" | ">=" if low and isinstance(of, Operation) and of.operator == "/" and limit < 1:
            needed = services
        case "<" | "<=" if high and counts:
            left = math.ceil(limit) - 1 if condition.operator == "<" else math.floor(limit)
            needed = max(1, services - left)
            return needed if needed < services else None
        case _:
            return None
    return needed if needed <= services else None
