"""What gives way to the harness: services of a stack and jobs of its tooling, to what measures them or neighbours."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

NICENESS = 5


def give_way(pid: int = 0) -> None:
    """Lower the priority of a process that leads its session, 0 for this one, where that can be done."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid) + NICENESS)
    give_way_as_session(pid)


def give_way_as_session(pid: int = 0) -> None:
    """The same for all of its session, where the scheduler groups by session and niceness counts within one only."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid or 'self'}/autogroup").write_text(str(NICENESS), encoding="ascii")
