"""The agent that acts as root on the engine's machine: the archive that a helper container gets is complete."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

from harness.backends.compose.container_host import BROUGHT, START, agent_archive


def test_the_archive_runs_with_the_standard_library_alone(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(agent_archive())) as archive:
        archive.extractall(tmp_path, filter="data")
    folder = tmp_path / BROUGHT.lstrip("/")
    request = json.dumps({"task": "no-such-task", "pid": 0, "container": ""})
    command = [sys.executable, "-I", "-S", "-c", START, str(folder), request]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "ModuleNotFoundError" not in done.stderr
    assert "error" in json.loads(done.stdout), done.stderr
