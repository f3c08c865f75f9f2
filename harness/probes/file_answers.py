"""What an answer to a request of a file is: right, wrong, flagged, or no answer at all.

Nothing but HTTP is assumed: an error status is a failure, an answer other than its line expects is wrong. A run and
`harness doctor` judge by the same rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.probes.http import at_path
from harness.probes.reader import NoAnswerError
from harness.probes.request_file import FileRequest
from harness.probes.strict_json import read_json


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """What an answer says of a fallback, and how it differs from what its line expects."""

    flagged: str | None
    wrong: bool | None
    """None where the line expects nothing."""
    differences: tuple[str, ...]


def judge_answer(
    request: FileRequest, flagged: str | None, status: int, headers: Mapping[str, str], body: bytes
) -> JudgedAnswer:
    """Judge an answer; `flagged` is where it says that a fallback was taken. Raises NoAnswerError for a failure."""
    expect = request.expect
    taken = 200 <= status <= 299 if expect is None else expect.takes(status)
    # Where a status is expected, any other that is no error is a wrong answer rather than a failure.
    if not taken and (status >= 400 or expect is None or not expect.status):
        raise NoAnswerError(f"status {status}")
    content = None
    if flagged is not None or (expect is not None and expect.values):
        content = _parsed(body, needed=expect is not None and bool(expect.values))
    differences = () if taken else (f"the status is {status}",)
    if expect is not None and taken:
        values = expect.differences(content) if expect.values else ()
        differences = (*expect.header_differences(headers), *values)
    return JudgedAnswer(
        flagged=_flag(content, flagged),
        wrong=None if expect is None else bool(differences),
        differences=differences,
    )


def _parsed(body: bytes, *, needed: bool) -> Any:
    try:
        return read_json(body)
    except ValueError as error:
        if not needed:
            return None
        raise NoAnswerError(f"the answer is not JSON: {error}") from None


def _flag(content: Any, place: str | None) -> str | None:
    if place is None:
        return None
    try:
        found = at_path(content, place)
    except NoAnswerError:
        return None
    if found in (None, False, "", 0):
        return None
    return "flagged" if found is True else str(found)[:200]
