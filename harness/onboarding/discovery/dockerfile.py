"""What the Dockerfile says that builds a service's image: its last stage, of which the image is made."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.model.errors import StackError
from harness.model.givenfile import read_bytes

LARGEST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Built:
    """The last stage of a Dockerfile."""

    image: str = ""
    command: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    environment: Mapping[str, str] | None = None
    health: str = ""
    file: str | None = None


def read_dockerfile(folder: Path, build: Any) -> Built:
    """Read the Dockerfile of a service's `build`; nothing is known where there is none that can be read."""
    if not build:
        return Built()
    given = build if isinstance(build, dict) else {"context": build}
    if "dockerfile_inline" in given:
        return _last_stage(str(given["dockerfile_inline"]), "dockerfile_inline")
    file = folder / str(given.get("context") or ".") / str(given.get("dockerfile") or "Dockerfile")
    try:
        return _last_stage(read_bytes(file, LARGEST_BYTES, StackError).decode("utf-8", "replace"), str(file))
    except StackError:
        return Built()


def _last_stage(text: str, file: str) -> Built:
    image, health = "", ""
    entry: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    ports: list[int] = []
    environment: dict[str, str] = {}
    for line in re.sub(r"\\\s*\n", " ", text).splitlines():
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        match word.upper():
            case "FROM":
                image = next((part for part in rest.split() if not part.startswith("--")), "")
                entry, command, health, ports, environment = (), (), "", [], {}
            case "ENTRYPOINT":
                entry = _argv(rest)
            case "CMD":
                command = _argv(rest)
            case "EXPOSE":
                ports += [int(port) for port in re.findall(r"\b(\d{1,5})(?:/tcp)?(?=\s|$)", rest)]
            case "ENV":
                environment |= dict(re.findall(r"([A-Za-z_]\w*)[= ]\"?([^\s\"]+)", rest))
            case "HEALTHCHECK":
                health = rest
    return Built(image, (*entry, *command), tuple(ports), environment, health, file)


def _argv(rest: str) -> tuple[str, ...]:
    try:
        if rest.startswith("["):
            return tuple(str(word) for word in json.loads(rest))
        return tuple(shlex.split(rest))
    except ValueError:
        return ()
