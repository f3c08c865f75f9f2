"""`file.corrupt` on a volume: what becomes of files, and that the very files come back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from attached_runs import HARNESS
from fault_stack import description, small_project
from images import base_image
from test_container_faults import OnlyContainers, absent, confirmed

from harness.backends.compose.containers import EngineContainers
from harness.backends.compose.labels import RUN
from harness.faults.table import FAULTS
from harness.model.errors import FaultError
from harness.model.fault import Fault
from harness.model.faultstep import FaultStep
from harness.seams import Seams

pytestmark = pytest.mark.docker
PREPARE = """
rm -rf /data/models && mkdir -p /data/models/v2 && cd /data/models
printf 'weights of one' > a.bin; printf 'weights of two' > b.bin; printf 'deep' > v2/c.bin; : > empty.bin
head -c 3000000 /dev/zero > large.bin
chown 1000:1001 a.bin; chmod 640 a.bin; touch -d '2013-06-14 06:00:00' a.bin
ln -s a.bin link.bin; mkfifo pipe.bin; ln b.bin v2/same.bin
"""
LOOK = (
    "cd /data/models && find . -printf '%P %y %i %s %m %U:%G %T@ %n\\n' | sort; find . -type f | sort | xargs sha256sum"
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with small_project(tmp_path_factory.mktemp("files"), 80) as name:
        yield name


@pytest.fixture
async def containers(project: str, monkeypatch: pytest.MonkeyPatch) -> EngineContainers:
    monkeypatch.setenv("HARNESS_TOOLS_IMAGE", base_image())
    made = EngineContainers(docker.from_env(), project, {RUN: project})
    assert await inside(made, PREPARE) == ""
    return made


async def inside(containers: EngineContainers, script: str) -> str:
    done = await containers.run("store", ["sh", "-c", script], 20)
    assert done.exit_code == 0, done.stderr
    return done.stdout


async def look(containers: EngineContainers) -> list[str]:
    """Return names, inodes, sizes, modes, owners, times and digests of all but the times of folders."""
    return [line for line in (await inside(containers, LOOK)).splitlines() if " d " not in line]


def made(containers: EngineContainers, id_: str = "it", **parameters: Any) -> Fault:
    raw = {"id": id_, "at": "0s", "fault": "file.corrupt", "target": {"service": "store"}, "for": "1s",
           "with": {"path": "/data/models", **parameters}}  # fmt: skip
    seams = Seams(OnlyContainers(containers), description())  # type: ignore[arg-type]
    return FAULTS["file.corrupt"].make(FaultStep.model_validate(raw), seams, 1)


@pytest.mark.parametrize(
    ("parameters", "script", "holds"),
    [
        ({"operation": "truncate", "match": "a.bin"}, "cat a.bin", "weights"),
        ({"operation": "empty", "match": "a.bin"}, "wc -c < a.bin", "0\n"),
        ({"operation": "content", "content": "{", "match": "v2/*"}, "cat v2/*.bin b.bin", "{{weights of two"),
        ({"operation": "other", "match": "[ab].bin"}, "cat a.bin b.bin", "weights of twoweights of one"),
        ({"operation": "previous", "match": "[ab].bin"}, "cat a.bin b.bin", "weights of oneweights of one"),
        ({"operation": "truncate", "match": "large.bin", "keep": 0.75}, "wc -c < large.bin", "2250000\n"),
        ({"operation": "flip", "match": "large.bin", "bits": 200}, "tr -d '\\0' < large.bin | wc -c", None),
    ],
)  # fmt: skip
async def test_what_becomes_of_the_files(
    containers: EngineContainers, parameters: dict[str, Any], script: str, holds: str | None
) -> None:
    before = await look(containers)
    fault = made(containers, **parameters)
    undo = json.loads(json.dumps(await fault.prepare()))
    assert await look(containers) == before
    try:
        await fault.inject()
        confirmation = await confirmed(fault)
        said = await inside(containers, f"cd /data/models; {script}")
        assert 0 < int(said) <= 200 if holds is None else said == holds
        manifest = fault.manifest()
        assert {line["object"] for line in manifest} == {f"store:/data/models/{name}" for name in undo["files"]}
        assert {line["digest"] for line in manifest} == {f"sha256:{digest}" for digest in undo["files"].values()}
        assert confirmation.evidence["files"] == len(manifest)
        about = await inside(
            containers, "cd /data/models; stat -c '%a %u:%g %Y' a.bin; ls -A | grep -c '^[.]harness-it-' || true"
        )
        assert about.startswith("640 1000:1001 137118")
    finally:
        second = made(containers, **parameters)
        await second.revert(undo)
    await absent(second)
    assert await look(containers) == before
    await second.revert(undo)
    assert await look(containers) == before


async def test_what_the_stack_wrote_meanwhile_is_left(containers: EngineContainers) -> None:
    fault = made(containers, operation="empty", match="[ab].bin")
    undo = await fault.prepare()
    await fault.inject()
    await confirmed(fault)
    await inside(containers, "cd /data/models; printf new > new && mv new a.bin")
    assert (await confirmed(fault)).evidence["read_back"] == "b.bin"
    await inside(containers, "rm /data/models/b.bin")
    assert (await fault.confirm()).landed is False
    await fault.revert(undo)
    await absent(fault)
    assert await inside(containers, "cd /data/models; cat a.bin; ls -A") == (
        "newa.bin\nempty.bin\nlarge.bin\nlink.bin\npipe.bin\nv2\n"
    )


async def test_a_revert_after_each_step_of_an_injection_that_was_killed(containers: EngineContainers) -> None:
    before = await look(containers)
    fault = made(containers, operation="empty", match="a.bin")
    undo = await fault.prepare()
    await fault.inject()
    reply = await containers.ask("store", "remains", path="/data/models", tag=undo["tag"], digests=undo["files"])
    [copy, kept] = reply["left"]
    assert (copy.rpartition(".")[2], kept.rpartition(".")[2]) == ("copy", "kept")
    # Killed after the original got its second name, and before the copy took the first one.
    await inside(containers, f"cd /data/models; rm a.bin; ln '{kept}' a.bin; : > '{kept.removesuffix('.kept')}.new'")
    assert (await fault.confirm()).landed is False
    await fault.revert(undo)
    await absent(fault)
    assert await look(containers) == before
    # Killed while it reverted: the original has its name again, and then the name that was kept is removed.
    for left in (f"ln a.bin '{kept}'; cp -p a.bin '{copy}'", f"cp -p a.bin '{copy}'"):
        await inside(containers, f"cd /data/models; {left}")
        assert (await fault.absent()).landed is True
        await fault.revert(undo)
        await absent(fault)
        assert await look(containers) == before


async def test_what_one_fault_keeps_is_no_file_for_another(containers: EngineContainers) -> None:
    first = made(containers, operation="empty", match="a.bin")
    undo = await first.prepare()
    await first.inject()
    others = await made(containers, "other", operation="truncate", match="*").prepare()
    assert set(others["files"]) == {"b.bin", "large.bin", "v2/c.bin", "v2/same.bin"}
    await first.revert(undo)
    await absent(first)


async def test_an_original_that_somebody_removed_is_reported(containers: EngineContainers) -> None:
    fault = made(containers, operation="empty", match="a.bin")
    undo = await fault.prepare()
    await fault.inject()
    await inside(containers, "rm /data/models/.harness-it-*")
    with pytest.raises(FaultError, match=r"a\.bin is as it was changed, and what it was is gone"):
        await fault.revert(undo)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"operation": "empty", "path": "/nowhere"}, "there is no folder /nowhere"),
        ({"operation": "empty", "match": "*.onnx"}, "no file is under /data/models"),
        ({"operation": "empty", "match": "link.bin"}, "is a link or no file: link.bin"),
        ({"operation": "empty", "match": "pipe.bin"}, "is a link or no file: pipe.bin"),
        ({"operation": "empty", "match": "empty.bin"}, "would be another"),
        ({"operation": "previous", "match": "a.bin"}, "would be another"),
        ({"operation": "empty", "path": "/etc", "match": "settings.conf"}, r"settings\.conf under .* is mounted"),
        ({"operation": "flip", "match": "large.bin", "at_most": "1MiB"}, "could take 3000000 bytes"),
    ],
)
async def test_what_is_refused_before_anything_changes(
    containers: EngineContainers, parameters: dict[str, Any], message: str
) -> None:
    before = await look(containers)
    with pytest.raises(FaultError, match=message):
        await made(containers, **parameters).prepare()
    assert await look(containers) == before


async def test_a_folder_that_takes_no_writes_is_refused(containers: EngineContainers) -> None:
    await containers.ask("store", "remount", path="/data", read_only=True)
    try:
        with pytest.raises(FaultError, match="'store' is mounted read-only"):
            await made(containers, operation="empty").prepare()
    finally:
        await containers.ask("store", "remount", path="/data", read_only=False)


async def test_links_are_not_followed_out_of_the_folder(containers: EngineContainers) -> None:
    await inside(
        containers, "cd /data/models; mkdir -p /data/else; printf safe > /data/else/x.bin; ln -s /data/else there"
    )
    fault = made(containers, operation="empty", match="*x.bin")
    with pytest.raises(FaultError, match="no file is under"):
        await fault.prepare()


COMPOSE = """\
x-harness:
  schema: 1
  stack: served
  compose: {ready_within: 60s}
  probes:
    version: {http: {url: "http://web:8000/model.json", expect: {json: {version: 7}}}}
