"""Kinds, ports, health and links of single services, as compose files say them in many ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.onboarding.discovery.addresses import references_of
from harness.onboarding.discovery.project import read_project
from harness.onboarding.discovery.rendering import flow
from harness.onboarding.discovery.services import FoundService, guess_all


def guessed(folder: Path, services: dict[str, Any]) -> dict[str, FoundService]:
    (folder / "compose.yaml").write_text(f"services: {flow(services)}\n")
    project = read_project(folder, ask_engine=False)
    return guess_all(project, references_of(project))


@pytest.mark.parametrize(
    ("image", "command", "kind"),
    [
        ("postgres:16", None, "postgres"),
        ("docker.io/bitnami/postgresql:15", None, "postgres"),
        ("pgvector/pgvector:pg16", None, "postgres"),
        ("valkey/valkey:8-alpine", None, "redis"),
        ("registry:5000/team/redis@sha256:0", None, "redis"),
        ("minio/minio", None, "minio"),
        ("rclone/rclone", "serve s3 --addr :9000 /data", "rclone"),
        ("team/files", ["/usr/bin/rclone", "--config", "/x", "serve", "s3", "/data"], "rclone"),
        ("prom/prometheus:v3", None, "prometheus"),
        ("prom/alertmanager", None, "alertmanager"),
        ("python:3.11", "mlflow server --port 5000", "mlflow"),
        ("python:3.11", ["mlflow", "models", "serve", "-m", "models:/x/1"], "mlflow-model"),
        ("nvcr.io/nvidia/tritonserver:24.05-py3", None, "triton"),
        ("pytorch/torchserve", None, "torchserve"),
        ("tensorflow/serving", None, "tf-serving"),
        ("seldonio/mlserver", None, "mlserver"),
        ("team/app", "bentoml serve service:svc", "bentoml"),
        ("team/app", "uvicorn app:app", "uvicorn"),
        ("apache/airflow:2.9.2", "scheduler", "airflow"),
        ("confluentinc/cp-kafka:7", None, "kafka"),
        ("confluentinc/confluent-local:7.6", None, "kafka"),
        ("flink:1.20", "jobmanager", "flink"),
        ("flink:1.20", "standalone-job --job-classname a.B", "flink"),
        ("flink:1.20", "taskmanager", "flink-worker"),
        ("team/jobs", "jobmanager", "service"),
        ("otel/opentelemetry-collector-contrib:0.115", None, "otel-collector"),
        ("langfuse/langfuse:3", None, "langfuse"),
        ("langfuse/langfuse-worker:3", None, "langfuse-worker"),
        ("heartexlabs/label-studio", None, "label-studio"),
        ("milvusdb/milvus:v2.5", "milvus run standalone", "milvus"),
        ("cr.weaviate.io/semitechnologies/weaviate:1.28", None, "weaviate"),
        ("qdrant/qdrant", None, "qdrant"),
        ("bitnami/kafka", None, "kafka"),
        ("caddy:2", None, "caddy"),
        ("traefik:v3", None, "traefik"),
        ("team/thing", None, "service"),
        ("team/thing", "python train.py", "trainer"),
        ("mysql/mysql-server:8", None, "mysql"),
        ("mongodb/mongodb-community-server:8.0-ubi8", None, "mongo"),
        ("ghcr.io/ferretdb/ferretdb:1.24", None, "mongo"),
        ("confluentinc/cp-kafka-connect:7", None, "kafka-connect"),
        ("provectuslabs/kafka-ui", None, "console"),
        ("rediscommander/redis-commander", None, "console"),
        ("jupyter/scipy-notebook", None, "jupyter"),
        ("jupyter/scipy-notebook", "python report.py", "service"),
        ("jupyter/scipy-notebook", "start-notebook.sh --ip=*", "jupyter"),
        ("apache/airflow:2.9.2", "webserver", "airflow-web"),
        ("team/web", "webserver", "service"),
        ("team/web", "airflow webserver", "airflow-web"),
        ("team/thing", "python windows.py --bootstrap-servers kafka:9092", "service"),
        ("team/thing", "java -jar windows.jar --bootstrap-servers kafka:9092", "service"),
        ("team/thing", "python app.py --server uvicorn --backend celery", "service"),
        ("team/thing", "sh -c 'wait-for jupyter-notebook:8888; wait-for celery:5555; /app run'", "service"),
        ("rayproject/ray", "ray start --head --port=6379", "ray-head"),
        ("rayproject/ray", "ray start --address=head:6379", "ray-worker"),
        ("rayproject/ray", "serve run app:app", "ray"),
        ("prom/prometheus", ["/bin/sh", "/etc/prometheus/start.sh"], "prometheus"),
        ("team/app", ["sh", "-c", "until nc -z db 5432; do sleep 1; done; exec gunicorn app:app"], "gunicorn"),
        ("team/app", "sh -c 'alembic upgrade head && uvicorn app:app'", "uvicorn"),
        ("debezium/connect:2.5", None, "kafka-connect"),
        ("confluentinc/cp-schema-registry:7", None, "schema-registry"),
        ("minio/mc", "sh -c 'mc mb x/y; tail -f /dev/null'", "service"),
        ("team/thing", "bundle exec ruby email_server.rb", "service"),
        ("team/thing", "python model_server.py", "model-server"),
    ],
)
def test_kinds(tmp_path: Path, image: str, command: Any, kind: str) -> None:
    body = {"image": image} | ({"command": command} if command else {})
    assert guessed(tmp_path, {"thing": body})["thing"].kind.name == kind


@pytest.mark.parametrize(
    ("name", "body", "kind"),
    [
        ("postgresql", {"image": "team/x"}, "postgres"),
        ("mongodb", {"image": "team/x"}, "mongo"),
        ("kafka-1", {"image": "team/x"}, "kafka"),
        ("redis_server", {"image": "team/x"}, "redis"),
        ("app-postgres", {"image": "team/x", "expose": [5432]}, "postgres"),
        ("app-postgres", {"image": "team/x"}, "service"),
        ("kafka-ui", {"image": "team/x", "ports": ["8080:8080"]}, "service"),
        ("kafka", {"image": "team/x", "ports": ["8080:8080"]}, "service"),
        ("kafka-connect", {"image": "team/x", "ports": ["8083:8083"]}, "kafka-connect"),
        ("api-minio", {"image": "team/x", "ports": ["8000:8000"]}, "service"),
        ("jupyter-lab", {"image": "team/x", "ports": ["8888:8888"]}, "jupyter"),
        ("kafka_events", {"build": ".", "command": "python producer.py"}, "service"),
        ("kafka", {"build": ".", "command": "python producer.py"}, "service"),
        ("server", {"image": "team/x"}, "service"),
        ("web_server", {"image": "team/x"}, "service"),
        ("model-server", {"image": "team/x"}, "model-server"),
        ("inference_model_server", {"image": "team/x"}, "model-server"),
    ],
)
def test_a_name_is_the_last_thing_looked_at(tmp_path: Path, name: str, body: dict[str, Any], kind: str) -> None:
    assert guessed(tmp_path, {name: body})[name].kind.name == kind


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("postgresql+psycopg2://u:p@thing/db", "postgres"),
        ("redis://thing:6379/0", "redis"),
        ("mongodb://thing:27017", "mongo"),
        ("amqp://guest:guest@thing:5672//", "rabbitmq"),
        ("http://thing:8000", "service"),
        ("redis://thing-2:6379", "service"),
        ("postgres://thing:thing@db/x", "service"),
        ("postgres://thing@db/x", "service"),
        ("postgres://thing:thing@thing/x", "postgres"),
    ],
)
def test_what_others_speak_with_it_tells_the_kind(tmp_path: Path, url: str, kind: str) -> None:
    services = {"thing": {"image": "team/thing"}, "web": {"image": "x", "environment": {"STORE": url}}}
    assert guessed(tmp_path, services)["thing"].kind.name == kind


@pytest.mark.parametrize(
    ("name", "body", "job"),
    [
        ("thing", {"image": "grafana/grafana", "command": "curl -X POST http://grafana:3000/api/x"}, True),
        ("thing", {"image": "grafana/grafana", "entrypoint": ["sh", "-c"],
                   "command": ["until curl -s http://g:3000; do sleep 1; done; curl -X POST http://g:3000/x | jq ."]},
         True),
        ("thing", {"image": "redis", "command": "redis-cli -h cache ping"}, True),
        ("thing", {"image": "postgres", "command": ["bash", "-c", "sleep 5\npsql -f /seed.sql"]}, True),
        ("thing", {"image": "python", "command": "python load_features.py"}, True),
        ("thing", {"image": "ollama/ollama", "entrypoint": "sh", "command": ["-c", "ollama pull llama3"]}, True),
        ("thing", {"image": "x", "command": "feast -c /repo materialize-incremental 2030-01-01"}, True),
        ("thing", {"image": "x", "command": "sh -c 'while sleep 9; do feast materialize now; done'"}, False),
        ("load-dashboards", {"image": "python", "command": "python main.py"}, True),
        ("thing", {"image": "apache/airflow", "command": "bash -c 'airflow variables set a b'"}, True),
        ("thing", {"image": "apache/airflow", "command": "airflow standalone"}, False),
        ("thing", {"image": "x", "command": "sh -c 'while true; do curl http://a/; sleep 5; done'"}, False),
        ("thing", {"image": "x", "command": "curl http://a/", "restart": "always"}, False),
        ("thing", {"image": "x", "command": "python load_features.py", "restart": "unless-stopped"}, False),
        ("load-balancer", {"image": "team/x"}, False),
        ("setup", {"image": "team/x", "ports": ["8000:8000"]}, False),
        ("thing", {"image": "x", "command": "sh -c 'curl http://a/ & python app.py'"}, False),
    ],
)  # fmt: skip
def test_what_ends_by_itself_is_a_job(tmp_path: Path, name: str, body: dict[str, Any], job: bool) -> None:
    assert guessed(tmp_path, {name: body})[name].job is job


@pytest.mark.parametrize(
    ("command", "port"),
    [
        ("ray start --address=head:6379", None),
        ("app --listen other:7000", None),
        ("app --listen thing:7000", 7000),
        ("app --listen [::]:7000", 7000),
        ("app --addr tcp://0.0.0.0:7000", 7000),
        ("app --console-address :9001 --address :9000", 9000),
    ],
)
def test_a_port_of_somebody_else_is_not_its_own(tmp_path: Path, command: str, port: int | None) -> None:
    found = guessed(tmp_path, {"thing": {"image": "x", "command": command}})["thing"].port
    assert (found and found.value) == port


def test_a_port_in_a_file_of_variables_is_a_guess(tmp_path: Path) -> None:
    (tmp_path / "all.env").write_text("APP_PORT=8000\n")
    found = guessed(tmp_path, {"thing": {"image": "x", "env_file": ["all.env"]}})["thing"].port
    assert found is not None
    assert (found.value, found.sure) == (8000, False)


def test_the_usual_port_of_a_kind_by_name_is_left_out(tmp_path: Path) -> None:
    found = guessed(tmp_path, {"kafka": {"image": "team/x"}})["kafka"]
    assert (found.port, found.health) == (None, None)
    assert found.left_out["port"].value == 9092


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"deploy": {"replicas": 3}}, ""),
        ({"scale": 0, "expose": [8000]}, "scaled to 0"),
        ({"network_mode": "host"}, "network_mode: host"),
        ({"deploy": {"replicas": 1}}, ""),
    ],
)
def test_a_service_without_an_address_of_its_own(tmp_path: Path, body: dict[str, Any], why: str) -> None:
    found = guessed(tmp_path, {"thing": {"image": "x", **body}})["thing"]
    assert found.unreached == why
    assert found.port is None


@pytest.mark.parametrize(
    ("body", "port", "sure"),
    [
        ({"image": "postgres"}, 5432, False),
        ({"image": "postgres", "ports": ["15432:5432"]}, 5432, True),
        ({"image": "minio/minio", "command": "server /data --console-address :9001", "ports": ["9001", "9000"]}, 9000,
         True),
        ({"image": "x", "command": "uvicorn app:app --port 8001"}, 8001, True),
        ({"image": "x", "command": ["gunicorn", "--bind", "0.0.0.0:7000", "app"]}, 7000, True),
        ({"image": "x", "environment": {"PORT": "3001"}}, 3001, True),
        ({"image": "x", "environment": ["HTTP_PORT=3002"]}, 3002, True),
        ({"image": "x", "expose": ["9100"]}, 9100, True),
        ({"image": "x", "ports": [{"target": 81, "published": 8081}]}, 81, True),
        ({"image": "x", "ports": ["80", "81"]}, 80, False),
        ({"image": "x", "healthcheck": {"test": "curl -f http://localhost:8088/ok || exit 1"}}, 8088, True),
    ],
)  # fmt: skip
def test_ports(tmp_path: Path, body: dict[str, Any], port: int, sure: bool) -> None:
    found = guessed(tmp_path, {"thing": body})["thing"].port
    assert found is not None
    assert (found.value, found.sure) == (port, sure)


def test_no_port_where_nothing_says_one(tmp_path: Path) -> None:
    found = guessed(tmp_path, {"thing": {"image": "x"}})["thing"]
    assert (found.port, found.health) == (None, None)


@pytest.mark.parametrize(
    ("body", "health", "sure"),
    [
        ({"image": "x", "expose": [80], "healthcheck": {"test": ["CMD", "curl", "-f", "http://localhost/up?deep=1"]}},
         {"http": "/up?deep=1"}, True),
        ({"image": "x", "expose": [80], "healthcheck": {"test": ["CMD", "curl", "http://localhost/up"]}},
         {"http": "/up"}, False),
        ({"image": "x", "expose": [80], "healthcheck": {"test": ["CMD", "curl", "http://localhost:9/up"]}},
         {"tcp": True}, False),
        ({"image": "x", "expose": [80], "healthcheck": {"disable": True}}, {"tcp": True}, False),
        ({"image": "prom/prometheus"}, {"http": "/-/healthy"}, False),
        ({"image": "tensorflow/serving", "environment": {"MODEL_NAME": "risk"}}, {"http": "/v1/models/risk"}, False),
    ],
)  # fmt: skip
def test_health(tmp_path: Path, body: dict[str, Any], health: dict[str, Any], sure: bool) -> None:
    if health == {"tcp": True} and "healthcheck" in body:
        body = body | {"environment": {"PORT": "80"}}
    found = guessed(tmp_path, {"thing": body})["thing"].health
    assert found is not None
    assert (found.value, found.sure) == (health, sure)


@pytest.mark.parametrize(
    ("settings", "port", "plain"),
    [
        ({"environment": {"DB": "db:5432"}}, 5432, True),
        ({"environment": {"DB": "postgresql+psycopg2://u:p@db/x"}}, 5432, False),
        ({"environment": {"DB": "postgresql://db:db@db:6000/db"}}, 6000, True),
        ({"environment": {"DB_HOST": "db", "DB_PORT": "5433"}}, 5433, False),
        ({"environment": {"DB_HOST": "db"}}, None, False),
        ({"command": "app --store http://db/"}, 80, False),
        ({"command": ["app", "db:1234"]}, 1234, True),
        ({"environment": {"DB": "database.internal:5432"}}, 5432, False),
        ({"environment": {"DB": "mongodb://db.:27018/x"}}, 27018, False),
        ({"environment": {"DB": "mongodb://u:p@db./x"}}, 27017, False),
        ({"environment": {"PROPERTIES": "jobmanager.rpc.address: db\ntaskmanager.slots: 2"}}, None, False),
        ({"environment": {"PROPERTIES": "a: 1\nrpc.address: db\nother.port: 1\nrpc.port: 6123"}}, 6123, False),
        ({"environment": {"SETTINGS": '{\n "host": "db",\n "port": 4000\n}'}}, 4000, False),
        ({"environment": {"REDIRECT": "http://db/"}}, 80, False),
    ],
)
def test_links(tmp_path: Path, settings: dict[str, Any], port: int | None, plain: bool) -> None:
    alias = {"networks": {"default": {"aliases": ["database.internal"]}}}
    services = {"db": {"image": "x", **alias}, "web": {"image": "x", **settings}}
    (place,) = guessed(tmp_path, services)["web"].links["db"]
    assert (place.port, place.plain) == (port, plain)


@pytest.mark.parametrize(
    "settings",
    [
        {"depends_on": ["db"]},
        {"environment": {"NAME": "db"}},
        {"environment": {"URL": "http://other-db:5432", "TEXT": "db.example.org:5432"}},
        {"environment": {"PATH_": "/db:5432x"}},
        {"environment": {"CORS_ORIGINS": "http://db:3000"}},
        {"environment": {"METRICS_STATSD_HOST": "db", "METRICS_STATSD_PORT": "9125"}},
        {"environment": {"URL": "postgres://db:db@elsewhere/x"}},
        {"environment": {"MLFLOW_SERVER_ALLOWED_HOSTS": "db:5000,localhost"}},
        {"environment": {"OAUTH_REDIRECT_URI": "http://db:5000/back", "PUBLIC_URL": "http://db:80"}},
        {"environment": {"TEXT": "see db. It is up", "OTHER": "db.:x"}},
        {"environment": {"PROPERTIES": "name: db\nhost.of.others: db\nhost: db.example.org"}},
    ],
)
def test_what_is_no_link(tmp_path: Path, settings: dict[str, Any]) -> None:
    assert guessed(tmp_path, {"db": {"image": "x"}, "web": {"image": "x", **settings}})["web"].links == {}


WORKSPACE = """\
load_from:
  # - grpc_server: {host: old, port: 1}
  - grpc_server:
      host: db
      port: 4000
      location_name: x
  - grpc_server: {host: other}
