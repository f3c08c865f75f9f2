"""Services with several containers: faults on one replica, a share or all, on a real engine, and runs with them."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import docker
import pytest
from attached_runs import HARNESS
from fault_cases import PREVIOUS
from fault_stack import containers_of, description, small_project, stable
from images import base_image
from test_container_faults import OnlyContainers, absent, confirmed

from harness.backends.compose.backend import ComposeBackend
from harness.backends.compose.containers import EngineContainers
from harness.backends.compose.engine import REACH
from harness.backends.compose.labels import NUMBER, RUN, SERVICE
from harness.description.stackfile import load_stack
from harness.faults.each_replica import UNDO
from harness.faults.table import FAULTS
from harness.model.backend import StackPlan
from harness.model.errors import BackendError, FaultError
from harness.model.fault import Fault
from harness.model.faultstep import FaultStep
from harness.model.fields import Link
from harness.seams import Seams

pytestmark = pytest.mark.docker
SCALES = ("--scale", "web=3", "--scale", "worker=2")
ALL_OF_WEB = ["web#1", "web#2", "web#3"]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    made = docker.from_env()
    yield made
    made.close()


def scaled(folder: Path, project: str, *scales: str) -> None:
    """Have compose start, or remove, so many containers of its services."""
    command = ["docker-compose", "-p", project, "-f", str(folder / "compose.yaml"), "up", "-d", "--no-recreate"]
    subprocess.run([*command, "-t", "1", *scales], check=True, capture_output=True, timeout=120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("replicas")


@pytest.fixture(scope="module")
def project(folder: Path) -> Iterator[str]:
    with small_project(folder, 79) as name:
        scaled(folder, name, *SCALES)
        yield name


@pytest.fixture
def containers(client: Any, project: str, monkeypatch: pytest.MonkeyPatch) -> EngineContainers:
    monkeypatch.setenv("HARNESS_TOOLS_IMAGE", base_image())
    return EngineContainers(client, project, {RUN: project})


def made(
    containers: EngineContainers, kind: str, target: dict[str, Any], parameters: dict[str, Any] | None = None
) -> Fault:
    raw = {"id": "it", "at": "0s", "fault": kind, "target": target, "with": parameters or {}, "for": "1s"}
    seams = Seams(OnlyContainers(containers), description())  # type: ignore[arg-type]
    return FAULTS[kind].make(FaultStep.model_validate(raw), seams, 1)


def look(client: Any, project: str) -> dict[str, dict[str, Any]]:
    """Return what a revert must restore of each container, by its replica."""
    found = {}
    for one in containers_of(client, project):
        labels = one["Config"]["Labels"]
        found[f"{labels[SERVICE]}#{labels[NUMBER]}"] = stable(one)
    return found


def started(client: Any, project: str) -> dict[str, str]:
    return {one["Name"]: one["State"]["StartedAt"] for one in containers_of(client, project)}


SOME_OF_WEB = {"service": "web", "share": 0.67}
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], list[str]]] = {
    "kill-one": ("container.kill", {"service": "web", "replica": 2}, {"restart": "none"}, ["web#2"]),
    "crash-all": ("container.kill", {"service": "worker"}, {}, ["worker#1", "worker#2"]),
    "pause-a-share": ("container.pause", SOME_OF_WEB, {}, ["web#1", "web#2", "web#3"]),
    "stop-a-node": ("container.stop", {"node": "b"}, {"grace": "1s"}, ["store", *ALL_OF_WEB]),
    "cpu-all": ("container.cpu", {"service": "web"}, {"cpus": 0.05}, ALL_OF_WEB),
    "oom-one": ("container.oom", {"service": "worker", "replica": 2}, {}, ["worker#2"]),
    "loop-one": ("container.restart_loop", {"service": "worker", "replica": 1}, {"alive": "100ms"}, ["worker#1"]),
    "off-one": ("network.disconnect", {"service": "web", "replica": 3}, {}, ["web#3"]),
    "image-of-all": ("container.image", {"service": "web"}, {"image": PREVIOUS}, ALL_OF_WEB),
    "environment-of-all": ("container.environment", {"service": "worker"}, {"set": {"MODE": "slow"}},
                           ["worker#1", "worker#2"]),
    "file-of-one": ("container.file", {"service": "web", "replica": 2}, {"path": "/etc/issue", "content": "changed"},
                    ["web#2"]),
    "clock-of-one": ("clock.skew", {"service": "web", "replica": 1}, {"offset": "2h"}, ["web#1"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
async def test_every_replica_that_is_meant_is_hit_and_no_other(
    name: str, client: Any, project: str, containers: EngineContainers
) -> None:
    kind, target, parameters, meant = CASES[name]
    before, ran = look(client, project), started(client, project)
    first = made(containers, kind, target, parameters)
    undo = json.loads(json.dumps(await first.prepare()))
    assert look(client, project) == before
    assert not (await first.confirm()).landed
    hit = list(undo[UNDO])
    if target.get("share"):
        assert len(hit) == 2
        assert set(hit) < set(meant)
    else:
        assert hit == meant
    try:
        await first.inject()
        confirmation = await confirmed(first)
        assert list(confirmation.evidence["replicas"]) == hit
    finally:
        second = made(containers, kind, target, parameters)
        if kind == "container.restart_loop":  # whoever heals comes after the process that crashes it has ended
            await first.revert(undo)
        await second.revert(undo)
    await absent(second)
    assert look(client, project) == before
    spared = {one for one in ran if not any(one.endswith(part.replace("#", "_")) for part in hit)}
    after = started(client, project)
    assert {one: after[one] for one in spared if "store" not in one} == {
        one: ran[one] for one in spared if "store" not in one
    }


async def test_half_a_confirmation_is_none(client: Any, project: str, containers: EngineContainers) -> None:
    before = look(client, project)
    fault = made(containers, "container.pause", {"service": "web"})
    undo = await fault.prepare()
    await fault.inject()
    await confirmed(fault)
    await containers.unpause("web#2")
    confirmation = await fault.confirm()
    assert confirmation.landed is False
    assert str(confirmation.evidence["why"]).startswith("web#2: ")
    assert (await fault.absent()).landed is True
    await fault.revert(undo)
    await absent(fault)
    assert look(client, project) == before


async def test_somebody_scales_the_service_while_the_fault_is_in(
    folder: Path, client: Any, project: str, containers: EngineContainers
) -> None:
    before = look(client, project)
    fault = made(containers, "container.pause", {"service": "worker"})
    undo = await fault.prepare()
    await fault.inject()
    await confirmed(fault)
    scaled(folder, project, "--scale", "worker=3", "--scale", "web=3")
    confirmation = await fault.confirm()
    assert confirmation.landed is False
    assert confirmation.evidence["why"] == "started meanwhile, and not hit: worker#3"
    await containers.unpause("worker#2")  # compose could not stop it else
    scaled(folder, project, "--scale", "worker=1", "--scale", "web=3")
    assert (await fault.confirm()).landed is False
    second = made(containers, "container.pause", {"service": "worker"})
    await second.revert(undo)  # what went with its container needs no revert
    await absent(second)
    scaled(folder, project, *SCALES)
    assert {name: state["state"] for name, state in look(client, project).items()} == {
        name: state["state"] for name, state in before.items()
    }


async def test_a_service_of_one_that_gets_more_is_reverted_where_it_was_hit(
    folder: Path, client: Any, project: str, containers: EngineContainers
) -> None:
    scaled(folder, project, "--scale", "worker=1", "--scale", "web=3")
    fault = made(containers, "container.pause", {"service": "worker"})
    undo = await fault.prepare()
    assert UNDO not in undo
    await fault.inject()
    await confirmed(fault)
    scaled(folder, project, *SCALES)
    assert (await fault.confirm()).evidence["why"] == "started meanwhile, and not hit: worker#2"
    await fault.revert(undo)
    await absent(fault)
    assert {one["State"]["Status"] for one in containers_of(client, project)} == {"running"}


@pytest.mark.parametrize(
    ("kind", "target", "parameters", "message"),
    [
        ("container.pause", {"service": "web", "replica": 4}, {}, "has no replica 4.*its replicas: 1, 2, 3"),
        ("container.pause", {"service": "store", "replica": 1}, {}, "has one container"),
        ("container.pause", {"service": "store", "share": 0.5}, {}, "has one container"),
        ("network.partition", {"service": "store"}, {"apart_from": ["web"]}, "'web' has 3 replicas"),
    ],
)
async def test_what_cannot_be_hit_is_refused_before_anything_changes(
    kind: str, target: dict[str, Any], parameters: dict[str, Any], message: str,
    client: Any, project: str, containers: EngineContainers,
) -> None:  # fmt: skip
    before = look(client, project)
    with pytest.raises(FaultError, match=message):
        await made(containers, kind, target, parameters).prepare()
    assert look(client, project) == before


COMPOSE = """\
x-harness:
  schema: 1
  stack: several
  compose: {ready_within: 60s}
  probes:
    all: {http: {url: "http://web:8000/", read: up}}
    first: {http: {url: "http://web:8000/", read: up, replica: 1}}
    second: {http: {url: "http://web:8000/", read: up, replica: 2}}
    second_runs: {container: {service: web, replica: 2}}
    all_run: {container: {service: web}}
