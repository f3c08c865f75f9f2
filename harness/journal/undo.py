"""The undo of a run as files: written before each fault goes in, and closed only by an absence that was measured."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.journal import undo_folder
from harness.journal.owner import RENEW_S, lease_age_s
from harness.model.errors import JournalError
from harness.model.faultstep import FaultStep
from harness.model.undo import Absence, FaultUndo, NothingLeft, RunUndo, Who

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class Unreadable:
    """The undo of a fault that is not as it was written."""

    file: Path

    def __str__(self) -> str:
        fault = undo_folder.fault_of(self.file.name)
        return f"{self.file}: not as it was written, so nobody knows how to take the fault {fault!r} out"


class UndoFiles:
    """The undo of one run."""

    def __init__(self, run: Path) -> None:
        """`run` is the run's folder. Nothing is made until something is written."""
        self.folder = undo_folder.folder_of(run)
        self._last = 0

    @property
    def kept(self) -> Path:
        """Where faults keep what they change."""
        return self.folder / undo_folder.KEPT

    def write_run(self, undo: RunUndo) -> None:
        """Write, or write anew, what all faults of the run share. Raises JournalError."""
        self._put(undo_folder.RUN, undo)

    def write_fault(self, step: FaultStep, data: Mapping[str, Any], in_for_s: float) -> str:
        """Write the undo of a fault that goes in next; return its name. Raises JournalError.

        `in_for_s`: how long it is in at the most.
        """
        taken = map(undo_folder.number_of, undo_folder.fault_files(self.folder))
        n = self._last = max([*taken, self._last]) + 1
        name = undo_folder.fault_file(n, step.id)
        self._put(
            name,
            FaultUndo(n=n, written_ns=time.time_ns(), until_s=time.monotonic() + in_for_s, step=step, data=dict(data)),
        )
        return name

    def set_in_flight(self, name: str, *, in_flight: bool) -> None:
        """Say whether a call that puts the fault in, or takes it out, may be in flight. Raises JournalError."""
        file = self.folder / undo_folder.in_flight_file(name)
        try:
            if in_flight:
                file.touch()
            else:
                file.unlink(missing_ok=True)
        except OSError as error:
            raise JournalError(f"the undo cannot be written: {error.strerror}", file=str(file)) from error

    def in_flight_for_s(self, name: str, call_limit_s: float, *, unmarked: bool = False) -> float:
        """Return for how long a call of the dead owner may still be in flight; 0 where none is.

        `call_limit_s`: how long it takes at the most. `unmarked`: this is a copy, which does not say whether one was.
        """
        if not unmarked and not (self.folder / undo_folder.in_flight_file(name)).exists():
            return 0.0
        # It was alive when it renewed its lease last, and dead not long after.
        since_s = (lease_age_s(self.folder) or 0.0) - RENEW_S
        return min(call_limit_s, max(0.0, call_limit_s - since_s))

    def write_gone(self, name: str, fault: str, by: Who, evidence: Mapping[str, Any]) -> None:
        """Write that a fault was measured to be gone; `name` is that of its undo. Raises JournalError."""
        self._put(undo_folder.gone_file(name), Absence(fault=fault, by=by, at=_now(), evidence=dict(evidence)))

    def write_ended(self, by: Who) -> None:
        """Write that nothing of the run is left. Raises JournalError, also while a fault is open."""
        if names := self.open():  # whoever reads it would look at no undo any more
            faults = ", ".join(repr(undo_folder.fault_of(name)) for name in reversed(names))
            remedy = f"run `{undo_folder.heal_command(self.folder.parent)}`"
            raise JournalError(f"still open, so the run has not ended: {faults}", file=str(self.folder), remedy=remedy)
        self._put(undo_folder.ENDED, NothingLeft(by=by, at=_now()))

    def run(self) -> RunUndo | None:
        """Return what all faults share; None where that is not there, or not as it was written."""
        return _read(self.folder / undo_folder.RUN, RunUndo)

    def fault(self, name: str) -> FaultUndo | Unreadable:
        """Return the undo of a fault. What is that of another one, in its place, is not as it was written."""
        found = _read(self.folder / name, FaultUndo)
        if found is None or found.n != undo_folder.number_of(name) or not undo_folder.is_undo_of(name, found.fault):
            return Unreadable(self.folder / name)
        return found

    def moved(self, undo: FaultUndo) -> FaultUndo:
        """Return the undo of a fault that keeps its originals here, though the folder was moved since."""
        kept = self.kept / undo.fault
        if "kept" not in undo.data or not kept.is_dir():
            return undo
        return undo.model_copy(update={"data": {**undo.data, "kept": str(kept)}})

    def gone(self, name: str) -> Absence | None:
        """Return the absence of a fault that was measured; `name` is that of its undo."""
        is_gone = undo_folder.is_gone(self.folder, name)
        return _read(self.folder / undo_folder.gone_file(name), Absence) if is_gone else None

    def all(self) -> list[str]:
        """Return the names of the undo of all faults, the newest first."""
        return undo_folder.fault_files(self.folder)

    def open(self) -> list[str]:
        """Return the names of those that were not measured to be gone, the newest first."""
        return undo_folder.open_files(self.folder)

    def _put(self, name: str, record: BaseModel) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            undo_folder.put(self.folder / name, record.model_dump(mode="json", by_alias=True))
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            remedy = "choose a place that can be written and has room with --reports"
            message = f"the undo of a fault cannot be written: {why}"
            raise JournalError(message, file=str(self.folder / name), remedy=remedy) from error
        if _read(self.folder / name, type(record)) is None:  # before a fault goes in that nobody could take out
            raise JournalError("the undo of a fault cannot be read back", file=str(self.folder / name))


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def _read(file: Path, kind: type[T]) -> T | None:
    body = undo_folder.content(file)
    if body is None:
        return None
    try:
        return kind.model_validate(body)
    except ValidationError:
        return None
