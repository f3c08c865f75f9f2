"""What every fault on containers keeps to: one suite, over all of them, on a real engine.

Preparing changes nothing; it goes in and the engine or the kernel says so; it goes out, also by another process, and
the engine tells of every container what it told before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fault_cases import CASES, Case
from fault_stack import containers_of, description, small_project, stable

from harness.backends.compose.containers import EngineContainers
from harness.backends.compose.labels import RUN
from harness.faults.table import FAULTS
from harness.model.fault import Fault, Landing
from harness.model.scenario import FaultStep
from harness.seams import Seams

pytestmark = pytest.mark.docker
Make = Callable[..., Fault]


class OnlyContainers:
    """A backend that has containers and nothing else that these faults ask for."""

    def __init__(self, containers: EngineContainers) -> None:
        self.containers = containers
        self.links: dict[str, Any] = {}


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    docker = pytest.importorskip("docker")
    made = docker.from_env()
    yield made
    made.close()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with small_project(tmp_path_factory.mktemp("project"), 77) as name:
        yield name


@pytest.fixture
def containers(client: Any, project: str) -> EngineContainers:
    return EngineContainers(client, project, {RUN: project})


@pytest.fixture
def make(containers: EngineContainers) -> Make:
    def made(kind: str, target: dict[str, Any], parameters: dict[str, Any] | None = None) -> Fault:
        step = FaultStep.model_validate(
            {"id": "it", "at": "0s", "fault": kind, "target": target, "with": parameters or {}, "for": "1s"}
        )
        seams = Seams(OnlyContainers(containers), description())  # type: ignore[arg-type]
        return FAULTS[kind].make(step, seams, 1)

    return made


@pytest.fixture
def look(client: Any, project: str) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [stable(told) for told in containers_of(client, project)]


def test_every_kind_that_needs_containers_is_here() -> None:
    assert {case.kind for case in CASES.values()} == {name for name, kind in FAULTS.items() if kind.in_containers}


async def lands(fault: Fault) -> Landing:
    for _ in range(200):
        landing = await fault.confirm()
        if landing.landed:
            return landing
    raise AssertionError(landing)


async def is_gone(fault: Fault) -> None:
    for _ in range(200):
        landing = await fault.absent()
        if landing.landed is False:
            return
    raise AssertionError(landing)


@pytest.mark.parametrize("name", CASES)
async def test_it_goes_in_is_seen_and_goes_out_again(name: str, make: Make, look: Any) -> None:
    case = CASES[name]
    before = look()
    fault = make(case.kind, case.target, case.parameters)
    undo = await fault.prepare()
    assert look() == before, "preparing changes nothing"
    assert json.loads(json.dumps(undo)) == undo
    assert not (await fault.confirm()).landed, "it is not there before it is put in"
    try:
        await fault.inject()
        landing = await lands(fault)
        json.dumps(landing.evidence, allow_nan=False)
        assert landing.evidence
        assert fault.manifest() == []
    finally:
        await fault.revert(undo)
    await is_gone(fault)
    assert look() == before
    await fault.revert(undo)
    await is_gone(fault)
    assert look() == before
    assert not (await fault.confirm()).landed


@pytest.mark.parametrize("name", CASES)
async def test_another_process_takes_it_out_from_the_undo_alone(name: str, make: Make, look: Any) -> None:
    case = CASES[name]
    before = look()
    first = make(case.kind, case.target, case.parameters)
    undo = json.loads(json.dumps(await first.prepare()))
    await first.inject()
    await lands(first)
    if case.dies_with_the_harness is not None:
        case.dies_with_the_harness(first)
    second = make(case.kind, case.target, case.parameters)
    await second.revert(undo)
    await is_gone(second)
    assert look() == before


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.undone is not None])
async def test_what_is_undone_behind_its_back_is_confirmed_no_more(
    name: str, make: Make, look: Any, containers: EngineContainers
) -> None:
    case: Case = CASES[name]
    before = look()
    fault = make(case.kind, case.target, case.parameters)
    undo = await fault.prepare()
    await fault.inject()
    await lands(fault)
    assert case.undone is not None
    await case.undone(containers, undo)
    assert not (await fault.confirm()).landed
    await fault.revert(undo)
    await is_gone(fault)
    assert look() == before


@pytest.mark.parametrize("name", CASES)
async def test_taking_out_what_is_not_in_is_harmless(name: str, make: Make, look: Any) -> None:
    case = CASES[name]
    before = look()
    fault = make(case.kind, case.target, case.parameters)
    await fault.revert(await fault.prepare())
    await is_gone(fault)
    assert look() == before
