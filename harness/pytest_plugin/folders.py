"""The folder of a session's runs: cleared once, by the first process that needs it; each run gets a subfolder.

The processes of pytest-xdist share it.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.model.errors import HarnessError
from harness.pytest_plugin.session_end import SESSION_FILE
from harness.suite.folders import clear


class RunFolders:
    """Makes folders under `root`, which belongs to one session of pytest at a time."""

    def __init__(self, root: Path, session: str) -> None:
        """`session` is the same in all processes of a session, and never again."""
        self.root = root
        self._session = session
        self._ready = False

    def claim(self, run: str) -> Path:
        """Make and return the folder of a run; a run that comes a second time gets a number."""
        try:
            if not self._ready:
                self._take_over()
                self._ready = True
            attempt = 1
            while True:
                folder = self.root / (run if attempt == 1 else f"{run}.{attempt}")
                try:
                    folder.mkdir()
                except FileExistsError:
                    attempt += 1
                else:
                    return folder
        except OSError as error:
            raise HarnessError(
                f"the report cannot be written here: {error.strerror}",
                file=str(error.filename or self.root),
                remedy="choose another place with --harness-reports",
            ) from error

    def _take_over(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        with _locked(self.root / SESSION_FILE) as (before, note):
            if before != self._session:
                clear(self.root, "choose another place with --harness-reports")
                note(self._session)


@contextmanager
def _locked(path: Path) -> Iterator[tuple[str, Callable[[str], None]]]:
    with path.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)

        def note(text: str) -> None:
            file.truncate(0)
            file.write(text)
            file.flush()

        yield file.read(), note
