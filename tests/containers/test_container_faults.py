"""The contract of faults on containers: one suite over all kinds, on a real engine.

`prepare` changes nothing. After `inject`, the engine or the kernel confirms the fault. After `revert`, also by another
process, every container is as before.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from fault_cases import CASES, Case
from fault_stack import containers_of, description, small_project, stable
from images import base_image

from harness.backends.compose.containers import EngineContainers
from harness.backends.compose.labels import RUN
from harness.faults.table import FAULTS
from harness.model.containers import Replacement
from harness.model.errors import FaultError
from harness.model.fault import Confirmation, Fault
from harness.model.faultstep import FaultStep
from harness.seams import Seams

pytestmark = pytest.mark.docker
Make = Callable[..., Fault]


class OnlyContainers:
    """A backend with containers, and the other methods that node loss needs."""

    def __init__(self, containers: EngineContainers) -> None:
        self.containers = containers
        self.links: dict[str, Any] = {}

    async def kill(self, services: Iterable[str], suppress_restart: bool = False) -> None:
        for name in services:
            await self.containers.kill(name, 9)

    async def restore(self, services: Iterable[str]) -> None:
        for name in services:
            await self.containers.start(name)

    async def process_states(self, services: Iterable[str]) -> dict[str, str]:
        return {name: "S" if (await self.containers.state(name)).pid else "absent" for name in services}


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    made = docker.from_env()
    yield made
    made.close()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with small_project(tmp_path_factory.mktemp("project"), 77) as name:
        yield name


@pytest.fixture
def containers(client: Any, project: str, monkeypatch: pytest.MonkeyPatch) -> EngineContainers:
    monkeypatch.setenv("HARNESS_TOOLS_IMAGE", base_image())
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
    return lambda: [stable(one) for one in containers_of(client, project)]


def test_every_container_fault_has_a_case() -> None:
    assert {case.kind for case in CASES.values()} == {name for name, kind in FAULTS.items() if kind.in_containers}


async def confirmed(fault: Fault) -> Confirmation:
    for _ in range(200):
        confirmation = await fault.confirm()
        if confirmation.landed:
            return confirmation
    raise AssertionError(confirmation)


async def absent(fault: Fault) -> None:
    for _ in range(200):
        confirmation = await fault.absent()
        if confirmation.landed is False:
            return
    raise AssertionError(confirmation)


@pytest.mark.parametrize("name", CASES)
async def test_inject_confirm_and_revert(name: str, make: Make, look: Any) -> None:
    case = CASES[name]
    before = look()
    fault = make(case.kind, case.target, case.parameters)
    undo = await fault.prepare()
    assert look() == before, "prepare changes nothing"
    assert json.loads(json.dumps(undo)) == undo
    assert not (await fault.confirm()).landed, "not confirmed before injection"
    try:
        await fault.inject()
        confirmation = await confirmed(fault)
        json.dumps(confirmation.evidence, allow_nan=False)
        assert confirmation.evidence
        assert bool(fault.manifest()) is (FAULTS[case.kind].changes == "anything")
    finally:
        await fault.revert(undo)
    await absent(fault)
    assert look() == before
    await fault.revert(undo)
    await absent(fault)
    assert look() == before
    assert not (await fault.confirm()).landed


async def test_a_partition_of_services_that_send_one_another_nothing_is_not_confirmed(make: Make) -> None:
    fault = make("network.partition", {"service": "web"}, {"apart_from": ["store"]})
    undo = await fault.prepare()
    try:
        await fault.inject()
        for _ in range(3):  # the packets of the harness itself are no traffic of theirs
            confirmation = await fault.confirm()
            assert confirmation.landed is False
            assert confirmation.evidence["why"] == "no traffic of 'web' or 'store' met it"
            assert all(confirmation.evidence["dropped_of_3_packets"].values())
    finally:
        await fault.revert(undo)
    await absent(fault)


@pytest.mark.parametrize("name", CASES)
async def test_another_process_reverts_from_the_undo_alone(name: str, make: Make, look: Any) -> None:
    case = CASES[name]
    before = look()
    first = make(case.kind, case.target, case.parameters)
    undo = json.loads(json.dumps(await first.prepare()))
    await first.inject()
    await confirmed(first)
    if case.dies_with_the_harness is not None:
        case.dies_with_the_harness(first)
    second = make(case.kind, case.target, case.parameters)
    await second.revert(undo)
    await absent(second)
    assert look() == before


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.undone is not None])
async def test_an_undone_fault_is_no_longer_confirmed(
    name: str, make: Make, look: Any, containers: EngineContainers
) -> None:
    case: Case = CASES[name]
    before = look()
    fault = make(case.kind, case.target, case.parameters)
    undo = await fault.prepare()
    await fault.inject()
    await confirmed(fault)
    assert case.undone is not None
    await case.undone(containers, undo)
    assert not (await fault.confirm()).landed
    await fault.revert(undo)
    await absent(fault)
    assert look() == before


@pytest.mark.parametrize("name", CASES)
async def test_revert_without_inject_changes_nothing(name: str, make: Make, look: Any) -> None:
    case = CASES[name]
    before = look()
    fault = make(case.kind, case.target, case.parameters)
    await fault.revert(await fault.prepare())
    await absent(fault)
    assert look() == before


@pytest.mark.parametrize("name", ["crash", "pause", "oom", "cpu", "full", "remounted", "deaf", "environment"])
async def test_a_helper_container_acts_on_a_remote_engine_and_is_removed(
    name: str, make: Make, look: Any, containers: EngineContainers
) -> None:
    containers.host.helper_always = True
    case = CASES[name]
    before = look()
    fault = make(case.kind, case.target, case.parameters)
    undo = await fault.prepare()
    try:
        await fault.inject()
        await confirmed(fault)
    finally:
        await fault.revert(undo)
    await absent(fault)
    assert look() == before


async def test_a_missing_helper_image_is_an_error_with_a_remedy(
    make: Make, look: Any, containers: EngineContainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_TOOLS_IMAGE", "127.0.0.1:1/nowhere/tools:0")
    containers.host.helper_always = True
    before = look()
    with pytest.raises(FaultError, match="HARNESS_TOOLS_IMAGE"):
        await make("container.cpu", {"service": "web"}, {"cpus": 0.5}).prepare()
    assert look() == before


async def test_a_failed_helper_is_removed(look: Any, containers: EngineContainers) -> None:
    containers.host.helper_always = True
    before = look()
    with pytest.raises(FaultError, match="No such file"):
        await containers.ask("web", "space", path="/nowhere/at/all")
    assert look() == before


async def test_a_node_lost_with_its_volumes_comes_back_empty(
    make: Make, look: Any, containers: EngineContainers
) -> None:
    before = look()
    await containers.run("store", ["sh", "-c", "mkdir /data/rows && echo 1 > /data/rows/a && echo 2 > /data/.b"], 10)
    fault = make("node.loss", {"node": "b"}, {"volumes": "lost"})
    undo = await fault.prepare()
    await fault.inject()
    confirmation = await confirmed(fault)
    assert set(confirmation.evidence["volume_entries"].values()) == {0}
    await fault.revert(undo)
    await absent(fault)
    assert look() == before
    assert (await containers.run("store", ["find", "/data", "-mindepth", "1"], 10)).stdout == ""


async def test_volumes_of_the_other_image_are_removed_with_it(
    make: Make, containers: EngineContainers, client: Any, look: Any
) -> None:
    before = look()
    case = CASES["image"]
    fault = make(case.kind, case.target, case.parameters)
    undo = await fault.prepare()
    await fault.inject()
    (volume,) = [mount.source for mount in await containers.mounts("web") if mount.target == "/extra"]
    await fault.revert(undo)
    assert volume not in [one["Name"] for one in client.api.volumes()["Volumes"]]
    assert look() == before


INVALID: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("disk.full", {"service": "store"}, {"path": "/data", "at_most": "100GB"}, "disk of the engine itself"),
    ("disk.full", {"service": "store"}, {"path": "/tmp"}, "disk of the engine itself"),
    ("disk.full", {"service": "store"}, {"path": "/dev/shm", "at_most": "1MiB"}, "more than the 1048576 allowed"),
    ("disk.full", {"service": "store"}, {"path": "/missing"}, "No such file"),
    ("volume.read_only", {"service": "store"}, {"path": "/data/rows"}, "mounted are: /data"),
    ("volume.read_only", {"service": "store"}, {"path": "/etc/settings.conf"}, "takes no writes as it is"),
    ("container.restart_loop", {"service": "web"}, {}, "no restart policy"),
    ("container.oom", {"service": "web"}, {}, "no memory limit"),
    ("container.image", {"service": "web"}, {"image": "harness-test/never:1"}, "docker pull harness-test/never:1"),
    ("container.file", {"service": "store"}, {"path": "/data/model.onnx", "content": ""}, "mounted at /data"),
    ("container.file", {"service": "web"}, {"path": "/etc/issue", "find": "never there", "put": ""}, "does not hold"),
    ("container.file", {"service": "web"}, {"path": "/nowhere", "find": "a", "put": "b"}, "there is no file"),
    ("container.file", {"service": "web"}, {"path": "/etc/issue", "source": "/not/there"}, "cannot be read"),
    ("clock.skew", {"service": "web"}, {"offset": "2h", "library": "/not/there.so"}, "/not/there.so"),
    ("network.disconnect", {"service": "worker"}, {"networks": ["bakc"]}, "back"),
]


@pytest.mark.parametrize(("kind", "target", "parameters", "message"), INVALID)
async def test_invalid_faults_are_rejected_before_anything_changes(
    kind: str, target: dict[str, Any], parameters: dict[str, Any], message: str, make: Make, look: Any
) -> None:
    before = look()
    with pytest.raises(FaultError) as caught:
        await make(kind, target, parameters).prepare()
    assert message in str(caught.value)
    assert look() == before


async def test_remounting_with_an_open_file_suggests_recreate(
    make: Make, containers: EngineContainers, look: Any
) -> None:
    before = look()
    holding = asyncio.create_task(containers.run("store", ["sh", "-c", "exec 3>/data/open && sleep 4"], 20))
    fault = make("volume.read_only", {"service": "store"}, {"path": "/data"})
    undo = await fault.prepare()
    while not (await containers.ask("store", "exists", path="/data", name="open"))["exists"]:
        assert not holding.done()
    with pytest.raises(FaultError, match=r"EBUSY.*recreate"):
        await fault.inject()
    await fault.revert(undo)
    await absent(fault)
    await holding
    await containers.run("store", ["rm", "/data/open"], 10)
    assert look() == before


async def test_an_unknown_service_is_an_error_with_the_nearest_name(containers: EngineContainers) -> None:
    with pytest.raises(FaultError, match="worker"):
        await containers.state("workr")


async def test_a_stopped_container_is_no_target(make: Make, containers: EngineContainers, look: Any) -> None:
    before = look()
    await containers.stop("web", 1)
    with pytest.raises(FaultError, match="exited and not running"):
        await make("container.pause", {"service": "web"}).prepare()
    await containers.start("web")
    assert look() == before


async def test_an_original_that_was_pruned_leaves_what_stands_in_for_it(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_TOOLS_IMAGE", base_image())
    with small_project(tmp_path, 78) as project:
        containers = EngineContainers(client, project, {RUN: project})
        change = Replacement(set_environment={"MODE": "slow"})
        undo = await containers.plan_replacement("web", change)
        await containers.replace("web", change, undo)
        client.api.remove_container(undo["container"], force=True)
        with pytest.raises(FaultError, match="what stands in for it goes on"):
            await containers.put_back(undo)
        stands_in = await containers.state("web")
        assert stands_in.pid, "the service has one container still"
        assert await containers.replaced(undo)
        client.api.remove_container(stands_in.container, force=True)  # as the service is made anew
        await containers.put_back(undo)
        assert not await containers.replaced(undo)


async def test_a_full_disk_that_is_no_longer_mounted_is_not_taken_for_empty(make: Make, look: Any) -> None:
    case = CASES["full"]
    fault = make(case.kind, case.target, case.parameters)
    undo = await fault.prepare()
    elsewhere = undo | {"source": "a-volume-of-before"}
    with pytest.raises(FaultError, match="'a-volume-of-before', with the file that fills it, is not mounted in"):
        await fault.revert(elsewhere)
