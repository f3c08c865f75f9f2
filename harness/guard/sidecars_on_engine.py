"""The sidecars that are on an engine: which there are, and how those of a stack that is gone are removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.backends.compose.engine import engine_errors

GUARDS = "ml-chaos-harness.guarded-project"
RUN_ID, RUN, HOST = "ml-chaos-harness.guarded-id", "ml-chaos-harness.guarded-run", "ml-chaos-harness.guarded-host"


@dataclass(frozen=True)
class SidecarOnEngine:
    """The sidecar of a run, as the engine lists it."""

    name: str
    project: str
    """The stack that it is beside."""
    run: str
    """The folder of the run that it guards, on its host."""
    host: str
    state: str
    """What the container does, in the engine's words. One that has ended holds what it has done, for `harness heal`."""

    @property
    def does(self) -> str:
        """What the guard does, for people."""
        if self.state == "running":
            return "watches"
        ended = "has ended, and `harness heal` of its run reads what it did"
        return ended if self.state == "exited" else f"does not watch: its container is {self.state}"


def sidecars_on(client: Any) -> list[SidecarOnEngine]:
    """Return the sidecars that an engine has, ended ones too. Blocks. Raises BackendError."""
    with engine_errors("the engine does not tell which guards it has"):
        found = client.api.containers(all=True, filters={"label": GUARDS})
    sidecars = []
    for one in found:
        project, run, host = (one["Labels"].get(label, "?") for label in (GUARDS, RUN, HOST))
        name = str(one["Names"][0]).strip("/")
        sidecars.append(SidecarOnEngine(name, project, run, host, str(one["State"])))
    return sorted(sidecars, key=lambda one: one.name)


def remove_sidecars(client: Any, project: str) -> None:
    """Remove the sidecars of a project that is gone. Blocks. Raises BackendError."""
    with engine_errors(f"the guards of {project!r} could not be removed"):
        for one in client.api.containers(all=True, filters={"label": f"{GUARDS}={project}"}):
            client.api.remove_container(one["Id"], force=True, v=True)
