"""The launcher measures a command with all its descendants, and fails if it cannot."""

import sys

import pytest

from benchmarks.measured import cost
from benchmarks.results import CannotMeasureError

BUSY = "import time; t = time.process_time()\nwhile time.process_time() - t < 0.2: pass"
ORPHANED = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {BUSY!r}]); print('said')"


def test_the_cpu_of_an_orphan_counts() -> None:
    found = cost([sys.executable, "-c", ORPHANED])
    assert found.cpu_s >= 0.2
    assert found.stdout == "said"
    assert found.peak_mib is None


def test_memory_is_measured_on_request() -> None:
    found = cost([sys.executable, "-c", "x = bytearray(50 << 20); import time; time.sleep(0.5)"], memory=True)
    assert found.peak_mib is not None
    assert found.peak_mib >= 50


def test_a_failed_command_gives_no_measurement() -> None:
    with pytest.raises(CannotMeasureError, match="went wrong"):
        cost([sys.executable, "-c", "import sys; sys.exit('it went wrong')"])
