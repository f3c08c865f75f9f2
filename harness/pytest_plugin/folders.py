"""The folder of a session's runs: emptied once by whichever process needs it first, and a folder of its own a run.

The processes of pytest-xdist share it. What is not a report is never touched, nor is a run that was cut off and has to
be healed from its journal first.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.journal.files import NAME as JOURNAL
from harness.journal.files import unhealed
from harness.model.errors import HarnessError
from harness.pytest_plugin.session_end import SESSION_FILE

_OWN_FILES = ("suite.json", "junit.xml", "summary.md", "index.html")


class RunFolders:
    """Gives out folders under `root`, which belongs to one session of pytest at a time."""

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
                _clear(self.root)
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


def _clear(root: Path) -> None:
    runs = [entry for entry in root.iterdir() if (entry / JOURNAL).is_file()]
    for run in runs:
        _refuse_unhealed(run)
    for run in runs:
        shutil.rmtree(run)
    for name in _OWN_FILES:
        (root / name).unlink(missing_ok=True)


def _refuse_unhealed(run: Path) -> None:
    if unhealed(run):
        raise HarnessError(
            "this run was cut off and may have left its fault in",
            file=str(run),
            remedy=f"run `harness heal {run}`, or choose another place with --harness-reports",
        )
