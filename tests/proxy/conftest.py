"""Fixtures of the fault proxy's tests; tests of arms and clients that are not installed are deselected."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from proxy_arms import BIN, ROOT, Arm, Upstream, arm_running, echo, found, leave

HERE = Path(__file__).parent
_CLIENTS = {
    "node": ROOT / "tests/proxy/clients/node/node_modules/toxiproxy-node-client",
    "go": BIN / "go-client",
    "chaostoolkit": BIN / "chaostoolkit" / "bin" / "python",
}


def _missing() -> set[str]:
    missing = {name for name, path in _CLIENTS.items() if not path.exists()}
    if found("TOXIPROXY_SERVER", "toxiproxy-server") is None:
        missing.add("theirs")
    if found("TOXIPROXY_CLI", "toxiproxy-cli") is None:
        missing.add("cli")
    return missing


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(what): what must be installed for this test of the fault proxy")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests whose programs are not installed, and report it in one line; in CI they run, and fail."""
    if os.environ.get("CI") == "true":
        return
    missing = _missing()
    kept, left_out = [], []
    for item in items:
        if not item.path.is_relative_to(HERE):
            kept.append(item)
            continue
        arm = getattr(item, "callspec", None) and item.callspec.params.get("arm")  # type: ignore[attr-defined]
        needs = {mark.args[0] for mark in item.iter_markers("needs")} | ({"theirs"} if arm == "theirs" else set())
        (left_out if needs & missing else kept).append(item)
    if left_out:
        items[:] = kept
        config.hook.pytest_deselected(items=left_out)
        config._proxy_left_out = (len(left_out), sorted(missing))  # type: ignore[attr-defined]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    count, missing = getattr(config, "_proxy_left_out", (0, []))
    if count:
        what = ", ".join(missing)
        how = "python tests/proxy/clients/prepare.py"
        terminalreporter.write_line(f"fault proxy: {count} tests deselected, missing {what}; to install: {how}")


@pytest.fixture(scope="session")
def _arms() -> Iterator[Callable[[str], Arm]]:
    """Each arm is started once, when first needed."""
    started: dict[str, tuple[Any, Arm]] = {}

    def get(name: str) -> Arm:
        if name not in started:
            context = arm_running(name)
            started[name] = (context, context.__enter__())
        return started[name][1]

    yield get
    for context, _ in started.values():
        context.__exit__(None, None, None)


def _clean(arm: Arm) -> Arm:
    for name in arm.call("GET", "/proxies").json:
        arm.call("DELETE", f"/proxies/{name}")
    return arm


@pytest.fixture(params=["ours", "portable", "theirs"])
def arm(request: pytest.FixtureRequest, _arms: Callable[[str], Arm]) -> Iterator[Arm]:
    """A fault proxy without proxies: ours, ours without epoll and splice, and Toxiproxy's."""
    yield (running := _clean(_arms(request.param)))
    _clean(running)


@pytest.fixture(params=["ours", "portable"])
def mine(request: pytest.FixtureRequest, _arms: Callable[[str], Arm]) -> Iterator[Arm]:
    """Ours only, both ways of moving bytes: for what Toxiproxy does not have."""
    yield (running := _clean(_arms(request.param)))
    _clean(running)


@pytest.fixture
def ours(_arms: Callable[[str], Arm]) -> Iterator[Arm]:
    """Ours, for what does not depend on how bytes are moved."""
    yield (running := _clean(_arms("ours")))
    _clean(running)


@pytest.fixture
def upstream() -> Iterator[Callable[..., Upstream]]:
    """Makes upstreams that are closed at the end."""
    made: list[Upstream] = []

    def make(handle: Callable[..., None] = echo) -> Upstream:
        made.append(Upstream(handle))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def quiet(upstream: Callable[..., Upstream]) -> Upstream:
    """An upstream that does nothing by itself."""
    return upstream(leave)
