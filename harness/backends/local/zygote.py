"""The zygote: a process of its own that imports heavy modules once and forks a supervisor for each connection.

Run as `python -m harness.backends.local.zygote CONFIG`. It forks from its main thread only, because a parent-death
signal follows the thread that forked. It ends, and everything below it, when its owner dies. Standard library only.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import shutil
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

from harness.backends.local import linux
from harness.backends.local.services import kill_descendants
from harness.backends.local.spawn import Become, reset_signals
from harness.backends.local.supervisor import supervise

END_WITHIN_S = 3.0


class Zygote:
    """Forks supervisors until its owner is gone."""

    def __init__(self, listener: socket.socket, owner: int, keep: set[int]) -> None:
        self._listener = listener
        self._owner = owner
        self._keep = keep
        self._supervisors: set[int] = set()
        self._ending = False

    def serve(self) -> None:
        """Serve until the owner dies or SIGTERM comes, then end everything below. In a fork, raises Become."""
        wake, wake_end = socket.socketpair()
        for end in (wake, wake_end, self._listener):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # the wake-up socket reports it
        signal.signal(signal.SIGTERM, self._asked_to_end)
        signal.set_wakeup_fd(wake_end.fileno(), warn_on_full_buffer=False)
        with selectors.PollSelector() as selector:
            selector.register(wake, selectors.EVENT_READ)
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._owner, selectors.EVENT_READ)  # a pidfd: readable when the owner has died
            while not self._ending:
                for key, _ in selector.select():
                    if key.fileobj is wake:
                        wake.recv(65536)
                        self._reap()
                    elif key.fileobj is self._listener:
                        self.accept()
                    else:
                        self._ending = True
        self._end()

    def _asked_to_end(self, *_: Any) -> None:
        self._ending = True

    def accept(self) -> None:
        """Fork a supervisor for one caller of this user."""
        try:
            control, _ = self._listener.accept()
        except OSError:
            return
        with control:
            if peer_uid(control) != os.getuid():
                return
            zygote = os.getpid()
            pid = os.fork()
            if pid == 0:
                reset_signals()
                self._listener.detach()
                own = control.detach()
                linux.close_all({own, *self._keep})
                gc.freeze()
                raise Become(lambda: supervise(socket.socket(fileno=own), self._keep, zygote))
            self._supervisors.add(pid)

    def _reap(self) -> None:
        """Reap; what a supervisor that was killed left behind comes to us and is killed."""
        died = False
        with contextlib.suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                self._supervisors.discard(pid)
                died = True
        if died:
            table = linux.processes()
            orphans = {p.pid for p in table.values() if p.parent == os.getpid()} - self._supervisors
            linux.send(linux.family(orphans, table), signal.SIGKILL)

    def _end(self) -> None:
        linux.send(self._supervisors, signal.SIGTERM)
        deadline = time.monotonic() + END_WITHIN_S
        while self._supervisors and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.002)
        kill_descendants()


def peer_uid(control: socket.socket) -> int:
    """Return the user behind a connection, as the kernel knows it."""
    credentials = control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def _preload(modules: list[str], search: list[str]) -> None:
    """Import each module once. Raises ImportError."""
    sys.path[:0] = search
    for module in modules:
        importlib.import_module(module)
    del sys.path[: len(search)]
    gc.collect()
    gc.freeze()


def _report(descriptor: int, **what: Any) -> None:
    os.write(descriptor, json.dumps(what).encode() + b"\n")
    os.close(descriptor)


def _main() -> Callable[[], None] | None:
    """Prepare and serve. Returns what a forked child is to become."""
    config = json.loads(sys.argv[1])
    report = os.dup(1)
    os.dup2(2, 1)  # what modules print on import is no report
    owner = os.pidfd_open(config["owner"])
    if os.getppid() != config["owner"]:
        return None
    linux.adopt_orphans()
    linux.set_name("zygote")
    gc.disable()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(config["socket"])
    listener.listen(64)
    own = {listener.fileno(), owner, report, config["lock"]}
    began_s = time.monotonic()
    try:
        _preload(config["preload"], config["search"])
    except (Exception, SystemExit) as error:  # noqa: BLE001 - any module's import may fail in any way, and the owner gets the error
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        _report(report, error=f"{type(error).__name__}: {error}", missing=missing)
        return None
    keep = linux.descriptors() - own - {0, 1, 2}
    _report(report, preload_s=time.monotonic() - began_s)
    try:
        Zygote(listener, owner, keep).serve()
    except Become as become:
        return become.entry
    shutil.rmtree(config["scratch"], ignore_errors=True)
    return None


def main() -> None:
    """Be the zygote, or in a fork whatever it is to become."""
    entry = _main()
    while entry is not None:
        try:
            entry()
            entry = None
        except Become as become:
            entry = become.entry


if __name__ == "__main__":
    main()
