"""`examples/mlflow` on a real engine: it starts, answers correctly, retrains, alerts, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from example_images import MLFLOW

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]
SERVICES = {
    "postgres", "object-store", "mlflow", "feed", "trainer", "serving", "exporter", "prometheus", "alertmanager",
}  # fmt: skip
REQUESTS = [json.loads(line) for line in (MLFLOW.folder / "requests.jsonl").read_text(encoding="utf-8").splitlines()]


@dataclass(frozen=True)
class Example:
    """The running example, started by the commands of its README."""

    project: str
    environment: dict[str, str]
    _addresses: dict[tuple[str, int], str] = field(default_factory=dict)

    def compose(self, *argv: str) -> str:
        command = ["docker-compose", "--project-name", self.project, *argv]
        done = subprocess.run(
            command, cwd=MLFLOW.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, service: str, port: int, path: str) -> Any:
        with urllib.request.urlopen(f"{self._url(service, port)}{path}", timeout=10) as answer:
            return json.load(answer)

    def score(self, body: dict[str, Any]) -> tuple[Any, int]:
        """The prediction, and the version of the model."""
        request = urllib.request.Request(
            f"{self._url('serving', 8080)}/invocations",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["predictions"][0], int(answer.headers["X-Model-Version"])

    def health(self) -> dict[str, str]:
        """The health of each service according to the engine."""
        form = '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Health.Status}}'
        output = subprocess.check_output(["docker", "inspect", "-f", form, *self.left("ps", "--all")], text=True)
        return dict(line.split() for line in output.splitlines())

    def left(self, *listing: str) -> list[str]:
        """What is left of this project on the engine."""
        label = f"label=com.docker.compose.project={self.project}"
        return subprocess.check_output(["docker", *listing, "--quiet", "--filter", label], text=True).split()

    def _url(self, service: str, port: int) -> str:
        # `compose port` takes most of a second, and no test restarts these services.
        if (service, port) not in self._addresses:
            self._addresses[service, port] = self.compose("port", service, str(port)).strip()
        return f"http://{self._addresses[service, port]}"


@pytest.fixture(scope="module")
def example() -> Iterator[Example]:
    ports = dict.fromkeys(MLFLOW.ports, "0")
    made = Example(f"example-{uuid.uuid4().hex[:8]}", {**os.environ, **MLFLOW.variables(), **ports})
    try:
        made.compose("up", "-d")
        until(lambda: made.health() == dict.fromkeys(SERVICES, "healthy"), 240, made.health)
        yield made
    finally:
        made.compose("down", "--volumes", "--timeout", "2")


def until(holds: Callable[[], object], within_s: float, state: Callable[[], object] = lambda: "not in time") -> None:
    """Poll until it holds; `state` describes how far it came."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, state()
        time.sleep(0.25)


def test_the_served_model_answers_as_expected(example: Example) -> None:
    answers = [example.score(request["body"])[0] for request in REQUESTS[:40]]
    assert answers == [request["expect"]["json"]["predictions.0"] for request in REQUESTS[:40]]


def test_retraining_registers_versions_and_the_server_switches_to_them(example: Example) -> None:
    body = REQUESTS[0]["body"]
    first = example.score(body)[1]
    until(lambda: example.score(body)[1] > first, 120)
    alias = "/api/2.0/mlflow/registered-models/alias?name=late-delivery&alias=champion"
    champion = example.get("mlflow", 5000, alias)["model_version"]
    assert int(champion["version"]) > first


def test_prometheus_sees_every_target_and_has_the_rules(example: Example) -> None:
    def down() -> list[str]:
        targets = example.get("prometheus", 9090, "/api/v1/targets")["data"]["activeTargets"]
        return [target["labels"]["job"] for target in targets if target["health"] != "up"]

    until(lambda: not down(), 60, down)
    groups = example.get("prometheus", 9090, "/api/v1/rules")["data"]["groups"]
    rules = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert set(rules.values()) == {"ok"}
    assert {"TargetDown", "MlflowDown", "RetrainingStalled", "ModelStale"} <= set(rules)


def test_an_alert_reaches_the_alertmanager(example: Example) -> None:
    def paging() -> set[str]:
        return {alert["labels"].get("job") for alert in example.get("alertmanager", 9093, "/api/v2/alerts")}

    example.compose("stop", "--timeout", "1", "exporter")
    until(lambda: "exporter" in paging(), 60, paging)
    example.compose("start", "exporter")
    until(lambda: "exporter" not in paging(), 90, paging)


def test_down_leaves_nothing(example: Example) -> None:
    example.compose("down", "--volumes", "--timeout", "2")
    assert not example.left("ps", "--all")
    assert not example.left("volume", "ls")
    assert not example.left("network", "ls")
