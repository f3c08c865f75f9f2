"""A compose file with `x-harness` fields, read into a StackDescription.

Ordinary compose keys that do not matter here are left alone; the `x-harness` fields are checked to the last name, so
that a typing error is met before anything starts. Every error names file, line, field and the nearest valid name.
"""

from __future__ import annotations

import os
import re
import shlex
from collections import ChainMap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.description.composefields import checks_health, container_ports, replicas_of, text, texts
from harness.description.composefile import read_compose
from harness.description.entry_points import EntryPoints
from harness.description.findings import all_problems
from harness.description.installed_probes import InstalledSettings
from harness.description.interpolation import interpolate
from harness.description.profiles import VARIABLE, active_profiles, is_on
from harness.description.stackchecks import check_names
from harness.description.ties import aliases, inside, joined, mounts, services_named
from harness.description.unset import all_unset
from harness.description.yamltree import Tree, parse_tree, read_tree
from harness.model.errors import StackError, StackProblemsError, did_you_mean
from harness.model.givenfile import is_file, resolved
from harness.model.probekinds import PROBE_KINDS
from harness.model.stack import MOST_SERVICES, ServiceFields, ServiceSpec, StackDescription, StackFields

ENTRY_POINTS = "harness.stacks"
EXTENSION = "x-harness"
_CONDITIONS = ("service_started", "service_healthy", "service_completed_successfully")
_SECRET = re.compile(r"\$\{secret:[A-Za-z_]\w*\}")
LONGEST_NAME = 100
_STACK_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{LONGEST_NAME - 1}}}")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_RESTART = re.compile(r"no|always|unless-stopped|on-failure(:\d+)?")

Model = TypeVar("Model", bound=BaseModel)


def resolve_stack(name_or_path: str) -> StackDescription:
    """Load a stack by path, or by the name under which an installed package has it as entry point `harness.stacks`."""
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or os.sep in name_or_path or is_file(path):
        return load_stack(path, probe_kinds=InstalledSettings())
    installed = EntryPoints(ENTRY_POINTS)
    if name_or_path not in installed:
        hint = did_you_mean(name_or_path, installed)
        remedy = f"{hint}{' Or' if hint.endswith('?') else '; or'} give the path of a compose file"
        raise StackError(f"unknown stack {name_or_path!r}", field="stack", remedy=remedy)
    return load_stack(_installed_file(name_or_path, installed[name_or_path].value), probe_kinds=InstalledSettings())


def _installed_file(name: str, value: str) -> Path:
    """Find `package:file` in the package's folder or beside it, without importing the package."""
    import importlib.util

    package, _, file = value.partition(":")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for candidate in (Path(folder) / file, Path(folder).parent / file):
            if is_file(candidate):
                return candidate
    raise StackError(f"the file {value!r} of the stack {name!r} does not exist", remedy="reinstall its package")


def load_stack(
    path: Path,
    variables: Mapping[str, str] | None = None,
    probe_kinds: Mapping[str, type[BaseModel]] | None = None,
    *,
    text: str | None = None,
) -> StackDescription:
    """Read a stack description, and the compose files that it says it is laid over.

    `variables` are what `${NAME}` may name: unless given, the environment and the `.env` beside the first file. `text`
    is what the file is going to hold, where it is not written yet.
    """
    own = read_tree(path) if text is None else parse_tree(text, str(path))
    files = [*_base_files(path, own), path]
    composed = read_compose(files, variables, {path: own})
    tree = composed.tree
    if not isinstance(tree.value, dict):
        raise tree.error((), "a compose file with services is needed", "see docs/stack-description.md")
    kinds = {} if probe_kinds is None else probe_kinds
    description = _StackReader(tree, composed.variables, kinds).description(path, files)
    check_names(description, tree)
    return description


def _base_files(path: Path, tree: Tree) -> list[Path]:
    """Return the files that an override with `x-harness.base` overrides, in order. Raises StackError."""
    own = tree.value.get(EXTENSION) if isinstance(tree.value, dict) else None
    names = own.get("base") if isinstance(own, dict) else None
    if names is None:
        return []
    place = (EXTENSION, "base")
    if not isinstance(names, list) or not names:
        raise tree.error(place, "a list of compose files is needed here, such as [compose.yaml]")
    found = [path.parent / str(name) for name in names]
    for index, file in enumerate(found):
        if not is_file(file):
            raise tree.error(
                (*place, index), f"there is no file {str(file)!r}", "paths are relative to this file's folder"
            )
        if resolved(file) == resolved(path):
            raise tree.error((*place, index), "this file cannot override itself")
    return found