services:
  web:
    image: IMAGE
    init: true
    volumes: ["models:/models"]
    command: [sh, -c, "echo '{\\"version\\": 7}' > /models/model.json; cd /models; exec python3 -m http.server 8000"]
    x-harness: {port: 8000, health: {http: /}}
volumes:
  models:
"""
SCENARIO = """\
schema: 1
scenario: broken
summary: The model's file is cut off, and whole again.
stack: compose.yaml
steady_state: [{id: well, probe: version, at_least: 1, over: 1s, min_samples: 3}]
timeline:
  - id: cut
    at: 2s
    fault: file.corrupt
    target: {service: web}
    with: {path: /models, match: "*.json", operation: truncate}
    for: 3s
expect:
  noticed: [{id: seen, probe: version, at_least: 1, over: 1s, min_samples: 3, within: 3s}]
  recovered: [{id: whole, probe: version, at_least: 1, over: 1s, min_samples: 3, within: 10s}]
"""


def test_a_run_in_which_a_file_is_cut_off(tmp_path: Path, small_images: None, nothing_left: None) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE.replace("IMAGE", base_image()))
    (tmp_path / "broken.scenario.yaml").write_text(SCENARIO)
    words = [HARNESS, "run", "broken.scenario.yaml", "--backend", "compose", "--name", "it", "--reports", "reports"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    [run] = json.loads((tmp_path / "reports" / "it" / "suite.json").read_text())["scenarios"]
    [fault] = run["faults"]
    assert fault["confirmed_at_s"] is not None, done.stdout
    assert fault["reverted_at_s"] is not None, done.stdout
    assert run["verdict"] == "pass" or all("machine busy" in reason for reason in run["reasons"]), done.stdout


MOVED = {
    "a link that leads to the folder leads to another one": (
        "/data/models/now", "ln -s v2 now", "mkdir v3 && cp a.bin v3/c.bin && ln -sfn v3 now", "v2/c.bin"),
    "the folder has another name": ("/data/models", "true", "mv v2 old", "old/c.bin"),
    "the folder that the fault names has another name": ("/data/models/v2", "true", "mv v2 old", "old/c.bin"),
    "and a new folder has its name": (
        "/data/models/v2", "true", "mv v2 old && mkdir v2 && printf new > v2/c.bin", "old/c.bin"),
    "the folder is no longer in the one that the fault names": ("/data/models", "true", "mv v2 ..", "../v2/c.bin"),
    "the files are moved without what is hidden": ("/data/models", "true", "mkdir old && mv v2/c.bin old", "old/c.bin"),
    "the last version is kept under another name": (
        "/data/models", "true", "mv v2/c.bin v2/c.prev && printf new > v2/c.bin", "v2/c.prev"),
    "the last version is kept by a second link": ("/data/models", "true", "ln v2/c.bin c.prev", "c.prev"),
}  # fmt: skip


def cut_off(containers: EngineContainers, path: str = "/data/models") -> Fault:
    return made(containers, operation="truncate", match="*c.bin", keep=0.25, path=path)


@pytest.mark.parametrize("case", MOVED)
async def test_an_original_is_put_where_its_damaged_file_was_moved(containers: EngineContainers, case: str) -> None:
    path, before, meanwhile, where = MOVED[case]
    await inside(containers, f"cd /data/models; rm -rf now old v3 ../v2 c.prev; {before}")
    fault = cut_off(containers, path)
    undo = await fault.prepare()
    number = await inside(containers, "stat -c %i /data/models/v2/c.bin")
    await fault.inject()
    await confirmed(fault)
    await inside(containers, f"cd /data/models; {meanwhile}")
    second = cut_off(containers, path)
    await second.revert(undo)
    await absent(second)
    assert await inside(containers, f"cd /data/models; cat {where}; stat -c %i {where}") == f"deep{number}"
    assert await inside(containers, "find /data -name '.harness-*'") == ""
    new = await inside(containers, "cd /data/models; cat v2/c.bin 2> /dev/null || true")
    assert new == ("new" if "printf new" in meanwhile else "deep" if where in ("v2/c.bin", "c.prev") else "")


LEFT = {
    "lines are added to the file": ("printf more >> v2/c.bin", "something was then written into it"),
    "lines are added to it under another name": (
        "mv v2/c.bin v2/c.prev; printf more >> v2/c.prev; printf new > v2/c.bin", "c.prev was damaged, and something"),
    "the names that are kept are removed": ("rm v2/.harness-*", "as it was changed, and what it was is gone"),
    "the original is removed": ("rm v2/.harness-*.kept", "as it was changed, and what it was is gone"),
    "the name of the copy is removed, and the file is moved": (
        "rm v2/.harness-*.copy; mv v2/c.bin v2/c.prev", "is not known without it"),
}  # fmt: skip


@pytest.mark.parametrize("case", LEFT)
async def test_what_cannot_be_put_back_for_certain_stays_and_is_told(containers: EngineContainers, case: str) -> None:
    meanwhile, message = LEFT[case]
    fault = cut_off(containers)
    undo = await fault.prepare()
    await fault.inject()
    await inside(containers, f"cd /data/models; {meanwhile}")
    before = await look(containers)
    second = cut_off(containers)
    for _ in range(2):
        with pytest.raises(FaultError, match=message):
            await second.revert(undo)
        assert (await second.absent()).landed is True
        assert await look(containers) == before
    # What the message says to do ends it.
    script = "cd /data/models/v2; mv .harness-*.kept c.bin 2> /dev/null || printf deep > c.bin; rm -f .harness-* c.prev"
    await inside(containers, script)
    await second.revert(undo)
    await absent(second)


async def test_one_file_that_cannot_be_put_back_keeps_no_other(containers: EngineContainers) -> None:
    fault = made(containers, operation="empty", match="[ab].bin")
    undo = await fault.prepare()
    await fault.inject()
    await inside(containers, "cd /data/models; printf more >> a.bin")
    with pytest.raises(FaultError, match=r"a\.bin was damaged"):
        await fault.revert(undo)
    assert await inside(containers, "cd /data/models; cat a.bin b.bin") == "moreweights of two"
