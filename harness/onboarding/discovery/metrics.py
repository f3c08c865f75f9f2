"""Where the metrics of a project come from, as far as files tell: scrape jobs, recording rules, who exports what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.onboarding.discovery.addresses import known_names
from harness.onboarding.discovery.config_files import config_files
from harness.onboarding.discovery.exporting import Exporters, exporters_of
from harness.onboarding.discovery.project import Project
from harness.onboarding.discovery.prometheus_files import recorded_queries
from harness.onboarding.discovery.scraping import scraped_services
from harness.onboarding.discovery.services import FoundService


@dataclass(frozen=True, slots=True)
class Metrics:
    """What files tell of the metrics of a project."""

    jobs: Mapping[str, frozenset[str]]
    """The services that each scrape job asks."""
    names: Mapping[str, str]
    """Every name by which a service is known."""
    exporters: Exporters
    recorded: Mapping[str, str]
    """The queries of recording rules."""


def metrics_of(project: Project, services: Mapping[str, FoundService]) -> Metrics:
    """Read the programs of the services, and the files of each Prometheus among them."""
    names = known_names(project)
    jobs: dict[str, frozenset[str]] = {}
    recorded: dict[str, str] = {}
    for found in services.values():
        if found.kind.name == "prometheus":
            files = list(config_files(project.services[found.name], project.folder))
            jobs |= scraped_services(files, names, found.name)
            recorded |= recorded_queries(files, found.environment)
    return Metrics(jobs, names, exporters_of(project, services), recorded)
