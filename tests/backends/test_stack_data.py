"""A stack's data is prepared once, at first use, and whoever waits for it is told why."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from harness.backends.jobs import data_directory
from harness.model.backend import JobResult
from harness.model.datasets import CheckSpec
from harness.model.errors import BackendError
from harness.model.stack import StackDescription


def stack(folder: Path, command: tuple[str, ...] | None) -> StackDescription:
    data = None if command is None else CheckSpec(command=command)
    return StackDescription(
        schema=1, name="one", stack="one", file=str(folder / "compose.yaml"), data=data, services={}
    )


class Jobs:
    """Answers every job with one result, once it is allowed to end."""

    def __init__(self, result: JobResult) -> None:
        self.result = result
        self.commands: list[list[str]] = []
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def __call__(self, argv: list[str], timeout_s: float, /) -> JobResult:
        self.commands.append(argv)
        await self.may_end.wait()
        return self.result


async def test_the_command_runs_once_and_its_last_line_is_the_directory(tmp_path: Path) -> None:
    jobs, notices = Jobs(JobResult(0, "made 3 files\n/data\n", "")), list[str]()
    described = stack(tmp_path, ("prepare", "it"))
    assert await data_directory(described, jobs, notices.append) == "/data"
    assert await data_directory(described, jobs, notices.append) == "/data"
    assert jobs.commands == [["prepare", "it"]]
    assert notices == []


async def test_a_command_that_takes_a_while_is_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.backends.jobs.NOTICE_AFTER_S", 0.0)
    jobs, notices = Jobs(JobResult(0, "/data\n", "")), list[str]()
    jobs.may_end.clear()

    def notify(text: str) -> None:
        notices.append(text)
        jobs.may_end.set()

    assert await data_directory(stack(tmp_path, ("prepare",)), jobs, notify) == "/data"
    assert notices == ["preparing the stack's data with `prepare`: done once, at first use"]


@pytest.mark.parametrize("result", [JobResult(3, "", "no room\n"), JobResult(0, "", "no room\n")])
async def test_a_command_that_fails_or_prints_nothing_is_an_error(tmp_path: Path, result: JobResult) -> None:
    with pytest.raises(BackendError, match=r"(?s)could not be prepared.*no room"):
        await data_directory(stack(tmp_path, ("prepare",)), Jobs(result))


async def test_a_stack_without_data_runs_nothing(tmp_path: Path) -> None:
    jobs: Any = Jobs(JobResult(0, "", ""))
    assert await data_directory(stack(tmp_path, None), jobs) is None
    assert jobs.commands == []
