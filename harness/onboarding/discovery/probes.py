"""Candidates for probes of the services that were found, by kind; `harness doctor` tries each of them.

Read-only ones: health paths, database queries, keys, objects, Prometheus' targets, MLflow's registry, Airflow's runs. A
candidate has the bound that a healthy service keeps, where one is known, so that first scenarios can use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from harness.description.interpolation import interpolate
from harness.onboarding.discovery.addresses import known_names
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
from harness.onboarding.discovery.project import Project, found_in, literal
from harness.onboarding.discovery.protocol_probes import by_protocol
from harness.onboarding.discovery.scraping import quoted_name, scrape_jobs
from harness.onboarding.discovery.services import Found

DATABASES = ("postgres", "mysql", "pgbouncer")
S3_KINDS = ("minio", "rclone", "localstack", "seaweedfs")
_BUCKET = re.compile(r"s3a?://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?=[/\s\"']|$)")
_BUCKET_NAMES = re.compile(r"(^|_)BUCKET(_NAME)?$")
_VIEW = re.compile(r"FeatureView\(\s*name\s*=\s*[\"']([\w.-]+)[\"']")
_PROJECT = re.compile(r"^project:\s*([\w.-]+)\s*$", re.MULTILINE)
MOST_BUCKETS = 3
MOST_DAGS = 3
_MODEL = re.compile(r"models:/([\w.-]+)(?:@([\w.-]+))?")
_MODEL_NAMES = ("MODEL_NAME", "MLFLOW_MODEL_NAME", "REGISTERED_MODEL_NAME", "MLFLOW_MODEL")
_DAG = re.compile(r"\b(?:DAG\(\s*(?:dag_id\s*=\s*)?|@dag\([^)]*?dag_id\s*=\s*|dag_id\s*=\s*)[\"']([\w.-]+)[\"']")


def candidates(project: Project, services: Mapping[str, Found]) -> list[Candidate]:
    """Return the probes that may be had, in the order of the services."""
    found: dict[str, Candidate] = {}
    for service in services.values():
        if service.job or service.unreached:
            continue
        own = list(_up(project, service))
        if service.replicas == 1:  # other probes ask at one address, and each replica has its own
            own += [*of_tool(project, service), *of_store(project, service, services)]
            if _locked(project, service, services) is None:
                own += by_protocol(project, service, services, unknown=not own)
        if not any(candidate.good for candidate in own):
            own.insert(0, _runs(service))
        for candidate in own:
            found.setdefault(candidate.name, candidate)
    return list(found.values())


def no_access(project: Project, services: Mapping[str, Found]) -> dict[str, str]:
    """Return the stores of which nothing is probed, each with why nobody is let in who reads these files."""
    stores = [found for found in services.values() if found.port is not None and not found.job]
    found = {store.name: _locked(project, store, services) for store in stores}
    return {name: why for name, why in found.items() if why is not None}


def _locked(project: Project, service: Found, services: Mapping[str, Found]) -> str | None:
    if service.kind.name == "postgres" and _database_url(project, service) is None:
        return in_a_file(project, service.name, *POSTGRES_PASSWORD, *POSTGRES_USER, *POSTGRES_DATABASE)
    if service.kind.name == "mysql":
        return in_a_file(project, service.name, *MYSQL_PASSWORD, *MYSQL_ROOT_PASSWORD, *MYSQL_USER, *MYSQL_DATABASE)
    if service.kind.name == "redis":
        return redis_unknown(project, service.name)
    if service.kind.name in S3_KINDS and not _keys(project, service, services):
        return in_a_file(project, service.name, *S3_KEY, *S3_SECRET)
    return None


def _up(project: Project, service: Found) -> Iterator[Candidate]:
    """Whether it answers on its health path, and how fast."""
    health = service.health
    path = health.value.get("http") if health is not None else None
    if health is None or path is None:
        return
    access = {"url": f"http://{service.address}{path}", **as_neighbour(project, service)}
    spec = {"http": access, "summary": f"1 while {service.name} answers {path}"}
    yield Candidate(name_of(service.name, "up"), spec, service.name, health.why, {"at_least": 1}, sure=health.sure)
    if service.kind.what in ("serving", "gateway"):
        spec = {"http": {**access, "read": "latency"}, "summary": f"How long {service.name} takes to answer {path}"}
        why = "what its users wait for is another request, which only you can write: `method`, `body`"
        yield Candidate(name_of(service.name, "latency"), spec, service.name, why)


def as_neighbour(project: Project, service: Found) -> dict[str, Any]:
    """Return the headers that a service asks for which only answers to names that it knows."""
    line = str(project.services[service.name].get("command") or "")
    picky = "MLFLOW_SERVER_ALLOWED_HOSTS" in service.environment or "--allowed-hosts" in line
    return {"headers": {"Host": service.address}} if picky else {}


def _runs(service: Found) -> Candidate:
    """What the engine says of it: where nothing better can be asked."""
    if service.checks_itself:
        spec = {"container": {"service": service.name, "read": "healthy"}}
        why, name = "what compose's own health check of it says; in containers only", name_of(service.name, "healthy")
    else:
        spec = {"container": {"service": service.name, "read": "up"}}
        why, name = "whether its process or container runs, which is little", name_of(service.name, "runs")
    if not service.goes_on:
        why += "; it may end by itself"
    return Candidate(name, spec, service.name, why, {"at_least": 1}, sure=service.goes_on)


def of_store(project: Project, service: Found, services: Mapping[str, Found]) -> Iterator[Candidate]:
    """Yield the probes into one service that keeps data."""
    if service.port is None or _locked(project, service, services) is not None:
        return
    if service.kind.name == "postgres":
        yield from _postgres(project, service)
    elif service.kind.name == "redis":
        yield from _redis(project, service, services)
    elif service.kind.name in S3_KINDS:
        yield from _s3(project, service, services)


def _postgres(project: Project, service: Found) -> Iterator[Candidate]:
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


def _database_url(project: Project, service: Found) -> str | None:
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


def _redis(project: Project, service: Found, services: Mapping[str, Found]) -> Iterator[Candidate]:
    access: dict[str, Any] = {"service": service.name}
    password = redis_password(project, service.name)
    if password is not None:
        access["password"] = password
    spec = {"redis": {**access, "keys": "*", "read": "count"}, "summary": f"How many keys {service.name} holds"}
    why = "every key is counted: narrow the pattern to what matters, such as features:*"
    yield Candidate(name_of(service.name, "keys"), spec, service.name, why, {"at_least": 0})
    yield from _feast(project, service, services, access)


def _feast(
    project: Project, service: Found, services: Mapping[str, Found], access: Mapping[str, Any]
) -> Iterator[Candidate]:
    for user in services.values():
        texts = [text_of(file) for file in config_files(project.services[user.name], project.folder)]
        store = next((match for text in texts if "online_store" in text and (match := _PROJECT.search(text))), None)
        if store is None:
            continue
        for view in dict.fromkeys(name for text in texts for name in _VIEW.findall(text)):
            spec = {"feast": {**access, "project": store[1], "view": view}, "summary": f"Age of {view}'s rows"}
            why = f"feature_store.yaml and the view {view} are among the files of {user.name}"
            yield Candidate(name_of(view, "age"), spec, service.name, why, ages=True)


def _s3(project: Project, service: Found, services: Mapping[str, Found]) -> Iterator[Candidate]:
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
        yield Candidate(name_of(bucket, "age"), spec, service.name, why, ages=True)


def _keys(project: Project, service: Found, services: Mapping[str, Found]) -> dict[str, str]:
    """Return the keys of the store itself, else those of whoever uses it."""
    users = [found.name for found in services.values() if service.name in found.links]
    for name in (service.name, *users):
        key, secret = setting(project, name, *S3_KEY), setting(project, name, *S3_SECRET)
        if key is not None and secret is not None:
            return {"access_key": key, "secret_key": secret}
    return {}


def of_tool(project: Project, service: Found) -> Iterator[Candidate]:
    """Yield the probes that a tool's own API makes possible."""
    if service.port is None:
        return
    if service.kind.name == "prometheus":
        yield _targets(project, service)
    elif service.kind.name == "mlflow":
        yield _registry(project, service)
    elif service.kind.name == "airflow-web":
        yield from _dag_runs(project, service)


