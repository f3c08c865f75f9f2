"""One case or more for every kind of fault on containers, and how each can be undone behind its back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from harness.backends.compose.containers import EngineContainers

Undone = Callable[[EngineContainers, dict[str, Any]], Awaitable[Any]]


@dataclass(frozen=True)
class Case:
    """A fault of one kind on the small project."""

    kind: str
    target: dict[str, Any]
    parameters: dict[str, Any] = field(default_factory=dict)
    undone: Undone | None = None
    """Takes the effect away without the fault's knowledge; None where what happened cannot be made not to have."""
    dies_with_the_harness: Callable[[Any], None] | None = None
    """Ends what of the fault lives in the harness's own process."""


CASES: dict[str, Case] = {
    "crash": Case("container.kill", {"service": "worker"}),
    "crash-of-two": Case("container.kill", {"services": ["worker", "store"]}, {"restart": "none"},
                         lambda c, _: c.start("store")),
    "term": Case("container.kill", {"service": "store"}, {"signal": "SIGTERM"}),
    "frozen-by-signal": Case("container.kill", {"service": "web"}, {"signal": "STOP"}, lambda c, _: c.crash("web", 18)),
    "stop": Case("container.stop", {"node": "b"}, {"grace": "1s"}, lambda c, _: c.start("web")),
    "pause": Case("container.pause", {"services": ["worker", "web"]}, {}, lambda c, _: c.unpause("web")),
}  # fmt: skip
