"""Which backend runs a plan, and what the runs of a suite share of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from harness.model.backend import Backend
from harness.model.errors import ScenarioError
from harness.model.nearest import did_you_mean
from harness.model.stack import StackDescription

if TYPE_CHECKING:
    from harness.backends.local.zygote_handle import Zygote

BACKENDS = ("local", "compose")
ATTACH = "HARNESS_ATTACH"
"""Names the compose project of a running stack that every run of this process is to be attached to."""


class Shared:
    """What the runs of one stack have in common.

    For local processes, the zygote that they are all forked from; for containers, the images, which are had once.
    """

    def __init__(self, stack: StackDescription, backend: str) -> None:
        check_backend(backend)
        self._zygote: Zygote | None = None
        if backend == "local":
            from harness.backends.local.backend import start_zygote

            self._zygote = start_zygote(stack)
        elif stack.ownership == "owned" and not os.environ.get(ATTACH):
            from harness.backends.compose.images import have_images

            have_images(stack)

    @property
    def token(self) -> str:
        """What a worker process needs to use it."""
        return str(self._zygote.path) if self._zygote is not None else ""

    def close(self) -> None:
        """Give it up. Idempotent."""
        if self._zygote is not None:
            self._zygote.close()


def backend_for(stack: StackDescription, name: str, token: str | None = None) -> Backend:
    """Return a backend, on what is shared where there is a token of it. Raises ScenarioError."""
    check_backend(name)
    if name == "compose":
        project = os.environ.get(ATTACH)
        if project or stack.ownership == "attached":
            from harness.backends.compose.attached import AttachedBackend

            return AttachedBackend(stack, project)
        from harness.backends.compose.backend import ComposeBackend

        return ComposeBackend(stack)
    from harness.backends.local.backend import LocalBackend
    from harness.backends.local.zygote_handle import Zygote

    return LocalBackend(stack, Zygote.connect(Path(token)) if token is not None else None)


def check_backend(name: str) -> None:
    """Raise ScenarioError for a backend that there is not."""
    if name not in BACKENDS:
        raise ScenarioError(f"there is no backend {name!r}", remedy=did_you_mean(name, BACKENDS))
