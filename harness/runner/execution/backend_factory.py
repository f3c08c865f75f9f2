"""Which backend runs a plan, and what the runs of a suite share of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.model.backend import Backend, project_of
from harness.model.errors import ScenarioError, did_you_mean
from harness.model.stack import StackDescription

if TYPE_CHECKING:
    from harness.backends.local.zygote_handle import ZygoteHandle

BACKENDS = ("local", "compose")
ATTACH = "HARNESS_ATTACH"
HERE = "."


class Shared:
    """What the runs of one stack share: the zygote that local processes are forked from, or the pulled images."""

    def __init__(self, stack: StackDescription, backend: str, attach: str | None = None, *, links: bool = True) -> None:
        """`links`: some run has links through the fault proxy, which needs an image too."""
        check_backend(backend)
        self._zygote: ZygoteHandle | None = None
        if backend == "local":
            from harness.backends.local.backend import start_zygote

            self._zygote = start_zygote(stack)
        elif stack.ownership == "owned" and attach is None:
            from harness.backends.compose.images import have_images

            have_images(stack, links=links)

    @property
    def token(self) -> str:
        """What a worker process needs to use the zygote."""
        return str(self._zygote.path) if self._zygote is not None else ""

    def close(self) -> None:
        """End it. Idempotent."""
        if self._zygote is not None:
            self._zygote.close()


def backend_for(stack: StackDescription, name: str, token: str | None = None, attach: str | None = None) -> Backend:
    """Return a backend for one run. Raises ScenarioError.

    `token` is that of a `Shared`; `attach` is the compose project to attach to instead of starting a stack.
    """
    check_backend(name)
    if name == "compose":
        if attach is not None or stack.ownership == "attached":
            from harness.backends.compose.attached import AttachedBackend

            return AttachedBackend(stack, attach)
        from harness.backends.compose.backend import ComposeBackend

        return ComposeBackend(stack)
    from harness.backends.local.backend import LocalBackend
    from harness.backends.local.zygote_handle import ZygoteHandle

    return LocalBackend(stack, ZygoteHandle.connect(Path(token)) if token is not None else None)


def project_to_attach_to(given: str | None, backend: str | None) -> str | None:
    """Return the compose project that runs are attached to: the given one; in containers, else $HARNESS_ATTACH.

    `.` is the one that `harness up` started in this folder. Raises HarnessError where that is not one.
    """
    project = given or (os.environ.get(ATTACH) or None if backend == "compose" else None)
    if project != HERE:
        return project
    from harness.runner.keeping.down import project_kept_here

    return project_kept_here()


def check_attached(
    stacks: Iterable[StackDescription], backend: str, attach: str | None, notice: Callable[[str], None] = lambda _: None
) -> None:
    """Raise BackendError where a stack that runs are to be attached to does not run.

    Raises ScenarioError where another run owns it, one that goes on or one that is dead: nothing was started then, and
    both are refused alike. A dead one is left to its guard first, for a while, of which `notice` is told. Blocks.
    """
    if backend != "compose":
        return
    attached = [stack for stack in stacks if attach is not None or stack.ownership == "attached"]
    if attached:
        from harness.backends.compose.attached import check_project
        from harness.backends.compose.engine import is_near
        from harness.guard.sidecar import wanted

        if wanted(is_near()):
            _have_sidecar_image()
        for project in sorted({project_of(stack, attach) for stack in attached}):
            check_project(project)
            _check_owner(project, notice)


def _have_sidecar_image() -> None:
    """See to it that no run waits for the image of its guard, or ends for want of it."""
    from harness.backends.compose.engine import lent_client
    from harness.guard.sidecar_image import sidecar_image

    with lent_client() as engine:
        sidecar_image(engine)


def _check_owner(project: str, notice: Callable[[str], None]) -> None:
    from harness.backends.compose.engine import lent_client
    from harness.guard import stack_owner
    from harness.runner.safekeeping.stack_ownership import wait_for_owner

    def tell(owner: stack_owner.StackOwner) -> None:
        notice(f"the run {owner.run} has ended; waiting for its guard to give the stack {project!r} back")

    with lent_client() as engine:
        wait_for_owner(lambda: stack_owner.owner_of_stack(engine, project), notice=tell)


def check_backend(name: str) -> None:
    """Raise ScenarioError for an unknown backend."""
    if name not in BACKENDS:
        raise ScenarioError(f"unknown backend {name!r}", remedy=did_you_mean(name, BACKENDS))
