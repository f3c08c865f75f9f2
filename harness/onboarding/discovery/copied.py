"""What the Dockerfile of a service copies out of the project into its image: configuration may be among it.

Every stage counts: what a later one takes from an earlier one was copied there. A context or a source that is not a
path in the project is not followed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.model.errors import StackError
from harness.model.givenfile import is_there, read_bytes, resolved, wrong_path

LARGEST_BYTES = 64 * 1024
_COPY = re.compile(r"^\s*(?:COPY|ADD)\s+(.+)$", re.IGNORECASE | re.MULTILINE)
_WILD = re.compile(r"[*?\[]")


def copied_sources(build: Any, folder: Path) -> Iterator[Path]:
    """Yield the files and folders that a service's `build` copies into its image."""
    if not build:
        return
    given = build if isinstance(build, dict) else {"context": build}
    context = folder / str(given.get("context") or ".")
    if wrong_path(context) is not None:
        return
    root = resolved(context)
    for source in _sources(_dockerfile(given, context)):
        for path in _found(context, source):
            if resolved(path).is_relative_to(root) and is_there(path):
                yield path


def _dockerfile(given: dict[str, Any], context: Path) -> str:
    if "dockerfile_inline" in given:
        return str(given["dockerfile_inline"])
    try:
        file = context / str(given.get("dockerfile") or "Dockerfile")
        return read_bytes(file, LARGEST_BYTES, StackError).decode("utf-8", "replace")
    except StackError:
        return ""


def _sources(text: str) -> Iterator[str]:
    for match in _COPY.finditer(re.sub(r"\\\s*\n", " ", text)):
        words = match[1].split()
        options = [word for word in words if word.startswith("--")]
        if any(word.startswith("--from") for word in options):
            continue
        rest = match[1]
        for word in options:
            rest = rest.replace(word, "", 1)
        yield from (one for one in _words(rest.strip())[:-1] if "$" not in one and "<<" not in one)


def _words(text: str) -> list[str]:
    if text.startswith("["):
        try:
            return [str(word) for word in json.loads(text)]
        except ValueError:
            return []
    return text.split()


def _found(context: Path, source: str) -> list[Path]:
    """Return what a source names; it is a path in the context, also where it begins with a slash."""
    inside = source.lstrip("/")
    if wrong_path(context / inside) is not None:
        return []
    if not _WILD.search(inside):
        return [context / inside]
    try:
        return sorted(context.glob(inside))
    except (ValueError, NotImplementedError, OSError):
        return []
