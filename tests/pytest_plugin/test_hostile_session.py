"""What others wrote reaches pytest's terminal and its JUnit file cleaned."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import short_scenario, write

from harness.model.cleaned import forbidden

HOSTILE = "\x1b[31m\x9b2J\u202eevil\u200b é漢字\n::error::owned"
TEST = """
import pytest
from harness.model.errors import BackendError

@pytest.fixture
def chaos():
    return None

def test_of_ours(chaos, request):
    request.node.add_report_section("call", "harness run", HOSTILE)
    raise BackendError("log: " + HOSTILE, remedy=HOSTILE)

def test_a_text(chaos):
    pytest.fail(HOSTILE, pytrace=False)

def test_of_others():
    print("\\x1b[31mred")
    assert False
"""
CONFTEST = """
from harness.pytest_plugin.session_runner import _announce

def pytest_collection_finish(session):
    _announce(session.config, HOSTILE)
"""


def test_every_text_of_a_session(project: pytest.Pytester) -> None:
    project.makeconftest(f"HOSTILE = {HOSTILE!r}\n{CONFTEST}")
    project.makepyfile(f"HOSTILE = {HOSTILE!r}\n{TEST}")
    write(project, "odd.scenario.yaml", short_scenario("odd") + '"\\e[31m\\u202eevil": 1\n')
    result = project.runpytest_subprocess(
        "-rA", "--color=no", "--junitxml=junit.xml", "--continue-on-collection-errors", "-k", "not others", timeout=100
    )
    shown = result.stdout.str() + result.stderr.str()
    assert forbidden(shown) is None
    assert "é漢字" in shown
    assert "the text contains U+001B" in shown
    assert not [line for line in shown.splitlines() if line.lstrip().startswith("::")]
    assert forbidden(Path(project.path / "junit.xml").read_text("utf-8")) is None


def test_what_other_tests_print_is_their_own(project: pytest.Pytester) -> None:
    project.makepyfile(f"HOSTILE = {HOSTILE!r}\n{TEST}")
    result = project.runpytest_subprocess("-k", "others", timeout=100)
    assert "\x1b[31mred" in result.stdout.str()
