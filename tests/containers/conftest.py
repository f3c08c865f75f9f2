"""The small stack of four services on a Docker engine, with locally built images."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from images import base_image
from small_stack import STACK

from harness.backends.compose.engine import client
from harness.backends.compose.leftovers import remove_run, runs
from harness.description.stackfile import load_stack
from harness.model.stack import StackDescription

collect_ignore = ["small"]
"""Its scenario is run by the tests of attached stacks; by itself it would be a test that measures beside others."""
OURS = ("mlch-teststack-", "mlch-small-", "mlch-reference-")
"""Prefixes of the runs of these tests: others may use the engine at the same time."""


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
    before = set(runs(engine))
    yield
    left = {run for run in set(runs(engine)) - before if run.startswith(OURS)}
    for run in left:
        remove_run(engine, run)
    engine.close()
    assert not left