def _targets(project: Project, service: Found) -> Candidate:
    """The targets in the stack; that one outside of it is up is nothing that a run may rest on."""
    files = config_files(project.services[service.name], project.folder)
    inside, outside = scrape_jobs(files, known_names(project))
    query, who, why = "min(up)", "every target of Prometheus", "Prometheus keeps `up` for each of its targets"
    if inside and outside:
        query = literal(f'min(up{{job=~"{"|".join(quoted_name(job) for job in inside)}"}})')
        who, why = "every target in this stack", f"{why}; not of this stack, or not known: {', '.join(outside)}"
    elif outside:
        why += "; which of them are of this stack is not known"
    spec = {
        "promql": {"url": f"http://{service.address}", "query": query},
        "summary": f"1 while {who} answers its scrapes",
    }
    good = {"at_least": 1} if inside else {}
    return Candidate("targets_up", spec, service.name, why, good, sure=bool(inside))


def _registry(project: Project, service: Found) -> Candidate:
    url = f"http://{service.address}{_prefix(service)}"
    name = name_of(service.name, "model_version")
    match = next(iter(found_in(project, _MODEL)), None)
    access = as_neighbour(project, service)
    settings: dict[str, Any] = {"url": url, **access}
    if match is not None:
        settings |= {"model": match[1]} | ({"alias": match[2]} if match[2] else {})
        why = f"{match[0]} is named in these files"
        spec = {"mlflow": settings, "summary": f"The version of {match[1]}"}
        return Candidate(name, spec, service.name, why, needs=DATABASES)
    for other in project.services:
        model = setting(project, other, *_MODEL_NAMES, secret=False)
        if model:
            spec = {"mlflow": settings | {"model": model}, "summary": "The newest version of the model"}
            return Candidate(name, spec, service.name, f"{other} names it in its environment", needs=DATABASES)
    path = "registered_models.0.latest_versions.0.version"
    spec = {
        "json": {"url": f"{url}/api/2.0/mlflow/registered-models/search", "path": path, **access},
        "summary": "The newest version of the first registered model",
    }
    why = "no model is named in these files; better is {mlflow: {url: …, model: YOURS}}"
    return Candidate(name, spec, service.name, why, needs=DATABASES)


