"""The configuration files of the project that services mount or have in their image: their text, and alert rules.

Bounded in number and size, and only what lies in the project's folder or beside it: a whole disk that is mounted is
not read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.description.yamltree import read_tree
from harness.model.errors import StackError
from harness.model.givenfile import is_file, read_text, resolved
from harness.onboarding.discovery.copied import copied_sources
from harness.probes.promql_tree import duration_s

MOST_FILES = 60
LARGEST_BYTES = 128 * 1024
_ENDINGS = {
    ".yaml", ".yml", ".json", ".toml", ".ini", ".cfg", ".conf", ".properties", ".env", ".py", ".rules", ".tmpl",
    ".template", "",
}  # fmt: skip
_NO_PROGRAM = {".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".properties", ".env", ".rules"}
_COMPOSE_FILE = re.compile(r"(docker-)?compose\b")
FEAST_FILE = "feature_store.yaml"


@dataclass(frozen=True, slots=True)
class BindMount:
    """A path of the host that a service sees."""

    source: Path
    target: str


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


def mounts(body: Mapping[str, Any], folder: Path) -> list[BindMount]:
    """Return the host's paths that a service mounts."""
    found = []
    for item in body.get("volumes") or ():
        if isinstance(item, dict):
            source, target = str(item.get("source", "")), str(item.get("target", ""))
            if item.get("type") != "bind":
                continue
        else:
            source, _, rest = str(item).partition(":")
            target = rest.partition(":")[0]
        if target and source.startswith(("/", ".", "~")):
            found.append(BindMount(_host_path(folder, source), target))
    return found


def _host_path(folder: Path, source: str) -> Path:
    try:
        return folder / Path(source).expanduser()
    except RuntimeError:  # the home of somebody whom this machine does not know
        return folder / source


def named_volumes(body: Mapping[str, Any]) -> list[str]:
    """Return the volumes of its own that a service keeps data in."""
    found = []
    for item in body.get("volumes") or ():
        if isinstance(item, dict):
            if item.get("type", "volume") == "volume" and item.get("source"):
                found.append(str(item["source"]))
        elif ":" in str(item) and not str(item).startswith(("/", ".", "~")):
            found.append(str(item).partition(":")[0])
    return found


def config_files(body: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    """Yield the files of the project that a service mounts, or its image holds, and that may be configuration."""
    root = folder.resolve()
    found: set[Path] = set()
    for file in (*_mounted(body, folder, root), *_copied(body, folder, root)):
        if file.suffix.lower() in _ENDINGS and len(found) < MOST_FILES and file not in found and _small(file):
            found.add(file)
            yield file


def _mounted(body: Mapping[str, Any], folder: Path, root: Path) -> Iterator[Path]:
    for mount in mounts(body, folder):
        source = resolved(mount.source)
        if _is_part(source, root):
            yield from [source] if is_file(source) else _inside(source)


def _copied(body: Mapping[str, Any], folder: Path, root: Path) -> Iterator[Path]:
    """Yield what a Dockerfile copies, of a folder only what is no program: that may hold far more than is used."""
    for path in copied_sources(body.get("build"), folder):
        source = resolved(path)
        if not _is_part(source, root):
            continue
        if is_file(source):
            yield source
            continue
        for file in _inside(source):
            of_feast = file.suffix == ".py" and is_file(file.parent / FEAST_FILE)
            if (file.suffix.lower() in _NO_PROGRAM or of_feast) and not _COMPOSE_FILE.match(file.name):
                yield file


def _is_part(source: Path, root: Path) -> bool:
    """Whether a path is a part of the project, or beside it, and not all of it."""
    return source.is_relative_to(root.parent) and source not in (root, *root.parents)


def _inside(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        yield from (Path(root) / name for name in sorted(names))


def _small(file: Path) -> bool:
    try:
        return is_file(file) and file.stat().st_size <= LARGEST_BYTES
    except OSError:
        return False


def text_of(file: Path) -> str:
    """Return a file's text; nothing where it is not text."""
    try:
        text = read_text(file, LARGEST_BYTES, StackError)
    except StackError:
        return ""
    return "" if "\0" in text else text


def form_of(file: Path) -> str | None:
    """Return whose configuration a file is: `prometheus`, `alertmanager`, or nobody's that is known."""
    if file.suffix not in (".yml", ".yaml"):
        return None
    try:
        value = read_tree(file).value
    except StackError:
        return None
    keys = set(value) if isinstance(value, dict) else set()
    if "scrape_configs" in keys:
        return "prometheus"
    return "alertmanager" if {"route", "receivers"} <= keys else None


def alert_rules(files: list[Path], folder: Path, variables: Mapping[str, str]) -> list[Rule]:
    """Return the alert rules in Prometheus' form that these files hold; times may name the service's variables."""
    found = []
    for file in files:
        try:
            tree = read_tree(file)
        except StackError:
            continue
        groups = tree.value.get("groups") if isinstance(tree.value, dict) else None
        for g, group in enumerate(groups) if isinstance(groups, list) else ():
            rules = group.get("rules") if isinstance(group, dict) else None
            for r, rule in enumerate(rules) if isinstance(rules, list) else ():
                if not isinstance(rule, dict) or not isinstance(rule.get("alert"), str):
                    continue
                notes = _mapping(rule.get("annotations"))
                summary = str(notes.get("summary") or notes.get("description") or "")
                line = tree.line(("groups", g, "rules", r, "alert"))
                labels = {k: str(v) for k, v in _mapping(rule.get("labels")).items() if "{{" not in str(v)}
                place = f"{os.path.relpath(file, folder)}:{line}"
                for_s, query = _seconds(rule.get("for"), 0.0, variables), _set(str(rule.get("expr", "")), variables)
                found.append(Rule(rule["alert"], summary, for_s, labels, place, query))
    return found


def recorded_queries(files: list[Path], variables: Mapping[str, str]) -> dict[str, str]:
    """Return the query of each series that a recording rule in these files makes."""
    found: dict[str, str] = {}
    for file in files:
        try:
            value = read_tree(file).value
        except StackError:
            continue
        groups = value.get("groups") if isinstance(value, dict) else None
        for group in groups if isinstance(groups, list) else ():
            rules = group.get("rules") if isinstance(group, dict) else None
            for rule in rules if isinstance(rules, list) else ():
                if isinstance(rule, dict) and isinstance(rule.get("record"), str):
                    found.setdefault(rule["record"], _set(str(rule.get("expr", "")), variables))
    return found


def timing(files: list[Path], variables: Mapping[str, str]) -> Timing:
    """Return how often a Prometheus that is configured by one of these files scrapes and evaluates."""
    for file in files:
        try:
            value = read_tree(file).value
        except StackError:
            continue
        if isinstance(value, dict) and ("scrape_configs" in value or "rule_files" in value):
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
