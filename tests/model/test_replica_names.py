"""Replicas of a service: their names, which of them a share means, and how a target says so."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from harness.model.faultstep import Target
from harness.model.replicas import chosen_replicas, how_many, replica_name, replica_of, replicas_named


def test_names_go_both_ways() -> None:
    assert replica_name("scorer", 2) == "scorer#2"
    assert [replica_of(name) for name in ("scorer#2", "scorer", "scorer-2")] == [
        ("scorer", 2), ("scorer", None), ("scorer-2", None),
    ]  # fmt: skip
    assert replicas_named("scorer", (4,)) == ("scorer",)
    assert replicas_named("scorer", (1, 4)) == ("scorer#1", "scorer#4")


@pytest.mark.parametrize(
    ("share", "total", "number"),
    [(0.5, 3, 1), (0.5, 4, 2), (0.9, 3, 2), (0.1, 3, 1), (1.0, 3, 3), (2 / 3, 3, 2), (0.7, 10, 7), (1.0, 1, 1)],
)
def test_a_share_is_rounded_down_and_never_none(share: float, total: int, number: int) -> None:
    assert how_many(share, total) == number


def test_which_replicas_a_share_means_depends_on_seed_and_fault_alone() -> None:
    numbers = tuple(range(1, 11))
    one = chosen_replicas(0.5, numbers, 1, "it", "scorer")
    assert one == chosen_replicas(0.5, numbers[::-1], 1, "it", "scorer")
    assert len({chosen_replicas(0.5, numbers, seed, "it", "scorer") for seed in range(20)}) > 5
    assert len({chosen_replicas(0.5, numbers, 1, fault, "scorer") for fault in "abcdefgh"}) > 2


def test_a_greater_share_and_a_replica_less_change_no_other_choice() -> None:
    numbers = tuple(range(1, 11))
    few, many = (set(chosen_replicas(share, numbers, 3, "it", "s")) for share in (0.3, 0.6))
    assert few < many
    gone = min(set(numbers) - few)
    left = tuple(number for number in numbers if number != gone)
    assert set(chosen_replicas(1 / 3, left, 3, "it", "s")) == few


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ({"service": "scorer", "replica": 2}, "replica 2 of service scorer"),
        ({"service": "scorer", "share": 0.5}, "0.5 of the replicas of service scorer"),
        ({"service": "scorer"}, "service scorer"),
    ],
)
def test_a_target_says_which(target: dict[str, Any], text: str) -> None:
    found = Target.model_validate(target)
    assert str(found) == text
    assert found.kind == "service"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"replica": 2}, "exactly one target is needed: link, links, service, services, node, keyspace, dataset"),
        ({"node": "a", "replica": 2}, "goes with `service`"),
        ({"services": ["a", "b"], "share": 0.5}, "goes with `service`"),
        ({"service": "a", "replica": 1, "share": 0.5}, "one of `replica` and `share` is enough"),
        ({"service": "a", "replica": 0}, "greater than or equal to 1"),
        ({"service": "a", "share": 0}, "greater than 0"),
    ],
)
def test_what_is_no_target(target: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Target.model_validate(target)
