"""The services of one stack inside its supervisor: started, restarted by policy, killed at once, never left behind.

A service is the process that was forked for it and everything that this process started. Standard library only.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from harness.backends.local import linux
from harness.backends.local.spawn import ProcessSpec, spawn

BACK_OFF_S = 0.1
LONGEST_BACK_OFF_S = 2.0
STEADY_S = 10.0  # a service that ran this long starts its back-off anew
KILL_WITHIN_S = 2.0
ASKED_WITHIN_S = 10.0

Emit = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class Service:
    """One service and what became of it."""

    spec: ProcessSpec
    pid: int | None = None
    started_s: float = 0.0
    restarts: int = 0
    failures: int = 0
    due_s: float | None = None
    suppressed: bool = False
    asked_signal: int | None = None
    asked_s: float = 0.0

    @property
    def state(self) -> str:
        """What `status` reports."""
        if self.pid is None:
            return "suppressed" if self.suppressed else "exited"
        now = linux.process(self.pid)
        return "paused" if now is not None and now.state in "Tt" else "running"


class Services:
    """All services of a stack."""

    def __init__(self, keep: set[int], emit: Emit) -> None:
        self._keep = keep
        self._emit = emit
        self._all: dict[str, Service] = {}

    def launch(self, specs: Iterable[ProcessSpec]) -> dict[str, int | None]:
        """Start processes for the first time."""
        for spec in specs:
            service = self._all.setdefault(spec.name, Service(spec))
            self._start(service, "started", asked=True)
        return {name: service.pid for name, service in self._all.items()}

    def status(self) -> list[dict[str, Any]]:
        """Return what each service is doing."""
        return [
            {"service": name, "pid": one.pid, "state": one.state, "restarts": one.restarts}
            for name, one in self._all.items()
        ]

    def signal(self, names: Iterable[str], number: int, *, tree: bool, suppress: bool) -> None:
        """Signal services at once: their main processes, or all that they started as well."""
        chosen = [self._all[name] for name in names]
        now_s = time.monotonic()
        for service in chosen:
            # A process that is only paused or resumed is not expected to end: if it does, that is an event of its own.
            if number not in (signal.SIGSTOP, signal.SIGCONT):
                service.asked_signal, service.asked_s = number, now_s
            if suppress:
                service.suppressed, service.due_s = True, None
        roots = {service.pid for service in chosen if service.pid is not None}
        if number == signal.SIGKILL:
            self._kill(roots)
        elif number == signal.SIGSTOP:
            _pause(roots)
        else:
            linux.send(linux.family(roots, linux.processes()) if tree else roots, number)

    def restore(self, names: Iterable[str]) -> None:
        """Lift the suppression, and start what does not run."""
        for service in [self._all[name] for name in names]:
            service.suppressed = False
            service.failures = 0
            if service.pid is None:
                self._start(service, "started", asked=True)

    def reap(self) -> None:
        """Take notice of the processes that have ended."""
        ended = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            service = next((one for one in self._all.values() if one.pid == pid), None)
            if service is not None:  # others are orphans that came to us
                service.pid = None
                ended.append((service, pid, status))
        if ended:
            self._kill_left_behind({pid for _, pid, _ in ended})
        for service, _, status in ended:
            self._ended(service, status)

    def restart_due(self) -> float | None:
        """Restart what is due. Returns the seconds until the next, or None."""
        waiting = [one for one in self._all.values() if one.due_s is not None]
        for service in waiting:
            if service.due_s is not None and service.due_s <= time.monotonic():
                service.restarts += 1
                self._start(service, "restarted", asked=False)
        left = [one.due_s for one in waiting if one.due_s is not None]
        return max(0.0, min(left) - time.monotonic()) if left else None

    def stop(self, grace_s: float) -> None:
        """End everything: politely first, for as long as there is grace, then for certain."""
        for service in self._all.values():
            service.suppressed, service.due_s = True, None
            service.asked_signal, service.asked_s = signal.SIGTERM, time.monotonic()
        deadline = time.monotonic() + grace_s
        if grace_s > 0:
            alive = {one.pid for one in self._all.values() if one.pid is not None}
            linux.send(alive, signal.SIGTERM)
            linux.send(alive, signal.SIGCONT)  # a paused process hears nothing
        while time.monotonic() < deadline and any(one.pid is not None for one in self._all.values()):
            time.sleep(0.002)
            self.reap()
        kill_descendants()

    def _start(self, service: Service, what: str, *, asked: bool) -> None:
        service.due_s = None
        service.asked_signal = None
        service.started_s = time.monotonic()
        service.pid = spawn(service.spec, self._keep)
        self._emit(_event(service, what, asked=asked) | {"pid": service.pid})

    def _ended(self, service: Service, status: int) -> None:
        now_s = time.monotonic()
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        recently = now_s - service.asked_s < ASKED_WITHIN_S
        asked = service.asked_signal is not None and (service.asked_signal == number or recently)
        what = "exited" if number is None else "killed"
        self._emit(_event(service, what, asked=asked) | {"exit_code": code, "signal": number})
        if not service.suppressed and self._restarts(service, code):
            if now_s - service.started_s >= STEADY_S:
                service.failures = 0
            service.due_s = now_s + min(BACK_OFF_S * 2**service.failures, LONGEST_BACK_OFF_S)
            service.failures += 1

    def _restarts(self, service: Service, code: int | None) -> bool:
        policy, _, most = service.spec.restart.partition(":")
        if policy == "on-failure":
            return code != 0 and (not most or service.restarts < int(most))
        return policy in ("always", "unless-stopped")

    def _kill(self, roots: set[int]) -> None:
        """Kill these processes and all that they started, until none is left."""
        deadline = time.monotonic() + KILL_WITHIN_S
        known: set[int] = set()
        while True:
            table = linux.processes()
            known |= linux.family(roots | known, table)
            linux.send({pid for pid in known if pid in table and table[pid].state != "Z"}, signal.SIGKILL)
            self.reap()
            left = {pid for pid in known if (one := linux.process(pid)) is not None and one.state != "Z"}
            if not left:
                self.reap()
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"processes {sorted(left)} outlived SIGKILL")
            time.sleep(0.001)

    def _kill_left_behind(self, leaders: set[int]) -> None:
        """Kill what a dead service left: its process group, and what left that and has come to us as an orphan.

        What left the group of a service that lives is below that service, which adopts it: it is none of these.
        """
        table = linux.processes()
        alive = {one.pid for one in self._all.values() if one.pid is not None}
        strays = {
            one.pid
            for one in table.values()
            if one.group in leaders or (one.parent == os.getpid() and one.pid not in alive and one.group not in alive)
        }
        linux.send(linux.family(strays, table), signal.SIGKILL)


def kill_descendants() -> None:
    """Kill and reap everything below this process, which must be a sub-reaper, until nothing is left."""
    deadline = time.monotonic() + KILL_WITHIN_S
    while time.monotonic() < deadline:
        below = linux.family({os.getpid()}, linux.processes()) - {os.getpid()}
        linux.send(below, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.001)


def _pause(roots: set[int]) -> None:
    """Stop these processes and all that they started, and see that they have stopped, which takes a moment."""
    deadline = time.monotonic() + KILL_WITHIN_S
    while True:
        table = linux.processes()
        running = {pid for pid in linux.family(roots, table) if table[pid].state not in "TtZ"}
        if not running:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {sorted(running)} do not stop")
        linux.send(running, signal.SIGSTOP)
        time.sleep(0.001)


def _event(service: Service, what: str, *, asked: bool) -> dict[str, Any]:
    return {"service": service.spec.name, "what": what, "at_s": time.monotonic(), "asked": asked}
