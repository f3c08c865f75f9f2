"""The pytest front end: `*.scenario.yaml` files as test items, and the `chaos` fixture for tests written by hand.

It is loaded in every pytest run of every project where the package is installed, so this module imports nothing but
pytest, and no hook imports more than it needs before a scenario or a `chaos` test is collected.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.pytest_plugin.session_end import SessionEnd
from harness.pytest_plugin.settings import TWINS

if TYPE_CHECKING:
    from harness.pytest_plugin.chaos import Chaos

ENDING = ".scenario.yaml"
STACK_MARK = (
    "stack(name, *, start_at=None, seed=None, steady_state=(), links=None, may_die=(), integrity=None, "
    "gate_timeout='20s', abort_if=(), limits=None): the stack that the `chaos` fixture of this test runs, how it is "
    "started, and what aborts its run"
)
CHAOS_KEY: pytest.StashKey[Chaos] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options, each with an ini setting of the same name."""
    group = parser.getgroup("harness", "chaos harness")
    settings: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("reports", "folder of the reports (default: reports/pytest)", {"metavar": "DIR"}),
        ("seed", "seed of every random choice (default: the scenario's, or 1)", {"metavar": "N", "type": int}),
        ("twin", "run the controls, the sabotage twins or the misfires instead", {"choices": TWINS}),
        ("paired", "run each scenario's control too, and judge them as a pair", {"action": "store_true"}),
        ("backend", "backend of the stacks: local (the default) or compose", {"metavar": "NAME"}),
        (
            "attach",
            "run on this running compose project and leave it as it is; .: the one started here",
            {"metavar": "PROJECT"},
        ),
    )
    for name, text, more in settings:
        group.addoption(f"--harness-{name}", dest=f"harness_{name}", default=None, help=text, **more)
        parser.addini(f"harness_{name}", text, type="string", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, register the end of the session, and check the settings that are given."""
    config.addinivalue_line("markers", STACK_MARK)
    config.pluginmanager.register(SessionEnd(config), "harness-session-end")
    names = ("harness_seed", "harness_twin", "harness_paired", "harness_backend", "harness_attach")
    if any(config.getoption(name) is not None or config.getini(name) for name in names):
        from harness.pytest_plugin.settings import read_settings

        read_settings(config)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a scenario file."""
    if not file_path.name.endswith(ENDING):
        return None
    from harness.pytest_plugin.collecting import ScenarioFile

    collector: pytest.Collector = ScenarioFile.from_parent(parent, path=file_path)
    return collector


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests written by hand in a session of sabotages or misfires: what they do is not known before."""
    with_chaos = [item for item in items if "chaos" in getattr(item, "fixturenames", ())]
    if not with_chaos:
        return
    from harness.pytest_plugin.settings import read_settings

    if read_settings(config).twin in ("sabotage", "misfire"):
        config.hook.pytest_deselected(items=with_chaos)
        items[:] = [item for item in items if item not in with_chaos]


@pytest.fixture
def chaos(request: pytest.FixtureRequest) -> Iterator[Chaos]:
    """Inject faults into the stack of `@pytest.mark.stack(...)`, and declare what is expected of it."""
    from harness.pytest_plugin.chaos_tests import chaos_for

    found = chaos_for(request.node)
    request.node.stash[CHAOS_KEY] = found
    try:
        yield found
    finally:
        found.close()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Judge a test's run when the test function returns."""
    found = pyfuncitem.stash.get(CHAOS_KEY, None)
    if found is None:
        return (yield)
    from harness.pytest_plugin.chaos_tests import judged

    with judged(pyfuncitem, found):
        result = yield
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Mark a failure of the harness itself, so that it counts as an error and not as a finding; clean what is shown."""
    report = yield
    if CHAOS_KEY in item.stash or item.path.name.endswith(ENDING) or "chaos" in getattr(item, "fixturenames", ()):
        from harness.pytest_plugin.cleaning import clean_report

        clean_report(report)
    if call.excinfo is not None and CHAOS_KEY in item.stash:
        from harness.pytest_plugin.chaos_tests import is_harness_error

        if is_harness_error(item, call.excinfo.value):
            report.harness_error = True  # type: ignore[attr-defined]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Clean the report of a scenario file that cannot be collected."""
    report = yield
    if report.failed and collector.path.name.endswith(ENDING):
        from harness.pytest_plugin.cleaning import clean_report

        clean_report(report)
    return report


def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, str] | None:
    """Count a failure of the harness itself as an error."""
    if report.when == "call" and report.failed and getattr(report, "harness_error", False):
        return "error", "E", "ERROR"
    return None
