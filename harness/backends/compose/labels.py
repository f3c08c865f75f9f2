"""The labels on all that a run makes on an engine, and what they say: whose it is, and whether its owner lives."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping

from harness.liveness import ProcessId

RUN = "ml-chaos-harness.run"
OWNER = "ml-chaos-harness.owner"
"""Which process owns it: see `ProcessId.to_text`, and `UP`."""
STACK = "ml-chaos-harness.stack"
STANDS_FOR = "ml-chaos-harness.stands-for"
"""On a container that a fault has put in the place of another: which one."""
RUN_ID = "ml-chaos-harness.run-id"
"""The identity of a run, on all that it makes; not on stacks that `harness up` leaves running."""
LINKS = "ml-chaos-harness.links"
API_ADDRESS = "ml-chaos-harness.api"
"""Which of a fault proxy's addresses its API listens at, where that is one alone."""
BUILT_FOR = "ml-chaos-harness.built-for"
"""On an image that was built for a service without an image name: the stack."""
FOLDER = "ml-chaos-harness.folder"
USER = "ml-chaos-harness.user"
HOST = "ml-chaos-harness.host"
PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
NUMBER = "com.docker.compose.container-number"
ONE_OFF = "com.docker.compose.oneoff"
UP = "up"
"""Stands first in the owner of a stack that `harness up` leaves running."""
_ATTACHED = "-attached"


def run_labels(project: str, stack: str, *, kept: bool = False) -> dict[str, str]:
    """Return the labels of everything of one run; `kept` where it is to outlive this process."""
    started = started_by()
    return {
        RUN: project,
        STACK: stack,
        OWNER: f"{UP} {socket.gethostname()}" if kept else ProcessId.here().to_text(),
        FOLDER: started["folder"],
        USER: started["user"],
        HOST: started["host"],
    }


def started_by() -> dict[str, str]:
    """Return the folder, user and host of this process, under which what it starts is found again."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a number without an entry, as containers have it
        user = str(os.getuid())
    return {"folder": os.path.realpath("."), "user": user, "host": socket.gethostname()}


def attached_run(project: str) -> str:
    """Return the run label of what is made beside a stack that a run is attached to."""
    return f"{project}{_ATTACHED}"


def attached_to(run: str) -> str | None:
    """Return the project beside which a run label's things are made; None for the label of a run's own stack."""
    return run.removesuffix(_ATTACHED) if run.endswith(_ATTACHED) else None


def owner_lives(labels: Mapping[str, str]) -> bool:
    """Return whether the process that owns what has these labels still runs. What runs elsewhere counts as alive."""
    owner = labels.get(OWNER, "")
    process = ProcessId.from_text(owner)
    if kept(owner) or process is None:
        return kept(owner) or owner.partition(" ")[0] != socket.gethostname()
    return process.may_live()


def kept(owner: str) -> bool:
    """Return whether a run's owner means that it was left running on purpose."""
    return owner.startswith(f"{UP} ")