services:
  web:
    image: IMAGE
    init: true
    command: [python3, -u, -m, http.server, "8000"]
    restart: always
    deploy: {replicas: 3}
    x-harness: {port: 8000, health: {http: /}, node: n}
  client:
    image: IMAGE
    init: true
    environment: {WEB: "http://web:8000/"}
    command:
      - python3
      - -c
      - |
        import os, time, urllib.request
        while True:
            time.sleep(0.05)
            try: urllib.request.urlopen(os.environ["WEB"], timeout=2).read()
            except OSError: pass
"""
SCENARIO = """\
schema: 1
scenario: NAME
summary: Some of three servers.
stack: compose.yaml
steady_state:
  - {id: well, probe: all, at_least: 1, over: 1s, min_samples: 3}
  - {id: runs, probe: all_run, at_least: 1, over: 1s, min_samples: 2}
timeline: [{id: it, at: 2s, FAULT, for: 3s}]
expect:
EXPECT
"""
SECOND_ONLY = """\
  stays: [{id: first, probe: first, at_least: 1, over: 1s, min_samples: 3}]
  recovered: [{id: second, probe: second, at_least: 1, over: 1s, min_samples: 3, within: 10s}]
  noticed: [{id: down, probe: second_runs, at_least: 1, over: 1s, min_samples: 2, within: 3s}]
