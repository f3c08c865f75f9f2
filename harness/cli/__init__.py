"""The command line: `harness`, one of the two front ends.

Commands are imported when they are called, so that `harness --help` is there at once. Whatever happens ends in one
clear message on stderr and in one of the exit codes of `harness.cli.exit_codes`; never in a traceback.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from harness.suite.rules import INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    # `harness.cli.app` says why, and switches the collector on again for commands that are not short.
    gc.disable()
    try:
        from harness.cli.app import app
        from harness.cli.exit_codes import exit_code_of

        return exit_code_of(app, arguments)
    except KeyboardInterrupt:  # before `exit_code_of` was there to meet it
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with suppress(OSError, AttributeError):  # it was closed
            sys.stderr.write("interrupted\n")
        return INTERRUPTED
    finally:
        gc.enable()
