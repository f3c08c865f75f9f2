"""Runs a suite of the tiny stack as a process of its own: progress and outcomes as JSON lines."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from harness.description.stackfile import load_stack
from harness.faults.installed import Faults
from harness.model.plan import Plan
from harness.model.scenario import Scenario
from harness.runner.planning.catalogue import Catalogue
from harness.runner.planning.plan import stack_facts
from harness.runner.progress import Progress
from harness.suite.pool import SuiteRequest, run_plans

STACK = Path(__file__).parents[1] / "runner" / "tiny" / "compose.yaml"


def plan(run: str, seconds: str) -> Plan:
    """Return a plan that loses the bystander's node."""
    scenario = {
        "schema": 1, "scenario": run, "summary": "A node is lost.", "stack": str(STACK),
        "timeline": [{"id": "lost", "at": "0s", "fault": "node.loss", "target": {"node": "b"}, "for": seconds}],
        "expect": {},
    }  # fmt: skip
    facts = stack_facts(Catalogue(load_stack(STACK), Faults()))
    return Plan(run=run, scenario=Scenario.model_validate(scenario), stack=facts, seed=1)


def told(progress: Progress) -> None:
    print(json.dumps({"run": progress.run, "text": progress.text}), flush=True)


def message(text: str) -> None:
    print(json.dumps({"message": text}), flush=True)


if __name__ == "__main__":
    folder, seconds, count, jobs = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]) or None
    plans = tuple(plan(f"run-{k}", seconds) for k in range(count))
    for outcome in run_plans(SuiteRequest("tiny", plans, folder, jobs), told, message):
        error = None if outcome.error is None else str(outcome.error)
        print(json.dumps({"outcome": outcome.plan.run, "error": error, "interrupted": outcome.interrupted}), flush=True)
