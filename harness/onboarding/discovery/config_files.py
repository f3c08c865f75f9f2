"""The configuration files of the project that services mount or have in their image, and their text.

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
