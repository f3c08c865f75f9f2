"""The compose project in a folder: its files found, read, and compared with what a compose command makes of them.

Our own parser knows where everything is written, and needs no engine; where `docker compose` or `docker-compose` is
installed, its `config`, which starts nothing and needs no engine either, takes precedence. That there is no such
command is no error; a refusal of the files is reported. What neither could read becomes a note.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.description.composefile import Composed, read_compose
from harness.description.composemerge import normalise
from harness.description.interpolation import interpolate, read_env
from harness.description.profiles import EVERY, active_profiles, is_on
from harness.description.yamltree import Path_, parse_tree
from harness.model.errors import ScenarioError, StackError, did_you_mean
from harness.model.givenfile import is_file, is_folder

WITHIN_S = 60.0
NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = tuple(name.replace(".y", ".override.y") for name in NAMES)
_KEYS = ("image", "command", "entrypoint", "environment", "ports", "expose", "healthcheck", "depends_on", "volumes")
_WARNING = re.compile(r"level=warning|^WARNING: |^The \S+ variable is not set\. Defaulting to a blank")
_DEEPEST_LOOK = 2
LONGEST_REFUSAL = 300
PLAIN_YAML = (".yaml", ".yml")


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


def engine_view(files: Sequence[Path], folder: Path, profiles: Sequence[str] = ()) -> EngineView:
    """Ask the compose command for the services of these files."""
    found = compose_command()
    if found is None:
        return EngineView(None, None, None)
    words, name = found
    chosen = [word for file in files for word in ("-f", str(file.absolute()))]
    switched = [word for profile in profiles for word in ("--profile", profile)]
    done = _run([*words, *switched, *chosen, "config"], folder)
    if done is None:
        return EngineView(name, None, f"no answer within {WITHIN_S:g} s")
    if done.returncode != 0:
        return EngineView(name, None, _refusal(done.stderr) or f"exit code {done.returncode}")
    try:
        tree = parse_tree(done.stdout, f"{name} config")
    except StackError as error:
        return EngineView(name, None, error.message)
    normalise(tree)
    services = tree.value.get("services") if isinstance(tree.value, dict) else None
    if not isinstance(services, dict):
        return EngineView(name, None, "it printed no services")
    return EngineView(name, {key: _plain(body) for key, body in services.items() if isinstance(body, dict)}, None)


def _refusal(printed: str) -> str:
    """Return why the files were refused, without the warnings that come before; of a long reason its end."""
    lines = [line.strip() for line in printed.splitlines() if line.strip() and not _WARNING.search(line)]
    message = " ".join(lines).partition(" You might be seeing this error")[0]  # 1.29's advice, seldom to the point
    return message if len(message) <= LONGEST_REFUSAL else f"…{message[-LONGEST_REFUSAL:]}"


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


@dataclass(frozen=True)
class Project:
    """What there is: the files for compose's `-f`, and every service with its variables filled in."""

    folder: Path
    files: tuple[Path, ...]
    name: str
    services: Mapping[str, Mapping[str, Any]]
    left_out: Mapping[str, tuple[str, ...]]
    """Services behind profiles that are off, with these."""
    profiles: tuple[str, ...]
    """Those that are on."""
    composed: Composed
    read_with: str | None
    notes: tuple[str, ...]

    def written(self, path: Path_) -> Any:
        """Return a value as it was written, with its variables; None where it was not."""
        value = self.composed.tree.value
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def place(self, path: Path_) -> str:
        """Return where something was written, as `file:line`, seen from the project's folder."""
        tree = self.composed.tree
        file, line = Path(tree.file_of(path)).absolute(), tree.line(path)
        shown = os.path.relpath(file, self.folder)
        return f"{shown}:{line}" if line else shown


def find_files(path: Path, variables: Mapping[str, str]) -> tuple[Path, ...]:
    """Find the compose files of a folder as compose does. Raises ScenarioError where there are none."""
    if is_file(path):
        return (path,)
    if not is_folder(path):
        raise ScenarioError("there is no such folder", file=str(path), remedy="give the folder of a compose file")
    listed = variables.get("COMPOSE_FILE") or _from_env_file(path, "COMPOSE_FILE")
    if listed:
        separator = variables.get("COMPOSE_PATH_SEPARATOR", os.pathsep)
        return tuple(path / name for name in listed.split(separator))
    for name in NAMES:
        if is_file(path / name):
            beside = [path / override for override in OVERRIDES if is_file(path / override)]
            return (path / name, *beside[:1])
    raise ScenarioError("there is no compose file in this folder", file=str(path), remedy=_elsewhere(path))


def _from_env_file(folder: Path, name: str) -> str | None:
    return read_env(folder / ".env", {}).get(name) if is_file(folder / ".env") else None


def _elsewhere(folder: Path) -> str:
    patterns = ["/".join(["*"] * depth) for depth in range(1, _DEEPEST_LOOK + 1)]
    found = [p for pattern in patterns for name in NAMES for p in sorted(folder.glob(f"{pattern}/{name}"))]
    near = [str(p.relative_to(folder)) for p in found if not any(part.startswith(".") for part in p.parts)]
    if near:
        return f"there is one in {near[0]}: give its folder, or name it with -f"
    return f"one is named {NAMES[0]} or {NAMES[2]}; name yours with -f if it is called otherwise"


