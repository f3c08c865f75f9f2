"""What a compose command says of compose files: `docker compose config`, or `docker-compose config` where only that is.

It starts nothing and needs no engine. That there is no such command is no error; a refusal of the files is reported.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.description.composemerge import normalise
from harness.description.yamltree import parse_tree
from harness.model.errors import StackError

WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class EngineView:
    """The compose command, the services as it lists them, or why it failed."""

    command: str | None
    services: Mapping[str, Mapping[str, Any]] | None
    error: str | None


def compose_command() -> tuple[tuple[str, ...], str] | None:
    """Return the words that call compose, and its name with its version; None where there is none."""
    for words in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(words[0]) is None:
            continue
        done = _run([*words, "version", "--short"], Path())
        if done is not None and done.returncode == 0:
            return words, f"{' '.join(words)} {done.stdout.strip()}"
    return None


def engine_view(files: Sequence[Path], folder: Path) -> EngineView:
    """Ask the compose command for the services of these files."""
    found = compose_command()
    if found is None:
        return EngineView(None, None, None)
    words, name = found
    chosen = [word for file in files for word in ("-f", str(file.absolute()))]
    done = _run([*words, *chosen, "config"], folder)
    if done is None:
        return EngineView(name, None, f"no answer within {WITHIN_S:g} s")
    if done.returncode != 0:
        message = " ".join(line.strip() for line in done.stderr.splitlines() if line.strip())
        message = message.partition(" You might be seeing this error")[0]  # 1.29's advice, which is seldom to the point
        return EngineView(name, None, message[:300] or f"exit code {done.returncode}")
    try:
        tree = parse_tree(done.stdout, f"{name} config")
    except StackError as error:
        return EngineView(name, None, error.message)
    normalise(tree)
    services = tree.value.get("services") if isinstance(tree.value, dict) else None
    if not isinstance(services, dict):
        return EngineView(name, None, "it printed no services")
    return EngineView(name, {key: _plain(body) for key, body in services.items() if isinstance(body, dict)}, None)


def _plain(value: Any) -> Any:
    """Undo the doubling of dollar signs, with which compose says that nothing is left to fill in."""
    if isinstance(value, dict):
        return {key: _plain(inside) for key, inside in value.items()}
    if isinstance(value, list):
        return [_plain(inside) for inside in value]
    return value.replace("$$", "$") if isinstance(value, str) else value


def _run(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=WITHIN_S, cwd=folder, check=False)
    except (subprocess.TimeoutExpired, OSError):
        return None
