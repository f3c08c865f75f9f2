"""How a command ends: the exit codes, and every error as one clear message.

An error that nobody foresaw is the harness's own failure: its traceback goes into a file for the bug report.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from harness.cli.terminal import FULL, echo, leave_closed, leave_full, why_unwritten
from harness.model.errors import HarnessError, JournalError, ScenarioError, StackError
from harness.suite.rules import BROKEN as BROKEN
from harness.suite.rules import FAIL as FAIL
from harness.suite.rules import INTERRUPTED as INTERRUPTED
from harness.suite.rules import PASS as PASS
from harness.suite.rules import UNKNOWN as UNKNOWN

INVALID = 2
PROGRAM = "harness"
COMPLETION = "_HARNESS_COMPLETE"


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
    """Call a command; turn everything that it raises into a message and an exit code.

    What passed without its output being written down whole is a failure, though one of the place it went to.
    """
    code = _code_of(command, arguments)
    reason = why_unwritten()
    if reason is not None:
        say(f"not all of the output could be written: {reason}")
    return BROKEN if reason is not None and code == PASS else code


def _code_of(command: click.Command, arguments: Sequence[str] | None) -> int:
    try:
        result = _result_of(command, arguments)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        echo(shown.getvalue(), err=True, nl=False)
        return INVALID
    except (click.Abort, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is ending: one more Ctrl-C could only break that off
        if sys.stderr is not None and sys.stderr.isatty():
            say("")  # ends the line on which the terminal shows ^C
        say("interrupted")
        return INTERRUPTED
    except (ScenarioError, StackError, UnreadableError) as error:
        say(str(error))
        return INVALID
    except HarnessError as error:
        say(str(error))
        return BROKEN
    except Exception as error:  # noqa: BLE001 - the last line of defence
        if isinstance(error, BrokenPipeError) and leave_closed():  # in a help text or a question, which click writes
            say("the output was closed before all of it was written")
            return BROKEN
        if isinstance(error, OSError) and error.errno in FULL:  # here, or of a file of ours: a traceback tells no more
            if error.filename is None:
                leave_full()
            say(f"not all could be written: {error.strerror}" + (f": {error.filename}" if error.filename else ""))
            return BROKEN
        say(f"the harness itself failed: {type(error).__name__}: {_one_line(error)}{_kept_traceback(error)}")
        return BROKEN
    return result if isinstance(result, int) else PASS


def _result_of(command: click.Command, arguments: Sequence[str] | None) -> object:
    """Call a command and return its result.

    Not by its `main`, which turns every broken pipe into 1, the exit code of a failed run: that of a reader of stdout
    who is gone, and that of an engine.
    """
    if COMPLETION in os.environ:  # a shell asks how a word goes on
        command.main(args=arguments, prog_name=PROGRAM)
    try:
        with command.make_context(PROGRAM, list(sys.argv[1:] if arguments is None else arguments)) as context:
            return command.invoke(context)
    except click.exceptions.Exit as ended:
        return ended.exit_code


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
