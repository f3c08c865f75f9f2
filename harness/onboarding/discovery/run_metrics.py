"""Probes of when a job last ran, by its own metrics: what alert rules such as `time() - trainer_last_run > 600` go by.

Beside the age of what the job makes, they show whether it counts a run without a result as a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from harness.onboarding.discovery.addresses import known_names
from harness.onboarding.discovery.candidate import Candidate, name_of
from harness.onboarding.discovery.config_files import Rule, config_files
from harness.onboarding.discovery.exporting import exporters_of
from harness.onboarding.discovery.project import Project
from harness.onboarding.discovery.scraping import scraped_pages
from harness.onboarding.discovery.services import Found

_SINCE = re.compile(
    r"\btime\(\)\s*-\s*(?:(?:max|min)\s*(?:by\s*\([^)]*\))?\s*\(\s*)?([A-Za-z_:][\w:]*)(?:\{job=\"[^\"]*\"\})?\s*[)>]"
)
_LAST_RUN = re.compile(r"last_?(run|success|complet|finish|train)", re.IGNORECASE)
_ENDING = re.compile(r"(_unixtime|_timestamp)?(_seconds)?$")


def run_metrics(project: Project, services: Mapping[str, Found], rules: Sequence[Rule]) -> list[Candidate]:
    """Return a probe for each metric of a last run that a rule goes by, where one service is known to export it."""
    found = {candidate.name: candidate for candidate in _found(project, services, rules)}
    return list(found.values())


def _found(project: Project, services: Mapping[str, Found], rules: Sequence[Rule]) -> Iterator[Candidate]:
    pages = _pages(project, services)
    exporters = exporters_of(project, services)
    for rule in rules:
        for metric in dict.fromkeys(_SINCE.findall(rule.query)):
            by = exporters(metric) if _LAST_RUN.search(metric) else frozenset()
            able = [services[name] for name in by if name in pages and services[name].replicas == 1]
            if len(by) == 1 and able:
                [service] = able
                spec = {
                    "metric": {"url": pages[service.name], "name": metric, "agg": "max"},
                    "every": "1s",
                    "summary": f"When {service.name} last ran, as it says itself, in seconds since 1970",
                }
                ending = _ENDING.sub("", metric).removeprefix(f"{name_of(service.name, '')}")
                why = f"the rule {rule.name} goes by it ({rule.place})"
                yield Candidate(name_of(service.name, ending), spec, service.name, why, sure=True)


def _pages(project: Project, services: Mapping[str, Found]) -> dict[str, str]:
    """Return the page of metrics of each service of which a Prometheus reads just one."""
    names = known_names(project)
    pages: dict[str, set[str]] = {}
    for found in services.values():
        if found.kind.name == "prometheus":
            files = list(config_files(project.services[found.name], project.folder))
            for service, urls in scraped_pages(files, names).items():
                pages.setdefault(service, set()).update(urls)
    return {service: min(urls) for service, urls in pages.items() if len(urls) == 1 and not services[service].unreached}
