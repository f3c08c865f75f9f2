"""Which values a Prometheus can give the labels `job` and `instance`, by its configuration.

A target that is not there now (a service that is not started, one that discovery has not found) brings its labels with
it. So no value is ruled out by the series that are there, but by the configuration: the names of the scrape pools are
the only values of `job`, unless something sets that label otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from harness.probes.promql_tree import Matcher

JOB, INSTANCE = "job", "instance"
OF_THE_TARGET = (JOB, INSTANCE)
"""Labels that a server gives to all series of a target by its own settings."""


@dataclass(frozen=True, slots=True)
class Scraping:
    """What a server is configured to scrape."""

    pools: tuple[str, ...]
    """The names of its scrape pools."""
    discovers: bool
    """Whether it finds targets by itself, so that others may come."""
    set_otherwise: frozenset[str]
    """Which of the labels something else than the pool and the address of a target may set."""

    def rules_out(self, matcher: Matcher) -> bool:
        """Whether no target that the configuration allows can bring what is asked for, now or later."""
        if matcher.label in self.set_otherwise:
            return False
        if matcher.label == JOB:
            return all(matcher.matches(name) is False for name in self.pools)
        return matcher.label == INSTANCE and not self.discovers


def scraping_of(config: str, pools: Iterable[str] | None) -> Scraping:
    """Read a server's configuration. `pools` is what it lists itself, where it does. Raises ValueError."""
    try:
        read = yaml.safe_load(config)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError("its configuration is not YAML") from error
    if not isinstance(read, dict):
        raise ValueError("its configuration is no mapping")
    jobs = [job for job in read.get("scrape_configs") or () if isinstance(job, dict)]
    elsewhere = bool(read.get("scrape_config_files"))  # what stands there is not told
    own = [str(job["job_name"]) for job in jobs if job.get("job_name") is not None]
    if pools is None and elsewhere:
        raise ValueError("parts of its configuration are in other files")
    written = set(OF_THE_TARGET) if elsewhere else {label for job in jobs for label in _set_by(job)}
    return Scraping(
        pools=tuple(pools) if pools is not None else tuple(own),
        discovers=elsewhere or any(name.endswith("_sd_configs") for job in jobs for name in job),
        set_otherwise=frozenset(written),
    )


def _set_by(job: Mapping[str, Any]) -> Iterator[str]:
    """Yield the labels of a target that a scrape configuration may set to anything."""
    if job.get("honor_labels"):  # the labels of the page win
        yield from OF_THE_TARGET
    if job.get("file_sd_configs") or job.get("http_sd_configs"):  # the others find only labels that begin with __
        yield from OF_THE_TARGET
    for static in job.get("static_configs") or ():
        labels = static.get("labels") if isinstance(static, dict) else None
        yield from (name for name in OF_THE_TARGET if name in (labels or {}))
    for name in ("relabel_configs", "metric_relabel_configs"):
        for rule in job.get(name) or ():
            yield from _set_by_relabelling(rule)


def _set_by_relabelling(rule: Any) -> Iterator[str]:
    if not isinstance(rule, dict) or rule.get("action") in ("labelmap", "labeldrop", "labelkeep"):
        yield from OF_THE_TARGET
    elif rule.get("target_label") in OF_THE_TARGET:
        yield str(rule["target_label"])