"""


def test_hosts_in_a_mounted_file(tmp_path: Path) -> None:
    (tmp_path / "workspace.yaml").write_text(WORKSPACE)
    web = {"image": "x", "volumes": ["./workspace.yaml:/w.yaml"]}
    (place,) = guessed(tmp_path, {"db": {"image": "x"}, "old": {"image": "x"}, "web": web})["web"].links["db"]
    assert (place.port, place.where) == (4000, "workspace.yaml:4")


@pytest.mark.parametrize(
    "value",
    ["plain", "yes", "3", "3.5", "1e3", "null", "", "a: b", "a #b", "- a", "{a}", "[x", "it's", 'say "x"', "é", "a,b",
     "http://x:80/y", "${A:-b}", "../x", "300ms", "90min event", "*", "&a", "!t", "%x", "@x", "`x", "a\nb", "~",
     "0x1f"],
)  # fmt: skip
def test_values_are_written_so_that_yaml_reads_them_again(value: str) -> None:
    assert yaml.safe_load(f"a: {flow(value)}") == {"a": value}
    assert yaml.safe_load(f"a: {flow([value, {value: value}])}") == {"a": [value, {value: value}]}


NGINX = """\
server {
  set $app api;
  # proxy_pass http://old:1;
  location /a { proxy_pass http://$app:8000; }
  location /b { proxy_pass http://${PAGES}:3000; }
  location /c { proxy_pass http://$unknown:9; }
  location /d { proxy_pass http://pages; }
}
upstream pages {
  server ${PAGES}:3000;
}
"""


def test_a_proxy_that_calls_a_service_by_a_variable(tmp_path: Path) -> None:
    (tmp_path / "app.conf.template").write_text(NGINX)
    (tmp_path / "more.conf").write_text("location /e { proxy_pass http://pages; }\n")
    mounted = ["./app.conf.template:/t", "./more.conf:/m"]
    proxy = {"image": "nginx", "volumes": mounted, "environment": {"PAGES": "pages"}}
    services = {name: {"image": "x"} for name in ("api", "pages", "old", "unknown")} | {"proxy": proxy}
    found = guessed(tmp_path, services)["proxy"].links
    assert {name: [(one.port, one.where) for one in places] for name, places in found.items()} == {
        "api": [(8000, "app.conf.template:4")],
        "pages": [(3000, "app.conf.template:5"), (3000, "app.conf.template:10")],
    }


def test_a_service_that_is_called_a_job_may_end(tmp_path: Path) -> None:
    found = guessed(tmp_path, {"thing-init": {"image": "apache/airflow", "command": "/prepare"}})["thing-init"]
    assert (found.kind.name, found.job, found.goes_on) == ("airflow", False, False)
