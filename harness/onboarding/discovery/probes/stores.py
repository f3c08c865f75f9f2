"""Probes of stores: a query that is answered, keys, objects, and the age of what lies there.

Each needs the login that these files show. Where nobody is let in who reads them, there is none, and why is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from harness.description.interpolation import interpolate
from harness.onboarding.discovery.candidate import Candidate, name_of
from harness.onboarding.discovery.config_files import config_files, text_of
from harness.onboarding.discovery.credentials import (
    MYSQL_DATABASE,
    MYSQL_PASSWORD,
    MYSQL_ROOT_PASSWORD,
    MYSQL_USER,
    POSTGRES_DATABASE,
    POSTGRES_PASSWORD,
    POSTGRES_USER,
    S3_KEY,
    S3_SECRET,
    in_a_file,
    redis_password,
    redis_unknown,
    setting,
)
from harness.onboarding.discovery.project import Project, found_in
from harness.onboarding.discovery.services import FoundService

S3_KINDS = ("minio", "rclone", "localstack", "seaweedfs")
_BUCKET = re.compile(r"s3a?://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?=[/\s\"']|$)")
_BUCKET_NAMES = re.compile(r"(^|_)BUCKET(_NAME)?$")
_VIEW = re.compile(r"FeatureView\(\s*name\s*=\s*[\"']([\w.-]+)[\"']")
_PROJECT = re.compile(r"^project:\s*([\w.-]+)\s*$", re.MULTILINE)
MOST_BUCKETS = 3


def locked(project: Project, service: FoundService, services: Mapping[str, FoundService]) -> str | None:
    if service.kind.name == "postgres" and _database_url(project, service) is None:
        return in_a_file(project, service.name, *POSTGRES_PASSWORD, *POSTGRES_USER, *POSTGRES_DATABASE)
    if service.kind.name == "mysql":
        return in_a_file(project, service.name, *MYSQL_PASSWORD, *MYSQL_ROOT_PASSWORD, *MYSQL_USER, *MYSQL_DATABASE)
    if service.kind.name == "redis":
        return redis_unknown(project, service.name)
    if service.kind.name in S3_KINDS and not _keys(project, service, services):
        return in_a_file(project, service.name, *S3_KEY, *S3_SECRET)
    return None


def of_store(project: Project, service: FoundService, services: Mapping[str, FoundService]) -> Iterator[Candidate]:
    """Yield the probes into one service that keeps data."""
    if service.port is None or locked(project, service, services) is not None:
        return
    if service.kind.name == "postgres":
        yield from _postgres(project, service)
    elif service.kind.name == "redis":
        yield from _redis(project, service, services)
    elif service.kind.name in S3_KINDS:
        yield from _s3(project, service, services)


def _postgres(project: Project, service: FoundService) -> Iterator[Candidate]:
    url = _database_url(project, service)
    if url is None:
        user = setting(project, service.name, *POSTGRES_USER, secret=False) or "postgres"
        password = setting(project, service.name, *POSTGRES_PASSWORD)
        database = setting(project, service.name, *POSTGRES_DATABASE, secret=False) or user
        # A variable may hold anything, and stands for itself.
        named = database if "$" in str(database) else quote(str(database), safe="'")
        access = {"url": f"postgresql://{service.address}/{named}", "username": user}
        access |= {} if password is None else {"password": password}
    else:
        access = {"url": url}
    spec = {"sql": {**access, "query": "SELECT 1"}, "summary": f"1 while {service.name} answers a query"}
    why = "a query that any database answers; better is one that tells whether work goes on, such as a count of rows"
    yield Candidate(name_of(service.name, "answers"), spec, service.name, why, {"at_least": 1})


def _database_url(project: Project, service: FoundService) -> str | None:
    """Return the URL by which another service knows this database, as it is written there."""
    pattern = re.compile(
        rf"postgres(?:ql)?(?:\+\w+)?://(?P<login>[^@\s]+)@{re.escape(service.name)}(?P<rest>(:\d+)?/[\w-]+)(?=[\s\"'?]|$)"
    )
    usual = f":{service.port.value if service.port else 5432}"
    for match in found_in(project, pattern):
        rest = match["rest"] if match["rest"].startswith(":") else f"{usual}{match['rest']}"
        url = f"postgresql://{match['login']}@{service.name}{rest}"
        if _names_host(url, service.name, project.composed.variables):
            return url
    return None


def _names_host(url: str, host: str, variables: Mapping[str, str]) -> bool:
    """Whether a URL names this host once its variables are filled in: a password may hold what ends a login."""
    try:
        return urlsplit(interpolate(url, variables)).hostname == host.lower()
    except ValueError:
        return False


def _redis(project: Project, service: FoundService, services: Mapping[str, FoundService]) -> Iterator[Candidate]:
    access: dict[str, Any] = {"service": service.name}
    password = redis_password(project, service.name)
    if password is not None:
        access["password"] = password
    spec = {"redis": {**access, "keys": "*", "read": "count"}, "summary": f"How many keys {service.name} holds"}
    why = "every key is counted: narrow the pattern to what matters, such as features:*"
    yield Candidate(name_of(service.name, "keys"), spec, service.name, why, {"at_least": 0})
    yield from _feast(project, service, services, access)


def _feast(
    project: Project, service: FoundService, services: Mapping[str, FoundService], access: Mapping[str, Any]
) -> Iterator[Candidate]:
    for user in services.values():
        texts = [text_of(file) for file in config_files(project.services[user.name], project.folder)]
        store = next((match for text in texts if "online_store" in text and (match := _PROJECT.search(text))), None)
        if store is None:
            continue
        for view in dict.fromkeys(name for text in texts for name in _VIEW.findall(text)):
            spec = {"feast": {**access, "project": store[1], "view": view}, "summary": f"Age of {view}'s rows"}
            why = f"feature_store.yaml and the view {view} are among the files of {user.name}"
            yield Candidate(name_of(view, "age"), spec, service.name, why)


def _s3(project: Project, service: FoundService, services: Mapping[str, FoundService]) -> Iterator[Candidate]:
    keys = _keys(project, service, services)
    named = [match[1] for match in found_in(project, _BUCKET)]
    for other in services.values():
        named += [value for key, value in other.environment.items() if _BUCKET_NAMES.search(key) and value]
    for bucket in list(dict.fromkeys(named))[:MOST_BUCKETS]:
        access = {"service": service.name, "bucket": bucket, "prefix": "", **keys}
        why = f"the bucket {bucket} is named in these files; a prefix says more"
        spec = {"s3": {**access, "read": "count"}, "summary": f"How many objects {bucket} holds"}
        yield Candidate(name_of(bucket, "objects"), spec, service.name, why, {"at_least": 0})
        spec = {"s3": {**access, "read": "age"}, "summary": f"Age of the newest object in {bucket}"}
        yield Candidate(name_of(bucket, "age"), spec, service.name, why)


def _keys(project: Project, service: FoundService, services: Mapping[str, FoundService]) -> dict[str, str]:
    """Return the keys of the store itself, else those of whoever uses it."""
    users = [found.name for found in services.values() if service.name in found.links]
    for name in (service.name, *users):
        key, secret = setting(project, name, *S3_KEY), setting(project, name, *S3_SECRET)
        if key is not None and secret is not None:
            return {"access_key": key, "secret_key": secret}
    return {}
