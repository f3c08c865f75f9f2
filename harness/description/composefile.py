"""Compose files put together into one, as `docker compose -f a -f b` would see them, without any engine.

`include`, `extends`, `env_file`, `.env` and relative paths are followed; remote files are left out with a
note. Values keep their variables, and each has its file and line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.description.composemerge import graft, merge, normalise
from harness.description.composeshape import check_shape
from harness.description.interpolation import interpolate, read_env
from harness.description.unset import all_unset
from harness.description.yamltree import Path_, Tree, read_tree
from harness.model.errors import did_you_mean
from harness.model.givenfile import is_file, resolved

DEEPEST_INCLUDE = 10
_REMOTE = ("http://", "https://", "git@", "ssh://", "oci://", "github.com/")
_BIND = ("./", "../", "~")


@dataclass(slots=True)
class Composed:
    """The merged files: the tree, the files that were read, the variables, and notes on what could not be read."""

    tree: Tree
    folder: Path
    variables: dict[str, str]
    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_compose(
    paths: Sequence[Path], variables: Mapping[str, str] | None = None, parsed: Mapping[Path, Tree] | None = None
) -> Composed:
    """Read compose files, each laid over those before it. Raises StackError.

    `variables` are what `${NAME}` may name; unless given, the environment and the `.env` beside the first file.
    `parsed` are files that the caller has read already; they are changed here.
    """
    folder = paths[0].absolute().parent
    given = dict(os.environ if variables is None else variables)
    if variables is None and is_file(folder / ".env"):
        given = {**read_env(folder / ".env", given), **given}
    composed = Composed(Tree(str(paths[-1])), folder, given)
    _ComposeReader(composed, parsed or {}).project(paths, paths[0].parent, ())
    _fold_env_files(composed)
    return composed


class _ComposeReader:
    """Reads files, and those that they name, into one tree."""

    def __init__(self, composed: Composed, parsed: Mapping[Path, Tree]) -> None:
        self._all = composed
        self._parsed = dict(parsed)

    def project(self, paths: Sequence[Path], folder: Path, trail: tuple[Path, ...]) -> None:
        for path in paths:
            self._file(path, folder, (*trail, resolved(path)))

    def _file(self, path: Path, folder: Path, trail: tuple[Path, ...]) -> None:
        tree = self._read(path)
        if isinstance(tree.value, dict):
            for index, item in enumerate(_as_list(tree.value.pop("include", None))):
                self._include(tree, item, ("include", index), folder, trail)
            self._extended(tree, path, folder)
            self._moved(tree, folder)
        result = self._all.tree
        if result.value is None:
            result.value = graft(result, (), tree, (), tree.value)
        else:
            result.value = merge(result, result.value, tree, tree.value)

    def _read(self, path: Path) -> Tree:
        tree = self._parsed.pop(path, None) or read_tree(path)
        self._all.files.append(path.absolute())
        check_shape(tree)
        normalise(tree)
        return tree

    def _include(self, tree: Tree, item: Any, at: Path_, folder: Path, trail: tuple[Path, ...]) -> None:
        given = item if isinstance(item, dict) else {"path": item}
        names = [self._filled(tree, at, text) for text in _as_list(given.get("path"))]
        if any(name.startswith(_REMOTE) for name in names):
            self._all.notes.append(f"{tree.file_of(at)}: {names[0]} is a remote include and was not read")
            return
        paths = [folder / name for name in names]
        if not paths or len(trail) > DEEPEST_INCLUDE or any(resolved(path) in trail for path in paths):
            raise tree.error(at, "a file includes itself" if paths else "the path of a file is needed here")
        missing = [path for path in paths if not is_file(path)]
        if missing:
            raise tree.error(
                at, f"there is no file {str(missing[0])!r}", "paths are relative to the folder of the first file"
            )
        inside = folder / str(given.get("project_directory") or paths[0].parent)
        own: dict[str, str] = {}
        for name in _as_list(given.get("env_file")) or [inside / ".env"]:
            file = folder / str(name)
            own |= read_env(file, self._all.variables) if is_file(file) else {}
        before, self._all.tree = self._all.tree, Tree(str(paths[0]))
        self.project(paths, inside, trail)
        included, self._all.tree = self._all.tree, before
        if own:
            included.value = filled_in(included, included.value, {**own, **self._all.variables})
        result = self._all.tree
        if result.value is None:
            result.value = graft(result, (), included, (), included.value)
        else:
            result.value = merge(result, result.value, included, included.value)

    def _extended(self, tree: Tree, path: Path, folder: Path) -> None:
        services = tree.value.get("services")
        for name, body in list(services.items()) if isinstance(services, dict) else ():
            if isinstance(body, dict) and "extends" in body:
                services[name] = self._whole(tree, str(name), path, folder, ())

    def _whole(self, tree: Tree, name: str, path: Path, folder: Path, trail: tuple[tuple[str, str], ...]) -> Any:
        """Return a service with what it extends beneath it."""
        at: Path_ = ("services", name)
        services = tree.value.get("services") if isinstance(tree.value, dict) else None
        body = services.get(name) if isinstance(services, dict) else None
        if not isinstance(body, dict) or "extends" not in body:
            return body
        body = dict(body)
        given = body.pop("extends")
        wanted = given if isinstance(given, dict) else {"service": given}
        other_name, file = str(wanted.get("service")), wanted.get("file")
        key = (str(file or path), other_name)
        if key in trail or (file is None and other_name == name):
            raise tree.error((*at, "extends"), f"the service {name!r} extends itself")
        other, other_path, other_folder = tree, path, folder
        if file is not None:
            other_path = folder / self._filled(tree, (*at, "extends", "file"), file)
            if not is_file(other_path):
                raise tree.error((*at, "extends"), f"there is no file {str(other_path)!r}")
            other, other_folder = self._read(other_path), other_path.parent
        known = other.value.get("services") if isinstance(other.value, dict) else None
        if not isinstance(known, dict) or other_name not in known:
            remedy = did_you_mean(other_name, known or ())
            raise tree.error((*at, "extends"), f"there is no service {other_name!r} in {other_path}", remedy)
        if file is not None:
            self._moved(other, other_folder, folder)
        beneath = self._whole(other, other_name, other_path, other_folder, (*trail, key))
        joined = Tree(tree.file)
        base = graft(joined, at, other, ("services", other_name), beneath)
        merged = merge(joined, base, tree, body, at)
        tree.lines.update(joined.lines)
        tree.files.update(joined.files)
        return merged

    def _moved(self, tree: Tree, folder: Path, to: Path | None = None) -> None:
        """Make paths that are relative to another folder than the project's independent of it."""
        if resolved(folder) == resolved(to or self._all.folder):
            return
        services = tree.value.get("services") if isinstance(tree.value, dict) else None
        for body in services.values() if isinstance(services, dict) else ():
            if isinstance(body, dict):
                _move(body, folder)

    def _filled(self, tree: Tree, at: Path_, text: Any) -> str:
        try:
            return interpolate(str(text), self._all.variables)
        except ValueError as error:
            raise tree.error(at, str(error)) from error


