"""The undo as files: whole or not at all, read back as it was written, and closed by a measured absence only."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import stat
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from harness.description.stackfile import resolve_stack
from harness.journal import undo_folder
from harness.journal.undo import UndoFiles, Unreadable
from harness.model.errors import JournalError
from harness.model.faultstep import FaultStep
from harness.model.undo import RunUndo, Who, for_healing

ROOT = Path(__file__).parents[2]
STACKS = [
    "reference",
    "compose/compose.prometheus.yaml",
    "examples/mlflow/compose.harness.yaml",
    "tests/backends/stack/compose.yaml",
    "tests/containers/small/stack.yaml",
    "tests/runner/tiny/compose.yaml",
]


def step(fault: str = "it", **parameters: Any) -> FaultStep:
    given = {"id": fault, "at": "1s", "fault": "container.stop", "target": {"service": "db"}, "for": "2s"}
    return FaultStep.model_validate({**given, "with": parameters})


@pytest.mark.parametrize("name", STACKS)
def test_every_stack_can_be_healed_without_its_compose_file(tmp_path: Path, name: str) -> None:
    stack = resolve_stack(name if "/" not in name else str(ROOT / name))
    files = UndoFiles(tmp_path)
    undo = RunUndo(
        id="1", run="r", scenario="s", backend="compose", stack=for_healing(stack), links=stack.links, seed=3
    )
    files.write_run(undo)
    read = files.run()
    assert read == undo
    assert read is not None
    assert read.stack.links == stack.links
    assert read.stack.nodes == stack.nodes
    assert all(not service.environment for service in read.stack.services.values()), "no settings of the services"


def test_faults_are_open_until_they_were_measured_to_be_gone(tmp_path: Path) -> None:
    files = UndoFiles(tmp_path)
    first = files.write_fault(step("one", grace="2s"), {"services": ["db"]}, 30.0)
    second = files.write_fault(step("two"), {}, 30.0)
    assert files.open() == [second, first], "the newest first"
    found = files.fault(first)
    assert not isinstance(found, Unreadable)
    assert (found.n, found.step, found.data) == (1, step("one", grace="2s"), {"services": ["db"]})
    files.write_gone(first, "one", "run", {"containers": {"db": "running"}})
    assert files.open() == [second]
    gone = files.gone(first)
    assert gone is not None
    assert (gone.by, gone.evidence) == ("run", {"containers": {"db": "running"}})
    (files.folder / undo_folder.gone_file(first)).write_text("{}")
    assert files.open() == [second, first], "what cannot be read closes nothing"


@pytest.mark.parametrize("fault", ["it.gone", "it.undo", "it.gone.json", "run.json", "ended", "0001.it", "a" * 240])
def test_no_id_of_a_fault_looks_like_an_absence(tmp_path: Path, fault: str) -> None:
    files = UndoFiles(tmp_path)
    other = files.write_fault(step("it"), {}, 30.0)
    name = files.write_fault(step(fault), {}, 30.0)
    assert files.open() == [name, other]
    files.write_gone(name, fault, "run", {})
    assert files.open() == [other]


def test_numbers_go_on_in_another_process(tmp_path: Path) -> None:
    UndoFiles(tmp_path).write_fault(step(), {}, 30.0)
    assert UndoFiles(tmp_path).write_fault(step(), {}, 30.0) == "0002.it.undo.json"


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    files = UndoFiles(tmp_path)
    name = files.write_fault(step(), {"password": "x"}, 30.0)
    assert stat.S_IMODE(files.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((files.folder / name).stat().st_mode) == 0o600


def test_what_cannot_be_written_or_read_back_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be written"):
        UndoFiles(tmp_path).write_fault(step(), {"thing": object()}, 30.0)
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be written"):
        UndoFiles(tmp_path / "file").write_fault(step(), {}, 30.0)


def test_a_digest_that_does_not_fit_is_noticed(tmp_path: Path) -> None:
    files = UndoFiles(tmp_path)
    name = files.write_fault(step(), {"services": ["db"]}, 30.0)
    file = files.folder / name
    whole = json.loads(file.read_text())
    whole["body"]["data"]["services"] = ["dc"]
    file.write_text(json.dumps(whole))
    assert isinstance(files.fault(name), Unreadable)
    assert files.open() == [name]


def test_what_says_something_else_closes_nothing(tmp_path: Path) -> None:
    files = UndoFiles(tmp_path)
    first, second = (files.write_fault(step(fault), {"services": [fault]}, 30.0) for fault in ("one", "two"))
    files.write_gone(first, "one", "run", {})
    said = {name: (files.folder / name).read_bytes() for name in (undo_folder.gone_file(first), second)}
    over = UndoFiles(tmp_path / "over")
    over.write_ended("run")
    said[undo_folder.ENDED] = (over.folder / undo_folder.ENDED).read_bytes()
    in_place = files.folder / undo_folder.gone_file(second)
    for name, text in said.items():
        in_place.write_bytes(text)
        assert (files.open(), files.gone(second)) == ([second], None), f"{name} in its place"
    for name in (undo_folder.gone_file(first), second):
        shutil.copy(files.folder / name, files.folder / undo_folder.ENDED)
        assert not undo_folder.has_ended(files.folder), f"{name} in its place"
    body = json.loads(said[undo_folder.gone_file(first)])["body"]
    assert get_args(Who) == undo_folder.WHO
    odd = ({"version": 2}, {"fault": None}, {"at": 5}, {"by": "me"}, {"by": ["run"]}, {"evidence": []}, {"more": 1})
    for changed in (*({**body, **change} for change in odd), {"fault": "two"}, {}):
        undo_folder.put(in_place, {**changed, **({"fault": "two"} if changed.get("fault") else {})})
        assert files.open() == [second]
    for changed in ({}, {"version": 2, "by": "run", "at": ""}, {"version": 1, "by": "run", "at": None}):
        undo_folder.put(files.folder / undo_folder.ENDED, changed)
        assert not undo_folder.has_ended(files.folder)


def test_a_run_has_not_ended_while_a_fault_is_open(tmp_path: Path) -> None:
    files = UndoFiles(tmp_path)
    first, second = (files.write_fault(step(fault), {}, 30.0) for fault in ("one", "two"))
    for name, fault, still in ((None, "", "'one', 'two'"), (first, "one", "'two'")):
        if name is not None:
            files.write_gone(name, fault, "run", {})
        with pytest.raises(
            JournalError, match=f"still open, so the run has not ended: {still} .*harness heal {tmp_path}"
        ):
            files.write_ended("run")
        assert not undo_folder.has_ended(files.folder)
    files.write_gone(second, "two", "run", {})
    files.write_ended("run")
    assert undo_folder.has_ended(files.folder)


def test_the_undo_of_another_fault_is_not_taken_for_its_own(tmp_path: Path) -> None:
    files = UndoFiles(tmp_path)
    names = [files.write_fault(step(fault), {}, 30.0) for fault in ("it", "two", "it")]
    for name in names[1:]:
        shutil.copy(files.folder / names[0], files.folder / name)
        assert isinstance(files.fault(name), Unreadable)
        assert name in files.open()


@pytest.mark.parametrize("name", ["00001.it.undo.json", f"0001.{'a' * 150}.undo.json", "0001.é.undo.json"])
def test_an_undo_whose_name_no_run_gives_can_be_closed_by_hand(tmp_path: Path, name: str) -> None:
    files = UndoFiles(tmp_path)
    files.folder.mkdir()
    (files.folder / name).touch()
    assert files.open() == [name]
    files.write_gone(name, undo_folder.fault_of(name), "heal", {"by_hand": True})
    assert files.open() == []


def test_however_deep_a_file_is_nested_it_is_read_or_it_is_not(tmp_path: Path) -> None:
    file = tmp_path / "0001.it.undo.json"
    for depth in range(sys.getrecursionlimit() - 150, sys.getrecursionlimit() + 1):
        body = '{"a":' * depth + "1" + "}" * depth
        file.write_text(f'{{"sha256":"{hashlib.sha256(body.encode()).hexdigest()}","body":{body}}}')
        undo_folder.content(file)


@pytest.mark.parametrize("kind", ["folder", "pipe", "file"])
def test_what_is_read_is_closed_whatever_it_is(tmp_path: Path, kind: str) -> None:
    file = tmp_path / kind
    {"folder": file.mkdir, "pipe": lambda: os.mkfifo(file), "file": file.touch}[kind]()
    for _ in range(10):  # a guard looks several times a second
        undo_folder.content(file)
    held = [os.path.realpath(fd) for fd in Path("/proc/self/fd").iterdir()]
    assert str(file.resolve()) not in held


@pytest.mark.parametrize("path", ["reports/run", "reports/of today", "it's", "a\nb", "$HOME"])
def test_the_command_that_heals_takes_the_whole_path(path: str) -> None:
    assert shlex.split(undo_folder.heal_command(Path(path))) == ["harness", "heal", path]
