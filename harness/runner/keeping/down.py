"""What `harness up` and killed runs left running, which of it is meant by `harness down`, and how it is stopped.

Without a name only what the same user started in the same folder of the same host is meant: an engine is often shared.
A local stack is stopped by ending the process that keeps it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psutil

from harness.backends.compose.labels import (
    FOLDER,
    HOST,
    OWNER,
    STACK,
    USER,
    attached_run,
    attached_to,
    kept,
    owner_lives,
    started_by,
)
from harness.backends.compose.leftovers import labels_of_runs, remove_run, stand_ins
from harness.backends.local.scratch import scratch_folders
from harness.backends.local.zygote_handle import zygotes
from harness.model.errors import BackendError, ScenarioError, nearest
from harness.runner.keeping.up import NOTE, owner_of

if TYPE_CHECKING:
    from harness.guard.stack_owner import StackOwner

END_WITHIN_S = 10.0
Kind = Literal["kept", "abandoned", "active", "attached"]
KIND_WORDS: Mapping[Kind, str] = {
    "kept": "",
    "abandoned": ", left by a killed run",
    "active": ", of an active run",
    "attached": ", put into an attached stack by a run: `harness heal` takes it out and puts back what it stands for",
}
CHOSEN: tuple[Kind, ...] = ("kept", "abandoned")
"""What is meant without the name of a project."""


@dataclass(frozen=True)
class RunningStack:
    """One stack that runs: as containers of a project, or kept by a local process."""

    stack: str
    project: str | None
    process: psutil.Process | None
    kind: Kind
    folder: str
    user: str
    host: str

    @property
    def name(self) -> str:
        """The name that selects this stack and, where it has a project, no other."""
        return self.project or self.stack

    def __str__(self) -> str:
        what = f"containers of the stack {self.stack}" if self.project else f"local processes of {self._pid}"
        where = f"in {self.folder or 'an unknown folder'} by {self.user or 'an unknown user'} on {self.host}"
        return f"{self.name}: {what}, started {where}{KIND_WORDS[self.kind]}"

    @property
    def _pid(self) -> str:
        return f"the process {self.process.pid}" if self.process is not None else "a process"


def running(unanswered: list[BackendError] | None = None) -> list[RunningStack]:
    """Return every stack of this engine, and the local stacks of this user. Blocks.

    Where no engine answers, the reason is added to `unanswered`.
    """
    return [*_here(), *_in_containers(unanswered if unanswered is not None else [])]


def choose(found: Sequence[RunningStack], names: Sequence[str], *, everything: bool) -> list[RunningStack]:
    """Return what is meant. Raises ScenarioError for a name that nothing runs under."""
    me = started_by()
    if everything:
        return list(found)
    if not names:
        return [one for one in found if one.kind in CHOSEN and _of(one) == me]
    chosen: dict[int, RunningStack] = {}
    for name in names:
        # A project that is called so is that alone, even where somebody has called a stack like it.
        mine = [one for one in found if one.project == name]
        mine = mine or [one for one in found if _is_one_s_own(one, name, me["user"])]
        here = [one for one in mine if one.host == me["host"]]
        if not here:
            raise _nothing_runs(name, mine, found)
        chosen |= {id(one): one for one in here}
    return list(chosen.values())


def project_kept_here() -> str:
    """Return the compose project that `harness up` started in this folder and that runs. Blocks.

    Raises ScenarioError where there is none, or more than one; BackendError where no engine answers.
    """
    me, unanswered = started_by(), list[BackendError]()
    found = [one for one in running(unanswered) if one.kind == "kept" and one.project and _of(one) == me]
    if unanswered:
        raise unanswered[0]
    if len(found) == 1:
        return found[0].name
    what = "no stack of containers was" if not found else f"{len(found)} stacks of containers were"
    names = ", ".join(sorted(one.name for one in found))
    remedy = f"name one: {names}" if found else "`harness up STACK --backend compose` starts one; or name a project"
    raise ScenarioError(f"{what} started in this folder", field="--attach .", remedy=remedy)


def stop(chosen: Sequence[RunningStack], *, though_owned: bool = False) -> None:
    """Stop stacks, and remove their containers, networks and volumes. Raises BackendError for what stays.

    Raises ScenarioError, before anything is stopped, where a run that goes on owns one, or where somebody's containers
    would be lost with what stands for them, unless `though_owned`. Of a run that has died, what it left in a stack is
    gone with it.
    """
    local = [one.process for one in chosen if one.process is not None]
    whole = {one.project for one in chosen if one.project is not None and one.kind != "attached"}
    # What runs have put into a stack goes with it. Alone, it is taken out of a stack that stays.
    parts = {one.project for one in chosen if one.project is not None and one.kind == "attached"}
    parts -= set(map(attached_run, whole))
    if not whole and not parts:
        _end(local)
        return
    from harness.backends.compose.engine import lent_client
    from harness.guard.stack_owner import owner_of_stack

    with lent_client() as engine:
        owners = {project: owner_of_stack(engine, project) for project in sorted(whole)}
        if not though_owned:
            for owner in owners.values():
                _refuse_owned(owner)
            for part in sorted(parts):
                _refuse_part(engine, part)
        _end(local)
        for project, owner in owners.items():
            _remove(engine, project, owner)
        for part in sorted(parts):
            remove_run(engine, part)  # the record of the stack's owner stays: what it left is yet to be healed


def _refuse_owned(owner: StackOwner | None) -> None:
    if owner is not None and owner.may_live():
        what = f"the stack {owner.project!r} is owned by the run {owner}"
        raise ScenarioError(what, remedy=f"end the run first: `harness stop {owner.project}`")


def _refuse_part(engine: Any, part: str) -> None:
    """Refuse to take what a run has put into a stack that stays, unless the run is dead, or nothing is lost with it."""
    from harness.guard.stack_owner import owner_of_stack

    owner = owner_of_stack(engine, attached_to(part) or part)
    _refuse_owned(owner)
    if owner is None and (standing := stand_ins(engine, part)):
        what = f"{part}: the container {standing[0]} stands for one of the stack, and no run is known that put it there"
        raise ScenarioError(what, remedy="`harness heal` of its run's folder puts back what it stands for")


def _remove(engine: Any, project: str, owner: StackOwner | None) -> None:
    """Remove a whole stack, with all that runs have put into it."""
    from harness.guard.heal import removed_with_its_stack
    from harness.guard.sidecars_on_engine import remove_sidecars
    from harness.guard.stack_owner import forget_owner

    remove_run(engine, project)
    remove_run(engine, attached_run(project))
    forget_owner(engine, project)
    remove_sidecars(engine, project)
    if owner is not None and owner.is_dead():
        removed_with_its_stack(Path(owner.run), owner.id)


def _of(one: RunningStack) -> dict[str, str]:
    return {"folder": one.folder, "user": one.user, "host": one.host}


def _is_one_s_own(one: RunningStack, name: str, user: str) -> bool:
    """Return whether this is a stack of that name, of this user."""
    return one.stack == name and one.kind in CHOSEN and one.user == user


def _nothing_runs(name: str, elsewhere: Sequence[RunningStack], found: Sequence[RunningStack]) -> ScenarioError:
    if elsewhere:
        hosts = ", ".join(sorted({one.host for one in elsewhere}))
        what = f"{name!r} was started on another host: {hosts}"
        return ScenarioError(what, remedy="stop it there; `harness down --all` takes everything of this engine")
    names = sorted({one.name for one in found})
    close = nearest(name, names)
    hint = f"did you mean {close!r}? " if close is not None else ""
    remedy = f"{hint}What runs: {', '.join(names)}" if names else "nothing runs"
    return ScenarioError(f"no stack runs under the name {name!r}", remedy=remedy)


def _here() -> Iterator[RunningStack]:
    keepers = set()
    for folder in scratch_folders("up"):
        process = owner_of(folder / NOTE)
        if process is None:
            continue
        keepers.add(process.pid)
        with contextlib.suppress(OSError, ValueError):  # it is ending
            note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
            place = {key: str(note.get(key, "")) for key in ("folder", "user", "host")}
            yield RunningStack(str(note.get("stack", "")), None, process, "kept", **place)
    me = started_by()
    for zygote in zygotes():
        with contextlib.suppress(psutil.Error):
            if zygote.ppid() not in keepers:
                folder_, user = zygote.cwd(), zygote.username()
                yield RunningStack("a run", None, zygote, "active", folder=folder_, user=user, host=me["host"])


def _in_containers(unanswered: list[BackendError]) -> Iterator[RunningStack]:
    from harness.backends.compose.engine import lent_client

    try:
        with lent_client() as engine:
            labels = labels_of_runs(engine)
    except BackendError as error:
        unanswered.append(error)
        return
    for project, its in labels.items():
        kind: Kind = "active"
        if attached_to(project) is not None:
            kind = "attached"
        elif kept(its.get(OWNER, "")):
            kind = "kept"
        elif not owner_lives(its):
            kind = "abandoned"
        stack, folder, user, host = (its.get(label, "") for label in (STACK, FOLDER, USER, HOST))
        yield RunningStack(stack, project, None, kind, folder=folder, user=user, host=host)


def _end(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, END_WITHIN_S)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
