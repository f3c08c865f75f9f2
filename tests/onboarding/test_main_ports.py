"""The main port of a service: what consumers ask comes before what is published or usual."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.onboarding.test_guesses import guessed

BROKER = {"image": "apache/kafka:3.9.0", "ports": ["9092:9092"]}
RAY = {
    "image": "rayproject/ray",
    "command": ["sh", "-c", "ray start --head --port=6379 && serve run app:app"],
    "ports": ["8000:8000"],
    "healthcheck": {"test": "curl -f http://localhost:8000/ready"},
}
ENVOY = "envoyproxy/envoy:v1.30"


def port_of(folder: Path, services: dict[str, Any], name: str) -> tuple[int | None, bool]:
    found = guessed(folder, services)[name].port
    return (None, False) if found is None else (found.value, found.sure)


@pytest.mark.parametrize(
    ("service", "consumers", "port"),
    [
        (BROKER, {"BROKERS": "thing:29092"}, (29092, True)),
        (BROKER, {"BROKERS": "thing:29092", "OTHERS": "thing:9092"}, (9092, True)),
        (BROKER, {"BROKERS": "thing:9092"}, (9092, True)),
        (BROKER, {}, (9092, True)),
        ({"image": "team/x", "environment": {"APP_PORT": "1"}}, {"URL": "http://thing:8000"}, (8000, True)),
        ({"image": "team/x", "command": "app --port 7000"}, {"URL": "http://thing:8000"}, (7000, True)),
        ({"image": "minio/minio", "ports": ["9000", "9001"]}, {"CONSOLE_URL": "http://thing:9001"}, (9000, True)),
        ({"image": "team/x", "ports": ["1200:9200"]}, {"THING_HOST": "thing", "THING_PORT": "1200"}, (9200, True)),
        ({"image": "team/x", "ports": ["1200:9200"]}, {"URL": "http://thing:1300"}, (1300, True)),
        ({"image": "team/x", "ports": ["9200:9200", "8125:8125/udp"]}, {}, (9200, True)),
        ({"image": "rabbitmq:4", "ports": ["15672:15672"]}, {}, (5672, False)),
        ({"image": ENVOY, "ports": ["9901:9901"]}, {}, (10000, False)),
        ({"image": ENVOY, "ports": ["9901", "8080"]}, {}, (8080, True)),
        ({"image": ENVOY, "healthcheck": {"test": "curl -f http://localhost:9901/ready"}}, {}, (10000, False)),
        ({"image": "team/x", "ports": ["8000:8000", "5678:5678"]}, {}, (8000, True)),
        ({"image": "team/x", "ports": ["5678:5678"]}, {}, (None, False)),
        (RAY, {"HEAD": "thing:6379"}, (8000, True)),
        (RAY | {"command": "ray start --head --port=6379"}, {"HEAD": "thing:6379"}, (6379, True)),
        (RAY | {"ports": ["6379:6379", "8000:8000"]}, {"HEAD": "thing:6379"}, (6379, True)),
        ({"image": "team/x", "environment": {"SERVER_PORT": "9", "SERVER_HOST": "web"}}, {}, (None, False)),
        ({"image": "team/x", "environment": {"SERVER_PORT": "9", "SERVER_HOST": "0.0.0.0"}}, {}, (9, True)),
    ],
)  # fmt: skip
def test_the_main_port(
    tmp_path: Path, service: dict[str, Any], consumers: dict[str, str], port: tuple[int | None, bool]
) -> None:
    services = {"thing": service, "web": {"image": "team/web", "environment": consumers}}
    assert port_of(tmp_path, services, "thing") == port


def test_members_of_a_cluster_name_a_port_of_their_own(tmp_path: Path) -> None:
    voters = {"KAFKA_CONTROLLER_QUORUM_VOTERS": "1@kafka-1:9093,2@kafka-2:9093"}
    services = {name: {"image": "apache/kafka", "environment": voters} for name in ("kafka-1", "kafka-2")}
    services["setup"] = {"image": "apache/kafka", "command": "kafka-topics.sh --bootstrap-server kafka-1:29092 --list"}
    assert port_of(tmp_path, services, "kafka-1") == (29092, True), "a client from the same image is no member"
    assert port_of(tmp_path, services, "kafka-2") == (9092, False)


def test_where_metrics_are_read_is_not_where_work_is_asked(tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text("scrape_configs:\n  - static_configs:\n      - targets: ['api:9100']\n")
    prometheus = {"image": "prom/prometheus", "volumes": ["./prometheus.yml:/etc/prometheus/prometheus.yml"]}
    listed = {"image": "team/x", "ports": ["8000:8000"]}
    assert port_of(tmp_path, {"api": listed, "prometheus": prometheus}, "api") == (8000, True)
    assert port_of(tmp_path, {"api": {"image": "team/x"}, "prometheus": prometheus}, "api") == (9100, True)


def test_other_ports_that_files_name_are_passed_too(tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text("scrape_configs:\n  - static_configs:\n      - targets: ['api:9100']\n")
    (tmp_path / "gateway.yml").write_text("admin: http://api:8001\nwork: http://api:8000\nhost: http://api:18000\n")
    prometheus = {"image": "prom/prometheus", "volumes": ["./prometheus.yml:/etc/prometheus/prometheus.yml"]}
    web = {"image": "team/web", "environment": {"API": "http://api:8000", "MORE": "http://api:8002"}}
    services = {"prometheus": prometheus, "web": web | {"volumes": ["./gateway.yml:/etc/gateway.yml"]}}
    found = guessed(tmp_path, services | {"api": {"image": "team/x", "ports": ["18000:8000"]}})["api"].further_ports
    assert {one.value: one.why for one in found} == {
        9100: "metrics are read there: prometheus.yml:3",
        8001: "others name it: gateway.yml:1",
    }
    listed = {"image": "team/x", "ports": ["18000:8000", "9100:9100"], "expose": ["8001"]}
    assert not guessed(tmp_path, services | {"api": listed})["api"].further_ports


def test_a_port_in_a_program_is_a_guess(tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text("API = 'http://api:8001'\n")
    web = {"image": "team/web", "volumes": ["./settings.py:/app/settings.py"]}
    assert port_of(tmp_path, {"api": {"image": "team/x"}, "web": web}, "api") == (8001, False)
    assert port_of(tmp_path, {"api": {"image": "team/x", "ports": ["9091"]}, "web": web}, "api") == (9091, True)


@pytest.mark.parametrize(
    ("image", "port", "health"),
    [("minio/minio", 9000, {"http": "/minio/health/live"}), ("minio/minio", 9123, {"tcp": True})],
)
def test_what_is_usual_to_ask_is_so_on_the_usual_port(
    tmp_path: Path, image: str, port: int, health: dict[str, Any]
) -> None:
    services = {"thing": {"image": image}, "web": {"image": "x", "environment": {"URL": f"http://thing:{port}"}}}
    found = guessed(tmp_path, services)["thing"].health
    assert found is not None
    assert found.value == health


@pytest.mark.parametrize(
    ("test", "health", "sure"),
    [
        ("curl -fsS http://localhost:80/up >/dev/null || exit 1", {"http": "/up"}, True),
        ("curl --fail http://thing:80/up", {"http": "/up"}, True),
        ("curl -f http://$${HOSTNAME}:80/up", {"http": "/up"}, True),
        ("wget -q --spider http://127.0.0.1:80/up", {"http": "/up"}, True),
        ("python -c \"import urllib.request as r; r.urlopen('http://localhost:80/up')\"", {"http": "/up"}, True),
        ("curl http://localhost:80/up", {"http": "/up"}, False),
        ("test -f /ready && curl http://localhost:80/up", {"http": "/up"}, False),
        ("curl -f -u elastic:x http://localhost:80/up", {"tcp": True}, False),
        ("curl -f -H 'Authorization: x' http://localhost:80/up", {"tcp": True}, False),
        ("curl -f -X GET http://localhost:80/up", {"http": "/up"}, True),
        ("curl -f -X POST http://localhost:80/up", {"tcp": True}, False),
        ("curl -kf https://localhost:80/up", {"tcp": True}, False),
        ("curl -f http://other:80/up", {"tcp": True}, False),
    ],
)  # fmt: skip
def test_what_a_health_check_says(tmp_path: Path, test: str, health: dict[str, Any], sure: bool) -> None:
    body = {"image": "x", "expose": [80], "healthcheck": {"test": ["CMD-SHELL", test]}}
    found = guessed(tmp_path, {"thing": body})["thing"].health
    assert found is not None
    assert (found.value, found.sure) == (health, sure)


def test_a_check_of_somebody_else_says_no_port_of_its_own(tmp_path: Path) -> None:
    worker = {"image": "x", "healthcheck": {"test": "curl -f http://api:8000/health"}}
    assert port_of(tmp_path, {"worker": worker, "api": {"image": "y"}}, "worker") == (None, False)
