"""Why a run ends before its script is over, without an error: a guardrail was crossed, or somebody stopped it."""

from __future__ import annotations

from harness.model.readings import Closed


class CutShortError(Exception):
    """Ends a run early. What it has to say is in the journal already, but for its last line."""

    def __init__(self, closed: Closed) -> None:
        super().__init__(closed.reason)
        self.closed = closed
