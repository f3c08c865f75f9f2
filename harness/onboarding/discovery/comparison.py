"""Compares a file of init that somebody edited with what init would write now: what is new, different, or gone.

Nothing is merged. The result says which lines to paste after which line of the edited file. Only values are compared,
by their place; a comment counts as far as it is about a value that is new. What is shown has no secret in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from harness.description.yamltree import parse_tree
from harness.onboarding.secret_forms import HIDDEN, hidden, hidden_value

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # as `parse_tree` reads it: the two differ about tabs
_CANDIDATE = re.compile(r"\s*#\s+- \{id: [^,]+, alert: ([^,}]+)")
"""A clause of detection that init offers in a comment."""


@dataclass(frozen=True)
class Addition:
    """Lines that the edited file lacks, the field that they belong to, and the line after which they go."""

    field: str
    after_line: int
    lines: tuple[str, ...]
    replaces: bool = False
    """Whether they take the place of an empty value in that line."""


@dataclass(frozen=True)
class Difference:
    """A value that is not what init would write."""

    field: str
    line: int
    value: str
    found: str


@dataclass(frozen=True)
class Gone:
    """Lines of the edited file about what the project no longer has."""

    what: str
    first_line: int
    last_line: int


@dataclass(frozen=True)
class Comparison:
    """What an edited file lacks, has otherwise, and has in vain."""

    additions: tuple[Addition, ...]
    """From the bottom of the file to its top."""
    differences: tuple[Difference, ...]
    gone: tuple[Gone, ...]


def compare(edited: str, written: str, file: str, services: Collection[str]) -> Comparison:
    """Compare a file with what init would write; `services` are all of the project. Raises StackError for bad YAML."""
    parse_tree(edited, file)  # with its limits, before anything else reads it
    old, new = yaml.compose(edited, _LOADER), yaml.compose(written, _LOADER)
    comparing = _Comparing(edited.splitlines(), _without_secrets(written.splitlines(), new))
    if isinstance(old, MappingNode) and isinstance(new, MappingNode):
        comparing.mapping(old, new, "")
        comparing.alert_candidates()
        comparing.gone += _gone(old, new, services)
    return Comparison(_in_order_of_pasting(comparing.additions), tuple(comparing.differences), tuple(comparing.gone))


def _in_order_of_pasting(additions: Sequence[Addition]) -> tuple[Addition, ...]:
    """Sort additions so that each leaves the places of the next as they are: from the last line to the first.

    After the same line, what is indented deepest comes last, so that it stands directly after that line.
    """
    backwards = reversed(additions)
    return tuple(sorted(backwards, key=lambda one: (-one.after_line, len(one.lines[0]) - len(one.lines[0].lstrip()))))


class _Comparing:
    def __init__(self, old_lines: list[str], new_lines: list[str]) -> None:
        self.old_lines = old_lines
        self.new_lines = new_lines
        self.additions: list[Addition] = []
        self.differences: list[Difference] = []
        self.gone: list[Gone] = []

    def mapping(self, old: MappingNode, new: MappingNode, field: str) -> None:
        """Compare two mappings, key by key."""
        theirs = {key.value: value for key, value in old.value}
        for key, value in new.value:
            inside = f"{field}.{key.value}" if field else str(key.value)
            if key.value not in theirs:
                self._add(old, key, value, field or "this file")
            else:
                self._value(theirs[key.value], value, inside)

    def _value(self, old: Node, new: Node, field: str) -> None:
        if _plain(old) == _plain(new):
            return
        if not _is_block(new) and not _plain(new):
            return  # init found nothing, and somebody else did
        if isinstance(old, MappingNode) and isinstance(new, MappingNode) and _is_block(new) and _can_take(old):
            self.mapping(old, new, field)
        elif isinstance(old, SequenceNode) and isinstance(new, SequenceNode) and _is_block(new) and _can_take(old):
            known = [_identity(item) for item in old.value]
            for item in new.value:
                if _identity(item) not in known:
                    self._add(old, item, item, field)
        else:
            name = field.rpartition(".")[2]
            values = (_shown(old, name) or "nothing", _shown(new, name))
            self.differences.append(Difference(field, old.start_mark.line + 1, *values))

    def _add(self, old: Node, first: Node, last: Node, field: str) -> None:
        column = first.start_mark.column
        start, end = first.start_mark.line, _last_line(last)
        if first is last:  # an item of a list, whose dash is before it
            column = len(self.new_lines[start]) - len(self.new_lines[start].lstrip())
        while start > 0 and self.new_lines[start - 1].startswith(" " * column + "#") and column:
            start -= 1
        while end + 1 < len(self.new_lines) and self.new_lines[end + 1].startswith(" " * (column + 1)):
            end += 1
        lines = self.new_lines[start : end + 1]
        empty = not old.value and isinstance(old, MappingNode | SequenceNode)
        if not empty:
            lines = _moved(lines, _column(old, self.old_lines) - column)
        self.additions.append(Addition(field, _last_line(old) + 1, tuple(lines), replaces=empty))

    def alert_candidates(self) -> None:
        """Compare the alerts that comments of a scenario offer."""
        text = "\n".join(self.old_lines)
        lines = [line for line in self.new_lines if (found := _CANDIDATE.match(line)) and not _has(found[1], text)]
        place = next((n for n, line in enumerate(self.old_lines, 1) if re.match(r"\s*#?\s*detected:", line)), None)
        place = place or next((n for n, line in enumerate(self.old_lines, 1) if line.startswith("expect:")), None)
        if lines and place is not None:
            self.additions.append(Addition("expect.detected", place, tuple(lines)))


def _gone(old: MappingNode, new: MappingNode, services: Collection[str]) -> Iterator[Gone]:
    """Find services, links, probes and alerts of a stack's file that the project no longer has."""
    named = _entries(old, "services")
    missing = {name for name in named if name not in services}
    for name in missing:
        yield _lines_of(f"the service {name!r}", *named[name])
    for item in _items(old, "x-harness", "links"):
        ends = [end.strip() for end in str(item.value).split("->")]
        if any(end not in services for end in ends):
            yield _lines_of(f"the link {item.value!r}", item, item)
    for name, (key, value) in _entries(old, "x-harness", "probes").items():
        if any(service in missing or service not in services for service in _services_in(_plain(value), missing)):
            yield _lines_of(f"what the probe {name!r} asks", key, value)
    rules = _entries(new, "x-harness", "alerts")
    for name, (key, value) in _entries(old, "x-harness", "alerts").items():
        if name not in rules and isinstance(value, MappingNode) and "rule" in _plain(value):
            yield _lines_of(f"the rule of the alert {name!r}", key, value)


