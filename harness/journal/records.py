"""A journal read back: typed lines, in order, with the version of their schema checked.

Pure: text in, records out. A last line that was cut off (the run was killed) is dropped and the journal counts as not
closed; a broken line anywhere else is an error, and so are lines that no run can have written one after the other.
"""

from __future__ import annotations

import datetime as dt
import gc
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from harness.journal.damage import first_damage
from harness.model.errors import JournalError
from harness.model.fields import Frozen
from harness.model.plan import Plan
from harness.model.readings import (
    AlertsSeen,
    Answer,
    Body,
    Closed,
    Evidence,
    FaultSeen,
    Gap,
    GateSeen,
    Line,
    Phase,
    Planned,
    Reading,
)
from harness.model.wording import in_short

SCHEMA = 1
READABLE = (1,)


class Header(Frozen):
    """The first line: which run this is, and its whole plan."""

    kind: Literal["header"] = "header"
    schema_version: int = Field(alias="schema")
    harness: str
    started: str = Field(
        description="wall-clock start, ISO 8601 with zone; for people, and for the date of a known weakness"
    )
    plan: Plan

    @field_validator("started")
    @classmethod
    def _iso_moment(cls, value: str) -> str:
        dt.datetime.fromisoformat(value)
        return value


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number that a journal may contain")


_JSON = json.JSONDecoder(parse_constant=_no_number)
_BODY: TypeAdapter[Body] = TypeAdapter(Body, config=ConfigDict(defer_build=True))  # a run only writes
_START = re.compile(r'\{"n":(\d+),"t":(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?),(?=")')
T = TypeVar("T")


