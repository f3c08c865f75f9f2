"""What a user must know at once is displayed while pytest captures the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.pytest_plugin.session_runner import SessionRunner
from harness.pytest_plugin.settings import Settings
from harness.runner.progress import Progress

pytestmark = pytest.mark.slow

CONFTEST = """
from harness.pytest_plugin.session_runner import _announce
import pytest

@pytest.fixture
def announce(request):
    return lambda text: _announce(request.config, text)
"""


def test_progress_is_kept_and_a_notice_displayed(tmp_path: Path) -> None:
    displayed: list[str] = []
    lines: list[str] = []
    settings = Settings(reports=tmp_path, seed=None, twin=None, backend="local", paired=False)
    record = SessionRunner(settings, "session", {}, displayed.append, alone=True).recorder(lines)
    record(Progress("run", 0.0, "phase", "starting"))
    record(Progress("run", 2.0, "notice", "preparing the stack's data"))
    assert displayed == ["preparing the stack's data"]
    assert [line.split(maxsplit=3)[2:] for line in lines] == [
        ["phase", "starting"],
        ["notice", "preparing the stack's data"],
    ]


@pytest.mark.parametrize("options", [(), ("-s",), ("--capture=sys",)])
def test_a_notice_passes_through_the_capture(project: pytest.Pytester, options: tuple[str, ...]) -> None:
    project.makeconftest(CONFTEST)
    project.makepyfile("def test_one(announce):\n    print('captured')\n    announce('first use')\n")
    result = project.runpytest_subprocess(*options, timeout=60)
    result.stdout.fnmatch_lines(["harness: first use"])
    assert result.parseoutcomes() == {"passed": 1}
