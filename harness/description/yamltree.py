"""YAML read into plain values, with the line of every key, and with limits on what a file may cost.

Anchors, aliases and merge keys work. A duplicate key, a file that is too large or nested too deep, and aliases that
expand into too many values are refused. libyaml parses; plain scalars are typed by the core schema of YAML 1.2, so that
`on` and `12:30` are text. Variables and meaning are resolved elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from yaml.error import MarkedYAMLError, YAMLError

from harness.description.nearby import similar
from harness.model.errors import StackError
from harness.model.givenfile import is_there, read_text
from harness.model.wording import written

LARGEST_BYTES = 256 * 1024
DEEPEST = 40
MOST_VALUES = 50_000
TAGS = ("!reset", "!override")  # compose's own: drop the value of the file below, or replace it whole

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # some distributions build PyYAML without libyaml
_CORE = "tag:yaml.org,2002:"
_PLAIN = (
    None,
    "!",
    *TAGS,
    *(f"{_CORE}{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq", "merge")),
)
"""The tags that say no more than what plain values are. Any other asks for an object, which is made of nothing here."""
_INT = re.compile(r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9_]+)")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+|\.[0-9_]+(?:[eE][-+][0-9]+)?)"
)
_BASES = {"0b": 2, "0o": 8, "0x": 16}
_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("~", "null", "Null", "NULL", ""), None),
    **{f"{sign}.{word}": float(f"{sign}inf") for sign in ("", "+", "-") for word in ("inf", "Inf", "INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_IN_WORDS = {
    "mapping values are not allowed": (
        "a field begins where none can begin",
        "check the indentation; a text that contains ': ' needs quotes",
    ),
    "did not find expected": (
        "what stands here does not go on with what is before it",
        "check the indentation, and that every bracket and quote is closed",
    ),
    "found a tab character": ("the line is indented with a tab", "indent with spaces, not with tabs"),
    "could not find expected ':'": (
        "a field has no ':'",
        "check that no ':' is missing, and that every bracket and quote is closed",
    ),
    "block sequence entries are not allowed": (
        "a list begins where none can begin",
        "check the indentation; a list begins on a line of its own",
    ),
    "found unknown escape character": (
        "in double quotes, this character cannot follow a backslash",
        "use single quotes, in which a backslash is a plain character",
    ),
    "found undefined tag handle": (
        "a tag that nobody has defined",
        "leave the tag out, or put a text that begins with ! in quotes",
    ),
    "found undefined alias": (
        "a name after * that nobody has defined",
        "define it with & earlier in this file, or put a text that begins with * in quotes",
    ),
}
"""The commonest problems that libyaml reports, by how their text begins: what is wrong, and what to do about it."""

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
    remedy = None if is_there(path) else similar(path)
    return parse_tree(read_text(path, LARGEST_BYTES, StackError, remedy), str(path))


def parse_tree(text: str, file: str) -> Tree:
    """Read YAML text. Raises StackError."""
    tree = Tree(file)
    try:
        node = _Composer(text).document()
        if node is not None:
            tree.value = _Reader(tree).read(node, ())
    except (ValueError, OverflowError) as error:  # characters that do not exist
        raise StackError(f"this is not YAML: {error}", file=file) from error
    except MarkedYAMLError as error:
        raise _not_yaml(error, text, file) from error
    except YAMLError as error:
        raise StackError(f"this is not YAML: {str(error).splitlines()[0]}", file=file) from error
    except _TooDeepError as error:
        raise StackError(str(error), file=file, line=error.line) from None
    return tree


def _not_yaml(error: MarkedYAMLError, text: str, file: str) -> StackError:
    mark = error.problem_mark or error.context_mark
    problem = str(error.problem or error.context)
    known = next((words for start, words in _IN_WORDS.items() if problem.startswith(start)), None)
    problem, remedy = known if known is not None else (problem, None)
    if problem == "exceeded maximum nesting depth":
        problem = f"values are nested more than {DEEPEST} deep"
    if mark is not None and problem == "found character that cannot start any token":
        line = [*text.split("\n"), ""][mark.line]
        character = line[mark.column : mark.column + 1]
        problem = f"no value can begin with {character!r}"
        remedy = "indent with spaces, not with tabs" if character == "\t" else "put the text in quotes"
    return StackError(f"this is not YAML: {problem}", file=file, line=mark.line + 1 if mark else None, remedy=remedy)


class _TooDeepError(Exception):
    """Values are nested too deep."""

    def __init__(self, line: int) -> None:
        super().__init__(f"values are nested more than {DEEPEST} deep")
        self.line = line


@dataclass(slots=True, eq=False)
class _Scalar:
    line: int
    tag: str | None
    value: str
    plain: bool
    """Whether it is written without quotes, so that its spelling decides its type."""


@dataclass(slots=True, eq=False)
class _Sequence:
    line: int
    tag: str | None
    items: list[_Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Mapping:
    line: int
    tag: str | None
    pairs: list[tuple[_Node, _Node]] = field(default_factory=list)


_Node = _Scalar | _Sequence | _Mapping
_Kind = TypeVar("_Kind", _Scalar, _Sequence, _Mapping)


class _Composer:
    """Builds the nodes of one document from the parser's events, and stops at once where they are nested too deep."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
        self._anchors: dict[str, _Node] = {}

    def document(self) -> _Node | None:
        root: _Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise _problem("the file holds more than one document", event.start_mark)
                root = self._node(next(self._events), 0)
        return root

    def _node(self, event: Any, depth: int) -> _Node:
        line = event.start_mark.line + 1
        if depth > DEEPEST:
            raise _TooDeepError(line)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _problem(f"found undefined alias {event.anchor!r}", event.start_mark)
            return self._anchors[event.anchor]
        if isinstance(event, yaml.ScalarEvent):
            return self._named(event, _Scalar(line, event.tag, event.value, event.implicit[0] and event.tag is None))
        if isinstance(event, yaml.SequenceStartEvent):
            sequence = self._named(event, _Sequence(line, event.tag))
            while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
                sequence.items.append(self._node(inner, depth + 1))
            return sequence
        mapping = self._named(event, _Mapping(line, event.tag))
        while not isinstance(inner := next(self._events), yaml.MappingEndEvent):
            key = self._node(inner, depth + 1)
            mapping.pairs.append((key, self._node(next(self._events), depth + 1)))
        return mapping

    def _named(self, event: Any, node: _Kind) -> _Kind:
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node


