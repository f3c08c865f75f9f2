"""The small stack of four services on a Docker engine, with locally built images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from images import ROOT, base_image, toxiproxy_image
from small_stack import STACK

from harness.backends.compose.engine import client
from harness.backends.compose.leftovers import labels_of_runs, remove_run
from harness.description.stackfile import load_stack
from harness.model.stack import StackDescription

collect_ignore = ["small"]
"""Its scenario is run by the tests of attached stacks; by itself it would be a test that measures beside others."""
OURS = ("mlch-teststack-", "mlch-small-", "mlch-reference-")
"""Prefixes of the runs of these tests: others may use the engine at the same time."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests of Toxiproxy's image where its server is not installed; in CI they run, and fail."""
    if os.environ.get("CI") == "true" or (ROOT / ".bin" / "toxiproxy-server").exists():
        return
    wanted = [item for item in items if "toxiproxy_boxes" in getattr(item, "fixturenames", ())]
    items[:] = [item for item in items if item not in wanted]
    config.hook.pytest_deselected(items=wanted)
    config._left_out_for_toxiproxy = len(wanted)  # type: ignore[attr-defined]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    count = getattr(config, "_left_out_for_toxiproxy", 0)
    if count:
        how = "python tests/proxy/clients/prepare.py"
        terminalreporter.write_line(f"containers: {count} tests deselected, missing Toxiproxy; to install: {how}")


@pytest.fixture
def toxiproxy_boxes(small_images: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Toxiproxy's own server as the fault proxy."""
    monkeypatch.setenv("HARNESS_PROXY", "toxiproxy")
    monkeypatch.setenv("HARNESS_PROXY_IMAGE", toxiproxy_image())


@pytest.fixture
def small_images(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TESTSTACK_IMAGE", "HARNESS_PROXY_IMAGE", "HARNESS_TOOLS_IMAGE"):
        monkeypatch.setenv(name, base_image())


@pytest.fixture
def small(small_images: None) -> StackDescription:
    """The description of the small stack."""
    return load_stack(STACK)


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Fail if the test leaves anything on the engine, and remove it."""
    engine = client()
    before = set(labels_of_runs(engine))
    yield
    left = {run for run in set(labels_of_runs(engine)) - before if run.startswith(OURS)}
    for run in left:
        remove_run(engine, run)
    engine.close()
    assert not left
