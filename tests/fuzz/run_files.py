"""The files by which runs are healed and stopped, made from bytes: a folder of undo, and the latches of a state folder.

An input is lines of JSON, one for each file. What a file says is signed where its name calls for a digest, so that
fuzzing gets past it: `{"file": "run.json", "body": {...}}`. `bytes` are written as they are, `deep` nests so often,
`copy` takes another file's content, and `kind` makes something other than a regular file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from pydantic import BaseModel

from harness.cli.terminal import cell
from harness.guard.hold import RunFolder
from harness.guard.open_runs import must_be_healed, open_run, runs_under
from harness.journal import undo_folder
from harness.journal.owner import LEASE, LOCK, is_copy, owner_of, state_of
from harness.journal.undo import UndoFiles, Unreadable
from harness.liveness import began_ticks, this_boot
from harness.model.errors import ScenarioError
from harness.model.reach import services_hit
from harness.model.stack import StackDescription
from harness.model.undo import Absence, FaultUndo, NothingLeft
from harness.runner.safekeeping.latch import STATE, Watched, latch_file, latches, refuse_if_stopped, release
from harness.runner.safekeeping.running import runs

T = TypeVar("T", bound=BaseModel)

MOST_FILES = 12
HELD_EVERY = 4
"""One input of so many is also held and removed, which takes as long as all else."""
DEEPEST = 5000
LONGEST_NAME = 255


def read_undo(folder: Path, data: bytes) -> bool:
    """Read a folder of undo as `harness status`, a guard and `harness heal` do, and act on nothing.

    Returns whether a fault is open that is known. Raises what a reader must not raise, AssertionError where something
    counts as closed that was not measured to be gone.
    """
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    undo = run / undo_folder.NAME
    undo.mkdir(parents=True)
    for entry in _entries(data):
        _make(undo, entry)
    try:
        return _read(run, held=zlib.crc32(data) % HELD_EVERY == 0)
    finally:
        shutil.rmtree(run, ignore_errors=True)


def _read(run: Path, *, held: bool) -> bool:
    files = UndoFiles(run)
    folder = files.folder
    about, names, open_ones = files.run(), files.all(), files.open()
    assert set(names) == {file.name for file in folder.iterdir() if _is_undo(file.name)}, "an undo is not seen"
    for name in names:
        gone = _signed(folder / undo_folder.gone_file(name), Absence)
        is_gone = gone is not None and _names(name, gone.fault)
        assert is_gone or name in open_ones, f"{name} counts as gone"
        found = files.fault(name)
        if not isinstance(found, Unreadable):
            assert _names(name, found.fault), f"{name} is taken for the undo of {found.fault!r}"
            assert found.n == undo_folder.number_of(name)
            assert 0 <= files.in_flight_for_s(name, 5.0) <= 5.0
            files.moved(found)
            with suppress(ValueError):  # what is given as a link is none; healing takes it to hit anything
                services_hit(found.step.target, about.stack if about is not None else _NO_STACK)
        str(found).encode("utf-8", "replace")
    state = state_of(folder)
    assert state != "hung", "nobody holds its lock"
    cell(f"{owner_of(folder)} {is_copy(folder)}")
    why, listed = must_be_healed(run), open_run(run)
    ended = _signed(folder / undo_folder.ENDED, NothingLeft) is not None
    unknown = [name for name in open_ones if _outlives(files.fault(name))]
    if not ended and open_ones and (unknown or about is None or about.backend != "local"):
        assert why is not None, "what is open keeps nobody from clearing the folder"
        assert listed is not None, "what is open is not listed"
        assert len(listed.faults) == len(open_ones)
        assert runs_under(run.parent) == [run]
    if not ended and (folder / undo_folder.RUN).exists() and about is None:
        assert why is not None, "nobody knows where the stack is, and the folder may be cleared"
    known = any(isinstance(files.fault(name), FaultUndo) for name in open_ones)
    if held and (folder / LOCK).exists():
        _hold(run)
    return known


def _hold(run: Path) -> None:
    """Hold the folder as a guard does, which goes on when the folder is removed."""
    held = RunFolder(run)
    try:
        with suppress(OSError):
            held.look()
        shutil.rmtree(run)
        with suppress(OSError):
            held.look()
        assert held.state() == "dead", "nobody holds its lock"
        state_of(held.folder)
    finally:
        held.forget()
        os.close(held._handle)
        os.close(held._lock)


def _is_undo(name: str) -> bool:
    number = name.partition(".")[0]
    return (
        name.endswith(undo_folder.UNDO) and len(number) >= 4 and number.isdecimal() and undo_folder.fault_of(name) != ""
    )


def _outlives(undo: FaultUndo | Unreadable) -> bool:
    return isinstance(undo, Unreadable) or undo.step.fault == "command"


def _names(name: str, fault: str) -> bool:
    """Whether a file's name is that of this fault, of whose id it may have only the beginning."""
    shown = undo_folder.fault_of(name)
    return fault == shown or (len(shown.encode(errors="replace")) > 90 and fault.startswith(shown))