@dataclass(frozen=True)
class Journal:
    """A whole journal. Bodies are found by type, each with its line number."""

    header: Header
    lines: tuple[Line, ...]
    cut_off: bool = False
    _by_type: dict[type[Any], list[tuple[int, Any]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for line in self.lines:
            self._by_type.setdefault(type(line.body), []).append((line.n, line.body))

    @property
    def plan(self) -> Plan:
        """The plan of the run: the latest one, as some plans are completed while the run goes on."""
        grown = self.of(Planned)
        return grown[-1][1].plan if grown else self.header.plan

    def of(self, kind: type[T]) -> list[tuple[int, T]]:
        """Return (line number, body) of one type, in the order written."""
        return self._by_type.get(kind, [])

    @property
    def closed(self) -> Closed | None:
        """The closing record, None where the run never came to its end."""
        found = self.of(Closed)
        return found[-1][1] if found else None

    @property
    def gate(self) -> tuple[int, GateSeen] | None:
        """Whether the steady state was met."""
        found = self.of(GateSeen)
        return found[-1] if found else None

    def phase_s(self, phase: str) -> float | None:
        """When a phase began (the last time it did), on the run's clock."""
        return self._phases_s.get(phase)

    @cached_property
    def _phases_s(self) -> dict[str, float]:
        return {line.body.phase: line.t_s for line in self.lines if isinstance(line.body, Phase)}

    def fault_stage(self, fault: str, stage: str) -> tuple[int, FaultSeen] | None:
        """Return the first record of a stage of a fault."""
        for n, seen in self.of(FaultSeen):
            if seen.fault == fault and seen.stage == stage:
                return n, seen
        return None

    @cached_property
    def answers(self) -> list[tuple[int, Answer]]:
        """Answers in the order in which they were due."""
        return sorted(self.of(Answer), key=lambda pair: pair[1].due_s)

    def readings(self, probe: str) -> list[tuple[int, Reading]]:
        """Readings of one probe, in the order in which they were requested."""
        return self._readings.get(probe, [])

    @cached_property
    def _readings(self) -> dict[str, list[tuple[int, Reading]]]:
        found: dict[str, list[tuple[int, Reading]]] = {}
        for n, reading in sorted(self.of(Reading), key=lambda pair: pair[1].asked_s):
            found.setdefault(reading.probe, []).append((n, reading))
        return found

    def gaps(self, probe: str) -> list[Gap]:
        """Stretches in which a probe, `workload` or an alert source was not attempted."""
        return [g for _, g in self.of(Gap) if g.probe == probe]

    @property
    def all_gaps(self) -> list[Gap]:
        """Every interval in which a measurement was not attempted."""
        return [g for _, g in self.of(Gap)]

    @cached_property
    def alerts(self) -> list[tuple[int, AlertsSeen]]:
        """Polls of the alert sources, in the order in which they were requested."""
        return sorted(self.of(AlertsSeen), key=lambda pair: pair[1].asked_s)

    def evidence(self, check: str) -> tuple[int, Evidence] | None:
        """The ledger's evidence for one guarantee."""
        found = [(n, e) for n, e in self.of(Evidence) if e.check == check]
        return found[-1] if found else None


def parse(text: Iterable[str], file: str | None = None) -> Journal:
    """Read a journal that a run can have written. Raises JournalError with file and line."""
    journal = read_lines(text, file)
    damage = first_damage(journal.lines, journal.plan)
    if damage is not None:
        position, why = damage
        raise JournalError(
            f"the journal is damaged: {why}",
            file=file,
            line=position + 2,
            remedy="nothing can be judged from it; use the file as the run wrote it",
        )
    return journal


def read_lines(text: Iterable[str], file: str | None = None) -> Journal:
    """Read each line by itself, whatever stands before and after it. Raises JournalError with file and line."""
    raw = list(text)
    cut_off = bool(raw) and not raw[-1].endswith("\n")
    if cut_off:
        raw = raw[:-1]
    if not raw:
        raise JournalError("the journal is empty", file=file, remedy="the run ended before it wrote anything")
    header = _header(raw[0], file)
    with _collector_paused():
        lines = tuple(_as_written(text) or _line(text, number, file) for number, text in enumerate(raw[1:], start=2))
    return Journal(header, lines, cut_off)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause garbage collection: thousands of records are made and none is dropped, and it would visit them all again
    and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _as_written(text: str) -> Line | None:
    """Read a line as the writer writes it, in one pass and at half the cost; None where it is not quite like that."""
    start = _START.match(text)
    if start is None or "NaN" in text or "Infinity" in text:
        return None
    try:
        return Line(int(start[1]), float(start[2]), _BODY.validate_json("{" + text[start.end() :]))
    except ValueError:
        return None


def _line(text: str, number: int, file: str | None) -> Line:
    """Read any line. Raises JournalError, which names the problem."""
    try:
        data = _JSON.decode(text)
        json.dumps(data, ensure_ascii=False).encode()  # half of a surrogate pair is no text that can be written
        n, t_s = data.pop("n"), data.pop("t")
        if type(n) is not int or type(t_s) not in (int, float):
            raise ValueError("'n' must be a whole number and 't' a number of seconds")
        return Line(n, float(t_s), _BODY.validate_python(data))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise JournalError(f"not a journal line: {_short(error)}", file=file, line=number) from None


def _header(written: str, file: str | None) -> Header:
    try:
        data = json.loads(written)
        version = data["schema"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise JournalError("the first line is not a journal's head", file=file, line=1) from None
    if type(version) is not int or version not in READABLE:
        raise JournalError(
            f"journal schema {version!r} is not one this version reads",
            file=file,
            line=1,
            remedy=f"it reads schema {', '.join(map(str, READABLE))}",
        )
    if (data.pop("n", None), data.pop("t", None)) != (0, 0.0):
        raise JournalError("the first line is not a journal's head", file=file, line=1)
    try:
        return Header.model_validate(data)
    except ValidationError as error:
        raise JournalError(f"the journal's head cannot be read: {_short(error)}", file=file, line=1) from None


def _short(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return in_short(error)
    return str(error)
