"""Advice where a service is restarted to load damaged objects: only what the restart alone does not explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from journals import CROWDED, Run
from test_advice import REFUSED, RIGHT, UP, WRONG, advised, wired
from test_advice import run as one_fault

KILL = {"fault": "container.kill", "target": {"service": "scorer"}, "for": "2s", "at": "1s"}
DAMAGE_S = (5.0, 15.0)
LOADS_S = 6.0
AGAIN_S = 16.0


def reloaded(
    *bad: Any,
    stays: Any = RIGHT,
    restarts: Sequence[float] = (LOADS_S, AGAIN_S),
    steps: Sequence[Any] = (KILL, KILL),
    operation: str = "flip",
    died_s: float | None = None,
) -> Run:
    """Objects are damaged from 5 to 15 s; who loads them is killed meanwhile, and once more when they are whole."""
    made = one_fault("object.corrupt", {"dataset": "models"}, {"stays": [stays]}, parameters={"operation": operation})
    made.lines = [line for line in made.lines if line[1]["kind"] != "fault"]
    made.fault(reverted=DAMAGE_S[1], injected=DAMAGE_S[0], confirmed=DAMAGE_S[0] + 0.3)
    for k, (at_s, step) in enumerate(zip(restarts, steps, strict=True)):
        made.plan["scenario"]["timeline"].append({**step, "id": f"load-{k}"})
        made.fault(f"load-{k}", injected=at_s, confirmed=at_s + 0.05, reverted=at_s + 2)
        made.dies("scorer", at_s, asked="harness")
    if died_s is not None:
        made.dies("scorer", died_s, signal=11)
    return wired(made, restart={"scorer": "always"}).answers(*bad).end()


LOADED = (6.5, 16.0, WRONG)
DOWN = (6.0, 16.1, REFUSED)


def test_answers_that_are_wrong_until_whole_objects_are_loaded_lack_a_check_of_digests() -> None:
    found = advised(reloaded(LOADED))
    assert set(found) == {"digest-on-load"}
    assert found["digest-on-load"].where == "link scorer -> models; dataset models"
    assert found["digest-on-load"].clauses == ("right",)


def test_a_service_may_be_stopped_for_it_too() -> None:
    stop = KILL | {"fault": "container.stop"}
    assert "digest-on-load" in advised(reloaded(LOADED, steps=[stop, stop]))


def test_a_stack_may_be_wrong_until_it_is_steady() -> None:
    assert "digest-on-load" in advised(reloaded((0.2, 0.9, WRONG), LOADED))


def test_a_server_may_begin_with_default_values() -> None:
    assert "digest-on-load" in advised(reloaded(LOADED, (16.5, 16.6, WRONG)))


def test_requests_that_fail_until_whole_objects_are_loaded_lack_a_last_good_one() -> None:
    found = advised(reloaded(DOWN, stays=UP))
    assert set(found) == {"keep-last-good"}
    assert found["keep-last-good"].where == "scorer; dataset models"


def test_a_service_that_ends_over_damaged_objects_lacks_a_last_good_one() -> None:
    found = advised(reloaded(DOWN, stays=UP, died_s=7.0))
    assert "keep-last-good" in found


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda: reloaded(LOADED, restarts=[LOADS_S], steps=[KILL]), id="no restart with whole objects"),
        pytest.param(lambda: reloaded(LOADED, (16.5, 17.5, WRONG)), id="wrong after that restart too"),
        pytest.param(lambda: reloaded(LOADED, (24.8, 24.9, WRONG)), id="wrong long after that restart"),
        pytest.param(lambda: reloaded((6.5, 8.0, WRONG)), id="wrong at first alone"),
        pytest.param(
            lambda: reloaded(LOADED, (16.4, 20.5, WRONG)).machine((16.0, 19.0, CROWDED)),
            id="wrong on a busy machine after that restart too",
        ),
        pytest.param(
            lambda: reloaded((6.0, 14.0, REFUSED), (16.0, 20.5, REFUSED), stays=UP).machine((16.0, 19.0, CROWDED)),
            id="down on a busy machine after that restart too",
        ),
        pytest.param(lambda: reloaded((9.0, 16.0, WRONG), (18.0, 25.0, {"wrong": None})), id="nobody knows after it"),
        pytest.param(lambda: reloaded(LOADED, restarts=[LOADS_S, 14.0]), id="restarted before they are whole"),
        pytest.param(lambda: reloaded(LOADED, restarts=[3.0, AGAIN_S]), id="restarted before they are damaged"),
        pytest.param(
            lambda: reloaded((14.9, 15.0, WRONG), restarts=[LOADS_S, 20.0]),
            id="longer until wrong than was seen afterwards",
        ),
        pytest.param(lambda: reloaded(LOADED, operation="previous"), id="a version with its own digest"),
        pytest.param(
            lambda: reloaded(LOADED, steps=[KILL, KILL | {"target": {"service": "gateway"}}]),
            id="another one restarted",
        ),
        pytest.param(lambda: reloaded(LOADED, steps=[KILL, KILL | {"fault": "container.pause"}]), id="another fault"),
        pytest.param(
            lambda: reloaded(DOWN, stays=UP, steps=[KILL | {"with": {"restart": "none"}, "for": "9s"}, KILL]),
            id="gone for longer",
        ),
        pytest.param(
            lambda: reloaded((6.0, 12.0, REFUSED), (16.0, 22.0, REFUSED), stays=UP), id="as long without an answer"
        ),
        pytest.param(lambda: reloaded(DOWN, (16.1, 25.0, REFUSED), stays=UP), id="never an answer again"),
        pytest.param(lambda: reloaded(DOWN, stays=UP, died_s=18.0), id="ends with whole objects too"),
    ],
)
def test_what_the_restart_alone_may_explain_gets_no_advice(made: Any) -> None:
    assert not advised(made())
