"""A query in PromQL as a tree of operations, calls and selectors, and what can be read off it.

`promql_parser` makes it. Precedence and brackets are in the form of the tree; the labels of aggregations are left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwy])")
_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0, "y": 365 * 86400.0}


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a duration or a text."""

    text: str

    @property
    def number(self) -> float | None:
        """Its value, of a duration in seconds; None of a text, and of what is no finite number."""
        try:
            value = float(self.text)
            return value if math.isfinite(value) else None
        except ValueError:
            return duration_s(self.text) if re.fullmatch(rf"({_DURATION.pattern})+", self.text) else None


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label, with its value as it is written."""

    label: str
    operator: str
    value: str

    @property
    def text(self) -> str:
        """As it is written in a selector."""
        return self.label + self.operator + self.value

    def matches(self, value: str) -> bool | None:
        """Whether a value of the label fits; None where that takes more than is read here."""
        wanted = self.value[1:-1]
        if "\\" in wanted:
            return None  # it would have to be read as Prometheus does
        if self.operator in ("=", "!="):
            return (wanted == value) is (self.operator == "=")
        try:
            return (re.fullmatch(wanted, value) is not None) is (self.operator == "=~")
        except re.error:
            return None


@dataclass(frozen=True, slots=True)
class Selects:
    """A vector selector: something only where a series matches."""

    text: str
    metric: str | None
    matchers: tuple[Matcher, ...] = ()


@dataclass(frozen=True, slots=True)
class Range:
    """What a query looks at over a time: `[5m]`, or `[1h:1m]` with the step of a subquery."""

    of: Query
    over: str


@dataclass(frozen=True, slots=True)
class Past:
    """What was at another moment: with `offset` or `@`."""

    of: Query


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A function or an aggregation, and what it is given."""

    function: str
    arguments: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Negative:
    """The negative of a value."""

    of: Query


@dataclass(frozen=True, slots=True)
class Operation:
    """Two operands and what stands between them."""

    operator: str
    left: Query
    right: Query


Query = Literal | Selects | Range | Past | FunctionCall | Negative | Operation


def parts_of(query: Query) -> tuple[Query, ...]:
    """Return what a node of the tree is made of."""
    match query:
        case Range(of=of) | Past(of=of) | Negative(of=of):
            return (of,)
        case FunctionCall(arguments=arguments):
            return arguments
        case Operation(left=left, right=right):
            return (left, right)
    return ()


def walk(query: Query) -> Iterator[Query]:
    """Yield every node of the tree: each one before what it is made of, from left to right."""
    yield query
    for part in parts_of(query):
        yield from walk(part)


def replaced(query: Query, by: Mapping[Selects, Query]) -> Query:
    """Return a query with others in the place of some of its selectors."""
    match query:
        case Selects():
            return by.get(query, query)
        case Range(of=of) | Past(of=of) | Negative(of=of):
            return replace(query, of=replaced(of, by))
        case FunctionCall(function=function, arguments=arguments):
            return FunctionCall(function, tuple(replaced(one, by) for one in arguments))
        case Operation(operator=operator, left=left, right=right):
            return Operation(operator, replaced(left, by), replaced(right, by))
    return query


def constant(query: Query) -> float | None:
    """Return the value of numbers and durations that are added, multiplied or divided; None of anything else."""
    if isinstance(query, Literal):
        return query.number
    if not isinstance(query, Operation):
        return None
    left, right = constant(query.left), constant(query.right)
    if left is None or right is None:
        return None
    match query.operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right if right else None
    return None


def within(query: Query, *functions: str) -> Query:
    """Return what such functions are given, as `x` of `max by (job) (x)`; a query of anything else as it is."""
    while isinstance(query, FunctionCall) and query.function in functions and len(query.arguments) == 1:
        [query] = query.arguments
    return query


def is_time(query: Query) -> bool:
    """Whether a query is the present moment."""
    return query == FunctionCall("time", ())


def duration_s(text: str) -> float:
    """Return a duration of Prometheus in seconds: `5m`, `1h30m`, and `24h` of the subquery `24h:5m`; 0 for none."""
    parts = _DURATION.findall(text.partition(":")[0])
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
