"""Each of `examples/` on a real engine: it starts, answers correctly, is scraped, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from example_images import EXAMPLES, MLFLOW, Example

from harness.description.stackfile import load_stack

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]
STATE = "{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}} {{.State.ExitCode}}{{end}}"


@dataclass(frozen=True)
class Running:
    """A running example, started by the commands of its README."""

    example: Example
    project: str
    environment: dict[str, str]
    _addresses: dict[tuple[str, int], str] = field(default_factory=dict)

    def compose(self, *argv: str) -> str:
        command = ["docker-compose", "--project-name", self.project, *argv]
        done = subprocess.run(
            command,
            cwd=self.example.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, service: str, port: int, path: str) -> Any:
        with urllib.request.urlopen(f"{self._url(service, port)}{path}", timeout=10) as answer:
            return json.load(answer)

    def requests(self) -> list[dict[str, Any]]:
        """Its file of requests."""
        text = (self.example.folder / "requests.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def ask(self, body: dict[str, Any]) -> tuple[Any, Any]:
        """Send a request to where the workload goes; its answer, and the headers."""
        workload = load_stack(self.example.folder / "compose.harness.yaml").workload
        assert workload is not None
        url = urlsplit(workload.url)
        assert url.hostname is not None
        assert url.port is not None
        request = urllib.request.Request(
            f"{self._url(url.hostname, url.port)}{url.path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer), answer.headers

    def version(self, body: dict[str, Any]) -> int:
        """The version of the model that answers, for MLflow's example."""
        return int(self.ask(body)[1]["X-Model-Version"])

    def states(self) -> dict[str, str]:
        """The health of each service according to the engine; where it has no health check, its state and exit code."""
        form = f'{{{{index .Config.Labels "com.docker.compose.service"}}}}={STATE}'
        output = subprocess.check_output(["docker", "inspect", "-f", form, *self.left("ps", "--all")], text=True)
        return dict(line.split("=") for line in output.splitlines())

    def started(self) -> bool:
        """All services are healthy, run, or have done their work."""
        states = self.states()
        wanted = set(self.compose("config", "--services").split())
        return set(states) == wanted and set(states.values()) <= {"healthy", "running 0", "exited 0"}

    def left(self, *listing: str) -> list[str]:
        """What is left of this project on the engine."""
        label = f"label=com.docker.compose.project={self.project}"
        return subprocess.check_output(["docker", *listing, "--quiet", "--filter", label], text=True).split()

    def _url(self, service: str, port: int) -> str:
        # `compose port` takes most of a second, and no test restarts these services.
        if (service, port) not in self._addresses:
            self._addresses[service, port] = self.compose("port", service, str(port)).strip()
        return f"http://{self._addresses[service, port]}"


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda example: example.name)
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    example: Example = request.param
    environment = {**os.environ, **example.variables(), **dict.fromkeys(example.ports, "0")}
    made = Running(example, f"example-{uuid.uuid4().hex[:8]}", environment)
    try:
        made.compose("up", "-d")
        until(made.started, 240, made.states)
        yield made
    finally:
        made.compose("down", "--volumes", "--timeout", "2")


only_mlflow = pytest.mark.parametrize("running", [MLFLOW], indirect=True, ids=["mlflow"])


def until(holds: Callable[[], object], within_s: float, state: Callable[[], object] = lambda: "not in time") -> None:
    """Poll until it holds; `state` describes how far it came."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, state()
        time.sleep(0.25)


def at(answer: Any, path: str) -> Any:
    """The value at a path of an answer, such as `predictions.0`."""
    for part in path.split("."):
        answer = answer[int(part)] if isinstance(answer, list) else answer[part]
    return answer


def test_the_answers_are_as_expected(running: Running) -> None:
    wrong = {}
    for request in running.requests()[:40]:
        answer, _ = running.ask(request["body"])
        expected = request["expect"]["json"]
        if any(at(answer, path) != value for path, value in expected.items()):
            wrong[request["id"]] = answer
    assert not wrong


def test_prometheus_sees_every_target_and_has_the_rules(running: Running) -> None:
    def down() -> list[str]:
        targets = running.get("prometheus", 9090, "/api/v1/targets")["data"]["activeTargets"]
        return [target["scrapeUrl"] for target in targets if target["health"] != "up"]

    until(lambda: not down(), 60, down)
    groups = running.get("prometheus", 9090, "/api/v1/rules")["data"]["groups"]
    rules = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    written = (running.example.folder / "monitoring" / "rules.yml").read_text(encoding="utf-8")
    assert rules == dict.fromkeys(re.findall(r"alert: (\w+)", written), "ok")


@only_mlflow
def test_retraining_registers_versions_and_the_server_switches_to_them(running: Running) -> None:
    body = running.requests()[0]["body"]
    first = running.version(body)
    until(lambda: running.version(body) > first, 120)
    alias = "/api/2.0/mlflow/registered-models/alias?name=late-delivery&alias=champion"
    champion = running.get("mlflow", 5000, alias)["model_version"]
    assert int(champion["version"]) > first


@only_mlflow
def test_an_alert_reaches_the_alertmanager(running: Running) -> None:
    def paging() -> set[str]:
        return {alert["labels"].get("job") for alert in running.get("alertmanager", 9093, "/api/v2/alerts")}

    running.compose("stop", "--timeout", "1", "exporter")
    until(lambda: "exporter" in paging(), 60, paging)
    running.compose("start", "exporter")
    until(lambda: "exporter" not in paging(), 90, paging)


def test_down_leaves_nothing(running: Running) -> None:
    running.compose("down", "--volumes", "--timeout", "2")
    assert not running.left("ps", "--all")
    assert not running.left("volume", "ls")
    assert not running.left("network", "ls")
