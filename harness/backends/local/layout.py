"""From a stack plan to the processes of the local backend: commands, environments, directories, log files."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.backends.local.addresses import Addresses
from harness.backends.local.spawn import ProcessSpec
from harness.model.backend import StackPlan
from harness.model.errors import BackendError
from harness.model.stack import ServiceSpec

_TAKEN_OVER = ("HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME", "PYTHONPATH")


def base_environment() -> dict[str, str]:
    """Return what every process of a stack is given besides its own settings: little, as in a container."""
    environment = {name: os.environ[name] for name in _TAKEN_OVER if name in os.environ}
    environment.setdefault("LANG", "C.UTF-8")
    own = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join([own, os.environ.get("PATH", os.defpath)])
    return environment | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def log_path(run_dir: Path, service: str) -> Path:
    """Return the log file of a service."""
    return run_dir.absolute() / "logs" / f"{service.replace(':', '-')}.log"


def tail(path: Path, lines: int, most_bytes: int = 65536) -> list[str]:
    """Return the last lines of a file, or none where there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - most_bytes))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()[-lines:] if lines > 0 else []


def located(argv: tuple[str, ...], home: Path) -> list[str]:
    """Return the command with a relative path to its program made absolute, from the folder of the stack's file."""
    program = argv[0]
    return [str(home / program) if os.sep in program else program, *argv[1:]]


def without_env(argv: list[str]) -> tuple[dict[str, str], list[str]]:
    """Split `env NAME=value … command` into settings and command, so that the command can be forked all the same."""
    if not argv or argv[0] != "env":
        return {}, argv
    count = next((i for i, word in enumerate(argv[1:]) if not re.match(r"[A-Za-z_]\w*=", word)), len(argv) - 1)
    if count + 1 == len(argv) or argv[count + 1].startswith("-"):
        return {}, argv
    return dict(word.split("=", 1) for word in argv[1 : count + 1]), argv[count + 1 :]


def missing_program(argv: tuple[str, ...], home: Path) -> str | None:
    """Return the command's program if it is not there."""
    program = located(argv, home)[0]
    return None if shutil.which(program, path=base_environment()["PATH"]) else argv[0]


def process_spec(
    service: ServiceSpec, plan: StackPlan, addresses: Addresses, scratch: Path, data: str | None
) -> ProcessSpec:
    """Return the process that a service is to be."""
    home = Path(plan.description.folder)
    directory = scratch / "services" / service.name
    placeholders = {"address": addresses.services[service.name], "port": str(service.port), "dir": str(directory)}
    if data is not None:
        placeholders["data"] = data
    environment = {**service.environment, **_filled(service.local.environment, placeholders)}
    if plan.start_at is not None:
        environment["START_AT"] = plan.start_at
    environment |= plan.environment.get(service.name, {})
    command = service.local_command
    if command is None:
        raise BackendError(f"the service {service.name!r} has no command for the local backend")
    argv = [_fill(word, placeholders) for word in command]
    return ProcessSpec(
        name=service.name,
        argv=located(tuple(addresses.rewrite(word, service.name) for word in argv), home),
        env=base_environment() | {key: addresses.rewrite(value, service.name) for key, value in environment.items()},
        directory=str(directory),
        log=str(log_path(plan.run_dir, service.name)),
        of_a_stack=True,
        search=[str(home)],
        restart=service.restart,
    )


def _filled(values: Mapping[str, str], placeholders: Mapping[str, str]) -> dict[str, str]:
    return {key: _fill(value, placeholders) for key, value in values.items()}


def _fill(text: str, placeholders: Mapping[str, str]) -> str:
    for name, value in placeholders.items():
        text = text.replace(f"{{{name}}}", value)
    return text
