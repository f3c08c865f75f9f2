"""Of a Dockerfile with several stages the one counts that is built, with what it rests on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.onboarding.test_guesses import guessed

STAGES = """\
ARG BASE=python:3.11
FROM ${BASE} AS base
ENV HOST=0.0.0.0
EXPOSE 8000/tcp
CMD ["uvicorn", "app:app"]

FROM base AS worker
CMD ["celery", "-A", "tasks", "worker"]

FROM node:20 AS page
EXPOSE 3000

FROM base
"""


@pytest.mark.parametrize(
    ("build", "kind", "port"),
    [
        ({"context": "."}, "uvicorn", 8000),
        ({"context": ".", "target": "base"}, "uvicorn", 8000),
        ({"context": ".", "target": "worker"}, "celery", 8000),
        ({"context": ".", "target": "page"}, "service", 3000),
        ({"context": ".", "target": "Page"}, "service", 3000),
        ({"context": ".", "target": "3"}, "uvicorn", 8000),
        ({"context": ".", "target": "none"}, "service", None),
        ({"context": ".", "target": "worker", "args": ["BASE=redis:7"]}, "celery", 8000),
    ],
)
def test_the_stage_that_is_built(tmp_path: Path, build: dict[str, Any], kind: str, port: int | None) -> None:
    (tmp_path / "Dockerfile").write_text(STAGES)
    found = guessed(tmp_path, {"thing": {"build": build}})["thing"]
    assert (found.kind.name, found.port and found.port.value) == (kind, port)


def test_the_base_that_an_argument_names(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text('ARG FROM_IMAGE="postgres:16"\nFROM $FROM_IMAGE\n')
    services = {
        "usual": {"build": "."},
        "given": {"build": {"context": ".", "args": {"FROM_IMAGE": "redis:7"}}},
    }
    assert [one.kind.name for one in guessed(tmp_path, services).values()] == ["postgres", "redis"]


def test_an_entry_point_takes_no_command_of_the_stage_below(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text('FROM x AS a\nCMD ["uvicorn", "b"]\nFROM a\nENTRYPOINT ["celery", "worker"]\n')
    assert guessed(tmp_path, {"thing": {"build": "."}})["thing"].kind.name == "celery"


def test_an_image_that_another_service_builds(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM apache/airflow:2.9.2\n")
    services = {"web": {"image": "team/air", "build": "."}, "planner": {"image": "team/air", "command": "scheduler"}}
    assert guessed(tmp_path, services)["planner"].kind.name == "airflow"
