"""Damaged objects and the restarts that load them are one fault to a recovery that names none."""

from __future__ import annotations

from typing import Any

import pytest
from journals import Run

REFUSED = {"ok": False, "error": "status 503"}
WRONG = {"wrong": True}
AGAIN = {"id": "back", "probe": "availability", "at_least": 0.98, "over": "2s", "min_samples": 20, "within": "10s"}
RIGHT = {"id": "right", "probe": "silent_wrong_answers", "at_most": 0.02, "over": "2s", "min_samples": 20}
STOP = {"at": "1s", "fault": "container.stop", "target": {"service": "scorer"}, "for": "2s"}
DAMAGE = {"id": "damage", "at": "1s", "fault": "object.corrupt", "target": {"dataset": "models"}, "for": "10s"}


def reloaded(*bad: Any, restart: Any = STOP, again_s: float = 15.4, **clause: Any) -> Run:
    """Objects are damaged from 5 to 15 s; who loads them is stopped from 6 s on, and when they are whole again."""
    run = Run({"recovered": [AGAIN | clause], "stays": [RIGHT]}, faults=("damage", "loads", "reloads")).gate()
    run.plan["scenario"]["timeline"] = [
        DAMAGE | {"with": {"operation": "flip"}},
        restart | {"id": "loads"},
        STOP | {"id": "reloads"},
    ]
    run.fault("damage", injected=5.0, confirmed=5.3, reverted=15.0)
    for name, at_s in (("loads", 6.0), ("reloads", again_s)):
        run.fault(name, injected=at_s, confirmed=at_s + 0.1, reverted=at_s + 2)
    return run.answers(*bad, to_s=35.5).end(35.0)


DOWN = (6.0, 8.2, REFUSED)
DOWN_AGAIN = (15.4, 17.8, REFUSED)


@pytest.mark.parametrize(
    ("bad", "value", "right"),
    [
        ([(6.0, 17.8, REFUSED)], "pass", "pass"),
        ([DOWN, DOWN_AGAIN], "pass", "pass"),
        ([DOWN, (8.2, 15.4, WRONG), DOWN_AGAIN], "pass", "fail"),
        ([(6.0, 31.0, REFUSED)], "fail", "pass"),
        ([(6.0, 36.0, REFUSED)], "fail", "unknown"),
        ([(2.0, 17.8, REFUSED)], "unknown", "pass"),
        ([], "unknown", "pass"),
    ],
    ids=["refuses", "keeps the last good one", "wrong", "too late", "never again", "broken before", "nothing broke"],
)
def test_what_broke_since_the_damage_is_well_after_the_last_restart(bad: Any, value: str, right: str) -> None:
    verdict = reloaded(*bad).judged()
    found = {clause.id: clause for clause in verdict.clauses}
    assert (found["back"].value, found["right"].value) == (value, right), verdict.reasons


@pytest.mark.parametrize(
    "how",
    [{"fault": "reloads"}, {"restart": STOP | {"target": {"service": "gateway"}}}, {"again_s": 14.0},
     {"restart": STOP | {"fault": "container.pause"}}],
    ids=["of one of them", "another service", "damaged yet", "another fault"],
)  # fmt: skip
def test_else_each_fault_is_alone(how: dict[str, Any]) -> None:
    assert reloaded((6.0, 17.8, REFUSED), **how).clause("back").value == "unknown"
