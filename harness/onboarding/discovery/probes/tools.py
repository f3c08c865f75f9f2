"""Probes that the API of a tool makes possible: Prometheus' targets, MLflow's registry, Airflow's runs.

Some answers need more than that a page is served, as a server is asked for what only its database knows. They tell
whether it feels what happens to its store; a health page is often answered without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.onboarding.discovery.addresses import known_names
from harness.onboarding.discovery.candidate import Candidate, name_of
from harness.onboarding.discovery.config_files import config_files, text_of
from harness.onboarding.discovery.credentials import setting
from harness.onboarding.discovery.project import Project, found_in, literal
from harness.onboarding.discovery.scraping import quoted_name, scrape_jobs
from harness.onboarding.discovery.services import FoundService

DATABASES = ("postgres", "mysql", "pgbouncer")
"""The kinds of store that MLflow and Airflow keep what they know in."""
MOST_DAGS = 3
_MODEL = re.compile(r"models:/([\w.-]+)(?:@([\w.-]+))?")
_MODEL_NAMES = ("MODEL_NAME", "MLFLOW_MODEL_NAME", "REGISTERED_MODEL_NAME", "MLFLOW_MODEL")
_DAG = re.compile(r"\b(?:DAG\(\s*(?:dag_id\s*=\s*)?|@dag\([^)]*?dag_id\s*=\s*|dag_id\s*=\s*)[\"']([\w.-]+)[\"']")


def of_tool(project: Project, service: FoundService) -> Iterator[Candidate]:
    """Yield the probes that a tool's own API makes possible."""
    if service.port is None:
        return
    if service.kind.name == "prometheus":
        yield _targets(project, service)
    elif service.kind.name == "mlflow":
        yield _registry(project, service)
    elif service.kind.name == "airflow-web":
        yield from _dag_runs(project, service)


def _targets(project: Project, service: FoundService) -> Candidate:
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


def _registry(project: Project, service: FoundService) -> Candidate:
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


def _prefix(service: FoundService) -> str:
    """Return the path below which a tool is served, as its own health check shows it."""
    path = service.health.value.get("http") if service.health is not None and service.health.sure else None
    usual = service.kind.http
    return path.removesuffix(usual) if path and usual and path.endswith(usual) else ""


def _dag_runs(project: Project, service: FoundService) -> Iterator[Candidate]:
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
        yield Candidate(name_of(dag, "success_age"), spec, service.name, f"a DAG {dag} is mounted")


def working(project: Project, services: Mapping[str, FoundService]) -> list[Candidate]:
    """Return what may be asked of the servers that were found."""
    able = [one for one in services.values() if one.port is not None and not one.job and not one.unreached]
    found = [_experiments(project, one) for one in able if one.kind.name == "mlflow"]
    return found + [_metadatabase(project, one) for one in able if one.kind.name == "airflow-web"]


def _experiments(project: Project, service: FoundService) -> Candidate:
    """A question that MLflow asks its database, which its health page does not."""
    url = f"http://{service.address}/api/2.0/mlflow/experiments/search?max_results=1"
    expect = {"json": {"experiments.0.experiment_id": {"any": True}}}
    spec = {
        "http": {"url": url, **as_neighbour(project, service), "expect": expect},
        "summary": f"1 while {service.name} finds an experiment in its database",
    }
    why = "MLflow has an experiment from the start, and looks for it in its database"
    return Candidate(name_of(service.name, "finds"), spec, service.name, why, {"at_least": 1}, needs=DATABASES)


def _metadatabase(project: Project, service: FoundService) -> Candidate:
    """What Airflow's health page says of its database; it answers 200 without one too."""
    path = "/api/v2/monitor/health" if is_airflow_3(project, service) else "/health"
    expect = {"json": {"metadatabase.status": "healthy"}}
    spec = {
        "http": {"url": f"http://{service.address}{path}", "expect": expect},
        "summary": f"1 while {service.name} reaches its database",
    }
    why = f"{path} of Airflow names the state of its database"
    return Candidate(name_of(service.name, "database"), spec, service.name, why, {"at_least": 1}, needs=DATABASES)


def is_airflow_3(project: Project, service: FoundService) -> bool:
    """Whether a web server of Airflow is one of its third version, whose API is another."""
    return "api-server" in " ".join(str(project.services[service.name].get("command") or "").split())


def as_neighbour(project: Project, service: FoundService) -> dict[str, Any]:
    """Return the headers that a service asks for which only answers to names that it knows."""
    line = str(project.services[service.name].get("command") or "")
    picky = "MLFLOW_SERVER_ALLOWED_HOSTS" in service.environment or "--allowed-hosts" in line
    return {"headers": {"Host": service.address}} if picky else {}
