"""Who owns a stack that runs are attached to: one run at a time, recorded on the engine, where other hosts see it too.

The record is a container that never starts: the engine gives a name to one container only, so that of two runs one
comes first. It stays as long as its run may have left a fault in, and then tells who must be healed first.
"""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.backends.compose.engine import engine_errors
from harness.backends.compose.labels import PROJECT, SERVICE
from harness.journal.owner import state_of
from harness.journal.undo import UndoFiles
from harness.journal.undo_folder import folder_of, heal_command
from harness.liveness import ProcessId
from harness.model.errors import BackendError, ScenarioError, shortened_path
from harness.model.givenfile import is_folder, wrong_path

OWNED = "ml-chaos-harness.owned-project"
ID, RUN = "ml-chaos-harness.owner-id", "ml-chaos-harness.owner-run"
PROCESS = "ml-chaos-harness.owner-process"
TAKEN = 409
TRIES, AGAIN_S = 20, 0.1
"""How often a run tries for a stack that nobody owns any more, and whose record is only just being removed."""


@dataclass(frozen=True)
class StackOwner:
    """The run that owns a stack, or left a fault in it."""

    project: str
    id: str
    run: str
    """The run's folder, absolute, on its host."""
    process: ProcessId | None
    """That of the run; None where it cannot be read."""

    def __str__(self) -> str:
        return f"{shortened_path(self.run)}, {self.process or 'an unknown process'}"

    def is_here(self) -> bool:
        """Whether the folder of the run can be looked into here, and is not that of a later run by now."""
        return self._is_of_this_host() and is_of(Path(self.run), self.id)

    def is_dead(self) -> bool:
        """Whether the process of the run is known to be gone. That of a run whose folder is elsewhere never is."""
        return self.is_here() and self._has_ended()

    def may_live(self) -> bool:
        """Whether the run may still go on: it does, or nobody can tell from here."""
        if self.is_here():
            return not self._has_ended()
        return self.process is None or self.process.may_live()

    def refusal(self) -> ScenarioError:
        """Return the error for a run that wants the same stack."""
        what = f"the stack {self.project!r} is owned by the run {self}"
        is_here = self.is_here()
        if is_here and self._has_ended():
            message = f"{what}, which has ended and may have left a fault in"
            return ScenarioError(message, field="--attach", remedy=f"run `{heal_command(Path(self.run))}` first")
        if self._is_of_this_host() and not is_here:
            remedy = (
                f"its folder is gone: run `harness heal` on where it is now, or, once you know that nothing of it is "
                f"left in the stack, `docker rm {_name(self.project)}`"
            )
            return ScenarioError(what, field="--attach", remedy=remedy)
        where = f" on {self.process.host}" if self.process is not None and not is_here else ""
        folder = Path(self.run)
        command = f"`{heal_command(folder)}`" if wrong_path(folder) is None else "`harness heal` on its folder"
        remedy = f"wait until it has ended; if its process is gone, run {command}{where} first"
        return ScenarioError(what, field="--attach", remedy=remedy)

    def _is_of_this_host(self) -> bool:
        return self.process is not None and self.process.host == socket.gethostname()

    def _has_ended(self) -> bool:
        return state_of(folder_of(Path(self.run))) == "dead"


def is_of(folder: Path, run_id: str) -> bool:
    """Whether a folder is that of this run. One whose undo cannot be read may be."""
    files = UndoFiles(folder)
    if not is_folder(files.folder):
        return False
    run = files.run()
    return run is None or run.id == run_id


def owner_of_stack(client: Any, project: str) -> StackOwner | None:
    """Return the run that owns a project; None where none does. Blocks."""
    found = owned_stacks(client, project)
    return found[0] if found else None


def owned_stacks(client: Any, project: str | None = None) -> list[StackOwner]:
    """Return the owner of every stack that has one, or that of one project. Blocks. Raises BackendError."""
    label = OWNED if project is None else f"{OWNED}={project}"
    with engine_errors("the engine does not tell who owns which stack"):
        found = [one["Labels"] for one in client.api.containers(all=True, filters={"label": label})]
    owners = [
        StackOwner(one[OWNED], one.get(ID, "?"), one.get(RUN, "?"), ProcessId.from_text(one.get(PROCESS, "")))
        for one in found
    ]
    return sorted(owners, key=lambda one: one.project)


def take_stack(client: Any, project: str, run_id: str, run: Path) -> StackOwner | None:
    """Make a run of this process the owner of a project. Returns who owns it instead, where somebody does. Blocks.

    Raises BackendError where the project has no container, or the engine refuses.
    """
    process = ProcessId.here()
    mine = StackOwner(project, run_id, str(run.absolute()), process)
    for number in range(TRIES):
        if number:
            time.sleep(AGAIN_S)
        if _recorded(client, mine, process):
            return None
        other = owner_of_stack(client, project)
        if other is not None:
            return None if other == mine else other
    what = f"the stack {project!r} could not be owned: the container {_name(project)} is there, and names no owner"
    raise BackendError(what, remedy=f"remove it with `docker rm {_name(project)}` if no run goes on")


def _recorded(client: Any, mine: StackOwner, process: ProcessId) -> bool:
    """Record an owner; return False where there is a record already. Blocks. Raises BackendError."""
    import docker.errors

    project = mine.project
    with engine_errors(f"the stack {project!r} could not be owned"):
        there = client.api.containers(all=True, filters={"label": f"{PROJECT}={project}"})
        if not there:
            return True  # whoever looks for the stack next says so better
        # The labels of compose are on images that it has built, and would make this one of the stack's containers.
        labels = {PROJECT: "", SERVICE: "", OWNED: project, ID: mine.id, RUN: mine.run, PROCESS: process.to_text()}
        try:
            client.api.create_container(there[0]["ImageID"], command=["none"], name=_name(project), labels=labels)
        except docker.errors.APIError as error:
            if error.status_code != TAKEN:
                raise
            return False
    return True


def give_back_stack(client: Any, project: str, run_id: str) -> None:
    """Give a project back, where that run owns it. Blocks. Raises BackendError."""
    other = owner_of_stack(client, project)
    if other is not None and other.id == run_id:
        _remove_record(client, project, f"the stack {project!r} could not be given back")


def forget_owner(client: Any, project: str) -> None:
    """Remove the record of a project that is gone, whoever owned it. Blocks. Raises BackendError."""
    _remove_record(client, project, f"the record of who owned {project!r} could not be removed")


def _remove_record(client: Any, project: str, doing: str) -> None:
    import docker.errors

    with engine_errors(doing), contextlib.suppress(docker.errors.NotFound):
        client.api.remove_container(_name(project), force=True, v=True)


def _name(project: str) -> str:
    return f"ml-chaos-harness-owner-{project}"
