"""The supervisor of one stack: it holds the address block, runs the services, and ends them when its client is gone.

One JSON object a line in both directions over the control connection: requests with an `id` and what to `do`, answers
with that `id`, and events in between. Single-threaded; standard library only.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
from collections.abc import Callable
from typing import Any

from harness.backends.local import linux
from harness.backends.local.scratch import make_scratch, remove_scratch
from harness.backends.local.services import Services
from harness.backends.local.spawn import ProcessSpec

GUARD_PORT = 17000
BLOCKS = 224 * 254  # 127.16.1 to 127.239.254
_READ_BYTES = 65536


def block_name(number: int) -> str:
    """Return the first three parts of a block's addresses."""
    high, low = divmod(number % BLOCKS, 254)
    return f"127.{16 + high}.{1 + low}"


class Supervisor:
    """Serves one control connection until it closes."""

    def __init__(self, control: socket.socket, keep: set[int]) -> None:
        self._control = control
        self._incoming = b""
        self._outgoing = b""
        self._guard: socket.socket | None = None
        self._ending = False
        self._services = Services(keep, lambda event: self._send({"event": event}))
        self._scratch, self._lock = make_scratch("stack")
        self._handlers: dict[str, Callable[..., Any]] = {
            "claim": self._claim,
            "launch": self._launch,
            "signal": self._signal,
            "restore": lambda services: self._services.restore(services),
            "status": lambda: self._services.status(),
            "stop": self._stop,
        }

    def run(self) -> None:
        """Serve, then end everything. Does not return."""
        linux.adopt_orphans()
        linux.set_name("supervisor")
        wake, wake_end = socket.socketpair()
        for end in (wake, wake_end, self._control):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._asked_to_end)
        signal.set_wakeup_fd(wake_end.fileno(), warn_on_full_buffer=False)
        self._send({"id": 0, "ok": {"supervisor": os.getpid(), "scratch": str(self._scratch)}})
        with selectors.PollSelector() as selector:
            selector.register(wake, selectors.EVENT_READ)
            selector.register(self._control, selectors.EVENT_READ)
            while not self._ending:
                self._turn(selector, wake)
        self._services.stop(grace_s=0)
        remove_scratch(self._scratch)
        os._exit(0)

    def _turn(self, selector: selectors.BaseSelector, wake: socket.socket) -> None:
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outgoing else 0)
        selector.modify(self._control, wanted)
        timeout_s = self._services.restart_due()
        for key, _ in selector.select(timeout_s):
            if key.fileobj is wake:
                wake.recv(_READ_BYTES)
                self._services.reap()
            else:
                self._receive()
        self._flush()

    def _asked_to_end(self, *_: Any) -> None:
        self._ending = True

    def _receive(self) -> None:
        try:
            data = self._control.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._ending = True
            return
        *lines, self._incoming = (self._incoming + data).split(b"\n")
        for line in lines:
            self._answer(json.loads(line))

    def _answer(self, request: dict[str, Any]) -> None:
        number, what = request.pop("id"), request.pop("do")
        try:
            self._send({"id": number, "ok": self._handlers[what](**request)})
        except (OSError, LookupError, TypeError) as error:
            self._send({"id": number, "error": f"{what}: {type(error).__name__}: {error}"})

    def _send(self, message: dict[str, Any]) -> None:
        self._outgoing += json.dumps(message).encode() + b"\n"
        self._flush()

    def _flush(self) -> None:
        try:
            while self._outgoing:
                self._outgoing = self._outgoing[self._control.send(self._outgoing) :]
        except BlockingIOError:
            return
        except OSError:
            self._ending = True

    def _claim(self, first: int, tries: int) -> str:
        """Take the first free block: nobody else can listen on its guard port while this process lives."""
        for number in range(first, first + tries):
            guard = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                guard.bind((f"{block_name(number)}.1", GUARD_PORT))
                guard.listen(1)
            except OSError:
                guard.close()
            else:
                self._guard = guard
                return block_name(number)
        raise OSError(f"none of {tries} address blocks is free: port {GUARD_PORT} is taken in each")

    def _launch(self, processes: list[dict[str, Any]]) -> dict[str, int | None]:
        return self._services.launch([ProcessSpec(**one) for one in processes])

    def _signal(self, services: list[str], number: int, tree: bool, suppress: bool) -> None:
        self._services.signal(services, number, tree=tree, suppress=suppress)

    def _stop(self, grace_s: float) -> None:
        self._services.stop(grace_s)
        self._ending = True


def supervise(control: socket.socket, keep: set[int], zygote: int) -> None:
    """Be the supervisor behind this connection, in a fork of the zygote."""
    linux.own_session()
    linux.die_with_parent(zygote, signal.SIGTERM)  # not SIGKILL: what the services started must be ended too
    try:
        supervisor = Supervisor(control, keep)
    except OSError as error:
        control.sendall(json.dumps({"id": 0, "error": f"no place to work in: {error}"}).encode() + b"\n")
        os._exit(1)
    supervisor.run()
