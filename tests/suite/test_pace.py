"""How many runs go side by side: lowered by a late run, raised with care, never changed where it was asked for."""

from __future__ import annotations

from typing import Any

import pytest

from harness.model.plan import Plan, StackFacts
from harness.model.scenario import Scenario
from harness.suite.pace import Pace, first_pace, next_pace

LIMIT_S = 0.1
ON_TIME_S, NEARLY_S, LATE_S = 0.01, 0.07, 0.2


def plans(count: int, **fields: Any) -> list[Plan]:
    scenario = Scenario.model_validate({
        "schema": 1, "scenario": "slow", "summary": "Something is slow.", "stack": "small",
        "timeline": [{"id": "it", "at": "0s", "fault": "node.loss", "target": {"service": "server"}, "for": "1s"}],
        "expect": {},
    })  # fmt: skip
    return [
        Plan(run=f"run-{k}", scenario=scenario, stack=StackFacts(name="small"), seed=1, **fields) for k in range(count)
    ]


def after(pace: Pace, *runs: tuple[float | None, int]) -> Pace:
    """Return the pace after runs, each with its lateness and how many went side by side."""
    for late_s, beside in runs:
        pace = next_pace(pace, late_s, LIMIT_S, beside)
    return pace


@pytest.mark.parametrize(
    ("count", "fields", "wanted", "cores", "jobs", "most"),
    [
        (20, {}, None, 1, 1, 1),
        (20, {}, None, 2, 1, 1),
        (20, {}, None, 4, 3, 3),
        (20, {}, None, 8, 6, 6),
        (1, {}, None, 8, 1, 1),
        (2, {}, None, 4, 2, 2),
        (20, {"backend": "compose"}, None, 2, 1, 1),
        (20, {"backend": "compose"}, None, 8, 1, 4),
        (20, {}, 3, 2, 3, 3),
        (2, {}, 64, 2, 2, 2),
        (20, {"backend": "compose", "attach": "shop"}, 4, 8, 1, 1),
        (20, {"backend": "compose", "attach": "shop"}, None, 8, 1, 1),
    ],
)
def test_what_it_begins_with(
    count: int, fields: dict[str, Any], wanted: int | None, cores: int, jobs: int, most: int
) -> None:
    pace = first_pace(plans(count, **fields), wanted, cores)
    assert (pace.jobs, pace.most) == (jobs, most)


@pytest.mark.parametrize(("load", "jobs"), [(0.4, 6), (3.0, 4), (6.7, 1), (30.0, 1)])
def test_a_busy_machine_begins_with_fewer_and_may_have_more_later(load: float, jobs: int) -> None:
    pace = first_pace(plans(20), None, 8, load)
    assert (pace.jobs, pace.most) == (jobs, 6)
    assert first_pace(plans(20), 5, 8, load).jobs == 5, "what was asked for stays"


def test_one_stack_of_containers_among_local_ones_begins_with_one() -> None:
    assert first_pace([*plans(3), *plans(1, backend="compose")], None, 4).jobs == 1


def test_a_late_run_lowers_it_and_it_is_not_raised_to_that_again() -> None:
    pace = after(Pace(3, 8), (LATE_S, 3))
    assert (pace.jobs, pace.most) == (2, 2)
    assert after(pace, *[(ON_TIME_S, 2)] * 50).jobs == 2
    assert after(pace, (LATE_S, 2), (LATE_S, 1)).jobs == 1, "one at a time is the least"


def test_runs_from_before_it_was_lowered_do_not_lower_it_again() -> None:
    assert after(Pace(4, 8), (LATE_S, 4), (LATE_S, 4), (LATE_S, 4)).jobs == 3


def test_it_is_raised_by_one_after_enough_runs_that_were_on_time() -> None:
    pace = Pace(2, 8)
    assert after(pace, *[(ON_TIME_S, 2)] * 3).jobs == 2
    assert after(pace, *[(ON_TIME_S, 2)] * 4).jobs == 3
    assert after(pace, *[(ON_TIME_S, 2)] * 4, *[(ON_TIME_S, 3)] * 5).jobs == 3
    assert after(pace, *[(ON_TIME_S, 2)] * 4, *[(ON_TIME_S, 3)] * 6).jobs == 4
    assert after(Pace(2, 2), *[(ON_TIME_S, 2)] * 20).jobs == 2


def test_runs_that_were_nearly_late_or_not_measured_or_alone_do_not_raise_it() -> None:
    pace = Pace(2, 8)
    assert after(pace, *[(NEARLY_S, 2)] * 20) == pace
    assert after(pace, *[(None, 2)] * 20) == pace
    assert after(pace, *[(ON_TIME_S, 1)] * 20) == pace
    assert after(pace, *[(ON_TIME_S, 2)] * 3, (NEARLY_S, 2), *[(ON_TIME_S, 2)] * 3).jobs == 2, "it begins anew"


def test_a_number_that_was_asked_for_stays() -> None:
    given = Pace(4, 4, fixed=True)
    assert after(given, *[(LATE_S, 4)] * 9, *[(ON_TIME_S, 4)] * 30) == given