def _prefix(service: Found) -> str:
    """Return the path below which a tool is served, as its own health check shows it."""
    path = service.health.value.get("http") if service.health is not None and service.health.sure else None
    usual = service.kind.http
    return path.removesuffix(usual) if path and usual and path.endswith(usual) else ""


def _dag_runs(project: Project, service: Found) -> Iterator[Candidate]:
    files = [file for body in project.services.values() for file in config_files(body, project.folder)]
    texts = [text_of(file) for file in dict.fromkeys(files) if file.suffix == ".py"]
    dags = [name for text in texts if "airflow" in text for name in _DAG.findall(text)]
    access: dict[str, Any] = {"url": f"http://{service.address}{_prefix(service)}"}
    if not is_airflow_3(project, service):
        access["api"] = "v1"
    for name in project.services:
        user = setting(project, name, "_AIRFLOW_WWW_USER_USERNAME", secret=False)
        password = setting(project, name, "_AIRFLOW_WWW_USER_PASSWORD")
        if user is not None and password is not None:
            access |= {"username": user, "password": password}
            break
    for dag in list(dict.fromkeys(dags))[:MOST_DAGS]:
        spec = {
            "airflow": {**access, "dag": dag, "read": "success_age"},
            "summary": f"Time since the last run of {dag} that succeeded",
        }
        yield Candidate(name_of(dag, "success_age"), spec, service.name, f"a DAG {dag} is mounted", ages=True)


def is_airflow_3(project: Project, service: Found) -> bool:
    """Whether a web server of Airflow is one of its third version, whose API is another."""
    return "api-server" in " ".join(str(project.services[service.name].get("command") or "").split())
