"""What a suite and its worker processes write to one another, one JSON object a line, and the outcome of a run.

A suite's own process imports this, and nothing of what drives a run.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.model import errors
from harness.model.errors import BackendError, HarnessError
from harness.model.plan import Plan
from harness.runner.progress import Progress

LINE_LIMIT = 16 * 2**20
_PLACE = ("message", "file", "line", "field", "remedy")


@dataclass(frozen=True)
class Task:
    """A plan to run: in which folder, on which stack (its name or file), with the token of what its runs share."""

    plan: Plan
    run_dir: Path
    stack: str
    token: str

    def line(self) -> bytes:
        """Return the task as a line."""
        plan = self.plan.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        data = {"plan": plan, "run_dir": str(self.run_dir), "stack": self.stack, "token": self.token}
        return json.dumps(data).encode() + b"\n"

    @staticmethod
    def read(line: bytes) -> Task:
        """Read a task. Raises ValueError, KeyError or TypeError where it is none."""
        data = json.loads(line)
        return Task(Plan.model_validate(data["plan"]), Path(data["run_dir"]), data["stack"], data["token"])


@dataclass(frozen=True)
class Ended:
    """How a run ended, as its worker sends it. `error` is why it was not completed.

    `late_s` is the 99th percentile of the harness's own lateness after the gate; None where nothing was measured.
    """

    error: HarnessError | None = None
    interrupted: bool = False
    late_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class RunOutcome(Ended):
    """How one run ended, with its plan and the folder that has its journal."""

    plan: Plan
    run_dir: Path


def write_message(message: Progress | Ended) -> str:
    """Return a worker's message as a line."""
    if isinstance(message, Progress):
        return json.dumps({"progress": asdict(message)}) + "\n"
    error: dict[str, Any] | None = None
    if message.error is not None:
        error = {"kind": type(message.error).__name__} | {name: getattr(message.error, name) for name in _PLACE}
    ended = {"error": error, "interrupted": message.interrupted, "late_s": message.late_s}
    return json.dumps({"ended": ended}) + "\n"


def read_message(line: bytes) -> Progress | Ended:
    """Read a worker's message. Raises ValueError, KeyError or TypeError where it is none."""
    data = json.loads(line)
    if "progress" in data:
        return Progress(**data["progress"])
    ended = data["ended"]
    error = ended["error"]
    if error is not None:
        kind = getattr(errors, str(error.pop("kind")), BackendError)
        error = kind(error.pop("message"), **error)
    return Ended(error, bool(ended["interrupted"]), ended["late_s"])