def _services_in(value: Any, missing: Collection[str]) -> Iterator[str]:
    """Find the services that a probe names: in a field of that name, and the missing ones also as hosts of URLs."""
    if not isinstance(value, Mapping):
        return
    for key, inside in value.items():
        if key == "service" and isinstance(inside, str):
            yield inside
        elif isinstance(inside, Mapping):
            yield from _services_in(inside, missing)
        elif isinstance(inside, str) and "://" in inside:
            yield from [name for name in missing if _host(inside) == name.lower()]


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _entries(node: Node, *path: str) -> dict[str, tuple[Node, Node]]:
    at = _at(node, path)
    return {key.value: (key, value) for key, value in at.value} if isinstance(at, MappingNode) else {}


def _items(node: Node, *path: str) -> list[Node]:
    at = _at(node, path)
    return [item for item in at.value if isinstance(item, ScalarNode)] if isinstance(at, SequenceNode) else []


def _at(node: Node, path: Collection[str]) -> Node | None:
    at: Node | None = node
    for part in path:
        if not isinstance(at, MappingNode):
            return None
        at = next((value for key, value in at.value if key.value == part), None)
    return at


def _lines_of(what: str, first: Node, last: Node) -> Gone:
    return Gone(what, first.start_mark.line + 1, _last_line(last) + 1)


