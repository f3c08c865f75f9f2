"""A file of requests with the answers that are expected: JSON lines, sent at a rate or at their own times.

It needs neither an event clock nor anything of the reference stack. A line that cannot be meant is met before anything
starts, with its number. Either every line says what is expected or none does: a share of right answers is then one of
all answers.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from harness.model.errors import ProbeError, did_you_mean
from harness.model.fields import Frozen
from harness.model.givenfile import read_text
from harness.model.response_match import Expected
from harness.model.wording import worded
from harness.model.workload import Method
from harness.probes.strict_json import read_json

LARGEST_BYTES = 256 * 2**20
_TOLERANCE_S = 1e-6


class RequestLine(Frozen):
    """One line as written."""

    id: str | None = None
    at: float | str | None = None
    method: Method | None = None
    path: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    body: Any = None
    expect: Expected | None = None

    @field_validator("path")
    @classmethod
    def _from_the_root(cls, path: str | None) -> str | None:
        if path is not None and not path.startswith("/"):
            raise ValueError(f"{path!r} is not a path; begin it with '/'")
        return path


@dataclass(frozen=True, slots=True)
class FileRequest:
    """One request: `offset_s` is when it is due after the first moment of the file, None where a rate decides."""

    id: str
    line: int
    offset_s: float | None
    method: str | None
    path: str | None
    headers: dict[str, str]
    body: Any
    expect: Expected | None


@dataclass(frozen=True)
class RequestFile:
    """A whole file, in the order of sending."""

    requests: tuple[FileRequest, ...]
    expects: bool
    """Whether its lines say what is expected."""

    def line_of(self, answer_id: str) -> int | None:
        """Return the line of the request that an answer is to, in whichever pass over the file it was sent."""
        found = self._lines.get(answer_id)
        return found if found is not None else self._lines.get(answer_id.rpartition("#")[0])

    @cached_property
    def _lines(self) -> dict[str, int]:
        return {request.id: request.line for request in self.requests}

    def most_within(self, window_s: float, repeat: bool) -> int:
        """Return how many requests are due within so many seconds, at most, as their own times have it."""
        whole = 0
        if repeat and self.length_s > 0:
            passes = int(window_s / self.length_s)
            whole, window_s = passes * len(self.requests), window_s - passes * self.length_s
        times = [request.offset_s or 0.0 for request in self.requests]
        if repeat:
            times += [at_s + self.length_s for at_s in times]
        most, first = 0, 0
        for index, at_s in enumerate(times):
            while at_s - times[first] > window_s + _TOLERANCE_S:
                first += 1
            most = max(most, index - first + 1)
        return whole + most

    def left_after(self, at_s: float, rate: float | None) -> int:
        """Return how many requests of one pass are due later than so long after the first, at most."""
        if rate is not None:
            return max(0, len(self.requests) - int(at_s * rate))
        return sum((request.offset_s or 0.0) >= at_s for request in self.requests)

    @property
    def timed(self) -> bool:
        """Whether its lines have times of their own."""
        return self.requests[0].offset_s is not None

    @property
    def length_s(self) -> float:
        """How long one pass takes, with a pause after the last line as long as those between lines are on average."""
        last_s = self.requests[-1].offset_s or 0.0
        span_s = last_s - (self.requests[0].offset_s or 0.0)
        return last_s + (span_s / (len(self.requests) - 1) if len(self.requests) > 1 else 0.0)


def read_requests(path: Path, rate: float | None = None, repeat: bool = False) -> RequestFile:
    """Read a file of requests that is to be sent so. Raises ProbeError with file and line."""
    text = read_text(path, LARGEST_BYTES, ProbeError, "give the file of requests, a line of JSON for each")
    lines = [(number, _line(path, number, line)) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise ProbeError("the file holds no request", file=str(path), remedy="write a line of JSON for each request")
    _check_alike(path, lines, rate)
    # Moments count from the earliest of them, seconds from the start of the sending.
    by_moment = isinstance(lines[0][1].at, str)
    times = [_seconds(path, number, line) if line.at is not None else None for number, line in lines]
    first = min((t for t in times if t is not None), default=0.0) if by_moment else 0.0
    requests = [
        FileRequest(
            id=line.id if line.id is not None else f"line-{number}",
            line=number,
            offset_s=None if at is None else at - first,
            method=line.method,
            path=line.path,
            headers=line.headers,
            body=line.body,
            expect=line.expect,
        )
        for (number, line), at in zip(lines, times, strict=True)
    ]
    requests.sort(key=lambda request: request.offset_s or 0.0)
    found = RequestFile(tuple(requests), expects=lines[0][1].expect is not None)
    if repeat and found.timed and found.length_s <= 0:
        remedy = "give it a rate, or lines at different times"
        raise ProbeError("a file with all its requests at one moment cannot be repeated", file=str(path), remedy=remedy)
    return found


def _line(path: Path, number: int, text: str) -> RequestLine:
    try:
        raw = read_json(text)
        if not isinstance(raw, dict):
            raise ValueError("a mapping of fields is needed here")
        return RequestLine.model_validate(raw, by_alias=True, by_name=False)
    except ValidationError as error:
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        field = ".".join(str(part) for part in first["loc"]) or None
        if first["type"] == "extra_forbidden":
            valid = [f.alias or n for n, f in (Expected if len(first["loc"]) > 1 else RequestLine).model_fields.items()]
            message, remedy = f"unknown field {first['loc'][-1]!r}", did_you_mean(str(first["loc"][-1]), valid)
            raise ProbeError(message, file=str(path), line=number, field=field, remedy=remedy) from None
        told, how = worded(first)
        raise ProbeError(told, file=str(path), line=number, field=field, remedy=how) from None
    except (ValueError, RecursionError) as error:
        response = str(error) or "nested too deeply"
        remedy = "each line is one request in JSON"
        raise ProbeError(f"not a line of JSON: {response}", file=str(path), line=number, remedy=remedy) from None


def _check_alike(path: Path, lines: list[tuple[int, RequestLine]], rate: float | None) -> None:
    """Raise ProbeError where lines that must be alike are not."""
    first_number, first = lines[0]
    ids: dict[str, int] = {}
    for number, line in lines:
        if rate is not None and line.at is not None:
            message = "this line has a time of its own, and the workload has a rate"
            remedy = "take one of them away; `harness record --rate` writes lines without times"
            raise ProbeError(message, file=str(path), line=number, field="at", remedy=remedy)
        if rate is None and line.at is None:
            message, remedy = "this line has no time", "give the workload a `rate`, or each line an `at`"
            raise ProbeError(message, file=str(path), line=number, field="at", remedy=remedy)
        if isinstance(line.at, str) != isinstance(first.at, str):
            message = f"seconds and moments are mixed: line {first_number} has the other form"
            raise ProbeError(message, file=str(path), line=number, field="at", remedy="write all in one form")
        if (line.expect is None) != (first.expect is None):
            which = "no line before it does" if first.expect is None else "the lines before it do"
            verb = "says" if line.expect is not None else "does not say"
            message = f"this line {verb} what is expected, and {which}"
            remedy = 'expect something of every line (expect: {"status": 200} at least), or of none'
            raise ProbeError(message, file=str(path), line=number, field="expect", remedy=remedy)
        if line.id is not None:
            if line.id in ids:
                message = f"the id {line.id!r} is that of line {ids[line.id]} too"
                raise ProbeError(message, file=str(path), line=number, field="id")
            ids[line.id] = number


def _seconds(path: Path, number: int, line: RequestLine) -> float:
    at = line.at
    if isinstance(at, str):
        try:
            moment = dt.datetime.fromisoformat(at)
        except ValueError:
            message = f"{at!r} is not a moment such as 2026-05-01T12:00:00Z"
            raise ProbeError(message, file=str(path), line=number, field="at") from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
    assert at is not None
    if not (math.isfinite(at) and at >= 0):
        raise ProbeError(f"{at:g} is not a time in seconds from the start", file=str(path), line=number, field="at")
    return at


def url_of(request: FileRequest, url: str) -> str:
    """Return the address of a request; `url` is that of the workload."""
    return url if request.path is None else url.rstrip("/") + request.path
