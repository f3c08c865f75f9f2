"""What the harness could not do is an error and no finding: its message, and the last log lines of what failed."""

from __future__ import annotations

import pytest
from projects import Run, outcomes, write

pytestmark = pytest.mark.slow

STACK = """
name: broken
x-harness: {schema: 1, stack: broken, ownership: owned, ready_within: 10s}
services:
  web:
    image: none
    restart: "no"
    x-harness:
      node: a
      roles: [server]
      port: 18001
      health: {tcp: true}
      local: {command: [python, -c, "import sys; sys.exit('no room for the web')"]}
"""
SCENARIO = """
schema: 1
scenario: broken
summary: A stack that does not start.
stack: ./compose.yaml
timeline:
  - {id: lost, at: 0s, fault: node.loss, target: {node: a}, for: 1s}
expect: {churn_at_most: [{id: steady, service: web, at_most: 9}]}
"""
BY_HAND = """
import pytest


@pytest.mark.stack("./compose.yaml")
def test_broken(chaos):
    with chaos.fault("node.loss", node="a"):
        pass
"""


def test_a_stack_that_does_not_start_is_an_error_with_its_log(project: pytest.Pytester, run: Run) -> None:
    write(project, "compose.yaml", STACK)
    write(project, "broken.scenario.yaml", SCENARIO)
    write(project, "test_broken.py", BY_HAND)
    result = run("--junit-xml", "junit.xml")
    assert outcomes(result) == {"error": 2}
    result.stdout.fnmatch_lines(
        ["broken: the harness could not complete this run: the service 'web' *", "* no room for the web"]
    )
    result.stdout.fnmatch_lines(["*ERROR at call of test_broken*", "E *the service 'web' *", "* no room for the web"])
    result.stdout.fnmatch_lines(["harness: 0 pass, 0 fail, 2 unknown; report: reports/pytest/index.html"])
    assert "Traceback" not in result.stdout.str()
