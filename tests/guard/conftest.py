"""What the tests of healing share beside the runs of `left_behind`."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    found = tmp_path / "flag"
    found.touch()
    return found
