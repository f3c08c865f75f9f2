"""How a command ends: the exit codes, and every error as one clear message.

An error that nobody foresaw is the harness's own failure: its traceback goes into a file for the bug report.
"""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from harness.cli.terminal import echo
from harness.model.errors import HarnessError, JournalError, ScenarioError, StackError
from harness.suite.rules import BROKEN as BROKEN
from harness.suite.rules import FAIL as FAIL
from harness.suite.rules import INTERRUPTED as INTERRUPTED
from harness.suite.rules import PASS as PASS
from harness.suite.rules import UNKNOWN as UNKNOWN

INVALID = 2


class UnreadableError(JournalError):
    """A journal that was given to be read and cannot be: invalid input, not a failure of ours."""


@contextmanager
def given_journals() -> Iterator[None]:
    """Turn the failure to read a journal that the user named into invalid input."""
    try:
        yield
    except JournalError as error:
        raise UnreadableError(
            error.message, file=error.file, line=error.line, field=error.field, remedy=error.remedy
        ) from error


def exit_code_of(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Call a command; turn everything that it raises into a message and an exit code."""
    try:
        result = command.main(args=arguments, prog_name="harness", standalone_mode=False)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        echo(shown.getvalue(), err=True, nl=False)
        return INVALID
    except (click.Abort, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is ending: one more Ctrl-C could only break that off
        say("interrupted")
        return INTERRUPTED
    except (ScenarioError, StackError, UnreadableError) as error:
        say(str(error))
        return INVALID
    except HarnessError as error:
        say(str(error))
        return BROKEN
    except Exception as error:  # noqa: BLE001 - the last line of defence
        say(f"the harness itself failed: {type(error).__name__}: {_one_line(error)}{_kept_traceback(error)}")
        return BROKEN
    return result if isinstance(result, int) else PASS


def say(message: str) -> None:
    """Write a message for people, apart from what a command gives out."""
    echo(message, err=True)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:199]}…"


def _kept_traceback(error: Exception) -> str:
    import tempfile  # both are slow to import, and seldom needed
    import traceback

    try:
        handle, path = tempfile.mkstemp(prefix="harness-failure-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            traceback.print_exception(error, file=file)
    except OSError:
        return ""
    return f" (traceback: {path})"
