"""Probes whose answer needs more than that a page is served: a server is asked for what only its database knows.

They tell whether a server feels what happens to its store. A health page is often answered without it.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.onboarding.discovery.candidate import Candidate, name_of
from harness.onboarding.discovery.probes import DATABASES, as_neighbour, is_airflow_3
from harness.onboarding.discovery.project import Project
from harness.onboarding.discovery.services import Found


def working(project: Project, services: Mapping[str, Found]) -> list[Candidate]:
    """Return what may be asked of the servers that were found."""
    able = [one for one in services.values() if one.port is not None and not one.job and not one.unreached]
    found = [_experiments(project, one) for one in able if one.kind.name == "mlflow"]
    return found + [_metadatabase(project, one) for one in able if one.kind.name == "airflow-web"]


def _experiments(project: Project, service: Found) -> Candidate:
    """A question that MLflow asks its database, which its health page does not."""
    url = f"http://{service.address}/api/2.0/mlflow/experiments/search?max_results=1"
    expect = {"json": {"experiments.0.experiment_id": {"any": True}}}
    spec = {
        "http": {"url": url, **as_neighbour(project, service), "expect": expect},
        "summary": f"1 while {service.name} finds an experiment in its database",
    }
    why = "MLflow has an experiment from the start, and looks for it in its database"
    return Candidate(name_of(service.name, "finds"), spec, service.name, why, {"at_least": 1}, needs=DATABASES)


def _metadatabase(project: Project, service: Found) -> Candidate:
    """What Airflow's health page says of its database; it answers 200 without one too."""
    path = "/api/v2/monitor/health" if is_airflow_3(project, service) else "/health"
    expect = {"json": {"metadatabase.status": "healthy"}}
    spec = {
        "http": {"url": f"http://{service.address}{path}", "expect": expect},
        "summary": f"1 while {service.name} reaches its database",
    }
    why = f"{path} of Airflow names the state of its database"
    return Candidate(name_of(service.name, "database"), spec, service.name, why, {"at_least": 1}, needs=DATABASES)
