"""The package without its extras: what needs no stack works."""

from __future__ import annotations

import subprocess
import sys

import pytest

EXTRAS = ("boto3", "botocore", "docker", "numpy", "onnxruntime", "pandas", "psycopg", "pyarrow", "redis", "sqlalchemy")
CALL = """
import sys
for name in {extras!r}:
    sys.modules[name] = None
from harness.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "faults"),
        ("list", "faults", "--markdown"),
        ("schema",),
        ("--help",),
        ("run", "--help"),
        ("init", "--help"),
    ],
    ids=" ".join,
)
def test_commands_that_need_no_stack_need_no_extra(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", CALL.format(extras=EXTRAS), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout
