"""Tasks of `container_agent` about processes: signal, state, freezer, and the kernel's log of memory kills."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from harness.backends.compose.container_common import Answer, TaskError, belongs, group, numbers

INITS = ("docker-init", "tini", "dumb-init", "catatonit")
"""Programs that only stand before the service: `init: true` puts the first of them there."""


def service_process(pid: int) -> int:
    """Return the process of the service itself: the container's first, or the child of an init that stands there."""
    try:
        if Path(f"/proc/{pid}/comm").read_text().strip() not in INITS:
            return pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return pid
    return int(children[0]) if children else pid


def send_signal(pid: int, container: str, number: int) -> Answer:
    """Signal the service's process from outside of its namespace, and never another that has its number now."""
    one = service_process(pid)
    handle = os.pidfd_open(one)
    try:
        if not belongs(one, container):
            raise TaskError(f"process {pid} is none of the container's any more")
        signal.pidfd_send_signal(handle, number)
    finally:
        os.close(handle)
    return {}


def process(pid: int, names: list[str], maps: str = "") -> Answer:
    """Return a service's process: state letter, signals it catches, variables it was started with, libraries."""
    pid = service_process(pid)
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )  # fmt: skip
    caught = int(status["SigCgt"].strip(), 16)
    started_with = Path(f"/proc/{pid}/environ").read_text("utf-8", "replace").split("\0")
    environment = dict(part.split("=", 1) for part in started_with if "=" in part)
    return {
        "state": status["State"].split()[0],
        "catches": [number for number in range(1, 65) if caught >> (number - 1) & 1],
        "environment": {name: environment.get(name) for name in names},
        "maps": bool(maps) and maps in Path(f"/proc/{pid}/maps").read_text("utf-8", "replace"),
    }


def frozen(pid: int) -> Answer:
    """Return whether the kernel has frozen the container's processes."""
    folder, version = group(pid, "freezer")
    if version == 1:
        return {"frozen": (folder / "freezer.state").read_text().strip() == "FROZEN"}
    return {"frozen": numbers(folder / "cgroup.events").get("frozen") == 1}


def oom_log(container: str) -> Answer:
    """Return the lines of the kernel's log about memory kills in a container, each with its number."""
    found = []
    handle = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    try:
        while True:
            try:
                line = os.read(handle, 8192).decode("utf-8", "replace")
            except BlockingIOError:
                break
            except BrokenPipeError:  # the oldest lines were overwritten meanwhile
                continue
            if "oom-kill:" in line and container in line:
                found.append(line.split(";", 1)[1].splitlines()[0])
    finally:
        os.close(handle)
    return {"kills": len(found), "last": found[-1] if found else None}


def clock() -> Answer:
    """Return the time on the engine's machine, in seconds since 1970."""
    return {"at_s": time.time()}
