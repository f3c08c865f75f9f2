"""A process that owns a running stack of containers: it prints its addresses and keeps it until its input ends."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from harness.backends.compose.backend import ComposeBackend
from harness.description.stackfile import load_stack
from harness.model.backend import StackPlan
from harness.model.fields import Link


async def main(file: Path, run_dir: Path) -> None:
    description = load_stack(file)
    async with ComposeBackend(description) as backend:
        await backend.start(StackPlan(description, run_dir, (Link("relay", "echo"),)))
        addresses = {
            "project": backend.project,
            "echo": backend.resolve("echo:17101"),
            "relay": backend.resolve("relay:17102"),
        }
        print(json.dumps(addresses), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
