"""The expressions of `-k`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.errors import ScenarioError
from harness.runner.loading.select import parse_expression

RUNS = ("slow-store", "slow-store@latency=1s", "node-loss", "stale-data~sabotage-alert-FeaturesStale")


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("", RUNS),
        ("slow", RUNS[:2]),
        ("SLOW and not latency", RUNS[:1]),
        ("slow or node", RUNS[:3]),
        ("not (slow or node)", RUNS[3:]),
        ("not slow and not node", RUNS[3:]),
        ("latency=1s", RUNS[1:2]),
        ("slow and node or stale", RUNS[3:]),
        ("featuresstale", RUNS[3:]),
    ],
)
def test_expressions_choose_runs(text: str, chosen: tuple[str, ...]) -> None:
    chooser = parse_expression(text)
    assert tuple(run for run in RUNS if chooser(run)) == chosen


@pytest.mark.parametrize("text", ["and", "slow and", "(slow", "slow)", "not", "slow node", "()", "not " * 500 + "a"])
def test_an_invalid_selection_is_an_error(text: str) -> None:
    with pytest.raises(ScenarioError, match="-k"):
        parse_expression(text)


@given(st.lists(st.sampled_from(["and", "or", "not", "(", ")", "a", "b"]), max_size=12).map(" ".join))
def test_no_expression_raises_anything_else(text: str) -> None:
    try:
        chooser = parse_expression(text)
    except ScenarioError:
        return
    assert chooser("a") in (True, False)