def _problem(text: str, mark: Any) -> MarkedYAMLError:
    return MarkedYAMLError(problem=text, problem_mark=mark)


class _Reader:
    """Turns the nodes of one file into values, and counts what aliases expand into."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._values = 0
        self._merging: list[_Node] = []

    def read(self, node: _Node, path: Path_) -> Any:
        self._tree.lines.setdefault(path, node.line)
        self._refuse_tag(node, path)
        if node.tag in TAGS:
            self._tree.tags[path] = node.tag
        self._count(node)
        if len(path) > DEEPEST:
            raise self._error(node, f"values are nested more than {DEEPEST} deep")
        if isinstance(node, _Mapping):
            return self._mapping(node, path)
        if isinstance(node, _Sequence):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.items)]
        self._refuse_nul(node, path)
        return _typed(node)

    def _refuse_tag(self, node: _Node, path: Path_) -> None:
        if node.tag not in _PLAIN:
            tag = written(str(node.tag).replace(_CORE, "!!"))
            remedy = "leave the tag out, or put a text that begins with ! in quotes"
            raise self._error(node, f"only plain values are read, and none with the tag {tag}", path, remedy)

    def _refuse_nul(self, node: _Scalar, path: Path_) -> None:
        # No path, argument or variable of a program can hold it, whatever it was meant to be.
        if "\0" in node.value:
            raise self._error(node, "the text contains U+0000", path)

    def _count(self, node: _Node) -> None:
        self._values += 1
        if self._values > MOST_VALUES:
            raise self._error(node, f"aliases expand into more than {MOST_VALUES} values")

    def _mapping(self, node: _Mapping, path: Path_) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.pairs:
            if not isinstance(key_node, _Scalar):
                raise self._error(key_node, "a key must be a scalar")
            if key_node.value == "<<" and (key_node.plain or key_node.tag == f"{_CORE}merge"):
                for name, value in self._merge(value_node, path).items():
                    merged.setdefault(name, value)
                continue
            key = key_node.value
            self._refuse_tag(key_node, path)
            self._refuse_nul(key_node, path)
            if key in own:
                raise self._error(key_node, f"duplicate key {key!r}", path)
            self._tree.lines[(*path, key)] = key_node.line
            own[key] = self.read(value_node, (*path, key))
        return {**merged, **own}

    def _merge(self, node: _Node, path: Path_) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for source in node.items if isinstance(node, _Sequence) else [node]:
            if not isinstance(source, _Mapping):
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

    def _error(self, node: _Node, message: str, path: Path_ = (), remedy: str | None = None) -> StackError:
        where = ".".join(str(part) for part in path) or None
        return StackError(message, file=self._tree.file, line=node.line, field=where, remedy=remedy)


def _typed(node: _Scalar) -> Any:
    """Return a scalar as the core schema of YAML 1.2 types it; what is not of the type that its tag says stays text."""
    text = node.value
    tag = (node.tag or "").removeprefix(_CORE) if not node.plain else ""
    if tag not in ("", "int", "float", "bool", "null") or (not tag and not node.plain):
        return text
    if text in _WORDS:
        return _WORDS[text]
    if tag == "null":
        return None
    try:
        if _INT.fullmatch(text):
            return _integer(text.replace("_", ""))
        if _FLOAT.fullmatch(text):
            return float(text.replace("_", ""))
    except ValueError:  # nothing but underscores
        pass
    return text


def _integer(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    base = _BASES.get(digits[:2])
    return sign * (int(digits[2:], base) if base else int(digits))
