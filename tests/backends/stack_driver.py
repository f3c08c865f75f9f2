"""A harness process of its own for the tests of sudden deaths: it starts the test stack, tells its pids, and waits.

Arguments: marker, run folder, and the path of a zygote's socket (or `own` for a zygote that it owns itself).
"""

import asyncio
import json
import sys
from pathlib import Path

from watching import MARKER, get, pids, supervisor

from harness.backends.local.backend import LocalBackend
from harness.backends.local.zygote_handle import ZygoteHandle
from harness.description.stackfile import load_stack
from harness.model.backend import StackPlan


async def main() -> None:
    marker, run_dir, socket = sys.argv[1:]
    description = load_stack(Path(__file__).parent / "stack" / "compose.yaml", variables={})
    zygote = None if socket == "own" else ZygoteHandle.connect(Path(socket))
    backend = LocalBackend(description, zygote)
    settings = {name: {MARKER: marker} for name in description.services}
    await backend.start(StackPlan(description, Path(run_dir), description.links, settings))
    await get(backend, "http://echo:17101/children")
    print(
        json.dumps(
            {
                "zygote": backend.zygote_pid,
                "supervisor": await supervisor(backend),
                "pids": list((await pids(backend)).values()),
            }
        ),
        flush=True,
    )
    await asyncio.Event().wait()


asyncio.run(main())
