"""Where a stack's alerts are read, and what proves that somebody was looking at the rules all the while."""

from __future__ import annotations

from typing import Literal

from harness.model.fields import Frozen, Url


class AlertSource(Frozen):
    """Where alerts are read; the heartbeat proves that rules are evaluated, the history that none was missed."""

    kind: Literal["prometheus"]
    url: Url
    heartbeat: str | None = None
    history: str | None = None
