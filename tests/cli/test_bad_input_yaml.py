"""Every shape that YAML can have, in scenarios, stack descriptions and compose files: valid, or exit 2 with a place.

Nothing is started, nothing is run, and no file is written by any of it.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from calling import Called, Harness, Runner

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "zero": 0,
    "negative": -1,
    "huge": 10**400,
    "float": 1.5,
    "inf": float("inf"),
    "nan": float("nan"),
    "empty text": "",
    "text": "text",
    "slashes": "../../up",
    "long text": "x" * 300,
    "nul": "a\0b",
    "escape": "\x1b[31m",
    "variable": "${",
    "unknown variable": "${nobody}",
    "duration": "-1s",
    "date": dt.date(2013, 6, 14),
    "time": "2013-06-14T06:00",
    "list": [],
    "list of null": [None],
    "list of lists": [[1]],
    "mapping": {},
    "mapping of mappings": {"a": {"b": {}}},
    "odd names": {1: 2, None: 3, "": 4},
}
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{below}'] * 9)}]\n" for below, name in zip("abcdefgh", "bcdefghi", strict=True)
)
TEXTS: dict[str, str] = {
    "empty": "",
    "a comment": "# nothing\n",
    "two documents": "a: 1\n---\nb: 2\n",
    "a tab": "a:\n\tb: 1\n",
    "a tab after spaces": "a:\n  b: 1\n\tc: 1\n",
    "nul": "a: 1\0\n",
    "only a mark": "\ufeff",
    "recursive anchor": "a: &a [*a]\n",
    "recursive mapping": "a: &a {b: *a}\n",
    "merged into itself": "a: &a {<<: *a}\n",
    "billion laughs": LAUGHS,
    "python object": "a: !!python/object/apply:os.system ['touch executed']\n",
    "python name": "a: !!python/name:os.system\n",
    "duplicate key": "a: 1\na: 2\n",
    "complex key": "? [a, b]\n: 1\n",
    "open bracket": "a: [1, 2\n",
    "only a list": "- a\n- b\n",
    "only a text": "text\n",
    "only a number": "12\n",
    "undefined alias": "a: *nobody\n",
    "deep": "a: " + "[" * 500 + "]" * 500 + "\n",
    "deep mapping": "".join("  " * depth + "a:\n" for depth in range(200)),
    "many keys": "".join(f"k{number}: 1\n" for number in range(20_000)),
    "long key": "k" * 5000 + ": 1\n",
    "directive": "%YAML 9.9\n---\na: 1\n",
    "unknown tag": "a: !unknown 1\n",
    "binary": "a: !!binary aGVsbG8=\n",
    "set": "a: !!set {b, c}\n",
}


def places(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a tree, the whole included."""
    yield at
    if isinstance(value, dict):
        for name, inside in value.items():
            yield from places(inside, (*at, name))
    elif isinstance(value, list):
        for index, inside in enumerate(value):
            yield from places(inside, (*at, index))


def replaced(value: Any, at: tuple[str | int, ...], new: Any) -> Any:
    if not at:
        return new
    head, *rest = at
    changed = list(value) if isinstance(value, list) else dict(value)
    changed[head] = replaced(value[head], tuple(rest), new)
    return changed


def check(result: Called, file: str, what: object) -> None:
    assert result.code in (0, 2), (what, result.err)
    assert "the harness itself failed" not in result.err, (what, result.err)
    if result.code == 2:
        assert file in result.err, (what, result.err)
        assert len(result.err) < 20_000, what


@pytest.mark.parametrize("value", VALUES)
def test_a_value_of_every_kind_at_every_place_of_a_scenario(
    good: Path, harness_: Harness, runner: Runner, value: str
) -> None:
    file = good / "scenarios" / "good.scenario.yaml"
    whole = yaml.safe_load(file.read_text("utf-8"))
    for at in places(whole):
        file.write_text(yaml.safe_dump(replaced(whole, at, VALUES[value])), "utf-8")
        check(harness_("run", "--dry-run"), "good.scenario.yaml", at)
    assert sorted(entry.name for entry in good.iterdir()) == ["scenarios", "stack.compose.yaml"]


@pytest.mark.parametrize("value", VALUES)
def test_a_value_of_every_kind_at_every_place_of_a_stack(good: Path, harness_: Harness, value: str) -> None:
    file = good / "stack.compose.yaml"
    whole = yaml.safe_load(file.read_text("utf-8"))
    for at in places(whole):
        file.write_text(yaml.safe_dump(replaced(whole, at, VALUES[value])), "utf-8")
        result = harness_("check")
        check(result, ".yaml", at)
    assert sorted(entry.name for entry in good.iterdir()) == ["scenarios", "stack.compose.yaml"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("where", ["scenario", "stack", "compose"])
def test_a_file_of_another_kind(good: Path, harness_: Harness, runner: Runner, where: str, text: str) -> None:
    (good / "project").mkdir()
    files = {
        "scenario": "scenarios/good.scenario.yaml",
        "stack": "stack.compose.yaml",
        "compose": "project/compose.yaml",
    }
    (good / files[where]).write_bytes(TEXTS[text].encode())
    result = harness_("init", "project", "--no-engine") if where == "compose" else harness_("run")
    assert result.code == 2, result.err
    assert Path(files[where]).name in result.err
    assert len(result.err.splitlines()) <= 26
    assert len(result.err) < 10_000
    assert runner.requests == []
    assert sorted(entry.name for entry in good.iterdir()) == ["project", "scenarios", "stack.compose.yaml"]


@pytest.mark.parametrize(
    "name", ["index.html", "INDEX.HTML", "junit.xml", "suite.json", "summary.md", "worker-1.log", "undo"]
)
def test_a_scenario_with_the_name_of_a_file_of_the_report(
    good: Path, harness_: Harness, runner: Runner, name: str
) -> None:
    file = good / "scenarios" / "good.scenario.yaml"
    file.write_text(file.read_text("utf-8").replace("scenario: slow-store", f"scenario: {name}"), "utf-8")
    for command in ("check", "run"):
        result = harness_(command)
        assert result.code == 2
        assert "scenarios/good.scenario.yaml:2: scenario: " in result.err
        assert "give the scenario another name" in result.err
    assert runner.requests == []


@pytest.mark.parametrize("name", ["../../up", "a/b", "..", "x" * 300, "a b", "\x1b"])
def test_a_stack_whose_name_cannot_be_the_name_of_a_file(good: Path, harness_: Harness, name: str) -> None:
    """The file of its workload is named after it."""
    file = good / "stack.compose.yaml"
    text = (
        file.read_text("utf-8").replace("  stack: small\n", "").replace("name: small", f"name: {json.dumps(name)}", 1)
    )
    file.write_text(text, "utf-8")
    result = harness_("check")
    assert result.code == 2
    assert "stack.compose.yaml:2: name: " in result.err


def test_a_mark_at_the_start_and_merge_keys_and_anchors_used_twice_are_fine(good: Path, harness_: Harness) -> None:
    file = good / "scenarios" / "good.scenario.yaml"
    text = file.read_text("utf-8").replace("vars: {", "vars: &v {").replace("matrix:", "matrix: &v")
    file.write_text("\ufeff" + text, "utf-8")
    result = harness_("check")
    assert (result.code, result.err) == (0, "")
