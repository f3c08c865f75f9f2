"""What is reached from some services, over others too."""

from __future__ import annotations

from harness.model.dependencies import reached

USES = {"gateway": ["scorer"], "scorer": ["features", "models"], "models": ["disk"], "trainer": ["models", "trainer"]}


def uses(service: str) -> list[str]:
    return USES.get(service, [])


def test_what_is_used_by_way_of_others_is_reached_too() -> None:
    assert reached(["gateway"], uses) == {"gateway", "scorer", "features", "models", "disk"}
    assert reached(["trainer", "disk"], uses) == {"trainer", "models", "disk"}
    assert reached([], uses) == set()


def test_a_circle_is_gone_round_once() -> None:
    ring = {"a": ["b"], "b": ["c"], "c": ["a"]}
    assert reached(["b"], ring.__getitem__) == {"a", "b", "c"}
