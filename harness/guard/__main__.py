"""`python -m harness.guard RUN`: the guard of a run, in the background. Says `ready` once it watches."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

from harness.guard.watch import NoGuardError, watch


def main() -> int:
    """Become a process of its own, and watch the run until nothing of it is left."""
    run = Path(sys.argv[1])
    if os.fork():
        return 0
    os.setsid()
    if os.fork():  # what is no leader of a session never gets a terminal
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGTSTP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # it takes a privilege; without it the kernel treats the guard as any other
        Path("/proc/self/oom_score_adj").write_text("-900", encoding="ascii")
    try:
        watch(run, _ready)
    except NoGuardError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _ready() -> None:
    os.write(1, b"ready\n")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


if __name__ == "__main__":
    sys.exit(main())
