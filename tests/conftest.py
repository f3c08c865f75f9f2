"""For all tests: no time limit on examples of properties, and what becomes of tests that need a Docker engine.

Where there is none they are left out, with one line that says so; in CI they must run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

PLUGIN = Path(__file__).resolve().parents[1] / ".bin" / "docker-config" / "cli-plugins" / "docker-compose"


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
    if not wanted or os.environ.get("CI") == "true":
        return
    if _engine_answers():
        _leave_out_plugin(config, items)
        return
    items[:] = [item for item in items if not item.get_closest_marker("docker")]
    config.hook.pytest_deselected(items=wanted)
    config._left_out_for_docker = len(wanted)  # type: ignore[attr-defined]


def _leave_out_plugin(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the arm of Docker Compose v2 where it is neither installed nor built for the tests."""
    if PLUGIN.exists():
        return
    wanted = [item for item in items if _needs_plugin(item)]
    items[:] = [item for item in items if not _needs_plugin(item)]
    config.hook.pytest_deselected(items=wanted)
    config._left_out_for_plugin = len(wanted)  # type: ignore[attr-defined]


def _needs_plugin(item: pytest.Item) -> bool:
    arm = getattr(item, "callspec", None)
    return arm is not None and arm.params.get("backend") == "plugin"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    count = getattr(config, "_left_out_for_plugin", 0)
    if count:
        how = "python tests/containers/prepare.py"
        terminalreporter.write_line(
            f"containers: {count} tests deselected, because Docker Compose v2 is missing; to get it: {how}"
        )
    count = getattr(config, "_left_out_for_docker", 0)
    if count:
        how = "start one (`sudo systemctl start docker`), or install docker.io and docker-compose first"
        terminalreporter.write_line(
            f"containers: {count} tests deselected, because there is no Docker engine; to get one: {how}"
        )
