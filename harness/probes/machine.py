"""Probes of what is on the harness's own machine: files, and commands."""

from __future__ import annotations

import asyncio
import glob
import math
import os
import time

from harness.model.errors import FaultError
from harness.model.hostprobes import CommandProbe, FileProbe
from harness.probes.reader import NoAnswerError, ProbeContext
from harness.seams.commands import addressed, run

MOST_FILES = 50_000


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
        return time.time() - pick(one.st_mtime for one in found)

    def _found(self) -> list[os.stat_result]:
        pattern = glob.has_magic(self._path)
        names = glob.iglob(self._path, recursive=True) if pattern else iter([self._path])  # noqa: PTH207
        found: list[os.stat_result] = []
        for name in names:
            try:
                seen = os.stat(name)  # noqa: PTH116
            except FileNotFoundError:
                continue  # it went while they were listed
            except OSError as error:
                raise NoAnswerError(f"{self._settings.path!r} cannot be looked at: {error.strerror}") from None
            if pattern and not os.path.isfile(name):  # noqa: PTH113
                continue
            found.append(seen)
            if len(found) > MOST_FILES:
                raise NoAnswerError(f"more than {MOST_FILES} files match {self._settings.path!r}")
        return found

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
            raise NoAnswerError(error.message) from None
        if self._settings.read == "success":
            return 1.0 if done.exit_code == 0 else 0.0
        if done.exit_code != 0:
            raise NoAnswerError(f"the command ended with {done.exit_code}: {done.complaint}")
        try:
            value = float(done.last_line)
        except ValueError:
            raise NoAnswerError(f"the last line of output is no number: {done.last_line[:60]!r}") from None
        if not math.isfinite(value):
            raise NoAnswerError(f"the command says {value}")
        return value

    async def close(self) -> None:
        """A command that runs is killed with the reading that it belongs to."""
