"""Engine errors: one message with the remedy, exit code 4, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from small_stack import STACK

from harness.backends.compose import engine
from harness.backends.compose.backend import ComposeBackend
from harness.backends.compose.images import have_images
from harness.backends.compose.leftovers import labels_of_runs, remove_run
from harness.backends.compose.readiness import RetryableStartError, compose_up
from harness.backends.http_request import request
from harness.model.backend import StackPlan
from harness.model.errors import BackendError
from harness.model.fields import Link
from harness.model.stack import StackDescription

pytestmark = pytest.mark.docker
SOCKET = "/var/run/docker.sock"


def harness(*words: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("harness")
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=120, check=False)


def test_no_engine_is_exit_code_4_with_a_remedy(monkeypatch: pytest.MonkeyPatch, small_images: None) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    done = harness("up", str(STACK), "--backend", "compose")
    assert done.returncode == 4
    assert "no Docker engine answers at unix:///nowhere/docker.sock" in done.stderr
    assert "systemctl start docker" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_permission_on_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    error = engine._unreachable("unix:///var/run/docker.sock", PermissionError(13, "Permission denied"))
    assert "no permission" in error.message
    assert "group docker" in str(error.remedy)


def test_an_engine_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    class Old(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"ApiVersion": "1.30", "Version": "17.06.0"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Old) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
        with pytest.raises(BackendError, match=r"17\.06\.0 speaks API 1\.30, which is too old.*update it"):
            engine.connect()
        server.shutdown()
        thread.join()


async def test_no_compose_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small: StackDescription, nothing_left: None
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    engine._compose_command.cache_clear()
    async with ComposeBackend(small) as backend:
        with pytest.raises(BackendError, match=r"no docker compose command.*docker-compose-plugin"):
            await backend.start(StackPlan(small, tmp_path))


def test_an_unavailable_image(monkeypatch: pytest.MonkeyPatch, small: StackDescription, nothing_left: None) -> None:
    monkeypatch.setenv("TESTSTACK_IMAGE", "127.0.0.1:9/no-such-image:1")
    with pytest.raises(BackendError, match=r"the service '\w+' needs the image '127\.0\.0\.1:9/no-such-image:1'"):
        have_images(small)
    done = harness("up", str(STACK), "--backend", "compose")
    assert (done.returncode, "docker pull 127.0.0.1:9/no-such-image:1" in done.stderr) == (4, True)


@pytest.mark.parametrize(
    ("output", "message", "remedy"),
    [
        ("write /x: no space left on device", "disk is full", "docker system df"),
        ("Got permission denied while trying to connect to the Docker daemon socket", "no permission", "group docker"),
        ("pull access denied for x, repository does not exist", "an image is not available", "pull or build"),
        ("Cannot connect to the Docker daemon at unix:///x", "does not answer", "journalctl"),
        ("services.x Additional property y is not allowed", "docker compose failed with 1", "property y"),
    ],
)
async def test_compose_errors_are_translated(output: str, message: str, remedy: str) -> None:
    with pytest.raises(BackendError) as caught:
        await compose_up(_command(output), 10.0)
    assert message in caught.value.message
    assert remedy in str(caught.value)


async def test_retryable_start_errors_are_recognised() -> None:
    for output in (
        "Pool overlaps with other one on this address space",
        "Bind for 0.0.0.0:1 failed: port is already allocated",
    ):
        with pytest.raises(RetryableStartError):
            await compose_up(_command(output), 10.0)


def _command(output: str) -> subprocess.Popen[str]:
    script = f"import sys; print({output!r}); sys.exit(1)"
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True)


async def test_the_error_of_an_exited_service_has_its_log(
    small: StackDescription, tmp_path: Path, nothing_left: None
) -> None:
    backend = ComposeBackend(small)
    with pytest.raises(BackendError, match=r"(?s)the service 'flaky' (exited|ended).*log lines:.*ValueError"):
        await backend.start(StackPlan(small, tmp_path, environment={"flaky": {"BIND": "nonsense"}}))
    await backend.close()


async def test_a_service_that_never_becomes_healthy(
    small: StackDescription, tmp_path: Path, nothing_left: None
) -> None:
    compose = small.compose.model_copy(update={"ready_within_s": 4.0})
    backend = ComposeBackend(small.model_copy(update={"compose": compose}))
    with pytest.raises(BackendError, match=r"(?s)'relay' did not become healthy within 4 s.*log lines"):
        await backend.start(StackPlan(small, tmp_path, environment={"relay": {"BIND": "0.0.0.0:17199"}}))
    await backend.close()


class FarEngine:
    """The engine behind a TCP address, like a remote one, until the connection is cut."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def cut(self) -> None:
        """Close every connection and accept no more. Idempotent."""
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in (self._listener, *self._open):
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(SOCKET)
                self._open += [near, far]
                for source, target in ((near, far), (far, near)):
                    self._threads.append(threading.Thread(target=self._pump, args=(source, target)))
                    self._threads[-1].start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Iterator[FarEngine]:
    """Set DOCKER_HOST to a remote engine."""
    engine = FarEngine()
    monkeypatch.setenv("DOCKER_HOST", engine.address)
    yield engine
    engine.cut()


async def test_a_remote_engine_with_links_and_signals(
    small: StackDescription, tmp_path: Path, nothing_left: None, far: FarEngine
) -> None:
    async with ComposeBackend(small) as backend:
        await backend.start(StackPlan(small, tmp_path, (Link("relay", "echo"),)))
        assert backend.resolve("http://echo:17101/").startswith("http://127.0.0.1:"), "by a published port"
        assert await _ask(backend.resolve("relay:17102"), "/ask") == 200
        endpoint = backend.links["relay -> echo"]
        path = f"/proxies/{endpoint.proxies[next(iter(endpoint.proxies))]}"
        assert await _ask(endpoint.proxy_api_url, path, {"enabled": False}, endpoint.proxy_token) == 200
        assert await _ask(backend.resolve("relay:17102"), "/ask") == 502
        await backend.kill(["echo"], suppress_restart=True)
        assert await backend.process_states(["echo"]) == {"echo": "absent"}
        await backend.restore(["echo"])
        assert backend.logs("echo", 1)[0].startswith("echo listens on")


async def _ask(place: str, path: str, body: object = None, token: str | None = None) -> int:
    host, _, port = place.removeprefix("http://").rpartition(":")
    verb = "GET" if body is None else "POST"
    return (await request(verb, host, int(port), path, body, within_s=10.0, token=token))[0]


async def test_following_events_fails_when_the_engine_goes_away(
    small: StackDescription, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, far: FarEngine
) -> None:
    backend = ComposeBackend(small)
    await backend.start(StackPlan(small, tmp_path))
    project = backend.project
    following = backend.events()
    for _ in small.services:
        assert (await anext(following)).what == "started"
    far.cut()
    with pytest.raises(BackendError, match="engine's stream of events"):
        await anext(following)
    monkeypatch.delenv("DOCKER_HOST")
    near = engine.client()
    assert project in labels_of_runs(near), "the containers outlive the connection, and their labels identify the run"
    remove_run(near, project)
    assert project not in labels_of_runs(near)
    near.close()
