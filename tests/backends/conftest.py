"""One zygote for most tests, and backends that must leave nothing behind."""

from __future__ import annotations

import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from watching import MARKER, below, eventually, marked

from harness.backends.compose.backend import ComposeBackend
from harness.backends.compose.engine import _compose_command, connect
from harness.backends.compose.leftovers import labels_of_runs
from harness.backends.local.backend import LocalBackend, start_zygote
from harness.backends.local.zygote_handle import ZygoteHandle
from harness.description.stackfile import load_stack
from harness.model.backend import Backend, StackPlan
from harness.model.fields import Link
from harness.model.stack import StackDescription

STACK = Path(__file__).parent / "stack" / "compose.yaml"


@pytest.fixture(scope="session")
def description() -> StackDescription:
    return load_stack(STACK, variables={})


@pytest.fixture
def marker(zygote: ZygoteHandle, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A mark on every process that the test starts, but on the zygote; none may be left when it ends."""
    value = uuid.uuid4().hex
    monkeypatch.setenv(MARKER, value)
    yield value
    monkeypatch.undo()
    eventually(lambda: not marked(value), "every process of the test has ended")


@pytest.fixture(scope="session")
def zygote(description: StackDescription) -> Iterator[ZygoteHandle]:
    started = start_zygote(description)
    yield started
    started.close()


CONTAINERS = pytest.mark.docker


@pytest.fixture(params=["local", pytest.param("compose", marks=CONTAINERS), pytest.param("plugin", marks=CONTAINERS)])
async def backend(request: pytest.FixtureRequest, marker: str) -> AsyncIterator[Backend]:
    """A backend of each kind."""
    make: Callable[[], Backend] = request.getfixturevalue(f"{request.param}_backend")
    made = make()
    yield made
    await made.close()


@pytest.fixture
def local_backend(description: StackDescription, zygote: ZygoteHandle) -> Iterator[Callable[[], Backend]]:
    """Makes a local backend, of which nothing may be left."""
    yield lambda: LocalBackend(description, zygote)
    eventually(lambda: below(zygote) == set(), "nothing is left below the zygote")


@pytest.fixture
def compose_backend(compose_description: StackDescription) -> Iterator[Callable[[], Backend]]:
    """Makes a compose backend, of which nothing may be left on the engine."""
    engine = connect()
    before = set(labels_of_runs(engine.client))
    yield lambda: ComposeBackend(compose_description)
    left = {run for run in set(labels_of_runs(engine.client)) - before if "teststack" in run}
    engine.close()
    assert not left


@pytest.fixture
def plugin_backend(
    compose_backend: Callable[[], Backend], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Backend]]:
    """The same by Docker Compose v2, where `docker-compose` is what is installed."""
    sys.path.insert(0, str(STACK.parents[2] / "containers"))
    from prepare import CONFIG

    monkeypatch.setenv("DOCKER_CONFIG", str(CONFIG))
    _compose_command.cache_clear()
    assert _compose_command() == ("docker", "compose"), "to get it: python tests/containers/prepare.py"
    yield compose_backend
    monkeypatch.undo()
    _compose_command.cache_clear()


@pytest.fixture(scope="session")
def compose_description() -> Iterator[StackDescription]:
    """The test stack, with images that can be had here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(STACK.parents[2] / "containers"))
        from images import base_image

        for name in ("TESTSTACK_IMAGE", "HARNESS_PROXY_IMAGE", "HARNESS_TOOLS_IMAGE"):
            patch.setenv(name, base_image())
        yield load_stack(STACK)


@pytest.fixture
def plan(description: StackDescription, tmp_path: Path, marker: str) -> Callable[..., StackPlan]:
    """A plan of the test stack whose services carry the marker; extra settings by service."""

    def make(links: tuple[Link, ...] = (), start_at: str | None = None, **environment: dict[str, str]) -> StackPlan:
        settings = {name: {MARKER: marker, **environment.get(name, {})} for name in description.services}
        return StackPlan(description, tmp_path, links, settings, start_at, seed=7)

    return make