def _signed(file: Path, kind: type[T]) -> T | None:
    """Read a file with a digest by other means than the harness does."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        if not file.is_file():
            return None
        whole = json.loads(file.read_bytes())
        text = json.dumps(whole["body"], sort_keys=True, separators=(",", ":")).encode()
        if len(whole) == 2 and hashlib.sha256(text).hexdigest() == whole["sha256"]:
            return kind.model_validate(whole["body"])
    return None


def read_latches(folder: Path, data: bytes) -> bool:
    """Look for latches as a run and `harness stop` do. Returns whether one is set.

    Raises what a reader must not raise, AssertionError where a file that is there stops nobody.
    """
    state = folder / "state"
    shutil.rmtree(state, ignore_errors=True)
    with mock.patch.dict(os.environ, {STATE: str(state)}):
        (state / "stop").mkdir(parents=True)
        (state / "runs").mkdir()
        names = []
        for entry in _entries(data):
            name = str(entry.get("file"))
            if entry.get("of") == "runs":
                _make(state / "runs", entry)
            elif len(os.fsencode(name.encode("utf-8", "replace"))) <= LONGEST_NAME:
                names.append(name)
                _make(state / "stop", {**entry, "file": latch_file(name).name})
        for name in names:
            _stops(name)
        for path, running, _ in runs():
            running.is_of(["shop"])
            cell(f"{running.run} of {running.stack}: process {running.pid}, {running.run_dir} {path}")
            must_be_healed(Path(running.run_dir) if len(running.run_dir) < LONGEST_NAME else path)
        cell([one.text for one in latches()])
        return bool(names)


def _stops(name: str) -> None:
    path = latch_file(name)
    if not os.path.lexists(path):
        return
    latch = Watched((None, name)).look()
    assert latch is not None, "the file is there, and nobody is stopped"
    assert latch.by
    assert latch.since
    assert "\n" not in latch.text
    cell(f"{latch.text} {latch.release}").encode()
    with suppress(ScenarioError):
        refuse_if_stopped((name,))
        raise AssertionError("a run starts though its latch is set")
    assert path in [one.path for one in latches()]
    if path.is_symlink() or not path.is_dir():
        release(name)
        assert Watched((name,)).look() is None or latch_file("all").exists()


def _entries(data: bytes) -> Iterator[Mapping[str, Any]]:
    for line in data.split(b"\n")[:MOST_FILES]:
        with suppress(ValueError, RecursionError):
            entry = json.loads(line)
            if isinstance(entry, dict):
                yield entry


def _make(folder: Path, entry: Mapping[str, Any]) -> None:
    """Make one file, as far as the file system has such a one."""
    name = str(entry.get("file", "")).replace("/", "_")
    with suppress(OSError, ValueError, TypeError, OverflowError, RecursionError):
        file = folder / name
        if os.path.lexists(file):
            return
        match entry.get("kind", "file"):
            case "folder":
                file.mkdir()
            case "pipe":
                os.mkfifo(file)
            case "link":
                file.symlink_to(str(entry.get("to")))
            case _:
                file.write_bytes(_content(folder, entry))
        if "mtime" in entry:
            os.utime(file, (0, entry["mtime"]), follow_symlinks=False)


def _content(folder: Path, entry: Mapping[str, Any]) -> bytes:
    if "copy" in entry:
        return (folder / str(entry["copy"]).replace("/", "_")).read_bytes()
    if "deep" in entry:
        depth = max(0, min(int(entry["deep"]), DEEPEST))
        opens, closes = ('{"a":', "}") if entry.get("signed", True) else ("[", "]")
        text = opens * depth + "1" + closes * depth
        return _with_digest(text) if entry.get("signed", True) else text.encode()
    if "body" in entry:
        return _with_digest(json.dumps(entry["body"], sort_keys=True, separators=(",", ":")))
    if "json" in entry:
        return json.dumps(_here(entry["json"], folder)).encode()
    return str(entry.get("bytes", "")).encode("latin-1", "replace")


def _with_digest(body: str) -> bytes:
    return f'{{"sha256":"{hashlib.sha256(body.encode()).hexdigest()}","body":{body}}}'.encode()


def _here(value: Any, folder: Path) -> Any:
    """Put in what only this process and this start of the machine know."""
    known = {
        "$BOOT": this_boot(),
        "$PID": os.getpid(),
        "$TICKS": began_ticks(os.getpid()),
        "$NOW": time.monotonic(),
        "$DIR": str(folder),
    }
    if isinstance(value, dict):
        return {key: _here(inside, folder) for key, inside in value.items()}
    return known.get(value, value) if isinstance(value, str) else value


def _lines(*entries: Mapping[str, Any]) -> bytes:
    return "".join(json.dumps(entry) + "\n" for entry in entries).encode()


_NO_STACK = StackDescription(schema=1, name="none", file="", services={})


def undo_seeds() -> Iterator[bytes]:
    """Yield folders of runs that died, with everything that a run writes there."""
    stack = {
        "schema": 1, "name": "small", "file": "/nowhere/compose.yaml",
        "services": {"server": {"name": "server", "index": 0, "node": "server"}},
    }  # fmt: skip
    about = {"version": 1, "id": "1", "run": "run", "scenario": "small", "backend": "local", "stack": stack, "seed": 1}
    of_stack = {**about, "backend": "compose", "project": "shop", "engine": "E", "owned": False, "links": ["a -> b"]}
    command = {
        "revert": ["true"], "absent": ["true"], "absent_code": 0, "folder": "/", "environment": {}, "timeout_s": 1.0,
    }  # fmt: skip
    at = "2026-06-01T10:00:00.000+00:00"

    def fault(n: int, name: str, kind: str, data: Any, **target: Any) -> dict[str, Any]:
        step = {
            "id": name,
            "at": "0s",
            "fault": kind,
            "target": target or {"service": "server"},
            "for": "1s",
            "with": {},
        }
        body = {"version": 1, "n": n, "written_ns": 10**18 + n, "until_s": 60.0, "step": step, "data": data}
        return {"file": f"{n:04d}.{name}{undo_folder.UNDO}", "body": body}

    def gone(n: int, name: str) -> dict[str, Any]:
        body = {"version": 1, "fault": name, "by": "run", "at": at, "evidence": {"exit_code": 1}}
        return {"file": f"{n:04d}.{name}{undo_folder.GONE}", "body": body}

    owner = {"file": LOCK, "json": {"host": "h", "pid": "$PID", "boot": "$BOOT", "ticks": 1, "inode": 1}}
    lease = {"file": LEASE, "bytes": "0000000000001.500000\n"}
    run, attached = ({"file": undo_folder.RUN, "body": body} for body in (about, of_stack))
    ended = {"file": undo_folder.ENDED, "body": {"version": 1, "by": "heal", "at": at}}
    in_flight = {"file": "0001.slow.in-flight", "bytes": ""}
    slow = fault(1, "slow", "network.latency", {"toxics": []}, link="a -> b")
    yield _lines(owner, lease, run, fault(1, "it", "command", command), gone(1, "it"), fault(2, "it", "command", {}))
    yield _lines(
        owner, lease, attached, slow, in_flight, fault(2, "links", "network.reset", {}, links=["a -> b", "c -> d"])
    )
    yield _lines(owner, attached, slow, gone(1, "slow"), ended)
    yield _lines({"file": LOCK, "bytes": "\x00\xff["}, {"file": LEASE, "bytes": "nan"}, attached, slow)
    yield _lines(owner, run, fault(1, "kept", "storage.slow", {"kept": "/x"}), {"file": "kept", "kind": "folder"})
    yield _lines(run, {"file": "0001.it.undo.json", "kind": "pipe"}, {"file": "0002.it.undo.json", "kind": "folder"})
    deep = {"file": "0001.slow.gone.json", "deep": 3000}
    yield _lines(owner, {**lease, "deep": 3000}, attached, slow, deep, {**ended, "deep": 940, "body": None})
    yield _lines({"file": LOCK, "deep": 3000, "signed": False}, attached, slow)
    yield _lines(attached, slow, {"file": "0001.slow.gone.json", "copy": "run.json"}, {**ended, "kind": "link"})


def latch_seeds() -> Iterator[bytes]:
    """Yield state folders with latches, and with the notes of runs."""
    said = "by: ann@laptop\nsince: 2026-06-01T10:00:00+00:00\nwhy: an incident\n"
    running = {"run": "r", "stack": "shop", "run_dir": "$DIR", "host": "h", "pid": 7, "projects": ["shop_1"]}
    yield _lines({"file": "all", "bytes": ""})
    yield _lines({"file": "shop", "bytes": said, "mtime": 1780000000}, {"file": "other", "kind": "folder"})
    yield _lines({"file": "shop", "kind": "link", "to": "nowhere"}, {"file": "pipe", "kind": "pipe", "mtime": -5})
    yield _lines({"file": "a/b", "bytes": "by:\nby: x: y\n since : 1\r\nwhy:\t\n"}, {"file": "..", "bytes": said})
    yield _lines({"file": "shop", "bytes": said * 90}, {"of": "runs", "file": "1-a.json", "json": running})
    yield _lines({"of": "runs", "file": "2-b.json", "bytes": '{"run": "'}, {"file": "shop", "bytes": ""})


WORDS = (
    b'"file"', b'"body"', b'"bytes"', b'"json"', b'"deep":2000', b'"copy":"run.json"', b'"kind":"pipe"',
    b'"kind":"folder"', b'"kind":"link"', b'"to":"."', b'"mtime":', b'"signed":false', b"run.json", b"ended.json",
    b"owner.lock", b"0001.it.undo.json", b"0001.it.gone.json", b".in-flight", b"$BOOT", b"$PID", b"$TICKS", b"$NOW",
    b'"of":"runs"', b"by: ", b"since: ", b"why: ",
)  # fmt: skip