"""
RECOVERED = "  recovered: [{id: all, probe: all, at_least: 1, over: 1s, min_samples: 3, within: 10s}]\n"


@pytest.fixture
def stack(tmp_path: Path, small_images: None) -> Path:
    file = tmp_path / "compose.yaml"
    file.write_text(COMPOSE.replace("IMAGE", base_image()))
    return file


async def test_the_replicas_of_a_running_stack(stack: Path, tmp_path: Path, nothing_left: None) -> None:
    async with ComposeBackend(load_stack(stack)) as backend:
        info = await backend.start(StackPlan(load_stack(stack), tmp_path / "run", (Link("client", "web"),)))
        assert "web" not in info.addresses
        seen = [(one.service, one.replica, one.state) for one in await backend.status()]
        assert seen == [*(("web", k, "running") for k in (1, 2, 3)), ("client", None, "running")]
        places = await backend.replica_places("web", 8000)
        assert set(places) == {1, 2, 3}
        assert len(set(places.values())) == 3
        with pytest.raises(BackendError, match="'web' has 3 replicas, each at an address of its own"):
            backend.resolve("http://web:8000/")
        await backend.kill(["web#2"], suppress_restart=True)
        assert await backend.process_states(["web"]) == {"web#1": "S", "web#2": "absent", "web#3": "S"}
        assert (await backend.replica_places("web", 8000))[2] is None
        suppressed = [one.state for one in await backend.status() if one.replica == 2]
        assert suppressed == ["suppressed"]
        await backend.restore(["web"])
        assert set((await backend.process_states(["web"])).values()) == {"S"}
        await served_by_all(backend)
        await backend.stop()
        assert {path.name for path in (tmp_path / "run" / "logs").glob("web*")} == {
            f"web.replica-{k}.log" for k in (1, 2, 3)
        }


async def test_replicas_that_are_reached_by_published_ports(
    stack: Path, tmp_path: Path, nothing_left: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REACH, "published")
    async with ComposeBackend(load_stack(stack)) as backend:
        await backend.start(StackPlan(load_stack(stack), tmp_path / "run"))
        places = await backend.replica_places("web", 8000)
        assert set(places) == {1, 2, 3}
        assert len(set(places.values())) == 3
        for number, place in places.items():
            assert place is not None
            async with aiohttp.ClientSession() as session, session.get(f"http://{place}/mark-{number}") as answer:
                assert answer.status == 404
        told = {line.partition(":")[0]: line for line in backend.logs("web", 1000) if "mark-" in line}
        assert {name: line[line.index("mark-") + 5] for name, line in told.items()} == {
            f"web#{number}": str(number) for number in (1, 2, 3)
        }


async def served_by_all(backend: ComposeBackend) -> None:
    """Wait until each replica has answered the consumer: its link goes through a proxy, which takes turns."""
    for _ in range(200):
        lines = [line for line in backend.logs("web", 1000) if "GET" in line]
        counts = Counter(line.partition(":")[0] for line in lines)
        if set(counts) == set(ALL_OF_WEB) and min(counts.values()) >= 5:
            return
    raise AssertionError(counts)


@pytest.mark.parametrize(
    ("name", "fault", "expect"),
    [
        ("kill", "fault: container.kill, with: {restart: none}, target: {service: web, replica: 2}", SECOND_ONLY),
        ("lost", "fault: node.loss, target: {node: n}", RECOVERED),
    ],
)
def test_a_run_with_a_fault_on_replicas(name: str, fault: str, expect: str, stack: Path, nothing_left: None) -> None:
    text = SCENARIO.replace("NAME", name).replace("FAULT", fault).replace("EXPECT\n", expect)
    (stack.parent / f"{name}.scenario.yaml").write_text(text)
    words = [HARNESS, "run", f"{name}.scenario.yaml", "--backend", "compose", "--name", "it", "--reports", "reports"]
    done = subprocess.run(words, cwd=stack.parent, capture_output=True, text=True, timeout=300, check=False)
    suite = json.loads((stack.parent / "reports" / "it" / "suite.json").read_text())
    [run] = suite["scenarios"]
    [fault_seen] = run["faults"]
    assert fault_seen["confirmed_at_s"] is not None, done.stdout
    assert run["verdict"] == "pass" or all("machine busy" in reason for reason in run["reasons"]), done.stdout
    journal = (stack.parent / "reports" / "it" / run["run_dir"] / "journal.jsonl").read_text()
    seen = [event for event in map(json.loads, journal.splitlines()) if event["kind"] == "process"]
    ends = Counter(event["replica"] for event in seen if event["what"] == "exited" and event["service"] == "web")
    assert set(ends) >= ({2} if name == "kill" else {1, 2, 3})


def test_an_attached_stack_that_somebody_scaled(stack: Path) -> None:
    stack.write_text(stack.read_text().replace("    deploy: {replicas: 3}\n", ""))
    fault = "fault: container.pause, target: {service: web}"
    (stack.parent / "it.scenario.yaml").write_text(
        SCENARIO.replace("NAME", "it").replace("FAULT", fault).replace("EXPECT\n", RECOVERED)
    )
    project = f"scaled{uuid.uuid4().hex[:6]}"
    compose = ["docker-compose", "-p", project, "-f", str(stack)]
    engine = docker.from_env()
    try:
        subprocess.run([*compose, "up", "-d", "--scale", "web=2"], check=True, capture_output=True, timeout=120)
        words = [HARNESS, "run", "it.scenario.yaml", "--attach", project, "--name", "it", "--reports", "reports"]
        done = subprocess.run(words, cwd=stack.parent, capture_output=True, text=True, timeout=300, check=False)
        [run] = json.loads((stack.parent / "reports" / "it" / "suite.json").read_text())["scenarios"]
        [seen] = run["faults"]
        assert seen["confirmed_at_s"] is not None, done.stdout
        assert set(seen["evidence"]["replicas"]) == {"web#1", "web#2"}, seen
        assert run["verdict"] == "pass" or all("machine busy" in reason for reason in run["reasons"]), done.stdout
        assert {one["State"]["Status"] for one in containers_of(engine, project)} == {"running"}
    finally:
        subprocess.run([*compose, "down", "-v", "-t", "1"], check=False, capture_output=True, timeout=120)
        engine.close()
