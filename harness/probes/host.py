"""Probes of what runs: services as their backend sees them, lines of their logs, files and commands of this machine."""

from __future__ import annotations

import asyncio
import glob
import itertools
import math
import os
import re
from pathlib import Path

from harness.model.backend import Backend, ServiceStatus
from harness.model.errors import FaultError
from harness.model.hostprobes import CommandProbe, ContainerProbe, FileProbe, LogProbe
from harness.model.logs import FollowsLogs, lines_since
from harness.probes.reader import NoAnswerError, NotAskedError, ProbeContext, asking_backend, failing, wall_age
from harness.seams.commands import addressed, run

MOST_FILES = 50_000


class ContainerReader:
    """Reads a `container` probe."""

    keeps_deadlines = True

    def __init__(self, settings: ContainerProbe, around: ProbeContext) -> None:
        self._settings = settings
        self._around = around

    async def read(self) -> float:
        """Return whether the service runs or is healthy, as 1 or 0, or how often it was restarted."""
        seen, service = await self._statuses(), self._settings.service
        if self._settings.read == "restarts":
            if not seen:
                raise NoAnswerError(f"there is no container of {service!r}")
            return float(sum(one.restarts for one in seen))
        if not seen or any(one.state != "running" for one in seen):
            return 0.0
        if self._settings.read == "up":
            return 1.0
        # A backend reports no health for a service without a health check.
        if any(one.health is None for one in seen):
            raise NoAnswerError(f"nothing checks the health of {service!r} while it runs")
        return 1.0 if all(one.health == "healthy" for one in seen) else 0.0

    async def _statuses(self) -> list[ServiceStatus]:
        """Return the states of the service's containers, or of the replica that is meant."""
        async with asking_backend(self._around.deadline_s):
            found = [one for one in await self._around.statuses() if one.service == self._settings.service]
        replica = self._settings.replica
        if replica is not None and [one.replica for one in found] == [None] and replica > 1:
            raise NotAskedError(f"{self._settings.service!r} has one container, and no replica {replica}")
        if replica is not None:
            return [one for one in found if (one.replica or 1) == replica]
        return found

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
        self._deadline_s = around.deadline_s
        self.keeps_deadlines = self._file is None

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
                raise failing(error, f"the log {self._settings.file!r} cannot be read: {error.strerror}") from None
        if not isinstance(self._backend, FollowsLogs):
            raise NoAnswerError("this backend's logs cannot be followed")
        async with asking_backend(self._deadline_s):
            return await self._backend.log_since(str(self._settings.service), self._position)

    async def close(self) -> None:
        """Nothing stays open between two readings."""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


class FileReader:
    """Reads a `file` probe. A path with `*`, `?` or `[` is a pattern; `**` goes down into folders."""

    def __init__(self, settings: FileProbe, around: ProbeContext) -> None:
        self._settings = settings
        self._path = str(around.folder / os.path.expanduser(settings.path))  # noqa: PTH111 - patterns are no paths

    async def read(self) -> float:
        """Return the age of the newest or oldest file, their number, or their size."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> float:
        found = self._found()
        if self._settings.read == "count":
            return float(len(found))
        if not found:
            raise NoAnswerError(f"there is no file {self._settings.path!r}")
        if self._settings.read == "bytes":
            return float(sum(one.st_size for one in found))
        pick = max if self._settings.of == "newest" else min
        return wall_age(pick(one.st_mtime for one in found))

    def _found(self) -> list[os.stat_result]:
        pattern = glob.has_magic(self._path)
        if pattern:
            self._look_into_folder()
        names = glob.iglob(self._path, recursive=True) if pattern else iter([self._path])  # noqa: PTH207
        found: list[os.stat_result] = []
        for name in names:
            try:
                seen = os.stat(name)  # noqa: PTH116
            except FileNotFoundError:
                continue  # it went while they were listed
            except OSError as error:
                raise self._hidden(error) from None
            if pattern and not os.path.isfile(name):  # noqa: PTH113
                continue
            found.append(seen)
            if len(found) > MOST_FILES:
                raise NoAnswerError(f"more than {MOST_FILES} files match {self._settings.path!r}")
        return found

    def _look_into_folder(self) -> None:
        """Raise NoAnswerError where the folder that a pattern begins in cannot be read; `glob` takes it for empty."""
        plain = itertools.takewhile(lambda part: not glob.has_magic(part), Path(self._path).parts)
        try:
            os.scandir(Path(*plain)).close()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise self._hidden(error) from None

    def _hidden(self, error: OSError) -> NoAnswerError:
        return failing(error, f"{self._settings.path!r} cannot be looked at: {error.strerror}")

    async def close(self) -> None:
        """Nothing is open."""


class CommandReader:
    """Reads a `command` probe."""

    def __init__(self, settings: CommandProbe, around: ProbeContext) -> None:
        self._settings = settings
        self._around = around
        self._argv = addressed(settings.argv, around.backend, around.stack.services)

    async def read(self) -> float:
        """Return the number in the last line of output, or whether the command ended well."""
        try:
            done = await run(self._argv, self._around.deadline_s, self._around.folder)
        except FaultError as error:
            if isinstance(error.__context__, BlockingIOError):  # no more processes for this user
                raise NotAskedError(error.message) from None
            raise failing(error, error.message) from None
        if self._settings.read == "success":
            return 1.0 if done.exit_code == 0 else 0.0
        if done.exit_code != 0:
            raise NoAnswerError(f"the command ended with {done.exit_code}: {done.complaint}")
        try:
            value = float(done.last_line)
        except ValueError:
            raise NoAnswerError(f"the last line of output is no number: {done.last_line[:60]!r}") from None
        if not math.isfinite(value):
            raise NoAnswerError(f"the command printed {value}")
        return value

    async def close(self) -> None:
        """A command that runs is killed with the reading that it belongs to."""
