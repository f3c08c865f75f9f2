"""Probes of when a job last ran, by its own metrics: what alert rules such as `time() - trainer_last_run > 600` go by.

Beside the age of what the job makes, they show whether it counts a run without a result as a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from harness.model.last_runs import is_time_of_last_run
from harness.onboarding.discovery.addresses import known_names
from harness.onboarding.discovery.candidate import Candidate, name_of
from harness.onboarding.discovery.config_files import config_files, text_of
from harness.onboarding.discovery.exporting import Exporters, programs_of
from harness.onboarding.discovery.project import Project
from harness.onboarding.discovery.prometheus_files import Rule
from harness.onboarding.discovery.scraping import scraped_pages
from harness.onboarding.discovery.services import FoundService
from harness.probes.promql_parser import parse
from harness.probes.promql_tree import Matcher, Operation, Selects, is_time, walk, within

_PUSHES = re.compile(r"\b(push|pushadd|instance_ip_grouping)_to_gateway|\bpushgateway", re.IGNORECASE)
_ENDING = re.compile(r"(_unixtime|_timestamp)?(_seconds)?$")


def of_last_runs(
    project: Project, services: Mapping[str, FoundService], rules: Sequence[Rule], exporters: Exporters
) -> list[Candidate]:
    """Return a probe for each metric of a last run that a rule goes by, where one service is known to export it."""
    found = {candidate.name: candidate for candidate in _found(project, services, rules, exporters)}
    return list(found.values())


def _found(
    project: Project, services: Mapping[str, FoundService], rules: Sequence[Rule], exporters: Exporters
) -> Iterator[Candidate]:
    pages = _pages(project, services)
    for rule in rules:
        for metric in dict.fromkeys(_measured_since(rule.query)):
            by = exporters(metric) if is_time_of_last_run(metric) else frozenset()
            able = [services[name] for name in by if name in pages and services[name].replicas == 1]
            able = [service for service in able if _shows(project, service.name, metric)]
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


def _measured_since(query: str) -> Iterator[str]:
    """Yield the metrics that a query takes from the present time: those of whole series, or of a scrape job's."""
    tree = parse(query)
    for one in walk(tree) if tree is not None else ():
        if isinstance(one, Operation) and one.operator == "-" and is_time(one.left):
            of = within(one.right, "max", "min")
            if isinstance(of, Selects) and of.metric is not None and all(map(_is_job, of.matchers)):
                yield of.metric


def _is_job(matcher: Matcher) -> bool:
    return matcher.label == "job" and matcher.operator == "="


def _shows(project: Project, name: str, metric: str) -> bool:
    """Whether the program of a service makes a metric, and shows it itself: it may only ask for it, or push it."""
    text = "\n".join(map(text_of, programs_of(project, name)))
    made = rf"(?:Gauge|gauge|Counter|counter|Family|metric)\w*\s*\(\s*(?:name\s*=\s*)?[\"']{metric}[\"']"
    shown = rf"# (?:TYPE|HELP) {metric} |[\"'\n]\s*{metric}(?:\{{+[^\n}}]*\}}+)? (?:\{{|%|\d|[\"'])"
    return re.search(f"{made}|{shown}", text) is not None and not _PUSHES.search(text)


def _pages(project: Project, services: Mapping[str, FoundService]) -> dict[str, str]:
    """Return the page of metrics of each service of which a Prometheus reads just one."""
    names = known_names(project)
    pages: dict[str, set[str]] = {}
    for found in services.values():
        if found.kind.name == "prometheus":
            files = list(config_files(project.services[found.name], project.folder))
            for service, urls in scraped_pages(files, names).items():
                pages.setdefault(service, set()).update(urls)
    return {service: min(urls) for service, urls in pages.items() if len(urls) == 1 and not services[service].unreached}
