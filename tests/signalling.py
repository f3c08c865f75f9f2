"""Signals to other processes, one after the other: of two that are pending at once, one is lost."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

EVERY_S = 0.02
TAKEN_S = 30.0


def send(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send a signal, and wait until the process has taken it or is over."""
    process.send_signal(number)
    until_s = time.monotonic() + TAKEN_S
    while True:
        time.sleep(EVERY_S)  # also where it was taken at once: whoever sends again and again leaves it time to work
        if process.poll() is not None or not _is_pending(process.pid, number):
            return
        assert time.monotonic() < until_s, f"{number.name} was not taken within {TAKEN_S} s"


def _is_pending(pid: int, number: signal.Signals) -> bool:
    """Whether a signal was sent to a process that the kernel has not delivered yet."""
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    said = dict(line.split(":", 1) for line in lines)
    return any(int(said[field], 16) >> (number - 1) & 1 for field in ("SigPnd", "ShdPnd"))


def as_at_a_terminal() -> None:
    """Let signals of a terminal do in a child what they do there: under `nohup`, or behind `&`, they are ignored."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
