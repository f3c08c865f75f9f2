"""Writes what `harness init` makes of the test projects anew: `python tests/onboarding/regenerate_golden.py`.

Read the difference line by line: it is what users will see.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from trying import GOLDEN, NAMES, copied, described


def main() -> int:
    """Write the files."""
    GOLDEN.mkdir(exist_ok=True)
    for name in NAMES:
        with tempfile.TemporaryDirectory() as folder:
            (GOLDEN / f"{name}.txt").write_text(described(copied(name, Path(folder))), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
