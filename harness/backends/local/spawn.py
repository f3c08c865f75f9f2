"""One process of a stack: what it is to be, the fork, and what the child becomes.

`python -m X` goes on in the fork, with everything that the zygote has imported; any other command is exec'd. The child
does not run inside the supervisor's loop: `Become` unwinds it to the zygote's main function first, so that the service
has a clean stack and an ordinary interpreter exit.
"""

from __future__ import annotations

import gc
import os
import runpy
import signal
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness.backends.local import linux

_PYTHONS = ("python", "python3")


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What a process is to be. Travels to the supervisor as JSON."""

    name: str
    argv: list[str]
    env: dict[str, str]
    directory: str
    log: str
    errors: str | None = None
    search: list[str] = field(default_factory=list)
    restart: str = "no"
    of_a_stack: bool = False

    @property
    def module(self) -> str | None:
        """The module of `python -m module`, or None for any other command."""
        if len(self.argv) >= 3 and self.argv[0] in _PYTHONS and self.argv[1] == "-m":
            return self.argv[2]
        return None


class Become(BaseException):
    """Raised in a forked child to leave the parent's loop and become something else."""

    def __init__(self, entry: Callable[[], None]) -> None:
        super().__init__()
        self.entry = entry


def spawn(spec: ProcessSpec, keep: set[int]) -> int:
    """Fork. Returns the child's pid; in the child, raises Become."""
    parent = os.getpid()
    # Until the child has dropped the supervisor's handlers, a signal meant for it must wait, not be swallowed by them.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        return pid
    try:
        if spec.of_a_stack:
            # In the session of its supervisor, for a scheduler that groups by session must not take every service of a
            # stack for an equal of the one harness process that measures them all.
            os.setpgid(0, 0)
        else:
            linux.own_session()
        linux.die_with_parent(parent)
        # What it starts stays below it, whatever it does to leave: so it is known whose it is when a service ends.
        linux.adopt_orphans()
        linux.set_name(spec.name)
        reset_signals()
        _redirect(spec)
        linux.close_all(keep)
        os.environ.clear()
        os.environ.update(spec.env)
        Path(spec.directory).mkdir(parents=True, exist_ok=True)
        os.chdir(spec.directory)
        if spec.module is None:
            os.execvpe(spec.argv[0], spec.argv, spec.env)  # noqa: S606
    except OSError as error:
        os.write(2, f"cannot run {spec.argv[0]}: {error}\n".encode())
        os._exit(127)
    # Sockets of the supervisor live on in this copy as objects whose descriptors are closed. Were they collected later,
    # they would close the same numbers again, which are the service's own by then.
    gc.freeze()
    raise Become(lambda: _run_module(spec))


def reset_signals() -> None:
    """Undo the signal handling of the process forked from."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _redirect(spec: ProcessSpec) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(spec.log, flags, 0o644)
    errors = log if spec.errors is None else os.open(spec.errors, flags, 0o644)
    for source, target in ((null, 0), (log, 1), (errors, 2)):
        os.dup2(source, target)


def _run_module(spec: ProcessSpec) -> None:
    """Be `python -m module`."""
    gc.enable()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as every interpreter does when it starts
    # Lines must be in the log when the process is killed, so nothing is held back in a buffer.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.path[:0] = spec.search
    sys.argv = [str(spec.module), *spec.argv[3:]]
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()  # or every service would draw the same numbers; `random` sees to this itself
    warnings.filterwarnings("ignore", message=".*found in sys.modules after import of package.*")
    runpy.run_module(str(spec.module), run_name="__main__", alter_sys=True)
