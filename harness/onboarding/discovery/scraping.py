"""Which services the scrape jobs of a Prometheus ask, and which have all their targets in the stack."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.description.yamltree import read_tree
from harness.model.errors import StackError

_HERE = ("localhost", "127.0.0.1")
_CHANGES = re.compile(
    r"relabel_configs$|^(params|basic_auth|authorization|oauth2|tls_config|http_headers|sigv4|azuread|google_iam)$"
    r"|^bearer_token|^proxy_"
)
_FINDS = re.compile(r"_sd_configs$")


def scrape_jobs(files: Iterable[Path], names: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the jobs whose targets are all among these names, and the other ones."""
    inside: list[str] = []
    outside: list[str] = []
    for job in _jobs(files):
        (inside if _is_inside(job, names) else outside).append(job["job_name"])
    return list(dict.fromkeys(inside)), list(dict.fromkeys(outside))


def scraped_services(files: Iterable[Path], names: Mapping[str, str], own: str) -> dict[str, frozenset[str]]:
    """Return the services that each job asks; `names` has the service of each name, `own` is the Prometheus itself."""
    found: dict[str, frozenset[str]] = {}
    for job in _jobs(files):
        hosts = [own if host in _HERE else host for host in _hosts(job)]
        asked = frozenset(names[host] for host in hosts if host in names)
        found[job["job_name"]] = found.get(job["job_name"], frozenset()) | asked
    return found


def scraped_pages(files: Iterable[Path], names: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Return the pages of metrics of each service that are read over plain HTTP, as `http://service:port/path`.

    Only of jobs that change nothing of their targets and of what they export, and bring nothing to be let in.
    """
    found: dict[str, frozenset[str]] = {}
    for job in _jobs(files):
        path = job.get("metrics_path", "/metrics")
        if (
            not _is_inside(job, names)
            or job.get("scheme", "http") != "http"
            or any(_CHANGES.search(str(key)) for key in job)
        ):
            continue
        for target in _targets(job):
            host, _, port = target.partition(":")
            if host in names and port.isdecimal() and isinstance(path, str):
                found[names[host]] = found.get(names[host], frozenset()) | {
                    f"http://{names[host]}:{port}/{path.lstrip('/')}"
                }
    return found


def _jobs(files: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for file in files:
        try:
            value = read_tree(file).value
        except StackError:
            continue
        jobs = value.get("scrape_configs") if isinstance(value, dict) else None
        for job in jobs if isinstance(jobs, list) else ():
            if isinstance(job, dict) and isinstance(job.get("job_name"), str):
                yield job


def quoted_name(job: str) -> str:
    """Return a job's name as it stands in a pattern inside a quoted text of PromQL."""
    pattern = re.sub(r"([.+*?()\[\]{}|^$\\])", r"\\\1", job)
    return pattern.replace("\\", "\\\\").replace('"', '\\"')


def _is_inside(job: dict[str, Any], names: Collection[str]) -> bool:
    if any(_FINDS.search(str(key)) for key in job):  # what it will find is not written anywhere
        return False
    hosts = _hosts(job)
    return bool(hosts) and all(host in names or host in _HERE for host in hosts)


def _hosts(job: dict[str, Any]) -> list[str]:
    return [re.sub(r"^\w+://", "", target).partition("/")[0].partition(":")[0] for target in _targets(job)]


def _targets(job: dict[str, Any]) -> list[str]:
    groups = job.get("static_configs")
    return [
        str(target)
        for group in (groups if isinstance(groups, list) else ())
        if isinstance(group, dict)
        for target in group.get("targets") or ()
    ]
