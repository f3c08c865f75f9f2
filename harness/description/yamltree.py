"""YAML read into plain values, with the line of every key, and with bounds on what a file may cost.

Anchors, aliases and merge keys work; a key given twice, a file that is too large, too deep, or that unfolds into too
many values is refused. Interpolation and meaning are not decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.scanner import Scanner

from harness.model.errors import StackError

LARGEST_BYTES = 256 * 1024
DEEPEST = 40
MOST_VALUES = 50_000
_TYPED = {f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "null")}
TAGS = ("!reset", "!override")  # compose's own: whether a value is left out, or put in the place of another one
_MERGE = "tag:yaml.org,2002:merge"

Path_ = tuple[str | int, ...]


@dataclass(slots=True)
class Tree:
    """Plain values, and the line where each was written.

    `files` names the file of each place that was written in another one than `file`, where files were put together.
    """

    file: str
    value: Any = None
    lines: dict[Path_, int] = field(default_factory=dict)
    files: dict[Path_, str] = field(default_factory=dict)
    tags: dict[Path_, str] = field(default_factory=dict)

    def line(self, path: Sequence[str | int]) -> int | None:
        """Return the line of the value at this path, or of the nearest value around it."""
        return self.lines.get(self._known(path))

    def file_of(self, path: Sequence[str | int]) -> str:
        """Return the file in which the value at this path was written, or the nearest value around it."""
        return self.files.get(self._known(path), self.file)

    def error(self, path: Sequence[str | int], message: str, remedy: str | None = None) -> StackError:
        """Return the error that names this place."""
        where = ".".join(str(part) for part in path) or None
        return StackError(message, file=self.file_of(path), line=self.line(path), field=where, remedy=remedy)

    def _known(self, path: Sequence[str | int]) -> Path_:
        at = tuple(path)
        while at and at not in self.lines:
            at = at[:-1]
        return at


def read_tree(path: Path) -> Tree:
    """Read one YAML file. Raises StackError."""
    file = str(path)
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise StackError(f"the file is {size} bytes long; the most is {LARGEST_BYTES}", file=file)
        text = path.read_text("utf-8")
    except OSError as error:
        raise StackError(f"cannot be read: {error.strerror}", file=file) from error
    except UnicodeDecodeError as error:
        raise StackError("this is not a text file in UTF-8", file=file, remedy="is it YAML?") from error
    return parse_tree(text, file)


def parse_tree(text: str, file: str) -> Tree:
    """Read YAML text. Raises StackError."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner = _BoundedScanner
    tree = Tree(file)
    try:
        node = yaml.compose(text)
        if node is not None:
            tree.value = _Reader(tree, yaml).read(node, ())
    except RecursionError:
        raise StackError(f"values are nested more than {DEEPEST} deep", file=file) from None
    except (ValueError, OverflowError) as error:  # escapes of characters that do not exist
        raise StackError(f"this is not YAML: {error}", file=file) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise StackError(f"this is not YAML: {error.problem or error.context}", file=file, line=line) from error
    except YAMLError as error:
        raise StackError(f"this is not YAML: {str(error).splitlines()[0]}", file=file) from error
    return tree


class _BoundedScanner(Scanner):
    """Stops at once at brackets that are too deep; the scanner's cost grows with the square of their depth."""

    def fetch_flow_collection_start(self, TokenClass: Any, to_push: str) -> None:  # noqa: N803
        if self.flow_level > DEEPEST:
            raise RecursionError
        super().fetch_flow_collection_start(TokenClass, to_push)


class _Reader:
    """Walks the nodes of one file, and counts what it unfolds."""

    def __init__(self, tree: Tree, yaml: YAML) -> None:
        self._tree = tree
        self._constructor = yaml.constructor
        self._values = 0
        self._merging: list[Node] = []

    def read(self, node: Node, path: Path_) -> Any:
        self._tree.lines.setdefault(path, node.start_mark.line + 1)
        if str(node.tag) in TAGS:
            self._tree.tags[path] = str(node.tag)
        self._count(node)
        if len(path) > DEEPEST:
            raise self._error(node, f"values are nested more than {DEEPEST} deep")
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, ScalarNode) and str(node.tag) in _TYPED:
            try:
                return self._constructor.construct_object(node)
            except ValueError:
                return node.value
        return node.value

    def _count(self, node: Node) -> None:
        self._values += 1
        if self._values > MOST_VALUES:
            raise self._error(node, f"aliases unfold into more than {MOST_VALUES} values")

    def _mapping(self, node: MappingNode, path: Path_) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                raise self._error(key_node, "a key must be a plain word")
            if str(key_node.tag) == _MERGE:
                for name, value in self._merge(value_node, path).items():
                    merged.setdefault(name, value)
                continue
            key = str(key_node.value)
            if key in own:
                raise self._error(key_node, f"{key!r} is given twice", path)
            self._tree.lines[(*path, key)] = key_node.start_mark.line + 1
            own[key] = self.read(value_node, (*path, key))
        return {**merged, **own}

    def _merge(self, node: Node, path: Path_) -> dict[str, Any]:
        sources = node.value if isinstance(node, SequenceNode) else [node]
        result: dict[str, Any] = {}
        for source in sources:
            if not isinstance(source, MappingNode):
                raise self._error(source, "only mappings can be merged with <<", path)
            self._count(source)
            if any(source is outer for outer in self._merging):
                raise self._error(source, "a mapping is merged into itself", path)
            if len(self._merging) >= DEEPEST:
                raise self._error(source, f"values are nested more than {DEEPEST} deep")
            self._merging.append(source)
            lines = dict(self._tree.lines)
            for name, value in self._mapping(source, path).items():
                result.setdefault(name, value)
            self._tree.lines.update(lines)
            self._merging.pop()
        return result

    def _error(self, node: Node, message: str, path: Path_ = ()) -> StackError:
        where = ".".join(str(part) for part in path) or None
        return StackError(message, file=self._tree.file, line=node.start_mark.line + 1, field=where)
