"""When a container is ready: by the check that the description declares, or by the engine where there is none."""

from __future__ import annotations

import asyncio
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from harness.backends.compose.readiness import Readiness
from harness.backends.compose.snapshots import ContainerSnapshot
from harness.description.stackfile import load_stack
from harness.model.errors import BackendError

STACK = """
x-harness: {schema: 1, stack: small}
services:
  web:
    image: web
    healthcheck: {test: [CMD, "true"], interval: 60s}
    x-harness: {port: 8000%s}
"""


class Answers(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


def waited(tmp_path: Path, health: str | None, declared: bool, status: int = 200) -> None:
    """Wait for a service of which the engine says `health`, and whose own check is answered with a status."""
    (tmp_path / "compose.yaml").write_text(STACK % (", health: {http: /healthz}" if declared else ""))
    seen = ContainerSnapshot("c1", "web", "running", health, None, {}, {}, {})
    readiness = Readiness(load_stack(tmp_path / "compose.yaml"), lambda: [seen], lambda name, lines: ["starting"])
    answers = type("Answering", (Answers,), {"status": status})
    with ThreadingHTTPServer(("127.0.0.1", 0), answers) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            asyncio.run(readiness.wait(lambda name: ("127.0.0.1", server.server_port), within_s=0.3))
        finally:
            server.shutdown()


def test_a_service_is_ready_with_all_of_its_replicas(tmp_path: Path) -> None:
    text = STACK.replace("image: web", "image: web\n    deploy: {replicas: 3}") % ""
    (tmp_path / "compose.yaml").write_text(text)
    stack = load_stack(tmp_path / "compose.yaml")

    def asked(healths: list[str], *, scaled_by_others: bool = False) -> None:
        seen = [
            ContainerSnapshot(f"c{k}", "web", "running", health, None, {}, {}, {}, number=k)
            for k, health in enumerate(healths, start=1)
        ]
        waiting = Readiness(stack, lambda: seen, lambda name, lines: [name], scaled_by_others=scaled_by_others)
        asyncio.run(waiting.wait(lambda one: None, within_s=0.3))

    asked(["healthy"] * 3)
    asked(["healthy"] * 2, scaled_by_others=True)
    with pytest.raises(BackendError, match="'web' has 2 of its 3 replicas"):
        asked(["healthy"] * 2)
    with pytest.raises(BackendError, match="'web#2' did not become healthy"):
        asked(["healthy", "starting", "healthy"])
    with pytest.raises(BackendError, match="'web' has no container"):
        asked([], scaled_by_others=True)


def test_a_declared_check_decides_before_the_engine_has_looked(tmp_path: Path) -> None:
    waited(tmp_path, "starting", declared=True)


@pytest.mark.parametrize(
    ("health", "declared", "status", "says"),
    [
        ("starting", False, 200, "did not become healthy"),
        ("starting", True, 503, "did not become healthy"),
        ("healthy", True, 503, "did not become healthy"),
        ("unhealthy", True, 200, "is unhealthy by its own health check"),
    ],
)
def test_what_is_not_ready(tmp_path: Path, health: str, declared: bool, status: int, says: str) -> None:
    with pytest.raises(BackendError, match=says):
        waited(tmp_path, health, declared, status)
