"""The error tree of the harness.

HarnessError                the problem, its place, and the remedy
├── ScenarioError           a scenario, a setting or an argument that cannot be run       exit 2
├── StackError              a stack description that cannot be used                       exit 2
├── JournalError            a journal that cannot be read or written                      exit 2 or 4
├── BackendError            the stack could not be started, stopped or inspected          exit 4
├── FaultError              a fault could not be injected or reverted                     recorded, run goes on to heal
└── ProbeError              the harness could not attempt a measurement                   recorded as a gap

Errors of libraries are translated into these where they arise. Misbehaviour of the stack is never one of
them: that is a reading.
"""

from __future__ import annotations

from collections.abc import Iterable

LONGEST_PATH = 600
"""Characters of a path that a message shows."""


def nearest(name: str, valid: Iterable[str], alike: float = 0.5) -> str | None:
    """Return the valid name closest to `name`, or None where none is so much alike, from 0 to 1."""
    import difflib  # only for who made a mistake

    close = difflib.get_close_matches(name, list(valid), n=1, cutoff=alike)
    return close[0] if close else None


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return a remedy that names the nearest valid name, or all of them where none is near."""
    names = sorted(valid)
    close = nearest(name, names)
    if close is not None:
        return f"did you mean {close!r}?"
    return f"valid here: {', '.join(names)}" if names else "nothing is valid here"


class HarnessError(Exception):
    """The problem, its place (file, line, field) and the remedy."""

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        field: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        self.field = field
        self.remedy = remedy

    @property
    def place(self) -> str | None:
        """`file:line: field`, as far as it is known."""
        where = shortened_path(self.file or "")
        if self.line is not None:
            where = f"{where}:{self.line}" if where else f"line {self.line}"
        if self.field:
            where = f"{where}: {self.field}" if where else self.field
        return where or None

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}" if self.place else self.message
        return f"{text} — {self.remedy}" if self.remedy else text

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling, and errors cross process borders.
        return (_rebuild, (type(self), self.message, self.file, self.line, self.field, self.remedy))


def shortened_path(path: str) -> str:
    """Return a path as messages show it: of a very long one both ends."""
    half = LONGEST_PATH // 2
    return path if len(path) <= LONGEST_PATH else f"{path[:half]}…{path[-half:]}"


def _rebuild(
    kind: type[HarnessError], message: str, file: str | None, line: int | None, field: str | None, remedy: str | None
) -> HarnessError:
    return kind(message, file=file, line=line, field=field, remedy=remedy)


class ScenarioError(HarnessError):
    """A scenario, a setting or an argument that cannot be run as written."""


class StackError(HarnessError):
    """A stack description that cannot be used as written."""


class StackProblemsError(StackError):
    """All problems of one stack description, as one error. Its own place is that of the first."""

    def __init__(self, problems: Iterable[StackError]) -> None:
        self.problems = tuple(dict.fromkeys(inner for one in problems for inner in problems_of_stack(one)))
        first = self.problems[0]
        super().__init__(first.message, file=first.file, line=first.line, field=first.field, remedy=first.remedy)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))

    def __reduce__(self) -> tuple[object, ...]:
        return (StackProblemsError, (self.problems,))


def problems_of_stack(error: StackError) -> tuple[StackError, ...]:
    """Return the single problems that an error stands for."""
    return error.problems if isinstance(error, StackProblemsError) else (error,)


class JournalError(HarnessError):
    """A journal that cannot be read or written."""


class BackendError(HarnessError):
    """The stack could not be started, stopped or inspected."""


class FaultError(HarnessError):
    """A fault could not be injected or reverted."""


class ProbeError(HarnessError):
    """The harness itself could not attempt a measurement."""


def install_extra(extra: str) -> str:
    """Return the remedy for a missing optional dependency."""
    return f"install the extra [{extra}]: pip install 'PATH[{extra}]', where PATH is your clone of ml-chaos-harness"
