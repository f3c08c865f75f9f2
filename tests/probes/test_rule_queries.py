"""Which selectors of a rule's query must find series before it can give anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.probes.promql_tree import Matcher, Selects
from harness.probes.rule_queries import fires_after_s, nothing_from, rests_on, selected


def lacking(query: str, *there: str) -> list[str]:
    """Return the selectors for want of which a query gives nothing, where only series of these metrics are there."""
    found = nothing_from(rests_on(query), lambda selector: selector.metric not in there)
    return [selector.text for selector in found]


@pytest.mark.parametrize(
    ("query", "without_a"),
    [
        ("a > 1", ["a"]), ('a{x="1"} > 1', ['a{x="1"}']), ("-a", ["a"]), ("(a)", ["a"]), ("a == bool 1", ["a"]),
        ("rate(a[5m]) > 0", ["a"]), ("sum by (a) (b)", []), ("sum(a) by (b)", ["a"]), ("sum without () (a)", ["a"]),
        ("a / on (x) group_left (y) b", ["a"]), ("b / ignoring (a) b != 0", []), ("b * 2 ^ -a", ["a"]),
        ("a and b", ["a"]), ("b and on () a", ["a"]), ("b unless a", []), ("a unless b", ["a"]),
        ("a or b", []), ("b or a", []), ("a or a{x='1'}", ["a", "a{x='1'}"]), ("a and b or b", []), ("b or b*a", []),
        ("absent(a)", []), ("absent_over_time(a[1h]) > 0", []), ("sum(a) or vector(0)", []), ("time() - a > 60", ["a"]),
        ("histogram_quantile(0.9, sum by (le) (rate(a[1m])))", ["a"]), ("max_over_time(a[1h:5m])", ["a"]),
        ("topk(3, a)", ["a"]), ("quantile(.9, a)", ["a"]), ("count_values('v', a)", ["a"]), ("b > scalar(a)", []),
        ("b - a offset 1d", []), ("a offset -5m > 1", []), ("a @ 1609746000", []), ("a @ end () + b", []),
        ('label_replace(a, "x", "$1", "y", "(.*)")', ["a"]), ("ALERTS{alertstate='firing'} > 0", []),
        ("sum > 1", ["sum"]), ("b > inf", []), ("a # and more\n> 1", ["a"]), ("hour() > 3", []), ("1", []),
    ],
)  # fmt: skip
def test_what_a_query_rests_on(query: str, without_a: list[str]) -> None:
    assert lacking(query, "b") == without_a
    assert lacking(query, "a", "b", "sum") == []


@pytest.mark.parametrize(
    "query", ["", "a >", "a b", "sum(a", "a{", "a{x}", "a{x=1}", '{"a.b"}', "a ~ b", ")", "b[", "="]
)
def test_of_a_query_that_is_not_understood_nothing_is_said(query: str) -> None:
    assert lacking(query, "b") == []


def test_matchers_are_kept_as_they_are_written() -> None:
    (selector,) = selected(rests_on("""sum(a{x="1", y!~'b|"c', z=~`d`,})"""))
    matchers = (Matcher("x", "=", '"1"'), Matcher("y", "!~", """'b|"c'"""), Matcher("z", "=~", "`d`"))
    assert selector == Selects("""a{x="1", y!~'b|"c', z=~`d`,}""", "a", matchers)
    (nameless,) = selected(rests_on('{__name__=~"a|b"} > 1'))
    assert (nameless.metric, nameless.text) == (None, '{__name__=~"a|b"}')


@pytest.mark.parametrize(
    ("operator", "written", "fits"),
    [
        ("=", '"web"', True), ("=", '"we"', False), ("!=", '"we"', True), ("=~", '"w.*"', True), ("=~", '"we"', False),
        ("!~", '"we"', True), ("!~", "`w.b`", False), ("=~", '"("', None), ("=~", '"w\\\\.b"', None),
    ],
)  # fmt: skip
def test_whether_a_value_fits_a_matcher(operator: str, written: str, fits: bool | None) -> None:
    assert Matcher("job", operator, written).matches("web") is fits


WORDS = "a b ( ) { } [ ] , or and unless on by sum rate 1 5m = ! ~ > - @ offset 'x'"


@given(st.lists(st.sampled_from(sorted(set(WORDS.split(" "))))))
def test_no_text_is_too_strange(words: list[str]) -> None:
    query = " ".join(words)
    assert all(selector.text and selector.text in query for selector in selected(rests_on(query)))


@pytest.mark.parametrize(
    ("query", "is_known"),
    [
        ("rate(a[5m]) > 1", True),
        ("max_over_time(a[1h]) > 1", True),
        ("max_over_time(a[61m]) < 10", False),
        ("max_over_time(a[24h]) < 10", False),
        ("sum_over_time((a > 0)[2d:1h]) == 0", False),
        ("max_over_time(a[1h30m]) < 10", False),
        ("rate(a[5m]) > 1 and max_over_time(b[24h]) < 10", True),
    ],
)
def test_a_rule_that_looks_back_further_than_is_asked_may_fire(query: str, is_known: bool) -> None:
    assert bool(nothing_from(rests_on(query), lambda _: True)) is is_known


@pytest.mark.parametrize(
    ("query", "after_s"),
    [
        ("time() - job_last_run > 600", 600.0),
        ('(time() - max by (job) (job_last_run{job="a"})) >= 10 * 60', 600.0),
        ("job_last_run_age_seconds > 1.5", 1.5),
        ("increase(job_runs_total[10m]) == 0", 600.0),
        ("sum by (job) (rate(job_runs_total[1m])) <= 0", 60.0),
        ("job_runs_total > 5", None),
        ("time() - job_last_run > 2 * job_interval", None),
        ("time() - job_last_run > 600 and up == 1", None),
        ("time() - job_last_run < 600", None),
        ("increase(job_runs_total[10m]) < 3", None),
        ("time() - (job_last_run + 5) > 600", None),
    ],
)
def test_a_rule_tells_how_long_nothing_may_happen(query: str, after_s: float | None) -> None:
    assert fires_after_s(query) == after_s
