"""Probes of what runs: files and commands on this machine, services as their backend sees them, and their logs."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from real_probes import Probing, read

sys.path.insert(0, str(Path(__file__).parents[1] / "seams"))

from real_servers import FakeBackend

from harness.model.backend import ServiceStatus
from harness.model.errors import BackendError
from harness.model.logs import lines_since
from harness.model.probekinds import ProbeSpec
from harness.model.readings import Gap
from harness.model.units import Unit


async def test_files_by_path_and_by_pattern(tmp_path: Path) -> None:
    now = time.time()
    for name, age in (("models/a/m.bin", 100), ("models/b/m.bin", 300), ("models/b/other", 900)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 10)
        os.utime(path, (now - age, now - age))
    found = await read(
        tmp_path, one={"file": {"path": "models/a/m.bin"}}, newest={"file": {"path": "models/**/*.bin"}},
        oldest={"file": {"path": str(tmp_path / "models/*/m.bin"), "of": "oldest"}},
        count={"file": {"path": "models/**", "read": "count"}}, none={"file": {"path": "*.txt", "read": "count"}},
        bytes={"file": {"path": "models/*/*", "read": "bytes"}}, gone={"file": {"path": "models/c"}},
        nothing={"file": {"path": "*.txt"}}, odd={"file": {"path": "models/a/m.bin/x"}},
    )  # fmt: skip
    assert found["one"].value == pytest.approx(100, abs=5)
    assert found["newest"].value == pytest.approx(100, abs=5)
    assert found["oldest"].value == pytest.approx(300, abs=5)
    assert [found[name].value for name in ("count", "none", "bytes")] == [3.0, 0.0, 30.0]
    for name in ("gone", "nothing"):
        assert "there is no file" in (found[name].down or "")
    assert "Not a directory" in (found["odd"].down or "")


def command(script: str, **more: Any) -> dict[str, Any]:
    return {"command": {"argv": [sys.executable, "-c", script], **more}, "timeout": "5s"}


async def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMD_SECRET", "hunter2")
    (tmp_path / "tool").write_text("#!/bin/sh\npwd >&2\necho 5\n", encoding="utf-8")
    (tmp_path / "tool").chmod(0o755)
    found = await read(
        tmp_path, {"db": "127.0.0.7:99"},
        number=command("print('some words'); print(' 2.5 '); print()"), well=command("", read="success"),
        badly=command("raise SystemExit(3)", read="success"), failed=command("import sys; sys.exit('no such thing')"),
        word=command("print('x')"), none=command(""), infinite=command("print('inf')"),
        beside={"command": ["./tool"]}, gone={"command": {"argv": ["no-such-program"]}},
        place=command("import sys; sys.exit('at db:1 and ' + 'db:1')"),
        secret=command("import sys; sys.exit('pass ${secret:CMD_SECRET}')"),
        slow={"command": [sys.executable, "-c", "import time; time.sleep(60)"], "timeout": "200ms"},
        secret_gone=command("${secret:NOT_THERE}"),
    )  # fmt: skip
    assert [found[name].value for name in ("number", "well", "badly", "beside")] == [2.5, 1.0, 0.0, 5.0]
    for name, why in (
        ("failed", "ended with 1: no such thing"), ("word", "no number: 'x'"), ("none", "no number: ''"),
        ("infinite", "inf"), ("gone", "cannot be started: No such file"), ("slow", "longer than 0.2 s"),
        ("place", "at 127.0.0.7:99 and 127.0.0.7:99"), ("secret", "pass ***"), ("secret_gone", "NOT_THERE"),
    ):  # fmt: skip
        assert found[name].value is None, name
        assert why in (found[name].down or ""), name


def alive(pid: Path) -> bool:
    """Whether the process whose number stands in a file still runs."""
    state = Path(f"/proc/{pid.read_text()}/stat")
    return state.exists() and state.read_text().split()[2] != "Z"


@pytest.mark.slow
async def test_a_command_that_takes_too_long_takes_its_children_with_it(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time, pathlib; child = subprocess.Popen([sys.executable, '-c', 'import time; "
        f"time.sleep(60)']); pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid)); time.sleep(60)"
    )
    found = await read(tmp_path, p={"command": [sys.executable, "-c", script], "timeout": "2s"})
    # On a busy machine the poll that waits for the command may give up in the same moment as the command's own limit.
    assert found["p"].down in (f"the command {sys.executable!r} took longer than 2 s", "no answer within 2 s")
    async with asyncio.timeout(10):  # a killed process ends when it next runs, on a busy machine not at once
        while alive(tmp_path / "pid"):  # noqa: ASYNC110 - nothing tells of the end of a process of another
            await asyncio.sleep(0.01)


class Watched(FakeBackend):
    """A backend that tells of one service, and whose log the test writes."""

    def __init__(self, log: Path) -> None:
        super().__init__(addresses={"web": "127.0.0.1:1", "db": "127.0.0.1:2"})
        self.seen = [ServiceStatus("web", "a", 7, "running", 3, "healthy"), ServiceStatus("db", "a", None, "exited", 0)]
        self.log = log
        self.asked = 0

    async def status(self) -> tuple[ServiceStatus, ...]:
        self.asked += 1
        if self.down:
            raise BackendError("the engine does not answer")
        return tuple(self.seen)

    async def log_since(self, service: str, position: str) -> tuple[list[str], str]:
        if self.down:
            raise BackendError("the engine does not answer")
        return lines_since(self.log, position)


async def test_a_service_with_replicas_is_as_good_as_its_worst_one(tmp_path: Path) -> None:
    backend = Watched(tmp_path / "log")
    backend.seen = [
        ServiceStatus("web", "a", 7, "running", 3, "healthy", 1),
        ServiceStatus("web", "a", 8, "running", 2, "unhealthy", 2),
        ServiceStatus("web", "a", None, "exited", 0, None, 3),
        ServiceStatus("db", "a", 9, "running", 1, "healthy"),
    ]
    probes = {
        f"{service}_{replica}_{what}": {"container": {"service": service, "read": what, "replica": replica}}
        for service, replica in (("web", None), ("web", 1), ("web", 2), ("web", 3), ("web", 4), ("db", 1), ("db", 2))
        for what in ("up", "restarts", "healthy")
    }
    async with Probing(tmp_path, probes, backend=backend) as probing:
        seen = await probing.once()
        assert seen.pop("db_2_up").kind == "gap", "what has one container has no second: nothing can be said of that"
        values = {name: getattr(reading, "value", None) for name, reading in seen.items()}
        assert values["web_None_up"] == values["web_None_healthy"] == 0.0
        assert values["web_None_restarts"] == 5.0
        assert [values[f"web_{k}_up"] for k in (1, 2, 3, 4)] == [1.0, 1.0, 0.0, 0.0]
        assert [values[f"web_{k}_healthy"] for k in (1, 2, 3)] == [1.0, 0.0, 0.0]
        assert values["db_1_up"] == 1.0
        backend.seen[2] = ServiceStatus("web", "a", 10, "running", 0, "healthy", 3)
        backend.seen[1] = ServiceStatus("web", "a", 8, "running", 2, "healthy", 2)
        seen = await probing.once()
        assert seen["web_None_up"].value == seen["web_None_healthy"].value == 1.0


async def test_services_as_their_backend_sees_them(tmp_path: Path) -> None:
    backend = Watched(tmp_path / "log")
    probes = {
        f"{service}_{what}": {"container": {"service": service, "read": what}}
        for service in ("web", "db")
        for what in ("up", "restarts", "healthy")
    }
    async with Probing(tmp_path, probes, backend=backend) as probing:
        values = {name: reading.value for name, reading in (await probing.once()).items()}
        assert values == {
            "web_up": 1.0, "web_restarts": 3.0, "web_healthy": 1.0, "db_up": 0.0,
            "db_restarts": 0.0, "db_healthy": 0.0,
        }  # fmt: skip
        assert backend.asked == 1, "one answer serves them all"
        backend.seen[0] = ServiceStatus("web", "a", 7, "running", 3, "starting")
        assert (await probing.once())["web_healthy"].value == 0.0
        backend.seen[0] = ServiceStatus("web", "a", 7, "running", 3)
        assert "nothing checks the health" in ((await probing.once())["web_healthy"].down or "")
        backend.seen.pop(0)
        found = await probing.once()
        assert (found["web_up"].value, found["web_restarts"].value) == (0.0, None)
        backend.down = True
        await probing.once()
        assert {(type(one), getattr(one, "why", None)) for one in probing.told} == {(Gap, "the engine does not answer")}


async def test_a_folder_that_cannot_be_read_is_not_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", refused)
    found = await read(tmp_path, p={"file": {"path": "models/*.bin", "read": "count"}})
    assert (found["p"].value, found["p"].down) == (None, "'models/*.bin' cannot be looked at: Permission denied")


async def test_lines_of_logs_count_once_each(tmp_path: Path) -> None:
    log, own = tmp_path / "web.log", tmp_path / "own.log"
    log.write_text("ERROR one\nfine\n", encoding="utf-8")
    own.write_text("ERROR before the run\n", encoding="utf-8")
    backend = Watched(log)
    probes = {
        "errors": {"log": {"service": "web", "pattern": "ERROR|FATAL"}},
        "own": {"log": {"file": "own.log", "pattern": "^ERROR"}},
        "later": {"log": {"file": "later.log", "pattern": "x"}},
    }
    async with Probing(tmp_path, probes, backend=backend) as probing:
        found = await probing.once()
        assert [found[name].value for name in ("errors", "own")] == [1.0, 0.0]
        assert "No such file" in (found["later"].down or "")
        with log.open("a") as more:
            more.write("FATAL two\nERR")
        (tmp_path / "later.log").write_text("x\nx\n", encoding="utf-8")
        found = await probing.once()
        assert [found[name].value for name in ("errors", "own", "later")] == [2.0, 0.0, 2.0]
        with log.open("a") as more:
            more.write("OR three\n")
        own.write_text("ERROR\n", encoding="utf-8")  # it was rotated: what is in it now is new
        found = await probing.once()
        assert [found[name].value for name in ("errors", "own")] == [3.0, 1.0]
        backend.down = True
        await probing.once()
        (gap,) = [one for one in probing.told if one.probe == "errors"]
        assert isinstance(gap, Gap), "it is the harness's own that did not tell"
        assert gap.why == "the engine does not answer"
        backend.down = False
        assert (await probing.once())["errors"].value == 3.0


async def test_a_backend_whose_logs_cannot_be_followed_is_a_reading(tmp_path: Path) -> None:
    found = await read(tmp_path, {"web": "127.0.0.1:1"}, p={"log": {"service": "web", "pattern": "x"}})
    assert found["p"].down == "this backend's logs cannot be followed"


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ({"log": {"pattern": "x"}}, "exactly one of `service` and `file`"),
        ({"log": {"file": "x", "pattern": "("}}, "not a regular"),
        ({"command": []}, "at least 1 item"), ({"command": "echo 1"}, "valid dictionary"),
        ({"command": {"argv": "echo 1"}}, "a list of words"), ({"file": {"path": ""}}, "at least 1 character"),
        ({"container": {"service": "a b"}}, "not a name"),
        ({"container": {"service": "a", "read": "cpu"}}, "'restarts'"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant(spec: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ProbeSpec.model_validate(spec)
    assert hint in str(caught.value)


def test_units_and_paces_follow_from_what_is_read() -> None:
    def of(spec: dict[str, Any]) -> tuple[Unit, float, float]:
        made = ProbeSpec.model_validate(spec)
        return made.unit, made.every_s, made.deadline_s

    assert of({"http": {"url": "http://a", "read": "latency"}}) == (Unit.WALL, 0.1, 1.0)
    assert of({"redis": {"service": "a", "keys": "x", "read": "count"}, "every": "2s"}) == (Unit.COUNT, 2.0, 1.0)
    assert of({"sql": {"url": "sqlite://", "query": "select 1", "as": "event_age"}}) == (Unit.EVENT, 1.0, 5.0)
    assert of({"container": {"service": "a", "read": "restarts"}, "unit": "number"}) == (Unit.NUMBER, 0.5, 3.0)
    assert of({"airflow": {"url": "http://a", "dag": "d", "read": "success_age"}, "timeout": "9s"}) == (
        Unit.WALL,
        1.0,
        9.0,
    )