def _has(word: str, text: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w.-])", text) is not None


def _identity(node: Node) -> Any:
    """Return what makes an item of a list the same one: its id, or its whole value."""
    value = _plain(node)
    return value.get("id", value) if isinstance(value, dict) else value


def _plain(node: Node) -> Any:
    if isinstance(node, MappingNode):
        return {str(_plain(key)): _plain(value) for key, value in node.value}
    if isinstance(node, SequenceNode):
        return [_plain(item) for item in node.value]
    return node.value


def _is_block(node: Node) -> bool:
    return isinstance(node, MappingNode | SequenceNode) and not node.flow_style


def _can_take(node: Node) -> bool:
    """Whether lines can be pasted into it: it is written as lines, or empty."""
    return _is_block(node) or not node.value


def _last_line(node: Node) -> int:
    """Return the index of the last line of a value, without the comments after it."""
    if _is_block(node) and node.value:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    end: int = node.end_mark.line - (
        1 if node.end_mark.column == 0 and node.end_mark.line > node.start_mark.line else 0
    )
    return end


def _column(node: Node, lines: list[str]) -> int:
    """Return the column at which the entries of a block begin, those of a list with their dash."""
    line = lines[node.start_mark.line]
    return len(line) - len(line.lstrip()) if isinstance(node, SequenceNode) else node.start_mark.column


def _moved(lines: list[str], columns: int) -> list[str]:
    if columns >= 0:
        return [" " * columns + line if line else line for line in lines]
    return [line[-columns:] if line[:-columns].isspace() else line for line in lines]


def _shown(node: Node, name: str) -> str:
    """Return the value of a field as one line of YAML, its scalars in quotes where they were, without secrets."""
    if isinstance(node, MappingNode):
        return "{" + ", ".join(f"{key.value}: {_shown(value, str(key.value))}" for key, value in node.value) + "}"
    if isinstance(node, SequenceNode):
        return "[" + ", ".join(_shown(item, name) for item in node.value) + "]"
    text, in_quotes = hidden_value(name, str(node.value)), isinstance(node, ScalarNode) and node.style
    return json.dumps(text, ensure_ascii=False) if in_quotes and text != HIDDEN else text


def _without_secrets(lines: list[str], whole: Node | None) -> list[str]:
    """Return the lines of a file as they are shown: as many as before, and what stands before a secret in its place."""
    scalars = [] if whole is None else list(_scalars(whole, ""))
    values_end = {node.end_mark.line: node.end_mark.column for _, node in scalars}
    found = []
    for number, line in enumerate(lines):
        before, mark, comment = line[values_end.get(number, 0) :].partition("#")
        found.append(line if not mark else line[: values_end.get(number, 0)] + before + mark + hidden(comment))
    for name, node in reversed(scalars):  # from the last one, so that places stay what they are
        text = hidden_value(name, str(node.value))
        if text == node.value:
            continue
        first, last = node.start_mark, node.end_mark
        behind = lines[last.line][last.column :] if last.line < len(lines) and last.line == first.line else ""
        behind = found[last.line][len(found[last.line]) - len(behind) :] if behind else ""
        shown = json.dumps(text, ensure_ascii=False)
        found[first.line] = found[first.line][: first.column] + shown + behind
        for number in range(first.line + 1, min(last.line + (last.column > 0), len(lines))):
            found[number] = " " * (len(lines[number]) - len(lines[number].lstrip())) + f"# {HIDDEN}"
    return found


def _scalars(node: Node, name: str) -> Iterator[tuple[str, ScalarNode]]:
    """Yield the scalars below a node with the names of their fields, in the order of the file."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield from _scalars(key, "")
            yield from _scalars(value, str(key.value))
    elif isinstance(node, SequenceNode):
        for item in node.value:
            yield from _scalars(item, name)
    elif isinstance(node, ScalarNode):
        yield name, node
