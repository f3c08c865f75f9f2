"""A stack that cannot start says why, with the last log lines and a remedy, soon, and leaves nothing running."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from watching import below, eventually

from harness.backends.local import linux, startup, zygote_handle
from harness.backends.local.backend import LocalBackend
from harness.backends.local.zygote_handle import ZygoteHandle
from harness.description.stackfile import load_stack
from harness.model.backend import StackPlan
from harness.model.errors import BackendError

pytestmark = pytest.mark.slow

HEAD = "name: small\nx-harness: {schema: 1, ready_within: 700ms}\nservices:\n"
PATIENT = HEAD.replace("700ms", "1h")
"""It outlasts any test: what ends before is not waited for until then."""
Failing = Callable[..., Awaitable[BackendError]]


@pytest.fixture
async def failing(tmp_path: Path, zygote: ZygoteHandle) -> AsyncIterator[Failing]:
    """Start a stack of these services, which must fail, and return the error."""

    async def start(services: str, head: str = HEAD) -> BackendError:
        description = load_stack(write(tmp_path, head + services), variables={})
        backend = LocalBackend(description, zygote)
        with pytest.raises(BackendError) as caught:
            await backend.start(StackPlan(description, tmp_path / "run"))
        return caught.value

    yield start
    eventually(lambda: below(zygote) == set(), "nothing is left below the zygote")


def write(folder: Path, text: str) -> Path:
    path = folder / "compose.yaml"
    path.write_text(text)
    return path


async def test_missing_program(failing: Failing) -> None:
    error = await failing("  web: {command: [no-such-server, --fast]}\n")
    assert "'web' needs 'no-such-server', which is not there" in str(error)
    assert "PATH" in str(error.remedy)


async def test_missing_program_beside_the_file(failing: Failing) -> None:
    assert "needs './bin/serve'" in str(await failing("  web: {command: ./bin/serve}\n"))


async def test_no_command(failing: Failing) -> None:
    error = await failing("  web: {image: nginx}\n")
    assert "no command" in error.message
    assert "services.web.x-harness.local.command" in str(error.remedy)


async def test_port_taken_by_another_program(failing: Failing) -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 17191))
        other.listen()
        error = await failing("  web: {command: sleep 9, x-harness: {port: 17191, health: {tcp: true}}}\n")
    assert "port 17191 of the service 'web' is taken by" in str(error)
    assert f"process {os.getpid()}" in str(error)


async def test_service_that_exits_at_start(failing: Failing) -> None:
    services = '  web: {command: [sh, -c, "echo no licence; exit 7"], x-harness: {port: 17191, health: {tcp: true}}}\n'
    error = await failing(services, PATIENT)
    assert "'web' exited with code 7 while the stack started; its last log lines:\n    no licence" in str(error)
    assert error.remedy == "correct its command or what it needs", "more time would not help a process that ended"


async def test_a_script_beside_the_compose_file_is_run(failing: Failing, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "store.py").write_text("raise SystemExit('the store itself ended')")
    error = await failing("  web: {command: [python, app/store.py], x-harness: {port: 17191, health: {tcp: true}}}\n")
    assert "    the store itself ended" in str(error)


async def test_service_that_exits_again_and_again(failing: Failing) -> None:
    services = (
        '  web: {command: [sh, -c, "echo again; exit 7"], restart: always, x-harness: {port: 1, health: {tcp: true}}}\n'
    )
    error = await failing(services, PATIENT)
    assert "exited with code 7, 3 times" in str(error)
    assert str(error).count("    again") == 3


async def test_module_that_is_not_there(failing: Failing) -> None:
    error = await failing(
        "  web: {command: [python, -m, no_such_module], x-harness: {port: 17191, health: {tcp: true}}}\n"
    )
    assert "No module named no_such_module" in str(error)


async def test_service_that_is_never_healthy(failing: Failing) -> None:
    error = await failing(  # its command outlasts any test
        '  web: {command: [sh, -c, "echo busy; sleep 3600"], x-harness: {port: 17191, health: {http: /}}}\n'
    )
    assert "'web' was not healthy within 0.7 s" in str(error)
    assert "    busy" in str(error)
    assert "ready_within" in str(error.remedy)


async def test_one_shot_service_lets_others_go_on(tmp_path: Path, zygote: ZygoteHandle) -> None:
    text = (
        f"{HEAD}  after:\n    command: sleep 60\n"
        "    depends_on: {first: {condition: service_completed_successfully}}\n"
        '  first: {command: "true"}\n'
    )
    description = load_stack(write(tmp_path, text), variables={})
    async with LocalBackend(description, zygote) as backend:
        await backend.start(StackPlan(description, tmp_path / "run"))
        assert {s.service: s.state for s in await backend.status()} == {"after": "running", "first": "exited"}


async def test_full_disk(failing: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(startup.shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    error = await failing("  web: {command: sleep 9}\n")
    assert "is full: 1 MB are left" in str(error)
    assert "TMPDIR" in str(error.remedy)


async def test_no_place_for_the_logs(failing: Failing, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    assert "no place for the logs of the stack" in str(await failing("  web: {command: sleep 9}\n"))


async def test_settings_for_an_unknown_service(plan: Callable[..., StackPlan], zygote: ZygoteHandle) -> None:
    mistaken = dataclasses.replace(plan(), environment={"ecko": {"A": "1"}})
    with pytest.raises(BackendError, match="unknown service 'ecko' — did you mean 'echo'"):
        await LocalBackend(mistaken.description, zygote).start(mistaken)


async def test_attached_stack_is_not_started(tmp_path: Path, zygote: ZygoteHandle) -> None:
    text = "x-harness: {schema: 1, ownership: attached}\nservices: {web: {command: sleep 9}}\n"
    description = load_stack(write(tmp_path, text), variables={})
    with pytest.raises(BackendError, match="attached, not owned"):
        await LocalBackend(description, zygote).start(StackPlan(description, tmp_path / "run"))


async def test_data_that_cannot_be_prepared(tmp_path: Path, zygote: ZygoteHandle) -> None:
    text = (
        "x-harness: {schema: 1, data: {command: [sh, -c, 'echo no room >&2; exit 3']}}\n"
        "services: {web: {x-harness: {local: {command: [sleep, '{data}']}}}}\n"
    )
    description = load_stack(write(tmp_path, text), variables={})
    with pytest.raises(BackendError, match=r"(?s)could not be prepared.*exited with 3.*no room"):
        await LocalBackend(description, zygote).start(StackPlan(description, tmp_path / "run"))


def test_preload_of_a_missing_module(marker: str) -> None:
    with pytest.raises(BackendError, match="needs the module 'no_such_module'") as caught:
        ZygoteHandle.start(["json", "no_such_module"])
    assert "pip install 'PATH[reference]'" in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("source", "what"),
    [("1 / 0", "ZeroDivisionError"), ("raise SystemExit('no')", "SystemExit: no"), ("def", "SyntaxError")],
)
def test_preload_of_a_broken_module(marker: str, tmp_path: Path, source: str, what: str) -> None:
    (tmp_path / "broken_module.py").write_text(source)
    with pytest.raises(BackendError, match=f"cannot be imported: {what}"):
        ZygoteHandle.start(["broken_module"], [tmp_path])


def test_preload_that_ends_the_process(marker: str, tmp_path: Path) -> None:
    (tmp_path / "fatal_module.py").write_text("import os, sys\nprint('goodbye', file=sys.stderr)\nos._exit(3)\n")
    with pytest.raises(BackendError, match=r"(?s)forked from ended.*goodbye"):
        ZygoteHandle.start(["fatal_module"], [tmp_path])


def test_preload_that_hangs(marker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hanging_module.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(zygote_handle, "PRELOAD_WITHIN_S", 0.3)
    monkeypatch.setattr(zygote_handle, "END_WITHIN_S", 0.3)
    with pytest.raises(BackendError, match="was not ready within"):
        ZygoteHandle.start(["hanging_module"], [tmp_path])


def test_another_system_than_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(BackendError, match="runs on Linux only, and this is darwin"):
        ZygoteHandle.start()


def test_connecting_to_what_is_no_zygote(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="there is no zygote"):
        ZygoteHandle.connect(tmp_path / "missing")
    with pytest.raises(BackendError, match="is not a zygote"):
        ZygoteHandle.connect(tmp_path)


async def test_a_zygote_that_has_ended(plan: Callable[..., StackPlan], marker: str) -> None:
    own = ZygoteHandle.start()
    assert own.pid is not None
    os.kill(own.pid, signal.SIGKILL)
    planned = plan()
    with pytest.raises(BackendError, match=r"does not answer|has ended"):
        await LocalBackend(planned.description, own).start(planned)
    own.close()
    own.close()


async def test_an_owned_zygote_that_has_ended_is_replaced(plan: Callable[..., StackPlan], marker: str) -> None:
    planned = plan()
    async with LocalBackend(planned.description) as backend:
        await backend.start(planned)
        await backend.stop()
        pid = backend.zygote_pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: (linux.process(pid) or linux.Process(pid, "Z", 0, 0)).state == "Z", "it is dead")
        await backend.start(planned)
        assert backend.zygote_pid not in (None, pid)
