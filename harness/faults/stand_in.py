"""What faults share that restart a container with one thing changed: a stand-in, while the original is kept.

The original is stopped and renamed, not removed, and comes back as it was, with its own layer. Each fault says what is
changed, and what of it the kernel or the engine must tell of the container that now runs.
"""

from __future__ import annotations

from typing import Any

from harness.faults.container_targets import ContainerFault
from harness.model.containers import ContainerState, Replacement
from harness.model.fault import Confirmation
from harness.model.faultstep import FaultStep
from harness.seams import Seams


class StandIn(ContainerFault):
    """One container, replaced by another that differs in one thing."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        super().__init__(step, seams)
        self.service = self.services[0]
        self._undo: dict[str, Any] | None = None
        self._change: Replacement | None = None

    async def change(self) -> Replacement:
        """Look at the container and return how the stand-in differs. Raises FaultError."""
        raise NotImplementedError

    async def effect(self, state: ContainerState, undo: dict[str, Any]) -> Confirmation:
        """Measure the change in the container that runs now."""
        raise NotImplementedError

    async def prepare(self) -> dict[str, Any]:
        """How to put the original back."""
        await self.all_running()
        self._change = await self.change()
        self._undo = await self.containers.plan_replacement(self.service, self._change)
        return self._undo

    async def inject(self) -> None:
        """Let the stand-in take its place."""
        assert self._change is not None
        assert self._undo is not None
        await self.containers.replace(self.service, self._change, self._undo)

    async def confirm(self) -> Confirmation:
        """Ask whether it runs, and with what was changed."""
        if self._undo is None or not await self.containers.replaced(self._undo):
            return Confirmation(False, {"why": "nothing stands in for it"})
        state = await self.containers.state(self.service)
        if not state.pid:
            # It may not be able to live with the change; whether it does is not ours to judge.
            return Confirmation(
                None, {"status": state.status, "exit_code": state.exit_code, "restarts": state.restarts}
            )
        return await self.effect(state, self._undo)

    async def revert(self, undo: dict[str, Any]) -> None:
        """Put the original back."""
        self._undo = undo
        await self.containers.put_back(undo)

    async def absent(self) -> Confirmation:
        """The original is in its place and runs."""
        if self._undo is not None and await self.containers.replaced(self._undo):
            return Confirmation(True, {"why": "another stands in for it"})
        states = await self.statuses()
        return Confirmation(states[self.service] != "running", {"containers": states})