def read_project(
    path: Path, given: Sequence[Path] = (), profiles: Sequence[str] = (), *, ask_engine: bool = True
) -> Project:
    """Read the compose project in a folder, or that of the files given. Raises ScenarioError or StackError.

    `profiles` are those switched on; where none is given, COMPOSE_PROFILES counts.
    """
    files = tuple(given) or find_files(path, os.environ)
    for file in files:
        if not is_file(file):
            raise ScenarioError("there is no such file", file=str(file), remedy="give a compose file with -f")
    folder = files[0].absolute().parent
    composed = read_compose([_shown(file) for file in files])
    top = composed.tree.value
    services = top.get("services") if isinstance(top, dict) else None
    if not isinstance(services, dict) or not services:
        raise composed.tree.error(("services",), "there are no services", "a compose file with services is needed")
    wrong = next((name for name, body in services.items() if not isinstance(body, dict)), None)
    if wrong is not None:
        raise composed.tree.error(("services", wrong), "a mapping of names is needed here")
    active = active_profiles(profiles or None, composed.variables)
    view = engine_view(files, folder, active) if ask_engine else EngineView(None, None, None)
    notes = list(composed.notes)
    own = {name: _filled(composed, ("services", name), body, notes) for name, body in services.items()}
    if view.error is not None:
        notes.append(f"{view.command} cannot read these files: {view.error}")
    found = _with_view(own, view, notes)
    behind = {name: _named_profiles(body) for name, body in found.items() if not is_on(body, active)}
    _check_profiles(composed, found, behind, profiles)
    return Project(
        folder=folder,
        files=files,
        name=str(_filled(composed, ("name",), top.get("name"), notes) or folder.name),
        services={name: body for name, body in found.items() if name not in behind},
        left_out=behind,
        profiles=active,
        composed=composed,
        read_with=view.command if view.services is not None else None,
        notes=tuple(dict.fromkeys(notes)),
    )


def _named_profiles(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a service's profiles, without the empty one, which cannot be chosen by name."""
    return tuple(str(name) for name in body.get("profiles") or () if name != "")


def _check_profiles(
    composed: Composed, found: Mapping[str, Any], behind: Mapping[str, Sequence[str]], given: Sequence[str]
) -> None:
    """Refuse a profile that no service has, and a choice that leaves no service."""
    known = dict.fromkeys(name for body in found.values() for name in _named_profiles(body))
    for profile in given:
        if profile not in known and profile != EVERY:
            remedy = did_you_mean(profile, known) if known else "leave --profile out"
            raise ScenarioError(f"no service is in the profile {profile!r}", field="--profile", remedy=remedy)
    if len(behind) == len(found):
        remedy = f"choose with --profile: {', '.join(known)}"
        raise composed.tree.error(("services",), "every service is behind a profile that is off", remedy)


def _shown(file: Path) -> Path:
    """Return a path as short as it can be from here."""
    try:
        return file.absolute().relative_to(Path.cwd())
    except ValueError:
        return file


def _with_view(own: dict[str, Any], view: EngineView, notes: list[str]) -> dict[str, Any]:
    if view.services is None:
        return own
    found = {name: dict(body) for name, body in own.items()}
    for name, body in view.services.items():
        if name not in own:
            notes.append(f"{name}: only {view.command} sees this service; where it is written was not found")
        found[name] = {**found.get(name, {}), **{key: body[key] for key in _KEYS if body.get(key) is not None}}
    return found


def _filled(composed: Composed, path: Path_, value: Any, notes: list[str]) -> Any:
    """Fill in variables; one that cannot be filled in is noted, and the text left as it was written."""
    if isinstance(value, dict):
        return {key: _filled(composed, (*path, key), inside, notes) for key, inside in value.items()}
    if isinstance(value, list):
        return [_filled(composed, (*path, index), inside, notes) for index, inside in enumerate(value)]
    if value is None and len(path) > 1 and path[-2] == "environment":
        return composed.variables.get(str(path[-1]), "")
    if not isinstance(value, str) or "$" not in value:
        return value
    try:
        return interpolate(value, composed.variables)
    except ValueError as error:
        problem: StackError = composed.tree.error(path, str(error))
        notes.append(str(problem))
        return value


def literal(value: str) -> str:
    """Return a text in which compose expands no variable."""
    return value.replace("$", "$$")


def written_texts(project: Project, service: str) -> Iterator[str]:
    """Yield every text of a service's environment and command as it stands in the compose files, with its variables."""
    tree = project.composed.tree
    base = ("services", service)
    for key in project.services[service].get("environment") or {}:
        path = (*base, "environment", key)
        value = project.written(path)
        if isinstance(value, str) and Path(tree.file_of(path)).suffix in PLAIN_YAML:
            yield value
    for key in ("command", "entrypoint"):
        value = project.written((*base, key))
        for word in value if isinstance(value, list) else [value]:
            if isinstance(word, str):
                yield word


def found_in(project: Project, pattern: re.Pattern[str]) -> list[re.Match[str]]:
    """Return every match in what is written of any service, in the order of the services."""
    texts = [text for service in project.services for text in written_texts(project, service)]
    return [match for text in texts for match in pattern.finditer(text)]
