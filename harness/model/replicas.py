"""Replicas: the containers of one service, told apart by the number that compose gives each.

A service with one container has a name alone. Replica 2 of `scorer` is written `scorer#2`, in undo and in evidence; no
service can be called so. Which replicas a share means is decided by a hash of seed, fault, service and number, so that
a replica more or less changes as little as it can.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from harness.model.fault import draw

MARK = "#"
_SLACK = 1e-9


def replica_name(service: str, number: int | None) -> str:
    """Return the name of one replica; of the service alone where it has no number."""
    return service if number is None else f"{service}{MARK}{number}"


def replica_of(name: str) -> tuple[str, int | None]:
    """Return the service and the number in the name of a replica; None for the number of a service alone."""
    service, mark, number = name.partition(MARK)
    return service, int(number) if mark and number.isdigit() else None


def replicas_named(service: str, numbers: Sequence[int]) -> tuple[str, ...]:
    """Return the names of the containers of a service: its own where it has one, else one for each number."""
    return (service,) if len(numbers) == 1 else tuple(replica_name(service, number) for number in numbers)


def how_many(share: float, total: int) -> int:
    """Return how many replicas a share is: no more than that, and one at the least."""
    return min(total, max(1, math.floor(share * total + _SLACK)))


def chosen_replicas(share: float, numbers: Sequence[int], seed: int, fault: str, service: str) -> tuple[int, ...]:
    """Return the replicas that a share of a service means, in their order."""
    by_chance = sorted(numbers, key=lambda number: draw(seed, fault, service, number))
    return tuple(sorted(by_chance[: how_many(share, len(numbers))]))


@runtime_checkable
class FindsReplicas(Protocol):
    """A backend that runs several containers of one service."""

    def has_replicas(self, service: str) -> bool:
        """Whether a service has several containers, so that none of its addresses is that of the service."""

    async def replica_places(self, service: str, port: int) -> Mapping[int, str | None]:
        """Return `host:port` of each replica of a service, by number; None of one that has no address now.

        A replica that starts again may have another address. Raises BackendError.
        """
