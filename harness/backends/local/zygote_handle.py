"""A zygote as its users hold it: started and owned here, connected to by the path of its socket, or found running.

The process that starts a zygote owns it: the zygote ends when that process does. Others that are given the path (the
workers of a parallel run) may have stacks of their own forked from it, and only lose it when the owner goes.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from harness.backends.local.scratch import make_scratch, remove_scratch, scratch_folders, sweep_scratch
from harness.model.errors import BackendError, install_extra

PRELOAD_WITHIN_S = 60.0
END_WITHIN_S = 5.0
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
ASK_S = 1.0
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


class ZygoteHandle:
    """Somewhere to fork supervisors from."""

    def __init__(self, path: Path, process: subprocess.Popen[bytes] | None = None, preload_s: float = 0.0) -> None:
        self.path = path
        self.preload_s = preload_s
        self._process = process

    @classmethod
    def start(cls, preload: Iterable[str] = (), search: Iterable[Path] = ()) -> ZygoteHandle:
        """Start a zygote that has imported these modules. Blocks until it has. Raises BackendError."""
        if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
            raise BackendError(
                f"the local backend runs on Linux only, and this is {sys.platform}",
                remedy="run the harness on Linux 5.3 or later, or in a Linux container",
            )
        try:
            sweep_scratch()
            scratch, lock = make_scratch("zygote")
        except OSError as error:
            raise BackendError(f"no private directory for the stack: {error}", remedy="set TMPDIR elsewhere") from error
        try:
            return cls._started(scratch, lock, list(preload), [str(path) for path in search])
        except BaseException:
            remove_scratch(scratch)
            raise
        finally:
            os.close(lock)

    @classmethod
    def connect(cls, path: Path) -> ZygoteHandle:
        """Use a zygote that another process owns. Raises BackendError."""
        try:
            found = path.stat()
        except OSError as error:
            raise BackendError(f"there is no zygote at {path}: {error.strerror}") from error
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.getuid():
            raise BackendError(f"{path} is not a zygote of this user")
        return cls(path)

    @classmethod
    def _started(cls, scratch: Path, lock: int, preload: list[str], search: list[str]) -> ZygoteHandle:
        path = scratch / "socket"
        config = {"owner": os.getpid(), "socket": str(path), "scratch": str(scratch), "lock": lock}
        config |= {"preload": preload, "search": search}
        with (scratch / "log").open("wb") as log:
            # A session of its own: Ctrl-C in the terminal is for the harness, which then stops the stack in good order.
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "harness.backends.local.zygote", json.dumps(config)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=(lock,),
                start_new_session=True,
                env={**os.environ, **dict.fromkeys(_ONE_THREAD, "1")},
            )
        zygote = cls(path, process)
        try:
            report = zygote._report(scratch / "log")
        except BaseException:
            zygote.close()
            raise
        zygote.preload_s = float(report["preload_s"])
        return zygote

    def _report(self, log: Path) -> dict[str, Any]:
        """Wait for what the zygote says once it has imported everything."""
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PRELOAD_WITHIN_S)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            tail = log.read_text("utf-8", "replace").strip().splitlines()[-5:]
            what = "ended" if ready else f"was not ready within {PRELOAD_WITHIN_S:.0f} s"
            raise BackendError("\n".join([f"the process that the stack is forked from {what}", *tail]))
        report: dict[str, Any] = json.loads(line)
        if "error" in report:
            raise _preload_error(report)
        return report

    @property
    def pid(self) -> int | None:
        """The zygote's process, if it is owned here."""
        return self._process.pid if self._process else None

    @property
    def ended(self) -> bool:
        """Whether an owned zygote has ended, for whatever reason."""
        return self._process is not None and self._process.poll() is not None

    def close(self) -> None:
        """End an owned zygote and everything below it. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(END_WITHIN_S)
        if process.stdout is not None:
            process.stdout.close()
        remove_scratch(self.path.parent)


def _preload_error(report: dict[str, Any]) -> BackendError:
    missing = report.get("missing")
    if missing is None:
        return BackendError(f"a module of the stack cannot be imported: {report['error']}")
    remedy = f"install what the stack needs; for the reference stack, {install_extra('reference')}"
    return BackendError(f"the stack needs the module {missing!r}, which is not installed", remedy=remedy)


def zygotes() -> list[psutil.Process]:
    """Return every zygote that answers on its socket; the kernel names its process."""
    found = []
    for folder in scratch_folders("zygote"):
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
                asked.settimeout(ASK_S)
                asked.connect(str(folder / "socket"))
                raw = asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            found.append(psutil.Process(_CREDENTIALS.unpack(raw)[0]))
        except (OSError, psutil.Error):
            continue
    return found
