"""The image of the fault proxy is asked for only where a run has links through it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.docker, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
SMALL = Path(__file__).with_name("small")
NOWHERE = "127.0.0.1:9/no-such-proxy:1"
LONE_KILL = f"""\
schema: 1
scenario: lone-kill
summary: The echo server is killed, and comes back. No link of the stack is touched.
stack: {SMALL / "stack.yaml"}
steady_state:
  - {{id: answers, probe: asked, at_least: 1, over: 1s, min_samples: 3}}
timeline:
  - {{id: kill, at: 1s, fault: container.kill, target: {{service: echo}}, for: 1s}}
expect:
  recovered:
    - {{id: back, probe: asked, at_least: 1, over: 1s, min_samples: 3, within: 20s}}
"""


def run(folder: Path, scenario: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", "run", str(scenario), "--backend", "compose", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HARNESS_PROXY_IMAGE": NOWHERE},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def test_a_run_without_links_goes_without_the_image(tmp_path: Path, small_images: None, nothing_left: None) -> None:
    scenario = tmp_path / "lone.scenario.yaml"
    scenario.write_text(LONE_KILL)
    done = run(tmp_path, scenario)
    assert re.search(r"fault +kill confirmed", done.stderr), done.stderr + done.stdout
    assert NOWHERE not in done.stderr + done.stdout


def test_a_run_with_a_link_names_the_image_and_the_variable(
    tmp_path: Path, small_images: None, nothing_left: None
) -> None:
    done = run(tmp_path, SMALL / "slow-link.scenario.yaml")
    told = done.stderr + done.stdout
    assert f"(HARNESS_PROXY_IMAGE names another) needs the image '{NOWHERE}'" in told
    assert "injected" not in told
