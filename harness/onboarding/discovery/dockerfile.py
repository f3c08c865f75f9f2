"""What the Dockerfile says that builds a service's image: of the stage that is built, and of those that it rests on."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.model.errors import StackError
from harness.model.givenfile import read_bytes

LARGEST_BYTES = 64 * 1024
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?-([^}]*))?\})")


@dataclass(frozen=True, slots=True)
class Built:
    """The stage of a Dockerfile that an image is made of."""

    image: str = ""
    command: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    environment: Mapping[str, str] | None = None
    health: str = ""
    file: str | None = None


@dataclass(frozen=True, slots=True)
class _Stage:
    image: str = ""
    entry: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    health: str = ""
    own_command: bool = False
    """Whether its command is its own, and not that of the stage it rests on."""


def read_dockerfile(folder: Path, build: Any) -> Built:
    """Read the Dockerfile of a service's `build`; nothing is known where there is none that can be read."""
    if not build:
        return Built()
    given = build if isinstance(build, dict) else {"context": build}
    if "dockerfile_inline" in given:
        return _built(str(given["dockerfile_inline"]), given, "dockerfile_inline")
    file = folder / str(given.get("context") or ".") / str(given.get("dockerfile") or "Dockerfile")
    try:
        return _built(read_bytes(file, LARGEST_BYTES, StackError).decode("utf-8", "replace"), given, str(file))
    except StackError:
        return Built()


def builds_by_image(services: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the `build` of each image that one service builds, by its name: others that run it only name it."""
    found: dict[str, Any] = {}
    for body in services.values():
        if body.get("build") and body.get("image"):
            found.setdefault(str(body["image"]), body["build"])
    return found


def _built(text: str, given: Mapping[str, Any], file: str) -> Built:
    stages = dict(_stages(text, _arguments(given)))
    if not stages:
        return Built(file=file)
    wanted = str(given.get("target") or "").lower()
    numbered = dict(enumerate(stages.values()))
    stage = stages.get(wanted) or (numbered.get(int(wanted)) if wanted.isdigit() else None)
    if wanted and stage is None:  # a stage that is not there: nothing is built
        return Built(file=file)
    last = stage or list(stages.values())[-1]
    return Built(last.image, (*last.entry, *last.command), last.ports, last.environment, last.health, file)


def _arguments(given: Mapping[str, Any]) -> dict[str, str]:
    args = given.get("args")
    if isinstance(args, dict):
        return {str(key): str(value) for key, value in args.items() if value is not None}
    return dict(str(one).split("=", 1) for one in args or () if "=" in str(one))


def _stages(text: str, arguments: Mapping[str, str]) -> Iterator[tuple[str, _Stage]]:
    """Yield each stage by its name, in lower case, or its number; what a stage rests on counts as its own."""
    found: dict[str, _Stage] = {}
    values: dict[str, str] = {}
    name, stage = "", _Stage()
    for line in re.sub(r"\\\s*\n", " ", text).splitlines():
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if word.upper() == "ARG" and not name:
            key, _, usual = rest.partition("=")
            values[key.strip()] = arguments.get(key.strip(), usual.strip().strip("\"'"))
        elif word.upper() == "FROM":
            if name:
                yield name, stage
                found[name] = stage
            words = [_filled(part, values) for part in rest.split() if not part.startswith("--")]
            image = words[0] if words else ""
            named = words[2].lower() if len(words) > 2 and words[1].upper() == "AS" else ""
            base = found.get(image.lower())
            name, stage = named or str(len(found)), replace(base, own_command=False) if base else _Stage(image)
        else:
            stage = _after(stage, word.upper(), rest)
    if name:
        yield name, stage


def _after(stage: _Stage, word: str, rest: str) -> _Stage:
    """Return a stage as it is after an instruction."""
    match word:
        case "ENTRYPOINT":
            return replace(stage, entry=_argv(rest), command=stage.command if stage.own_command else ())
        case "CMD":
            return replace(stage, command=_argv(rest), own_command=True)
        case "EXPOSE":
            ports = [int(port) for port in re.findall(r"\b(\d{1,5})(?:/tcp)?(?=\s|$)", rest)]
            return replace(stage, ports=(*stage.ports, *ports))
        case "ENV":
            given = dict(re.findall(r"([A-Za-z_]\w*)[= ]\"?([^\s\"]+)", rest))
            return replace(stage, environment={**stage.environment, **given})
        case "HEALTHCHECK":
            return replace(stage, health=rest)
    return stage


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: values.get(match[1] or match[2]) or match[3] or "", text)


def _argv(rest: str) -> tuple[str, ...]:
    try:
        if rest.startswith("["):
            return tuple(str(word) for word in json.loads(rest))
        return tuple(shlex.split(rest))
    except ValueError:
        return ()
