"""The package without its extras: what needs no stack works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

EXTRAS = ("boto3", "botocore", "docker", "grpclib", "numpy", "onnxruntime", "pandas", "psycopg", "pyarrow", "redis")
EXTRAS += ("bson", "kafka", "pymongo", "pymysql", "sqlalchemy")
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


INJECTING = ("asyncio", "ssl", "aiohttp", "harness.model.readings")
"""What a run needs and nothing that only reads: each of them would make a short command noticeably slower."""
THEN_IMPORTED = """
import sys
from harness.cli import main
code = main(sys.argv[1:])
print([name for name in {modules!r} if name in sys.modules])
sys.exit(code)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "faults"),
        ("list", "probes", "--stack", "benchmarks/tiny_stack/compose.yaml"),
        ("check", "benchmarks/tiny_stack/slow-link.scenario.yaml"),
    ],
    ids=" ".join,
)
def test_commands_that_only_read_import_nothing_of_a_run(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", THEN_IMPORTED.format(modules=INJECTING), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
