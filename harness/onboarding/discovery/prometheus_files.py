"""The rules of a Prometheus, and how often it scrapes and evaluates, as its configuration files have them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.description.yamltree import Path_, Tree, read_tree
from harness.model.errors import StackError
from harness.probes.promql_tree import duration_s


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert rule, and where it is written."""

    name: str
    summary: str
    for_s: float
    labels: Mapping[str, str]
    place: str
    query: str = ""


@dataclass(frozen=True, slots=True)
class Timing:
    """How often Prometheus scrapes and evaluates, as its configuration says."""

    scrape_s: float
    evaluate_s: float


USUAL = Timing(60.0, 60.0)
"""Prometheus' default."""


def alert_rules(files: Iterable[Path], folder: Path, variables: Mapping[str, str]) -> list[Rule]:
    """Return the alert rules in Prometheus' form that these files hold; times may name the service's variables."""
    found = []
    for tree, place, rule in _rules(files):
        if isinstance(rule.get("alert"), str):
            notes = _mapping(rule.get("annotations"))
            summary = str(notes.get("summary") or notes.get("description") or "")
            labels = {k: str(v) for k, v in _mapping(rule.get("labels")).items() if "{{" not in str(v)}
            where = f"{os.path.relpath(tree.file, folder)}:{tree.line((*place, 'alert'))}"
            for_s, query = _seconds(rule.get("for"), 0.0, variables), _set(str(rule.get("expr", "")), variables)
            found.append(Rule(rule["alert"], summary, for_s, labels, where, query))
    return found


def recorded_queries(files: Iterable[Path], variables: Mapping[str, str]) -> dict[str, str]:
    """Return the query of each series that a recording rule in these files makes."""
    found: dict[str, str] = {}
    for _, _, rule in _rules(files):
        if isinstance(rule.get("record"), str):
            found.setdefault(rule["record"], _set(str(rule.get("expr", "")), variables))
    return found


def _rules(files: Iterable[Path]) -> Iterator[tuple[Tree, Path_, dict[str, Any]]]:
    """Yield every rule in these files, with its place in its file."""
    for tree in _trees(files):
        groups = _mapping(tree.value).get("groups")
        for g, group in enumerate(groups) if isinstance(groups, list) else ():
            rules = _mapping(group).get("rules")
            for r, rule in enumerate(rules) if isinstance(rules, list) else ():
                if isinstance(rule, dict):
                    yield tree, ("groups", g, "rules", r), rule


def _trees(files: Iterable[Path]) -> Iterator[Tree]:
    for file in files:
        with suppress(StackError):
            yield read_tree(file)


def timing(files: Iterable[Path], variables: Mapping[str, str]) -> Timing:
    """Return how often a Prometheus that is configured by one of these files scrapes and evaluates."""
    for tree in _trees(files):
        value = _mapping(tree.value)
        if "scrape_configs" in value or "rule_files" in value:
            top = _mapping(value.get("global"))
            jobs = [job for job in value.get("scrape_configs") or () if isinstance(job, dict)]
            scrape_s = _seconds(top.get("scrape_interval"), USUAL.scrape_s, variables)
            slowest_s = max(
                (_seconds(job.get("scrape_interval"), scrape_s, variables) for job in jobs), default=scrape_s
            )
            return Timing(slowest_s, _seconds(top.get("evaluation_interval"), USUAL.evaluate_s, variables))
    return USUAL


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _seconds(text: Any, otherwise_s: float, variables: Mapping[str, str]) -> float:
    written = _set(str(text), variables) if text is not None else ""
    return duration_s(written) or otherwise_s


def _set(text: str, variables: Mapping[str, str]) -> str:
    """Fill in the variables with which a start script makes a file for its service; one that is not set is nothing."""
    return re.sub(r"\$\{?(\w+)\}?", lambda match: variables.get(match[1], ""), text)
