"""The writing end of a journal: numbers the lines, stamps them on the run's clock, and puts each on disk at once.

Undo records are forced to the disk before the call returns: what was about to go in is known even if the machine goes
down. Healing goes by the files of `undo`. Everything else is handed to the operating system, which outlives this
process.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable
from pathlib import Path

from harness import __version__
from harness.journal.clock import Clock
from harness.journal.records import SCHEMA, Header
from harness.model.errors import JournalError
from harness.model.plan import Plan
from harness.model.readings import Body, Undo

Listener = Callable[[int, float, Body], None]


class JournalWriter:
    """Appends to `journal.jsonl`. One a run; not for use by several threads."""

    def __init__(self, path: Path, plan: Plan, listener: Listener | None = None) -> None:
        """Open the file and write its head. Raises JournalError where the file cannot be made."""
        self.path = path
        self._listener = listener
        self._n = 0
        self.clock = Clock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("x", encoding="utf-8")
        except OSError as error:
            raise _unwritable(path, error) from error
        started = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        header = Header(schema=SCHEMA, harness=__version__, started=started, plan=plan)
        self._line(header.model_dump(mode="json", by_alias=True), 0.0)

    def now_s(self) -> float:
        """Seconds since the journal was opened."""
        return self.clock.now_s()

    def write(self, body: Body) -> int:
        """Append one record and return its line number. Raises JournalError where the disk does not take it."""
        at_s = self.now_s()
        n = self._line(body.model_dump(mode="json", exclude_defaults=True) | {"kind": body.kind}, at_s)
        if isinstance(body, Undo):
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                raise _unwritable(self.path, error) from error
        if self._listener is not None:
            self._listener(n, at_s, body)
        return n

    def close(self) -> None:
        """Close the file; writing after that is an error of the caller."""
        self._file.close()

    def _line(self, data: dict[str, object], at_s: float) -> int:
        n = self._n
        text = json.dumps({"n": n, "t": round(at_s, 6), **data}, separators=(",", ":"), allow_nan=False)
        try:
            self._file.write(text + "\n")
            self._file.flush()
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self._n += 1
        return n


def _unwritable(path: Path, error: OSError) -> JournalError:
    return JournalError(
        f"the journal cannot be written: {error.strerror or error}",
        file=str(path),
        remedy="choose a place that can be written and has room with --reports",
    )
