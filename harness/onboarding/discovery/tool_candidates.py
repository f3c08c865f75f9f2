"""Probes of what teams run around their models: Prometheus' targets, MLflow's registry, Airflow's runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from harness.onboarding.discovery.candidates import Candidate, as_neighbour, name_of
from harness.onboarding.discovery.compose_project import Project
from harness.onboarding.discovery.credentials import found_in, setting
from harness.onboarding.discovery.guesses import Found
from harness.onboarding.discovery.mounted import config_files, text_of

MOST_DAGS = 3
_MODEL = re.compile(r"models:/([\w.-]+)(?:@([\w.-]+))?")
_MODEL_NAMES = ("MODEL_NAME", "MLFLOW_MODEL_NAME", "REGISTERED_MODEL_NAME", "MLFLOW_MODEL")
_DAG = re.compile(r"\b(?:DAG\(\s*(?:dag_id\s*=\s*)?|@dag\([^)]*?dag_id\s*=\s*|dag_id\s*=\s*)[\"']([\w.-]+)[\"']")


def of_tool(project: Project, service: Found) -> Iterator[Candidate]:
    """Yield the probes that a tool's own API makes possible."""
    if service.port is None:
        return
    if service.kind.name == "prometheus":
        yield _targets(service)
    elif service.kind.name == "mlflow":
        yield _registry(project, service)
    elif service.kind.name == "airflow-web":
        yield from _runs(project, service)


def _targets(service: Found) -> Candidate:
    spec = {
        "promql": {"url": f"http://{service.address}", "query": "min(up)"},
        "summary": "1 while every target of Prometheus answers its scrapes",
    }
    why = "Prometheus keeps `up` for each of its targets"
    return Candidate("targets_up", spec, service.name, why, {"at_least": 1}, sure=True)


def _registry(project: Project, service: Found) -> Candidate:
    url = f"http://{service.address}"
    name = name_of(service.name, "model_version")
    match = next(iter(found_in(project, _MODEL)), None)
    access = as_neighbour(project, service)
    settings: dict[str, Any] = {"url": url, **access}
    if match is not None:
        settings |= {"model": match[1]} | ({"alias": match[2]} if match[2] else {})
        why = f"{match[0]} is named in these files"
        return Candidate(name, {"mlflow": settings, "summary": f"The version of {match[1]}"}, service.name, why)
    for other in project.services:
        model = setting(project, other, *_MODEL_NAMES, secret=False)
        if model:
            spec = {"mlflow": settings | {"model": model}, "summary": "The newest version of the model"}
            return Candidate(name, spec, service.name, f"{other} names it in its environment")
    path = "registered_models.0.latest_versions.0.version"
    spec = {
        "json": {"url": f"{url}/api/2.0/mlflow/registered-models/search", "path": path, **access},
        "summary": "The newest version of the first registered model",
    }
    why = "no model is named in these files; better is {mlflow: {url: …, model: YOURS}}"
    return Candidate(name, spec, service.name, why)


def _runs(project: Project, service: Found) -> Iterator[Candidate]:
    files = [file for body in project.services.values() for file in config_files(body, project.folder)]
    texts = [text_of(file) for file in dict.fromkeys(files) if file.suffix == ".py"]
    dags = [name for text in texts if "airflow" in text for name in _DAG.findall(text)]
    access: dict[str, Any] = {"url": f"http://{service.address}"}
    line = " ".join(str(project.services[service.name].get("command") or "").split())
    if "api-server" not in line:
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
