"""The probes that `harness init` writes for servers with a protocol of their own, such as MySQL, MongoDB and Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from calling import Harness
from test_init_credentials import HARD, described

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("image", "given", "access"),
    [
        (
            "mysql:8",
            {"MYSQL_USER": "shop", "MYSQL_PASSWORD": HARD, "MYSQL_DATABASE": "my db", "MYSQL_ROOT_PASSWORD": "r"},
            ("mysql://db:3306/my%20db", "shop", HARD),
        ),
        ("mariadb:11", {"MARIADB_ROOT_PASSWORD": HARD}, ("mysql://db:3306/", "root", HARD)),
    ],
)
def test_the_login_of_mysql(
    project: Path, harness_: Harness, image: str, given: dict[str, str], access: tuple[str, str, str]
) -> None:
    web = {"image": "x", "environment": {"DB": "mysql://db:3306"}}
    probes, _ = described(harness_, project, {"db": {"image": image, "environment": given}, "web": web})
    found = probes["db_answers"]
    assert (found.url, found.username, found.password) == access


def test_a_password_of_mysql_in_a_file_is_not_known(project: Path, harness_: Harness) -> None:
    given = {"MYSQL_ROOT_PASSWORD_FILE": "/run/secrets/root"}
    probes, said = described(harness_, project, {"db": {"image": "mysql:8", "environment": given, "expose": [3306]}})
    assert "db_answers" not in probes
    assert "MYSQL_ROOT_PASSWORD_FILE" in said


@pytest.mark.parametrize(
    ("given", "there"), [({"MYSQL_RANDOM_ROOT_PASSWORD": "1"}, False), ({"MYSQL_ALLOW_EMPTY_PASSWORD": "1"}, True)]
)
def test_no_login_of_mysql_is_made_up(project: Path, harness_: Harness, given: dict[str, str], there: bool) -> None:
    probes, _ = described(harness_, project, {"db": {"image": "mysql:8", "environment": given, "expose": [3306]}})
    assert ("db_answers" in probes) is there


ROOT = {"MONGO_INITDB_ROOT_USERNAME": "ops", "MONGO_INITDB_ROOT_PASSWORD": HARD, "MONGO_INITDB_DATABASE": "shop"}
USER = {"MONGODB_USERNAME": "shop", "MONGODB_PASSWORD": HARD, "MONGODB_DATABASE": "my db"}
PLAIN = "mongodb://db:27017/"


@pytest.mark.parametrize(
    ("body", "access"),
    [
        ({"image": "mongo:8", "environment": ROOT}, (PLAIN, "ops", HARD)),
        ({"image": "mongo:8", "environment": ROOT, "command": "--replSet rs0"}, (PLAIN, "ops", HARD)),
        ({"image": "mongo:8", "environment": ROOT, "command": ["mongod", "--auth"]}, (PLAIN, "ops", HARD)),
        (
            {
                "image": "mongodb/mongodb-community-server:8.0-ubi8",
                "environment": {"MONGODB_INITDB_ROOT_USERNAME": "ops", "MONGODB_INITDB_ROOT_PASSWORD": HARD},
            },
            (PLAIN, "ops", HARD),
        ),
        (
            {"image": "bitnami/mongodb:8.0", "environment": {**USER, "MONGODB_ROOT_PASSWORD": "r"}},
            ("mongodb://db:27017/my%20db", "shop", HARD),
        ),
        ({"image": "bitnami/mongodb:8.0", "environment": {"MONGODB_ROOT_PASSWORD": HARD}}, (PLAIN, "root", HARD)),
        # No login is made up: it is answered without one.
        ({"image": "mongo:8"}, (PLAIN, None, None)),
        ({"image": "mongo:8", "environment": USER}, (PLAIN, None, None)),
        ({"image": "mongo:8", "environment": ROOT, "command": "sh -c 'exec mongod'"}, (PLAIN, None, None)),
        ({"image": "mongo:8", "environment": ROOT, "entrypoint": ["/start.sh"]}, (PLAIN, None, None)),
        (
            {
                "image": "mongo:8",
                "environment": {
                    "MONGO_INITDB_ROOT_USERNAME": "ops",
                    "MONGO_INITDB_ROOT_PASSWORD_FILE": "/run/secrets/root",
                },
            },
            (PLAIN, None, None),
        ),
    ],
)
def test_the_login_of_mongodb(
    project: Path, harness_: Harness, body: dict[str, Any], access: tuple[str, str | None, str | None]
) -> None:
    probes, _ = described(harness_, project, {"db": {**body, "expose": [27017]}})
    found = probes["db_answers"]
    assert (found.url, found.username, found.password, found.read) == (*access, "up")


def test_a_mongodb_under_an_image_of_one_s_own(project: Path, harness_: Harness) -> None:
    services: dict[str, Any] = {
        "records": {"image": "team/store", "expose": [27017]},
        "web": {"image": "x", "environment": {"STORE": "mongodb://records:27017/shop"}},
    }
    probes, _ = described(harness_, project, services)
    assert probes["records_answers"].url == "mongodb://records:27017/"


def test_a_consumer_s_lag_where_its_environment_names_group_and_topic(project: Path, harness_: Harness) -> None:
    reads = {"BROKERS": "broker:9092", "GROUP_ID": "features", "ORDERS_TOPIC": "orders"}
    services: dict[str, Any] = {
        "broker": {"image": "apache/kafka:4.0.0", "expose": [9092]},
        "features": {"image": "x", "environment": reads},
        "other": {"image": "x", "environment": {**reads, "CLICKS_TOPIC": "clicks"}},
    }
    probes, _ = described(harness_, project, services)
    lag = probes["features_lag"]
    assert (lag.bootstrap, lag.group, lag.topic) == ("broker:9092", "features", "orders")
    assert "other_lag" not in probes, "which of two topics is not known"


def test_grpc_flink_and_any_port(project: Path, harness_: Harness) -> None:
    services: dict[str, Any] = {
        "triton": {"image": "nvcr.io/nvidia/tritonserver:24.05-py3", "expose": [8000, 8001]},
        "jobs": {"image": "flink:1.20", "command": "standalone-job --job-classname a.B", "expose": [8081]},
        "session": {"image": "flink:1.20", "command": "jobmanager", "expose": [8081]},
        "vectors": {"image": "milvusdb/milvus:v2.5", "command": "milvus run standalone", "expose": [19530]},
    }
    probes, _ = described(harness_, project, services)
    assert (probes["triton_serves"].service, probes["triton_serves"].port) == ("triton", 8001)
    assert probes["jobs_jobs"].path == probes["session_jobs"].path == "jobs-running"
    assert probes["jobs_checkpoint_age"].url == f"http://jobs:8081/jobs/{'0' * 32}/checkpoints"
    assert probes["jobs_checkpoint_age"].as_ == "age"
    assert "session_checkpoint_age" not in probes, "the id of a session's job is not known before"
    assert probes["vectors_port"].service == "vectors"
