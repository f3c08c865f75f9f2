"""What a rule's query rests on: which of its selectors must find series before it can give anything.

`a and b` needs both, `a or b` one of them, `a unless b` only `a`, and `absent(a)` none. Of a query whose form is not
known nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.probes.promql_parser import parse
from harness.probes.promql_tree import (
    FunctionCall,
    Negative,
    Operation,
    Query,
    Range,
    Selects,
    constant,
    duration_s,
    is_time,
    within,
)

_NEVER_EMPTY = frozenset(("absent", "absent_over_time", "vector", "scalar", "info"))
"""Functions that may give something though what they are given is empty. `info` looks for labels only."""
LOOK_BACK_S = 3600.0
"""How long ago a series may have ended that counts as there: a service may be down just now."""
BUILT_IN = frozenset(("ALERTS", "ALERTS_FOR_STATE"))
"""Series that the server itself writes, and only while an alert is active."""
_GROWTH = frozenset(("increase", "rate", "changes", "delta"))


@dataclass(frozen=True, slots=True)
class Needs:
    """Something only where each part is something. Without parts it always may be."""

    parts: tuple[Rests, ...] = ()


@dataclass(frozen=True, slots=True)
class Either:
    """Something where any part is."""

    parts: tuple[Rests, ...]


Rests = Selects | Needs | Either
ALWAYS = Needs()


def rests_on(query: str) -> Rests:
    """Return what a query rests on; of one that cannot be read, that it may always give something."""
    tree = parse(query)
    return ALWAYS if tree is None else _rests(tree)


def _rests(query: Query) -> Rests:
    match query:
        case Selects(metric=metric):
            return ALWAYS if metric in BUILT_IN else query
        case Range(of=of, over=over):  # a longer past than is looked at here may hold something
            return ALWAYS if duration_s(over) > LOOK_BACK_S else _rests(of)
        case Negative(of=of):
            return _rests(of)
        case Operation(operator="or", left=left, right=right):
            return Either((_rests(left), _rests(right)))
        case Operation(operator="unless", left=left):
            return _rests(left)
        case Operation(left=left, right=right):
            return Needs((_rests(left), _rests(right)))
        case FunctionCall(function=function, arguments=arguments):
            return ALWAYS if function in _NEVER_EMPTY else Needs(tuple(map(_rests, arguments)))
    return ALWAYS  # a number, or the past, of which the present series say nothing


def selected(rests: Rests) -> Iterator[Selects]:
    """Yield every selector that counts."""
    if isinstance(rests, Selects):
        yield rests
    else:
        for part in rests.parts:
            yield from selected(part)


def nothing_from(rests: Rests, is_empty: Callable[[Selects], bool]) -> tuple[Selects, ...]:
    """Return the empty selectors for which a query gives nothing; none where it may give something."""
    if isinstance(rests, Selects):
        return (rests,) if is_empty(rests) else ()
    empty = [nothing_from(part, is_empty) for part in rests.parts]
    if isinstance(rests, Either) and not all(empty):
        return ()
    return tuple(dict.fromkeys(selector for found in empty for selector in found))


def fires_after_s(query: str) -> float | None:
    """Return how long nothing may happen before a rule's query says so; None where it is of another form.

    Such as `time() - job_last_run > 600`, `job_last_run_age_seconds > 600` and `increase(job_runs_total[10m]) == 0`.
    """
    tree = parse(query)
    limit = constant(tree.right) if isinstance(tree, Operation) else None
    if not isinstance(tree, Operation) or limit is None:
        return None
    if tree.operator in (">", ">="):
        left = tree.left
        if isinstance(left, Operation) and left.operator == "-" and is_time(left.left):
            left = left.right
        match within(left, "max", "min"):
            case Selects(metric=str(metric)) if not metric.endswith("_total"):
                return limit
    if tree.operator in ("==", "<=") and limit == 0:
        match within(tree.left, "sum"):
            case FunctionCall(function=function, arguments=(Range(of=Selects(), over=over),)) if function in _GROWTH:
                return None if ":" in over else duration_s(over) or None
    return None
