"""One zygote for most tests, and backends that must leave nothing behind."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from watching import MARKER, below, eventually, marked

from harness.backends.local.backend import LocalBackend, start_zygote
from harness.backends.local.zygote_handle import Zygote
from harness.backends.stackfile import load_stack
from harness.model.backend import Backend, StackPlan
from harness.model.stack import Link, StackDescription

STACK = Path(__file__).parent / "stack" / "compose.yaml"


@pytest.fixture(scope="session")
def description() -> StackDescription:
    return load_stack(STACK, variables={})


@pytest.fixture
def marker(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A mark on every process that the test starts; none may be left when it ends."""
    value = uuid.uuid4().hex
    monkeypatch.setenv(MARKER, value)
    yield value
    monkeypatch.undo()
    eventually(lambda: not marked(value), "every process of the test has ended")


@pytest.fixture(scope="session")
def zygote(description: StackDescription) -> Iterator[Zygote]:
    started = start_zygote(description)
    yield started
    started.close()


@pytest.fixture(params=["local"])
async def backend(
    request: pytest.FixtureRequest, description: StackDescription, zygote: Zygote, marker: str
) -> AsyncIterator[Backend]:
    """A backend of each kind."""
    made = {"local": lambda: LocalBackend(description, zygote)}[request.param]()
    yield made
    await made.close()
    eventually(lambda: below(zygote) == set(), "nothing is left below the zygote")


@pytest.fixture
def plan(description: StackDescription, tmp_path: Path, marker: str) -> Callable[..., StackPlan]:
    """A plan of the test stack whose services carry the marker; extra settings by service."""

    def make(links: tuple[Link, ...] = (), start_at: str | None = None, **environment: dict[str, str]) -> StackPlan:
        settings = {name: {MARKER: marker, **environment.get(name, {})} for name in description.services}
        return StackPlan(description, tmp_path, links, settings, start_at, seed=7)

    return make
