"""`container.kill`: the main process of a container gets a signal.

`restart: engine` sends it from outside, by the number that the process has on the engine's machine, so that the
engine's restart policy applies. `restart: none` uses `docker kill`, after which the engine does not restart the
container; it stays down until revert. With `init: true`, or `tini` in the image, the signal goes to the service behind
the init. A shell that waits for the service (`sh -c "…; serve"`) gets the signal itself; write `exec serve`. A signal
that the process neither catches nor dies of is not confirmed: to the first process of a namespace, `TERM` without a
handler is nothing.
"""

from __future__ import annotations

import signal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from harness.faults.container_targets import CALL_LIMIT_S, ONE_OR_MORE, ContainerFault
from harness.faults.each_replica import EachReplica
from harness.model.containers import ContainerState
from harness.model.errors import FaultError, did_you_mean
from harness.model.fault import Confirmation, FaultKind
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen
from harness.model.wording import written
from harness.seams import Seams

NAMES = [s.name.removeprefix("SIG") for s in signal.Signals]


def _number(value: object) -> object:
    text = str(value).upper().removeprefix("SIG")
    if text.isdigit() and 0 < int(text) < signal.NSIG:
        return int(text)
    if text not in NAMES:
        raise ValueError(f"{written(value)} is no signal; {did_you_mean(text, NAMES)}")
    return int(signal.Signals[f"SIG{text}"])


Signal = Annotated[int, BeforeValidator(_number), WithJsonSchema({"type": ["string", "integer"]})]


class Parameters(Frozen):
    """How it dies."""

    signal: Signal = Field(int(signal.SIGKILL), description="a name or a number: `TERM`, `SIGTERM`, `15`")
    restart: Literal["engine", "none"] = Field(
        "engine", description="by the engine's restart policy, or not before revert"
    )


class ContainerKill(ContainerFault):
    """A signal to main processes."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        super().__init__(step, seams)
        self._parameters = Parameters.model_validate(step.parameters)
        self._before: dict[str, ContainerState] = {}

    async def prepare(self) -> dict[str, Any]:
        """Which of them to start again."""
        await self.all_running()
        return {"services": list(self.services)}

    async def inject(self) -> None:
        """Signal them all at once."""
        before = await self.each(self.containers.state)
        call = self.containers.crash if self._parameters.restart == "engine" else self.containers.kill
        await self.each(lambda name: call(name, self._parameters.signal))
        self._before = before

    async def confirm(self) -> Confirmation:
        """Ask the engine whether they ended since, and the kernel about those that live."""
        if not self._before:
            return Confirmation(False, {"why": "not injected"})
        now = await self.each(self.containers.state)
        evidence: dict[str, Any] = {
            name: {"status": s.status, "exit_code": s.exit_code, "restarts": s.restarts, "started": s.started_at}
            for name, s in now.items()
        }
        hit = []
        for name, state in now.items():
            ended = state.started_at != self._before[name].started_at or not state.pid
            if ended and self._parameters.restart == "none":
                hit.append(not state.pid)
            elif ended:
                hit.append(True)
            else:
                hit.append(await self._survives(name, evidence[name]))
        return Confirmation(all(hit), {"signal": signal.Signals(self._parameters.signal).name, **evidence})

    async def _survives(self, name: str, evidence: dict[str, Any]) -> bool:
        """Ask the kernel what a process that lives has made of the signal."""
        try:
            reply = await self.containers.ask(name, "process", names=[])
        except FaultError as error:  # it ended between two questions: the next look will see it
            evidence["why"] = error.message
            return False
        caught = self._parameters.signal in reply["catches"]
        evidence |= {"process": reply["state"], "catches_it": caught}
        if self._parameters.signal == signal.SIGSTOP:
            return reply["state"] in ("T", "t")
        return caught

    async def revert(self, undo: dict[str, Any]) -> None:
        """Start what does not run, and let go on what was stopped."""
        self._before = {}
        services = undo.get("services", self.services)
        if self._parameters.signal == signal.SIGSTOP:
            for name, status in (await self.statuses(services)).items():
                if status == "running":
                    await self.containers.crash(name, signal.SIGCONT)
        await self.each(self.containers.start, services)

    async def absent(self) -> Confirmation:
        """Every container runs, and none is stopped."""
        states = await self.statuses()
        down = [name for name, status in states.items() if status != "running"]
        if not down and self._parameters.signal == signal.SIGSTOP:
            reply = await self.each(lambda name: self.containers.ask(name, "process", names=[]))
            down = [name for name, found in reply.items() if found["state"] in ("T", "t")]
        return Confirmation(bool(down), {"containers": states})


def _make(step: FaultStep, seams: Seams, seed: int) -> EachReplica:
    return EachReplica(step, seams, seed, ContainerKill)


KIND = FaultKind(
    kind="container.kill",
    summary="the main process of a container gets a signal, as in a crash",
    targets=ONE_OR_MORE,
    parameters=Parameters,
    confirmed_by=(
        "the engine reports that the container ended or was restarted since; for a signal that is survived, the "
        "kernel reports that the process is stopped, or catches that signal"
    ),
    restored="containers that are down are started, and stopped processes continue",
    certifies="a crash, with the engine's restart (`engine`) or without one (`none`)",
    not_certified="orderly shutdown (`container.stop`), and the loss of a machine (`node.loss`)",
    make=_make,
    changes="nothing",
    call_limit_s=CALL_LIMIT_S,
    in_containers=True,
    each_replica=True,
    restarts=True,
)