def _move(body: dict[str, Any], folder: Path) -> None:
    for key in ("env_file", "volumes"):
        for index, item in enumerate(body[key]) if isinstance(body.get(key), list) else ():
            if isinstance(item, dict):
                inside = "path" if key == "env_file" else "source"
                if inside in item and (key == "env_file" or item.get("type") == "bind"):
                    item[inside] = _relative_to(folder, item[inside])
            elif key == "env_file" or str(item).startswith(_BIND):
                body[key][index] = _relative_to(folder, item)
    build = body.get("build")
    if isinstance(build, str):
        body["build"] = _relative_to(folder, build)
    elif isinstance(build, dict):
        build["context"] = _relative_to(folder, build.get("context", "."))


def _relative_to(folder: Path, path: Any) -> str:
    text = str(path)
    if text.startswith(("/", "~", *_REMOTE)) or "$" in text.split("/", 1)[0]:
        return text
    tail = text.partition(":")
    return os.path.normpath(folder.absolute() / tail[0]) + tail[1] + tail[2]


def _fold_env_files(composed: Composed) -> None:
    """Put what `env_file` names into `environment`, beneath what is written there."""
    tree = composed.tree
    services = tree.value.get("services") if isinstance(tree.value, dict) else None
    for name, body in services.items() if isinstance(services, dict) else ():
        if not isinstance(body, dict) or not body.get("env_file"):
            continue
        found: dict[str, Any] = {}
        from_files: set[str] = set()
        for index, item in enumerate(_as_list(body["env_file"])):
            path = str(item.get("path") if isinstance(item, dict) else item)
            try:
                file = composed.folder / interpolate(path, composed.variables)
            except ValueError as error:
                raise tree.error(("services", name, "env_file", index), str(error)) from error
            if not is_file(file):
                # Compose refuses to start without it; what can be known of the stack is known all the same.
                if not (isinstance(item, dict) and item.get("required") is False):
                    composed.notes.append(f"{name}: the env_file {path} does not exist")
                continue
            lines: dict[str, int] = {}
            read = read_env(file, composed.variables, lines)
            found |= {key: value.replace("$", "$$") for key, value in read.items()}
            for key in read:
                if ("services", name, "environment", key) not in tree.lines or key in from_files:
                    tree.lines["services", name, "environment", key] = lines[key]
                    tree.files["services", name, "environment", key] = str(file)
                    from_files.add(key)
        own = body.get("environment")
        if own is None or isinstance(own, dict):
            body["environment"] = {**found, **(own or {})}


def filled_in(tree: Tree, value: Any, variables: Mapping[str, str], at: Path_ = ()) -> Any:
    """Fill in variables for good; what remains holds none. Our own fields are no business of compose's."""
    if at[-1:] == ("x-harness",):
        return value
    if isinstance(value, dict):
        return {key: filled_in(tree, inside, variables, (*at, key)) for key, inside in value.items()}
    if isinstance(value, list):
        return [filled_in(tree, inside, variables, (*at, k)) for k, inside in enumerate(value)]
    if not isinstance(value, str) or "$" not in value:
        return value
    try:
        return interpolate(value, variables).replace("$", "$$")
    except ValueError as error:
        raise all_unset(tree, at, error, variables) from error


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
