"""Every path that a user gives, wrong in every way that a path can be: exit 2, one message, nothing written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import Harness, Runner

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

LONG = "x" * 300


def _fifo(folder: Path) -> str:
    os.mkfifo(folder / "fifo.yaml")
    return "fifo.yaml"


def _loop(folder: Path) -> str:
    (folder / "loop.yaml").symlink_to("loop.yaml")
    return "loop.yaml"


def _broken(folder: Path) -> str:
    (folder / "broken.yaml").symlink_to("nowhere.yaml")
    return "broken.yaml"


def _folder(folder: Path) -> str:
    (folder / "folder.yaml").mkdir()
    return "folder.yaml"


def _unreadable_text(folder: Path) -> str:
    (folder / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    return "binary.yaml"


def _name_in_latin_1(folder: Path) -> str:
    name = os.fsdecode(b"\xe9.scenario.yaml")
    (folder / name).write_text("- 1", "utf-8")
    return name


PATHS: dict[str, Callable[[Path], str]] = {
    "missing": lambda _: "nowhere/a.yaml",
    "fifo": _fifo,
    "zero": lambda _: "/dev/zero",
    "long name": lambda _: f"{LONG}.yaml",
    "long path": lambda _: "a/" * 2500 + "b.yaml",
    "nul": lambda _: "a\0b.yaml",
    "latin 1": _name_in_latin_1,
    "latin 1, missing": lambda _: os.fsdecode(b"\xe8.yaml"),
    "loop": _loop,
    "in a loop": lambda folder: f"{_loop(folder)}/a.yaml",
    "broken": _broken,
    "folder": _folder,
    "below a file": lambda _: "stack.compose.yaml/a.yaml",
    "binary": _unreadable_text,
    "dots": lambda _: "../../../../../../../../nowhere/a.yaml",
}
COMMANDS: dict[str, list[str]] = {
    "check": ["check", "PATH"],
    "check --stack": ["check", "--stack", "PATH"],
    "run": ["run", "PATH"],
    "run --stack": ["run", "--stack", "PATH"],
    "list scenarios": ["list", "scenarios", "PATH"],
    "list probes": ["list", "probes", "--stack", "PATH"],
    "coverage": ["coverage", "PATH"],
    "coverage scenarios": ["coverage", "stack.compose.yaml", "PATH"],
    "init": ["init", "PATH", "--no-engine"],
    "init -f": ["init", "-f", "PATH", "--no-engine"],
    "doctor": ["doctor", "PATH"],
    "doctor scenarios": ["doctor", "stack.compose.yaml", "PATH", "--start"],
    "up": ["up", "PATH"],
    "images": ["images", "PATH"],
    "images --load": ["images", "--load", "PATH"],
    "judge": ["judge", "PATH"],
    "report": ["report", "PATH"],
    "margins": ["margins", "PATH"],
    "heal": ["heal", "PATH"],
}


def files_below(folder: Path) -> set[str]:
    return {str(Path(root) / name) for root, folders, names in os.walk(folder) for name in (*folders, *names)}


CASES = [
    (command, path)
    for command in COMMANDS
    for path in PATHS
    if (command, path) != ("doctor scenarios", "binary")  # a file that is no scenario is one of its findings
]


@pytest.mark.parametrize(("command", "path"), CASES, ids=[": ".join(case) for case in CASES])
def test_a_path_that_cannot_be_read(good: Path, harness_: Harness, runner: Runner, command: str, path: str) -> None:
    given = PATHS[path](good)
    before = files_below(good)
    result = harness_(*(given if word == "PATH" else word for word in COMMANDS[command]))
    assert result.code == 2, result.err
    assert "the harness itself failed" not in result.err
    assert 1 <= len(result.err.splitlines()) <= 4
    assert len(result.err) < 7000
    assert runner.requests == []
    assert files_below(good) == before


WRITING = {
    "run --reports": ["run", "scenarios", "--reports", "PATH"],
    "run --name": ["run", "scenarios", "--name", "PATH"],
    "init --out": ["init", "project", "--no-engine", "--out", "PATH"],
}
NOWHERE: dict[str, Callable[[Path], str]] = {
    "long name": PATHS["long name"],
    "long path": PATHS["long path"],
    "nul": PATHS["nul"],
    "latin 1": PATHS["latin 1, missing"],
    "loop": PATHS["loop"],
    "broken": PATHS["broken"],
    "fifo": PATHS["fifo"],
    "a file": lambda _: "stack.compose.yaml",
    "below a file": PATHS["below a file"],
    "zero": PATHS["zero"],
}


@pytest.mark.parametrize("path", NOWHERE)
@pytest.mark.parametrize("command", WRITING)
def test_a_place_where_nothing_can_be_written(
    good: Path, harness_: Harness, runner: Runner, command: str, path: str
) -> None:
    (good / "project").mkdir()
    (good / "project" / "compose.yaml").write_text("services: {web: {image: nginx, ports: ['80:80']}}\n", "utf-8")
    if command == "run --name":
        (good / "reports").mkdir()
    given = NOWHERE[path](good / "reports" if command == "run --name" else good)
    if command == "run --name" and path == "a file":
        (good / "reports" / given).write_text("mine", "utf-8")
    before = files_below(good)
    result = harness_(*(given if word == "PATH" else word for word in WRITING[command]))
    assert result.code == 2, result.err
    assert "the harness itself failed" not in result.err
    assert runner.requests == []
    assert files_below(good) == before


SERVICE = "  web: {x-harness: {port: 80, local: {command: [x]}}"
INSIDE: dict[str, tuple[str, str, str]] = {
    "stack": ("scenarios/good.scenario.yaml", "stack: ../stack.compose.yaml", "stack: PATH"),
    "base": ("stack.compose.yaml", "  schema: 1\n", "  schema: 1\n  base: [PATH]\n"),
    "include": ("stack.compose.yaml", "name: small\n", "name: small\ninclude: [PATH]\n"),
    "include, its folder": (
        "stack.compose.yaml", "name: small\n", "name: small\ninclude: [{path: PATH, project_directory: PATH}]\n",
    ),
    "extends": ("stack.compose.yaml", "services:\n", f"services:\n{SERVICE}, extends: {{file: PATH, service: a}}}}\n"),
    "requests": ("stack.compose.yaml", "make: [make]", "requests: PATH, rate: 5"),
}  # fmt: skip


@pytest.mark.parametrize("path", [path for path in PATHS if "latin" not in path])
@pytest.mark.parametrize("field", INSIDE)
def test_a_path_inside_of_a_file(good: Path, harness_: Harness, runner: Runner, field: str, path: str) -> None:
    name, old, new = INSIDE[field]
    given = PATHS[path](good)
    text = (good / name).read_text("utf-8")
    assert text.count(old) == 1
    absolute = given if given.startswith(("/", "..")) else f"{good}/{given}"
    (good / name).write_text(text.replace(old, new.replace("PATH", json.dumps(absolute))), "utf-8")
    before = files_below(good)
    for command in ("check", "run"):
        result = harness_(command)
        assert result.code == 2, result.err
        assert "the harness itself failed" not in result.err
        assert ".yaml" in result.err or given in result.err
        assert len(result.err) < 7000
    assert runner.requests == []
    assert files_below(good) == before


@pytest.mark.parametrize("path", [path for path in PATHS if "latin" not in path])
@pytest.mark.parametrize("field", ["env_file", "volumes", "build", "dockerfile"])
def test_a_path_in_a_compose_file_of_which_the_harness_can_do_without(
    good: Path, harness_: Harness, field: str, path: str
) -> None:
    given = PATHS[path](good)
    absolute = json.dumps(given if given.startswith(("/", "..")) else f"{good}/{given}")
    value = {
        "env_file": f"env_file: [{absolute}]",
        "volumes": f"volumes: [{{type: bind, source: {absolute}, target: /x}}]",
        "build": f"build: {absolute}",
        "dockerfile": f"build: {{context: ., dockerfile: {absolute}}}",
    }
    (good / "project").mkdir()
    file = good / "project" / "compose.yaml"
    file.write_text(f"services:\n  web:\n    image: nginx\n    ports: ['80:80']\n    {value[field]}\n", "utf-8")
    result = harness_("init", "project", "--no-engine", "--out", "made")
    assert result.code in (0, 2), result.err
    assert "the harness itself failed" not in result.err