class _StackReader:
    """Reads one file."""

    def __init__(self, tree: Tree, variables: Mapping[str, str], probe_kinds: Mapping[str, type[BaseModel]]) -> None:
        self._tree = tree
        self._variables = variables
        self._context = {"probe_kinds": probe_kinds}
        self._probe_kinds: ChainMap[str, type[BaseModel]] = ChainMap({}, PROBE_KINDS, probe_kinds)  # type: ignore[arg-type]

    def description(self, path: Path, files: Sequence[Path]) -> StackDescription:
        top = self._tree.value
        if EXTENSION not in top:
            raise self._tree.error(
                (), f"the top-level field {EXTENSION!r} is missing", "it describes the stack to the harness"
            )
        raw = self._mapping(("services",), top.get("services"))
        fields = self._fields(top[EXTENSION], raw)
        if not raw:
            raise self._tree.error(("services",), "there are no services")
        known = {name: self._known(("services", name), body) for name, body in raw.items() if isinstance(body, dict)}
        active = active_profiles(fields.profiles, self._variables)
        chosen = [name for name in raw if is_on(known.get(name), active)]
        if not chosen:
            remedy = f"set {EXTENSION}.profiles, or {VARIABLE}, to those that are meant"
            raise self._tree.error(("services",), "every service is behind a profile that is off", remedy)
        if len(chosen) > MOST_SERVICES:
            raise self._tree.error(("services",), f"{len(chosen)} services are too many; the most is {MOST_SERVICES}")
        names = {name: (name, *aliases(body)) for name, body in known.items()}
        volumes, folder = self._known((), top).get("volumes"), files[0].absolute().parent
        services: dict[str, ServiceSpec] = {}
        wrong: list[StackError] = []
        for index, one in enumerate(chosen):
            body = known.get(one, {})
            tied = {
                "aliases": aliases(body),
                "names": services_named(body, one, names),
                "inside": inside(body, one, names),
                "joined": joined(body, one, names),
                "mounts": mounts(body.get("volumes"), folder, volumes),
            }
            try:
                services[one] = self._service(index, one, raw[one], tied, chosen)
            except StackProblemsError as error:
                wrong += error.problems
        if wrong:
            raise StackProblemsError(wrong)
        name = fields.stack or self._name(top.get("name"), path)
        # All of it has been validated above, each part with its own place in the file.
        return StackDescription.model_construct(
            **dict(fields),
            name=name,
            file=str(path.absolute()),
            files=tuple(str(file.absolute()) for file in files),
            services=services,
        )

    def _fields(self, raw: Any, services: Mapping[str, Any]) -> StackFields:
        """Return the top-level fields. Raises StackError for all that is wrong in them and in those of services."""
        try:
            return self._model(StackFields, (EXTENSION,), raw)
        except StackProblemsError as error:
            # Which profiles are on is not known then: only services without one are sure to count.
            bodies = {name: body for name, body in services.items() if isinstance(body, dict)}
            sure = {
                name: body[EXTENSION] for name, body in bodies.items() if EXTENSION in body and "profiles" not in body
            }
            wrong = [error, *(problem for name, own in sure.items() for problem in self._wrong_in(name, own))]
            raise StackProblemsError(wrong) from error

    def _wrong_in(self, service: str, own: Any) -> tuple[StackError, ...]:
        try:
            self._model(ServiceFields, ("services", service, EXTENSION), own or {})
        except StackProblemsError as error:
            return error.problems
        return ()

    def _name(self, given: Any, path: Path) -> str:
        """Return the name of a stack that has none of its own. Files are named after it."""
        name = self._filled(("name",), given)
        if not name:
            return _NOT_IN_A_NAME.sub("-", path.absolute().parent.name)[:LONGEST_NAME].strip("-._") or "stack"
        if not _STACK_NAME.fullmatch(str(name)):
            remedy = f"use letters, digits, '_', '.' and '-', at most {LONGEST_NAME} of them, or set {EXTENSION}.stack"
            raise self._tree.error(("name",), "this cannot be the name of a stack", remedy)
        return str(name)

    def _service(
        self, index: int, name: str, raw: Any, tied: Mapping[str, tuple[str, ...]], chosen: Sequence[str]
    ) -> ServiceSpec:
        path = ("services", name)
        body = self._mapping(path, raw)
        own = self._model(ServiceFields, (*path, EXTENSION), body.get(EXTENSION) or {})
        whole = {
            **dict(own),
            "name": name,
            "index": index,
            "node": own.node or name,
            "ports": container_ports(
                own, {key: self._filled((*path, key), body.get(key)) for key in ("ports", "expose")}
            ),
            "image": self._filled((*path, "image"), body.get("image")),
            "build": "build" in body,
            "healthcheck": checks_health(body.get("healthcheck")),
            "networks": tuple(body.get("networks") or ("default",)),
            "environment": self._environment((*path, "environment"), body.get("environment")),
            "command": self._command((*path, "command"), body.get("command")),
            "depends_on": self._depends_on((*path, "depends_on"), body.get("depends_on"), chosen),
            "replicas": self._replicas(path, body),
            "restart": self._restart((*path, "restart"), body.get("restart")),
            **tied,
        }
        return self._model(ServiceSpec, path, whole, filled=True)

    def _environment(self, path: Sequence[str], raw: Any) -> dict[str, str]:
        if isinstance(raw, list):
            pairs = [str(item).partition("=") for item in raw]
            raw = {name: value if sign else None for name, sign, value in pairs}
        found = {}
        for name, value in self._mapping(path, raw or {}).items():
            if isinstance(value, dict | list):
                raise self._tree.error((*path, name), "a text or a number is needed here")
            if value is None:  # Compose: taken over from the environment, if it is there
                if name in self._variables:
                    found[name] = self._variables[name]
            else:
                found[name] = text(self._filled((*path, name), value))
        return found

    def _command(self, path: Sequence[str], raw: Any) -> tuple[str, ...] | None:
        filled = self._filled(path, raw)
        if filled is None:
            return None
        if isinstance(filled, list) and not any(isinstance(word, dict | list) for word in filled):
            return tuple(text(word) for word in filled)
        try:
            return tuple(shlex.split(filled))
        except (AttributeError, ValueError) as error:
            raise self._tree.error(path, "a text or a list of words is needed here") from error

    def _depends_on(self, path: Sequence[str], raw: Any, chosen: Sequence[str]) -> dict[str, str]:
        if isinstance(raw, list):
            return {str(name): "service_started" for name in raw}
        found = {}
        for name, body in self._mapping(path, raw or {}).items():
            given = self._mapping((*path, name), body or {})
            if name not in chosen and given.get("required") is False:
                continue
            condition = str(given.get("condition", "service_started"))
            if condition not in _CONDITIONS:
                remedy = did_you_mean(condition, _CONDITIONS)
                raise self._tree.error((*path, name, "condition"), f"unknown condition {condition!r}", remedy)
            found[name] = condition
        return found

    def _restart(self, path: Sequence[str], raw: Any) -> str:
        policy = "no" if raw in (None, False) else str(self._filled(path, raw))
        if not _RESTART.fullmatch(policy):
            remedy = did_you_mean(policy, ("no", "always", "on-failure", "unless-stopped"))
            raise self._tree.error(path, f"unknown restart policy {policy!r}", remedy)
        return policy

    def _replicas(self, path: Sequence[str], body: Mapping[str, Any]) -> int:
        deploy = body.get("deploy")
        given = {"scale": self._filled((*path, "scale"), body.get("scale"))}
        if isinstance(deploy, dict):  # the rest of it is not for us, and may name what has no value here
            given["deploy"] = {"replicas": self._filled((*path, "deploy", "replicas"), deploy.get("replicas"))}
        try:
            return replicas_of(given)
        except ValueError as error:
            place = (*path, "scale") if given["scale"] is not None else (*path, "deploy", "replicas")
            raise self._tree.error(place, str(error)) from None

    def _mapping(self, path: Sequence[str], raw: Any) -> dict[str, Any]:
        if not isinstance(raw, dict):
            raise self._tree.error(path, "a mapping of names is needed here")
        return raw

    def _filled(self, path: Sequence[str | int], raw: Any) -> Any:
        """Return the value with its variables filled in, all the way down."""
        if isinstance(raw, dict):
            return {key: self._filled((*path, key), value) for key, value in raw.items()}
        if isinstance(raw, list):
            return [self._filled((*path, index), value) for index, value in enumerate(raw)]
        if not isinstance(raw, str) or "$" not in raw:
            return raw
        try:
            # Secrets are filled in at the moment of use, and only by us: compose itself knows none in a text.
            return interpolate(raw, self._variables, keep=_SECRET if EXTENSION in path else None)
        except ValueError as error:
            raise all_unset(self._tree, tuple(path), error, self._variables, _SECRET) from error

    def _known(self, path: Sequence[str], body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a part of the file with its variables filled in, but for fields where one has no value."""
        found = dict(body)
        for key, value in body.items():
            with suppress(StackError):
                found[key] = self._filled((*path, str(key)), value)
        return found

    def _model(self, kind: type[Model], path: Sequence[str], raw: Any, *, filled: bool = False) -> Model:
        given = raw if filled else texts(self._filled(path, self._mapping(path, raw)))
        try:
            return kind.model_validate(given, context=self._context)
        except ValidationError as error:
            raise all_problems(error, kind, path, given, self._tree, self._probe_kinds) from error
