"""What a service of a local stack is given: addresses for names, and little of the harness's own environment."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from watching import get

from harness.backends.local.backend import LocalBackend
from harness.backends.local.zygote_handle import ZygoteHandle
from harness.model.backend import StackPlan
from harness.model.fields import Link
from harness.model.stack import StackDescription

Plan = Callable[..., StackPlan]


@pytest.fixture
async def local(description: StackDescription, zygote: ZygoteHandle, marker: str) -> AsyncIterator[LocalBackend]:
    async with LocalBackend(description, zygote) as backend:
        yield backend


async def test_names_become_addresses(local: LocalBackend, plan: Plan) -> None:
    await local.start(plan(echo={"EXTRA": "relay:17102 and relay:171022"}))
    environment = json.loads((await get(local, "http://echo:17101/environment"))[1])
    assert environment["SELF"] == local.resolve("http://echo:17101")
    assert environment["EXTRA"] == f"{local.resolve('relay:17102')} and relay:171022"
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["PATH"].startswith(str(Path(sys.executable).parent))


async def test_a_consumer_is_given_the_address_of_its_planned_link(local: LocalBackend, plan: Plan) -> None:
    await local.start(plan(links=(Link("relay", "echo"),)))
    environment = json.loads((await get(local, "http://relay:17102/environment"))[1])
    assert environment["UPSTREAM"] == local.resolve("http://echo:17101/", "relay")
    assert environment["UPSTREAM"] != local.resolve("http://echo:17101/")
