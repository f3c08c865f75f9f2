"""Candidates for probes of servers with a protocol of their own: MySQL, MongoDB, Kafka, gRPC, Flink, and any port."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from harness.onboarding.discovery.candidate import Candidate, name_of
from harness.onboarding.discovery.commands import words_of
from harness.onboarding.discovery.credentials import (
    BITNAMI_MONGO_ROOT,
    BITNAMI_MONGO_USER,
    MONGO_ROOT,
    MYSQL_DATABASE,
    MYSQL_EMPTY,
    MYSQL_PASSWORD,
    MYSQL_ROOT_PASSWORD,
    MYSQL_USER,
    setting,
)
from harness.onboarding.discovery.project import Project
from harness.onboarding.discovery.services import FoundService

GRPC_PORTS = {"triton": 8001}
"""The usual port of kinds whose servers have gRPC's health check, besides the one that their clients use."""
_GROUP = re.compile(r"(^|_)(GROUP_ID|CONSUMER_GROUP|KAFKA_GROUP)$")
_TOPIC = re.compile(r"(^|_)TOPIC(_NAME)?$")
FIRST_JOB = "0" * 32
"""The id of the job of a Flink cluster that runs one job only, unless its command gives another."""


def by_protocol(
    project: Project, service: FoundService, services: Mapping[str, FoundService], *, unknown: bool
) -> Iterator[Candidate]:
    """Yield the probes of one service that its protocol makes possible; its port is one where it is `unknown` else."""
    if service.port is None:
        return
    kind = service.kind.name
    if kind == "mysql":
        yield from _mysql(project, service)
    elif kind == "mongo":
        yield _mongo(project, service)
    elif kind == "kafka":
        yield from _lags(service, services)
    elif kind == "flink":
        yield from _flink(project, service)
    elif kind in GRPC_PORTS:
        spec = {
            "grpc": {"service": service.name, "port": GRPC_PORTS[kind]},
            "summary": f"1 while {service.name} serves",
        }
        yield Candidate(name_of(service.name, "serves"), spec, service.name, f"the usual gRPC port of {kind}")
    elif unknown and service.kind.what == "store" and service.health is not None and "tcp" in service.health.value:
        spec = {"tcp": {"service": service.name}, "summary": f"1 while {service.name} takes connections"}
        why = "a port takes connections for a server that hangs, too: better is a probe that needs an answer"
        yield Candidate(name_of(service.name, "port"), spec, service.name, why)


def _mysql(project: Project, service: FoundService) -> Iterator[Candidate]:
    user = setting(project, service.name, *MYSQL_USER, secret=False)
    password = setting(project, service.name, *(MYSQL_PASSWORD if user else MYSQL_ROOT_PASSWORD))
    if password is None and setting(project, service.name, *MYSQL_EMPTY, secret=False) is None:
        return  # it may be a random one, which is only in the server's log
    database = setting(project, service.name, *MYSQL_DATABASE, secret=False) or ""
    named = database if "$" in database else quote(database, safe="'")
    access: dict[str, Any] = {"url": f"mysql://{service.address}/{named}", "username": user or "root"}
    access |= {} if password is None else {"password": password}
    spec = {"sql": {**access, "query": "SELECT 1"}, "summary": f"1 while {service.name} answers a query"}
    why = "a query that any database answers; better is one that tells whether work goes on, such as a count of rows"
    yield Candidate(name_of(service.name, "answers"), spec, service.name, why, {"at_least": 1})


def _mongo(project: Project, service: FoundService) -> Candidate:
    """Whether it answers; a login that is known is tried as well, and none is needed to be answered."""
    database, access = _mongo_login(project, service.name)
    named = database if "$" in database else quote(database, safe="'")
    settings = {"url": f"mongodb://{service.address}/{named}", **access}
    spec = {"mongo": settings, "summary": f"1 while {service.name} answers{' and accepts the login' if access else ''}"}
    why = "any MongoDB answers this; better is one that tells whether work goes on, such as the age of what is newest"
    return Candidate(name_of(service.name, "answers"), spec, service.name, why, {"at_least": 1})


def _mongo_login(project: Project, service: str) -> tuple[str, dict[str, str]]:
    """Return the database that a user belongs to, and the user; nothing where none is known for certain."""
    body = project.services[service]
    if "bitnami" in str(body.get("image")):
        user, password, database = _settings(project, service, BITNAMI_MONGO_USER)
        if user and password and database:
            return database, {"username": user, "password": password}
        root, password = _settings(project, service, BITNAMI_MONGO_ROOT)
        return "", {"username": root or "root", "password": password} if password else {}
    program = next(iter(words_of(body)), "mongod")
    if body.get("entrypoint") or not program.startswith(("mongod", "-")):
        return "", {}
    for names in MONGO_ROOT:
        user, password = _settings(project, service, names)
        if user and password:
            return "", {"username": user, "password": password}
    return "", {}


def _settings(project: Project, service: str, names: tuple[str, ...]) -> list[str | None]:
    """Return how to write each of some variables, of which the second is a secret."""
    return [setting(project, service, name, secret=number == 1) for number, name in enumerate(names)]


def _lags(service: FoundService, services: Mapping[str, FoundService]) -> Iterator[Candidate]:
    """Yield the lag of each consumer whose environment names one group and one topic."""
    for user in services.values():
        groups = [value for key, value in user.environment.items() if _GROUP.search(key) and value]
        topics = [value for key, value in user.environment.items() if _TOPIC.search(key) and value]
        if service.name not in user.links or len(groups) != 1 or len(topics) != 1:
            continue
        settings = {"bootstrap": service.address, "group": groups[0], "topic": topics[0]}
        spec = {"kafka_lag": settings, "summary": f"How many messages of {topics[0]} {user.name} is behind"}
        why = f"the environment of {user.name} names this group and this topic"
        yield Candidate(name_of(user.name, "lag"), spec, user.name, why)


def _flink(project: Project, service: FoundService) -> Iterator[Candidate]:
    url = f"http://{service.address}"
    spec = {"json": {"url": f"{url}/overview", "path": "jobs-running"}, "summary": "How many jobs of Flink run"}
    why = "the page of Flink's REST API; how many there should be is not known"
    yield Candidate(name_of(service.name, "jobs"), spec, service.name, why)
    line = str(project.services[service.name].get("command") or "")
    if "standalone-job" in line and "--job-id" not in line:
        page = f"{url}/jobs/{FIRST_JOB}/checkpoints"
        settings = {"url": page, "path": "latest.completed.latest_ack_timestamp", "as": "age"}
        spec = {"json": settings, "summary": "Age of the last completed checkpoint"}
        why = "the job of a cluster for one job has this id"
        yield Candidate(name_of(service.name, "checkpoint_age"), spec, service.name, why)
