"""The one place that writes to the terminal: every text is cleaned here, whatever it came from.

What a stack says reaches messages, tables and progress. Commands call these functions, never `click.echo` or `print`.
A terminal that was closed meanwhile, or a pipe whose reader is gone (`harness up | head -1`), takes nothing any more;
what is still to be done must not end because of that, and the exit code stays the same. A file on a full disk takes
nothing any more either, which is said at the end: nobody knows from an unfinished file that it is one.
"""

from __future__ import annotations

import errno
import json
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from harness.model.cleaned import cleaned, escaped_json, for_terminal

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_unwritten: list[str] = []


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Write a text, to stdout or to stderr."""
    if (sys.stderr if err else sys.stdout) is None:  # it was closed before the start
        return
    with while_it_is_there(err=err):
        click.echo(_encodable(for_terminal(text), err=err), err=err, nl=nl)


def echo_json(value: Any, *, indent: int | None = 2) -> None:
    """Write a value as JSON, in which nothing is lost: what a terminal would obey is escaped."""
    if sys.stdout is None:
        return
    with while_it_is_there():
        click.echo(escaped_json(json.dumps(value, indent=indent, default=str)))
        sys.stdout.flush()


@contextmanager
def while_it_is_there(*, err: bool = False) -> Iterator[None]:
    """Write, and go on without output where the terminal was closed, the reader of a pipe is gone or a disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            _leave(2 if err else 1)
            if not err:
                _unwritten.append(str(error.strerror))
        elif error.errno not in (errno.EIO, errno.EPIPE) or not leave_closed():
            raise


def why_unwritten() -> str | None:
    """Return why not all of what a command gives out was written, once; None where it was."""
    reason = _unwritten[0] if _unwritten else None
    _unwritten.clear()
    return reason


def leave_closed() -> bool:
    """Write to nothing from now on where stdout or stderr lead to nobody. Returns whether one did."""
    poll = select.poll()
    for file in (1, 2):
        poll.register(file, 0)
    gone = [file for file, events in poll.poll(0) if events & (select.POLLHUP | select.POLLERR)]
    for file in gone:
        _leave(file)
    return bool(gone)


def leave_full() -> None:
    """Write to nothing from now on instead of to stdout: what it still holds would fail again when the program ends."""
    _leave(1)


def _leave(file: int) -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, file)
    os.close(nothing)


def cell(value: object) -> str:
    """Return a value as the cell of a drawn table has it: one line."""
    return " ".join(cleaned(str(value)).split())


def _encodable(text: str, *, err: bool) -> str:
    """Replace what the terminal has no character for."""
    encoding = (sys.stderr if err else sys.stdout).encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
