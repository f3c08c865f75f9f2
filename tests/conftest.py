"""Tests that need a Docker engine, where there is none: left out, with one line that says so; in CI they must run."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import pytest


def _engine_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        asked = subprocess.run(["docker", "version"], capture_output=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = [item for item in items if item.get_closest_marker("docker")]
    if not wanted or os.environ.get("CI") == "true" or _engine_answers():
        return
    items[:] = [item for item in items if not item.get_closest_marker("docker")]
    config.hook.pytest_deselected(items=wanted)
    config._left_out_for_docker = len(wanted)  # type: ignore[attr-defined]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    count = getattr(config, "_left_out_for_docker", 0)
    if count:
        how = "start one (`sudo systemctl start docker`), or install docker.io and docker-compose first"
        terminalreporter.write_line(
            f"containers: {count} tests left out for want of a Docker engine; to get one: {how}"
        )
