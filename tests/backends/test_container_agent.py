"""The agent that acts as root on the engine's machine: where it runs, and what a helper container gets."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from harness.backends.compose.container_host import BROUGHT, START, EngineHost, agent_archive

NO_PROCESS = 2**22 + 1
"""No process has this number: it is above the kernel's limit."""


def test_the_archive_runs_with_the_standard_library_alone(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(agent_archive())) as archive:
        archive.extractall(tmp_path, filter="data")
    folder = tmp_path / BROUGHT.lstrip("/")
    request = json.dumps({"task": "no-such-task", "pid": 0, "container": ""})
    command = [sys.executable, "-I", "-S", "-c", START, str(folder), request]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "ModuleNotFoundError" not in done.stderr
    assert "error" in json.loads(done.stdout), done.stderr


def test_a_process_that_has_ended_does_not_make_the_engine_a_remote_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    client: Any = None
    host = EngineHost(client, {})
    assert not host.beside_us(NO_PROCESS, "c1")
    assert host.beside_us(os.getpid(), ""), "a process of every group"
    assert host.beside_us(NO_PROCESS, "c1"), "it ended since"
    assert not host.beside_us(0, "c1"), "a task without a process"
    host.helper_always = True
    assert not host.beside_us(os.getpid(), "")
