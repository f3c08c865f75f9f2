"""The stack that a run is attached to: one run at a time owns it, by a record on the engine.

That of a dead run is waited for, for a while: its guard heals the stack and gives it back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.guard.start import has_guard

if TYPE_CHECKING:
    from harness.guard.stack_owner import StackOwner

HEALED_WITHIN_S = 25.0
"""How long a run waits for the guard of a dead one to give the stack back."""
LOOK_EVERY_S = 0.2


class StackOwnership:
    """Whether a run owns the stack that it is attached to."""

    def __init__(self, project: str, run_id: str, run_dir: Path) -> None:
        self._project = project
        self._run_id = run_id
        self._run_dir = run_dir
        self.is_taken = False

    def take(self, is_cut_short: Callable[[], bool]) -> None:
        """Own the stack. Blocks. Raises ScenarioError where another run keeps it, BackendError."""
        from harness.backends.compose.engine import lent_client
        from harness.guard.stack_owner import take_stack

        with lent_client() as engine:
            wait_for_owner(
                lambda: take_stack(engine, self._project, self._run_id, self._run_dir),
                is_cut_short=is_cut_short,
            )
            self.is_taken = True


def wait_for_owner(
    look: Callable[[], StackOwner | None],
    *,
    is_cut_short: Callable[[], bool] = lambda: False,
    notice: Callable[[StackOwner], None] = lambda _: None,
) -> None:
    """Wait until no other run owns a stack: the guard of a dead one is given time to heal it. Blocks.

    `look` returns who owns it; `notice` is called once if there is anything to wait for. Raises ScenarioError where
    the owner may live, has no guard, or is not healed in time, and what `look` raises.
    """
    until_s, is_told = time.monotonic() + HEALED_WITHIN_S, False
    while (owner := look()) is not None:
        is_healing = owner.is_dead() and has_guard(Path(owner.run))
        if not is_healing or is_cut_short() or time.monotonic() > until_s:
            raise owner.refusal()
        if not is_told:
            notice(owner)
            is_told = True
        time.sleep(LOOK_EVERY_S)


def engine_identity() -> str:
    """Return what tells the engine from every other. Blocks. Raises BackendError."""
    from harness.backends.compose.engine import lent_client
    from harness.guard.stacks import identity_of

    with lent_client() as engine:
        return identity_of(engine)
