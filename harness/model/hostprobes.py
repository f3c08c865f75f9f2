"""Settings of the probes of what runs: containers, their logs, and files and commands on the harness's machine."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from harness.model.fields import Command, Frozen, Name
from harness.model.httpprobes import Replica
from harness.model.units import Unit


def _compiles(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from None
    return value


class ContainerProbe(Frozen):
    """A service as its backend sees it: whether it runs, whether it is healthy, how often it was restarted.

    One that has several replicas is up where all are, and healthy where all are; restarts are counted over all.
    """

    EVERY_S: ClassVar[float] = 0.5
    DEADLINE_S: ClassVar[float] = 3.0

    service: Name
    read: Literal["up", "healthy", "restarts"] = "up"
    replica: Replica | None = None

    @property
    def usual_unit(self) -> Unit:
        """What the reading is, unless the stack says otherwise."""
        return Unit.COUNT if self.read == "restarts" else Unit.NUMBER


class LogProbe(Frozen):
    """How many lines since the run began match a pattern, in a service's log or in a file."""

    EVERY_S: ClassVar[float] = 0.5
    DEADLINE_S: ClassVar[float] = 3.0

    service: Name | None = None
    file: Annotated[str, Field(min_length=1)] | None = None
    pattern: Annotated[str, Field(min_length=1), AfterValidator(_compiles)]

    @model_validator(mode="after")
    def _one_log(self) -> LogProbe:
        if (self.service is None) == (self.file is None):
            raise ValueError("exactly one of `service` and `file` is needed")
        return self

    @property
    def usual_unit(self) -> Unit:
        """What the reading is, unless the stack says otherwise."""
        return Unit.COUNT


class FileProbe(Frozen):
    """Files on the harness's machine, by a path or a pattern: age of the newest or oldest, their number, their size."""

    EVERY_S: ClassVar[float] = 0.5

    path: Annotated[str, Field(min_length=1)]
    read: Literal["age", "count", "bytes"] = "age"
    of: Literal["newest", "oldest"] = "newest"

    @property
    def usual_unit(self) -> Unit:
        """What the reading is, unless the stack says otherwise."""
        return {"age": Unit.WALL, "count": Unit.COUNT}.get(self.read, Unit.NUMBER)


class CommandProbe(Frozen):
    """A command on the harness's machine: the number in its last line of output, or 1 where it ends well, else 0."""

    EVERY_S: ClassVar[float] = 1.0
    DEADLINE_S: ClassVar[float] = 5.0

    argv: Command
    read: Literal["number", "success"] = "number"

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, raw: Any) -> Any:
        return {"argv": raw} if isinstance(raw, list | tuple) else raw
