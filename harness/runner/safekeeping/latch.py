"""A stop is a latch: a file that makes each run of a stack revert its faults and end, and keeps new ones from starting.

`STATE/stop/NAME` stops the runs of one stack or compose project, `STATE/stop/all` those of every stack. STATE is
`$HARNESS_STATE`, or the user's state directory. The file may be empty, as `touch` makes it; `harness stop` writes lines
into it: `by: …`, `since: …` and `why: …`. One that is there and cannot be read counts as set.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import getpass
import os
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.journal.undo_folder import read_regular
from harness.model.errors import ScenarioError, did_you_mean

STATE = "HARNESS_STATE"
PROGRAM = "ml-chaos-harness"
ALL = "all"
"""The name of the latch that stops the runs of every stack."""
LARGEST_BYTES = 4096
LONGEST_NAME = 200
"""Of a longer name the beginning counts: no file can have a name of more than 255 bytes."""
_FIELDS = ("by", "since", "why")
_ODD = re.compile(r"[^A-Za-z0-9_.-]")


def state_folder() -> Path:
    """Return the folder in which the harness keeps what its processes tell one another.

    Raises ScenarioError for one that is relative: each process would look for latches in a folder of its own.
    """
    given = os.environ.get(STATE)
    if given:
        if not Path(given).is_absolute():
            what = f"{STATE} is {given!r}, which depends on the current folder"
            raise ScenarioError(what, remedy=f"set it to an absolute path, such as {str(Path(given).absolute())!r}")
        return Path(given)
    import platformdirs  # few commands need it

    return platformdirs.user_state_path(PROGRAM)


def latch_file(name: str) -> Path:
    """Return the file that stops the runs of this stack or project."""
    safe = _ODD.sub("_", name)[:LONGEST_NAME]
    return state_folder() / "stop" / (safe if safe.strip(".") else "_")


@dataclass(frozen=True, slots=True)
class Latch:
    """A latch that is set: by whom, since when and why, as far as it says so."""

    name: str
    path: Path
    by: str
    since: str
    why: str | None = None

    @property
    def text(self) -> str:
        """The latch in words."""
        return f"by {self.by}, {self.since}" + (f": {self.why}" if self.why else "")

    @property
    def release(self) -> str:
        """The command that takes it away."""
        return f"harness stop --release {self.name}"


class Watched:
    """The latches that stop one run. To look for them costs one `stat` for each of its names."""

    def __init__(self, names: Iterable[str | None]) -> None:
        """`names` are the stack's, and the compose project's where there is one."""
        self._files = {name: latch_file(name) for name in (ALL, *names) if name is not None}

    def add(self, name: str | None) -> None:
        """Look for another name too: that of a project that is only known once it is up."""
        if name is not None:
            self._files[name] = latch_file(name)

    def look(self) -> Latch | None:
        """Return the first latch that is set."""
        return next((read_latch(name, path) for name, path in self._files.items() if _is_set(path)), None)


def _is_set(path: Path) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # nobody can tell that it is not there
        return True
    return True


def read_latch(name: str, path: Path) -> Latch:
    """Read a latch that is set. What it does not say, its owner and its time tell."""
    said: dict[str, str] = {}
    why = None
    try:
        lines = read_regular(path)[:LARGEST_BYTES].decode("utf-8", "replace").splitlines()
        pairs = (line.partition(":") for line in lines)
        said = {key.strip(): " ".join(value.split()) for key, _, value in pairs if key.strip() in _FIELDS}
    except OSError as error:
        why = f"the latch cannot be read ({error.strerror or error})"
    since = said.get("since")
    by = said.get("by")
    with contextlib.suppress(OSError, KeyError, ImportError):
        seen = os.lstat(path)
        since = since or _at(seen.st_mtime)
        if not by:
            import pwd

            by = pwd.getpwuid(seen.st_uid).pw_name
    return Latch(name, path, by or "somebody", since or "at an unknown time", said.get("why") or why)


def _at(time_s: float) -> str | None:
    try:
        return dt.datetime.fromtimestamp(time_s, dt.UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):  # a file can have a time that no calendar has
        return None


def set_latch(name: str, why: str | None = None) -> Latch:
    """Set a latch; one that is set stays as it is. Raises ScenarioError where it cannot be written."""
    path = latch_file(name)
    since = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    lines = [f"by: {_who()}", f"since: {since}", *([f"why: {' '.join(why.split())}"] if why else [])]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), path.open("x", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    except OSError as error:
        remedy = f"set {STATE} to a folder that can be written, for the runs as well"
        raise ScenarioError(f"the latch cannot be set: {error.strerror}", file=str(path), remedy=remedy) from error
    return read_latch(name, path)


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def latches() -> list[Latch]:
    """Return every latch that is set."""
    folder = state_folder() / "stop"
    try:
        found = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ScenarioError(f"the latches cannot be listed: {error.strerror}", file=str(folder)) from error
    return [read_latch(path.name, path) for path in found]


def release(name: str) -> Latch:
    """Take a latch away. Raises ScenarioError where there is none of that name."""
    path = latch_file(name)
    latch = read_latch(name, path) if _is_set(path) else None
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        latch = None
    except OSError as error:
        raise ScenarioError(f"the latch cannot be released: {error.strerror}", file=str(path)) from error
    if latch is None:
        valid = [other.name for other in latches()]
        remedy = did_you_mean(name, valid) if valid else "there is nothing to release: no other is set either"
        raise ScenarioError(f"no latch {name!r} is set", file=str(path), remedy=remedy)
    return latch


def refuse_if_stopped(stacks: Iterable[str | None]) -> None:
    """Raise ScenarioError where a latch keeps the runs of one of these stacks or projects from starting."""
    latch = Watched(stacks).look()
    if latch is not None:
        what = "every run is" if latch.name == ALL else f"runs of {latch.name!r} are"
        raise ScenarioError(
            f"{what} stopped ({latch.text})", file=str(latch.path), remedy=f"once that is over, run `{latch.release}`"
        )
