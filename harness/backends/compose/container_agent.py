"""Tasks that only root on the engine's machine can do for a container: a program of its own, with the standard library.

It is run by `container_host` either beside the harness or, where the engine is elsewhere, in a helper container that
sees that machine's processes. One JSON request as its argument, one JSON answer on standard output:
`{"task": name, "pid": main process, "container": id, …}`; the functions of `TASKS` say what else each one takes.
"""

from __future__ import annotations

import ctypes
import errno
import json
import signal
import sys
from collections.abc import Callable

from harness.backends.compose import container_disks as disks
from harness.backends.compose import container_files as files
from harness.backends.compose import container_limits as limits
from harness.backends.compose import container_originals as originals
from harness.backends.compose import container_packets as packets
from harness.backends.compose import container_processes as processes
from harness.backends.compose.container_common import Answer, TaskError, belongs

TASKS: dict[str, Callable[..., Answer]] = {
    "signal": processes.send_signal,
    "process": processes.process,
    "frozen": processes.frozen,
    "oom_log": processes.oom_log,
    "clock": processes.clock,
    "cpu": limits.cpu,
    "limit_cpu": limits.limit_cpu,
    "use_cpu": limits.use_cpu,
    "memory": limits.memory,
    "limit_memory": limits.limit_memory,
    "fill_memory": limits.fill_memory,
    "space": disks.space,
    "fill": disks.fill,
    "remove": disks.remove,
    "exists": disks.exists,
    "try_write": disks.try_write,
    "remount": disks.remount,
    "digest": disks.digest,
    "empty": disks.empty,
    "entries": disks.entries,
    "list_files": files.list_files,
    "plan_damage": files.plan_damage,
    "damage": files.damage,
    "damaged": files.damaged,
    "restore": originals.restore,
    "remains": originals.remains,
    "interfaces": packets.interfaces,
    "block": packets.block,
    "unblock": packets.unblock,
    "blocked": packets.blocked,
    "probe_port": packets.probe_port,
}
WITHOUT_A_PROCESS = ("oom_log", "clock", "empty", "entries")
PR_SET_PDEATHSIG = 1
NEEDS_THE_ID = ("signal", "oom_log")


def answer(request: Answer) -> Answer:
    """Do the task of a request."""
    name, pid, container = request.pop("task"), request.pop("pid"), request.pop("container")
    try:
        if name not in WITHOUT_A_PROCESS:
            if not belongs(pid, container):
                raise TaskError("the container's main process has ended meanwhile")
            request["pid"] = pid
        if name in NEEDS_THE_ID:
            request["container"] = container
        return TASKS[name](**request)
    except TaskError as error:
        return {"error": str(error), "remedy": error.remedy}
    except OSError as error:
        remedy = "it takes root on the engine's machine" if error.errno in (errno.EPERM, errno.EACCES) else ""
        return {"error": f"{name}: {error}", "remedy": remedy}


def main() -> None:
    """Do the task of the first argument."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # an exit undoes what was begun
    # Who asked may be killed: then the task is to end too, for what it does is taken out meanwhile.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    print(json.dumps(answer(json.loads(sys.argv[1]))))
