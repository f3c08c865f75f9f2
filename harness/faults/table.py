"""The table of our own faults. Other people's come in by the entry-point group `harness.faults`.

An explicit table, and no registration on import: what can be injected is what is listed here.
"""

from __future__ import annotations

from harness.model.fault import FaultKind

FAULTS: dict[str, FaultKind] = {}
