"""Files of a small project, and how the counts of a run of pytest are read."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]
SHORT = """
schema: 1
scenario: {name}
summary: The trainer's way to the object store is slow for a moment.
tags: [quick]
stack: reference
start_at: 2013-06-14T06:00
gate_timeout: {gate_timeout}
steady_state:
  - {{id: up, probe: availability, at_least: {up}, over: 1s, min_samples: 10}}
timeline:
  - id: slow
    at: 1s
    fault: network.latency
    target: {{link: trainer -> object-store}}
    with: {{latency: 800ms}}
    for: {lasts}
expect:
  detected:
    - {{id: seen, alert: ObjectStoreSlow, labels: {{service: trainer}}, within: {within}}}
  stays:
    - {{id: serving, probe: availability, at_least: 0.9, over: 2s, min_samples: 10}}
"""


def short_scenario(name: str, within: str = "6s", lasts: str = "4s", up: float = 0.9, gate_timeout: str = "20s") -> str:
    """A scenario that is over soon."""
    return SHORT.format(name=name, within=within, lasts=lasts, up=up, gate_timeout=gate_timeout)


def write(project: pytest.Pytester, name: str, text: str) -> None:
    """Write a file of the project."""
    (project.path / name).write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")


def outcomes(result: pytest.RunResult) -> dict[str, int]:
    """The counts of the last line, with errors under one name."""
    found = result.parseoutcomes()
    return {re.sub("s$", "", name): count for name, count in found.items() if name not in ("warnings", "deselected")}
