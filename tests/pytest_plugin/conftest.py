"""A project of its own for pytest to run in, as a user has it: only the package is installed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from projects import Run

from harness.model.machine import MACHINE_BUSY

INI = """
[pytest]
addopts = -p no:cacheprovider --strict-markers --strict-config
filterwarnings = error
asyncio_default_fixture_loop_scope = function
"""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "stack_run: starts the reference stack, and takes some twenty seconds")
    if not config.pluginmanager.has_plugin("pytester"):
        config.pluginmanager.import_plugin("pytester")


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """An empty project in which every warning is an error."""
    pytester.makeini(INI)
    return pytester


@pytest.fixture
def run(project: pytest.Pytester) -> Run:
    """Run pytest in the project. A machine that was too busy to keep up says so, and is given another chance.

    Runs side by side may be what kept it busy: then they come one after another.
    """

    def runs(*arguments: str) -> pytest.RunResult:
        for _ in range(3):
            result = project.runpytest_subprocess(*arguments, timeout=170)
            if not any(word in result.stdout.str() for word in ("harness late", MACHINE_BUSY)):
                break
            arguments = tuple("1" if before == "-n" else word for before, word in pairwise(("", *arguments)))
        return result

    return runs
