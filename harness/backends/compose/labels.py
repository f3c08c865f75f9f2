"""The labels by which everything that the harness puts on an engine is found again, and nothing else is touched."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil

RUN = "ml-chaos-harness.run"
OWNER = "ml-chaos-harness.owner"
STACK = "ml-chaos-harness.stack"
LINKS = "ml-chaos-harness.links"
PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
ONE_OFF = "com.docker.compose.oneoff"
UP = "up"
"""Stands first in the owner of a stack that `harness up` leaves running."""


def run_labels(project: str, stack: str, *, kept: bool = False) -> dict[str, str]:
    """Return the labels of everything of one run; `kept` where it is to outlive this process."""
    return {RUN: project, STACK: stack, OWNER: f"{UP} {socket.gethostname()}" if kept else owner()}


def owner() -> str:
    """Return which process this is: host, number, and when it began, for numbers are given again."""
    return f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time():.2f}"


def owner_lives(label: str) -> bool:
    """Tell whether the process of an owner label still runs. What runs elsewhere counts as alive."""
    host, _, rest = label.partition(" ")
    if host == UP or host != socket.gethostname():
        return True
    pid, _, created = rest.partition(" ")
    try:
        return Path(f"/proc/{pid}").exists() and abs(psutil.Process(int(pid)).create_time() - float(created)) < 0.02
    except (ValueError, psutil.Error):
        return False
