"""Who gets a processor first where several want one: the harness, which measures, before what it measures.

A user who may raise priorities raises the harness's, so that a stack competes with the rest of the machine as it would
without a harness. For any other user the stack gives way instead. Where the scheduler groups by session (Linux's
autogroups), niceness counts within a session only, so the session's own is set.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

NICENESS = 5
MEASURING_NICENESS = -4
"""Much more than this would keep a busy container from being frozen in time."""
AUTOGROUPS = Path("/proc/sys/kernel/sched_autogroup_enabled")
_CAP_SYS_NICE = 23


def may_raise() -> bool:
    """Whether this process may raise the priority of a session, and the scheduler groups by session."""
    with contextlib.suppress(OSError):
        if AUTOGROUPS.read_text(encoding="ascii").strip() != "1":
            return False
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> _CAP_SYS_NICE & 1)
    return False


def come_first() -> None:
    """Let the session of this process, which measures, be served before others, where the user may ask for it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(MEASURING_NICENESS), encoding="ascii")


def give_way(pid: int = 0) -> None:
    """Let a process that leads its session, 0 for this one, wait for those who measure it."""
    if may_raise():
        return
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid) + NICENESS)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid or 'self'}/autogroup").write_text(str(NICENESS), encoding="ascii")
