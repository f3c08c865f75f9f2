"""Who exports a metric, as far as files tell: it stands in the program of a service, or it is a known exporter's.

A program that many services have in their image belongs to those whose command runs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.onboarding.discovery.commands import words_of
from harness.onboarding.discovery.config_files import mounts, text_of
from harness.onboarding.discovery.copied import copied_sources
from harness.onboarding.discovery.dockerfile import read_dockerfile
from harness.onboarding.discovery.project import Project
from harness.onboarding.discovery.services import FoundService

_ENDINGS = re.compile(r"_(total|created|bucket|count|sum|info)$")
_SCRIPT = re.compile(r"^[\w./-]+\.py$")
_APPLICATION = re.compile(r"^([A-Za-z_][\w.]*):[A-Za-z_]\w*$")
_MODULE = re.compile(r"^[A-Za-z_][\w.]*$")
_DEEP = ("", "*/", "*/*/")
KNOWN: Mapping[str, str] = {
    "pg_": "postgres", "redis_": "redis", "mysql_": "mysql", "mongodb_": "mongo", "kafka_": "kafka",
    "minio_": "minio", "rabbitmq_": "rabbitmq", "vllm:": "vllm", "nv_inference_": "triton", "airflow_": "airflow",
    "elasticsearch_": "elasticsearch", "memcached_": "memcached", "etcd_": "etcd",
}  # fmt: skip
"""What the usual exporters begin their metrics with, and the kind of service that these are about."""
Exporters = Callable[[str], frozenset[str]]
"""Returns who exports a metric."""


def exporters_of(project: Project, services: Mapping[str, FoundService]) -> Exporters:
    """Return the function that tells who exports a metric."""
    texts = {name: "\n".join(map(text_of, programs_of(project, name))) for name in services}

    def exporters(metric: str) -> frozenset[str]:
        names = {metric, _ENDINGS.sub("", metric)}
        pattern = re.compile(rf"(?<![\w:])({'|'.join(map(re.escape, sorted(names)))})(?![\w:])")
        found = frozenset(name for name, text in texts.items() if text and pattern.search(text))
        if found:
            return found
        kinds = [kind for prefix, kind in KNOWN.items() if metric.startswith(prefix)]
        known = [one.name for one in services.values() if one.kind.name in kinds and one.kind_is_known]
        return frozenset(known) if len(known) == 1 else frozenset()

    return exporters


def programs_of(project: Project, name: str) -> list[Path]:
    """Return the files of the project that a service's command runs."""
    body = project.services[name]
    roots = [mount.source for mount in mounts(body, project.folder)]
    roots += copied_sources(body.get("build"), project.folder)
    boundary = project.folder.resolve().parent
    return list(
        dict.fromkeys(path for wanted in _run(project, body) for root in roots for path in _in(root, wanted, boundary))
    )


def _run(project: Project, body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the files of Python that a command runs, by their names from some folder on."""
    given = words_of(body) or read_dockerfile(project.folder, body.get("build")).command
    words = [part for word in given for part in word.split()]  # the script of a shell is one word
    for before, word in zip(["", *words], words, strict=False):
        if _SCRIPT.match(word):
            yield word.lstrip("/")
        elif (match := _APPLICATION.match(word)) is not None:
            yield match[1].replace(".", "/") + ".py"
        elif before == "-m" and _MODULE.match(word):
            yield word.replace(".", "/") + ".py"


def _in(root: Path, wanted: str, boundary: Path) -> Iterator[Path]:
    """Yield the files of that name in a folder or a little below, inside of the project's surroundings."""
    try:
        inside = root.resolve()
        if not inside.is_relative_to(boundary):
            return
        if inside.is_file():
            if inside.name == Path(wanted).name:
                yield inside
            return
        tail = wanted
        while tail:
            there = [path.resolve() for deep in _DEEP for path in sorted(inside.glob(f"{deep}{tail}"))]
            found = [path for path in there if path.is_file() and path.is_relative_to(inside)]
            if found:
                yield from found[:1] if len(found) == 1 else ()
                return
            tail = tail.partition("/")[2]
    except (OSError, ValueError, NotImplementedError):
        return
