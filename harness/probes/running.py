"""Probes of what runs: services as their backend sees them, and the lines of their logs."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from harness.model.backend import Backend, ServiceStatus
from harness.model.errors import HarnessError
from harness.model.hostprobes import ContainerProbe, LogProbe
from harness.model.logs import FollowsLogs, lines_since
from harness.probes.reader import NoAnswerError, ProbeContext


class ContainerReader:
    """Reads a `container` probe."""

    def __init__(self, settings: ContainerProbe, around: ProbeContext) -> None:
        self._settings = settings
        self._around = around

    async def read(self) -> float:
        """Return whether the service runs or is healthy, as 1 or 0, or how often it was restarted."""
        seen = await self._status()
        if self._settings.read == "restarts":
            if seen is None:
                raise NoAnswerError(f"there is no container of {self._settings.service!r}")
            return float(seen.restarts)
        if seen is None or seen.state != "running":
            return 0.0
        if self._settings.read == "up":
            return 1.0
        # A backend reports no health for a service without a health check.
        if seen.health is None:
            raise NoAnswerError(f"nothing checks the health of {self._settings.service!r} while it runs")
        return 1.0 if seen.health == "healthy" else 0.0

    async def _status(self) -> ServiceStatus | None:
        try:
            found = await self._around.statuses()
        except HarnessError as error:
            raise NoAnswerError(error.message) from None
        return next((one for one in found if one.service == self._settings.service), None)

    async def close(self) -> None:
        """Nothing of its own is open."""


class LogReader:
    """Reads a `log` probe: counts on from where it left off, so that each line counts once.

    A file counts from where it ends when the run begins; a service's log from the start of the run.
    """

    def __init__(self, settings: LogProbe, around: ProbeContext) -> None:
        self._settings = settings
        self._pattern = re.compile(settings.pattern)
        self._backend: Backend = around.backend
        self._file = None if settings.file is None else around.folder / Path(settings.file).expanduser()
        self._position = "" if self._file is None else str(_size(self._file))
        self._count = 0

    async def read(self) -> float:
        """Return how many lines have matched so far."""
        lines, position = await self._lines()
        self._count += sum(self._pattern.search(line) is not None for line in lines)
        self._position = position
        return float(self._count)

    async def _lines(self) -> tuple[list[str], str]:
        if self._file is not None:
            try:
                return await asyncio.to_thread(lines_since, self._file, self._position)
            except OSError as error:
                raise NoAnswerError(f"the log {self._settings.file!r} cannot be read: {error.strerror}") from None
        if not isinstance(self._backend, FollowsLogs):
            raise NoAnswerError("this backend's logs cannot be followed")
        try:
            return await self._backend.log_since(str(self._settings.service), self._position)
        except HarnessError as error:
            raise NoAnswerError(error.message) from None

    async def close(self) -> None:
        """Nothing stays open between two readings."""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
