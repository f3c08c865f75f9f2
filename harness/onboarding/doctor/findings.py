"""What the doctor found: one line a thing that was looked at, with what to do where it does not work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "wrong", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing: its area and name, whether it works, what was seen, and what would help. A note fails nothing."""

    area: str
    name: str
    state: State
    says: str
    remedy: str | None = None

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def all_well(findings: Iterable[Finding]) -> bool:
    """Whether nothing was found that does not work."""
    return all(finding.state != "wrong" for finding in findings)
