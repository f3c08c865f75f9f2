"""`python -m harness.guard.sidecar_main`: the sidecar of a run, in its container beside the stack.

It has no view of the run's process, and gets heartbeats instead. When none has come for as long as a lease lasts, it
takes out what is in, and keeps the undo, for the network may have been cut only. When none has come for a minute, the
run counts as dead. All that it may need is imported before it says that it watches: an image that lacks something is
refused then.
"""

from __future__ import annotations

import contextlib
import importlib
import signal
import sys
from pathlib import Path

from harness.guard.sidecar_folder import FOLDER, READY, SidecarFolder
from harness.guard.watch import RunGuard

ALWAYS = ("harness.guard.heal", "harness.guard.stacks", "harness.backends.compose.attached", "docker", "asyncio")
WHERE_INSTALLED = ("redis.asyncio", "boto3", "toxiproxy")
"""What some kinds of faults need; an image has what the harness had where it came from."""


def main() -> int:
    """Watch until nothing of the run is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for name in ALWAYS:
        importlib.import_module(name)
    for name in WHERE_INSTALLED:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    folder = SidecarFolder(Path(FOLDER))
    print(READY, flush=True)
    RunGuard(folder).go()
    return 0


if __name__ == "__main__":
    sys.exit(main())
