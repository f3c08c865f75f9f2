"""A query in PromQL as a tree: what binds tighter, what is a constant, and what is too strange to be read."""

from __future__ import annotations

import pytest

from harness.probes.promql_parser import parse
from harness.probes.promql_tree import (
    FunctionCall,
    Literal,
    Negative,
    Operation,
    Past,
    Query,
    Range,
    Selects,
    constant,
    walk,
)


def shape(query: Query | None) -> str:
    """Return a tree with all its brackets."""
    match query:
        case Literal(text=text) | Selects(text=text):
            return text
        case Range(of=of, over=over):
            return f"{shape(of)}[{over}]"
        case Past(of=of):
            return f"past({shape(of)})"
        case Negative(of=of):
            return f"-{shape(of)}"
        case FunctionCall(function=function, arguments=arguments):
            return f"{function}({', '.join(map(shape, arguments))})"
        case Operation(operator=operator, left=left, right=right):
            return f"({shape(left)} {operator} {shape(right)})"
    return "unknown"


@pytest.mark.parametrize(
    ("query", "tree"),
    [
        ("a + b * c", "(a + (b * c))"), ("a * b + c", "((a * b) + c)"), ("(a + b) * c", "((a + b) * c)"),
        ("a - b - c", "((a - b) - c)"), ("a ^ b ^ c", "(a ^ (b ^ c))"), ("a / b > bool 2", "((a / b) > 2)"),
        ("a > 1 and b > 2 or c", "(((a > 1) and (b > 2)) or c)"), ("a or b unless c", "(a or (b unless c))"),
        ("a + on (x) group_left (y) b >= 1", "((a + b) >= 1)"),
        ("sum by (x) (rate(a{y='1'}[5m]))", "sum(rate(a{y='1'}[5m]))"),
        ("max(a) without (x) == 0", "(max(a) == 0)"),
        ("a[1h:5m] offset 1d", "past(a[1h:5m])"), ("-a @ end()", "-past(a)"),
        ("time() - a > 1e-3", "((time() - a) > 1e-3)"), ("a > 1h30m # b", "(a > 1h30m)"), ("a atan2 b", "(a atan2 b)"),
    ],
)  # fmt: skip
def test_what_binds_tighter(query: str, tree: str) -> None:
    assert shape(parse(query)) == tree


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("5", 5.0), ("1e-3", 0.001), (".5", 0.5), ("1h30m", 5400.0), ("5 * 60", 300.0), ("60 / 2 - 10 + 1", 21.0),
        ("2 * a", None), ("'5'", None), ("5 % 3", None), ("5x", None), ("inf", None), ("5 / 0", None),
    ],
)  # fmt: skip
def test_the_value_of_a_constant(query: str, value: float | None) -> None:
    tree = parse(query)
    assert tree is not None
    assert constant(tree) == value


def test_a_query_that_nobody_writes_is_not_read() -> None:
    deep = "(" * 50 + "a" + ")" * 50
    assert parse(deep) == Selects("a", "a")
    assert parse(deep * 100) is None
    assert parse("(" * 5000 + "a" + ")" * 5000) is None
    assert parse("(" * 200 + "a" + ")" * 200) is None
    wide = parse(" + ".join(["a"] * 400))
    assert wide is not None
    assert len(list(walk(wide))) == 799
    assert parse(" + ".join(["a"] * 5000)) is None
