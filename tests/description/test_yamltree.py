"""YAML is read with its lines, and what would cost too much is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.description.yamltree import LARGEST_BYTES, parse_tree, read_tree
from harness.model.errors import StackError


def test_values_and_lines() -> None:
    tree = parse_tree("a: 1\nb:\n  - x\n  - {c: off, d: 2013-06-14, e: 0x10, f: ~}\n", "f.yaml")
    assert tree.value == {"a": 1, "b": ["x", {"c": "off", "d": "2013-06-14", "e": 16, "f": None}]}
    assert [tree.line(path) for path in (("a",), ("b",), ("b", 1), ("b", 1, "c"))] == [1, 2, 4, 4]
    assert tree.line(("b", 1, "missing", "deeper")) == 4
    assert str(tree.error(("b", 1), "wrong", "right")) == "f.yaml:4: b.1: wrong — right"


def test_tags_of_plain_values_are_read() -> None:
    text = (
        "a: !!str 3\nb: !!int '3'\nc: !!map {x: !!null ''}\nd: !!seq [! x]\ne: {!!merge <<: {y: 1}}\nf: !reset null\n"
    )
    tree = parse_tree(text, "f")
    assert tree.value == {"a": "3", "b": 3, "c": {"x": None}, "d": ["x"], "e": {"y": 1}, "f": "null"}
    assert tree.tags == {("f",): "!reset"}


def test_anchors_and_merges() -> None:
    tree = parse_tree(
        "base: &base {a: 1, b: 1}\nother: &other {b: 2, c: 2}\nuse:\n  <<: [*base, *other]\n  c: 3\nagain: *base\n", "f"
    )
    assert tree.value["use"] == {"a": 1, "b": 1, "c": 3}
    assert tree.value["again"] == {"a": 1, "b": 1}
    assert tree.line(("use", "c")) == 5


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a: 1\na: 2\n", "f:2: duplicate key 'a'"),
        ("a: [1\nb: 2\n", "not YAML"),
        ("a: 1\n---\nb: 2\n", "not YAML"),
        ("a: *nobody\n", "not YAML: a name after * that nobody has defined"),
        ("a: \x01\n", "not YAML"),
        (
            "a:\n  - !!python/object/apply:os.system [x]\n",
            "f:2: a.0: only plain values are read, and none with the tag '!!python/object/apply:os.system' — leave",
        ),
        ("a: !!python/object:os.system x\n", "f:1: a: only plain values are read"),
        ("a: {!!python/name:os.system x: 1}\n", "f:1: a: only plain values are read"),
        ("a: !important\n", "the tag '!important' — leave the tag out, or put a text that begins with ! in quotes"),
        ("a: !e!important x\n", "put a text that begins with ! in quotes"),
        ("a: !!set {x, y}\n", "none with the tag '!!set'"),
        ("[1, 2]: x\n", "a key must be a scalar"),
        ("a:\n  <<: 3\n", "only mappings can be merged"),
        ("[" * 2000, "nested"),
        ("".join(f"{' ' * n}a:\n" for n in range(60)), "nested more than"),
        ("a: &a [*a]\n", "nested more than"),
        ("a: &a\n  <<: *a\n", "merged into itself"),
    ],
)
def test_what_is_refused(text: str, hint: str) -> None:
    with pytest.raises(StackError) as caught:
        parse_tree(text, "f")
    assert hint in str(caught.value)


def test_aliases_that_expand_without_end_are_refused() -> None:
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    with pytest.raises(StackError, match="expand into more than"):
        parse_tree(bomb, "f")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    with pytest.raises(StackError, match="cannot be read"):
        read_tree(path)
    with pytest.raises(StackError, match="cannot be read"):
        read_tree(tmp_path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StackError, match="not a text file"):
        read_tree(path)
    path.touch()
    os.truncate(path, LARGEST_BYTES + 1)
    with pytest.raises(StackError, match="bytes long"):
        read_tree(path)
