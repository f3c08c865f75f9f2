"""One trial: a run is started, killed at its moment, and what it leaves is compared with what was there before.

A trial whose moment never comes (the run was over first) counts as missed. The next trial on the same stack has the
same suite name: it must work, or be refused with a message that names the command that mends it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from harness.journal.files import NAME as JOURNAL
from tests.kill_everywhere.cases import CASES, WITHIN
from tests.kill_everywhere.processes import Family, end_marked
from tests.kill_everywhere.seams import differences
from tests.kill_everywhere.stacks import LocalStacks, environment, harness

SUITE = "kill"
START_S = 60.0
RUN_S = 90.0
AROUND_S = 1.5
"""How much longer than its fault a run goes on, about: random instants lie within both."""
POLL_S = 0.25
TICK_S = 0.002
HELD_S = 2.0
"""How long the state must be that of before."""
HELD_IN_A_CALL_S = 6.0
"""The same where a run was killed in the middle of a call: the engine finishes it, and may still change the state."""
IN_A_CALL = ("none", "injecting", "reverting")
LEFT_S = 15.0
SETTLE_S = 20.0


@dataclass(frozen=True)
class Trial:
    """What is killed, and when."""

    where: str
    case: str
    whom: str
    when: str
    number: int
    seed: int

    @property
    def id(self) -> str:
        """Tells it from all others of a campaign, and is the same when the campaign goes on."""
        return f"{self.where}/{self.case}/{self.whom}/{self.when}/{self.number}/{self.seed}"

    @property
    def instant_s(self) -> float:
        """When to kill after the journal was begun, or after the record that it is within a second of."""
        digest = hashlib.blake2b(self.id.encode(), digest_size=4).digest()
        longest_s = 1.0 if self.when in WITHIN else CASES[self.case].for_s + AROUND_S
        return int.from_bytes(digest, "big") / 2**32 * longest_s

    @property
    def heals_anyway(self) -> bool:
        """Whether to heal where nothing is to heal: half of the time."""
        return hashlib.blake2b(self.id.encode(), digest_size=5).digest()[-1] % 2 == 0


class MissedError(Exception):
    """The moment of the trial never came."""


def run_trial(trial: Trial, stack: LocalStacks, before: dict[str, Any]) -> dict[str, Any]:
    """Run a trial; return its record."""
    record: dict[str, Any] = asdict(trial) | {"id": trial.id, "kind": CASES[trial.case].kind}
    folder, mark = stack.folder, trial.id
    record["scratch_before"] = scratch(folder)
    started = _Run(trial, stack)
    try:
        record |= {"after": stack.last} | started.begin()
        stack.last, stack.healed = trial.id, False
        try:
            started.wait_for_moment()
        except MissedError as missed:
            started.end()
            return record | {"missed": str(missed)}
        record |= started.kill()
        record |= _watch(stack, started, before, mark)
        record["scratch_left"] = len(scratch(folder)) - len(record.pop("scratch_before"))
        record |= _heal(stack, started.run_dir, before, mark, needed=not record["restored"], trial=trial)
    finally:
        started.end()
        end_marked(mark)
    return record


class _Run:
    """The run of a trial."""

    def __init__(self, trial: Trial, stack: LocalStacks) -> None:
        self.trial = trial
        self.stack = stack
        self.name = f"kill-{trial.case}"
        self.run_dir = stack.folder / "reports" / SUITE / self.name
        self.journal = self.run_dir / JOURNAL
        self._lines = b""

    def begin(self) -> dict[str, Any]:
        """Start it, as the next run of the same name. Returns what became of that."""
        file = self.stack.folder / f"{self.name}.scenario.yaml"
        file.write_text(CASES[self.trial.case].scenario(self.name, self.stack.folder), encoding="utf-8")
        self._old = _identity(self.journal)
        self._start(file)
        refused = self._begun()
        if refused is None:
            return {"next": "worked"}
        named = "`harness heal" in refused or "`harness down" in refused
        told = "refused, command named" if named else "refused, no command named"
        if self.stack.healed or not self._works_once_healed(file):
            told = "refused although healed"
            shutil.rmtree(self.run_dir.parent, ignore_errors=True)
            self._start(file)
            again = self._begun()
            if again is not None:
                raise RuntimeError(f"the run does not start: {again}")
        return {"next": told, "refusal": refused[-300:]}

    def _works_once_healed(self, file: Path) -> bool:
        """Do what the message says, and start again."""
        harness(self.stack.folder, "heal", str(self.stack.folder / "reports"))
        self._start(file)
        return self._begun() is None

    def _start(self, file: Path) -> None:
        self.output = self.stack.folder / "output.txt"
        words = [sys.executable, "-m", "harness", "run", str(file), "--name", SUITE, "-j", "1"]
        words += ["--reports", str(self.stack.folder / "reports"), *self.stack.words]
        with self.output.open("w") as out:
            self.process = subprocess.Popen(
                words,
                cwd=self.stack.folder,
                env=environment(self.trial.id, self.stack.folder),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.family = Family(self.trial.id, psutil.Process(self.process.pid), self.run_dir)
        self.family.begin()

    def _begun(self) -> str | None:
        """Wait until the journal is begun; return what the command said where it ended without one."""
        deadline_s = time.monotonic() + START_S
        while time.monotonic() < deadline_s:
            if _identity(self.journal) not in (None, self._old):
                self.begun_s = time.monotonic()
                return None
            if self.process.poll() is not None:
                self.family.end()
                return self.output.read_text("utf-8", "replace")
            time.sleep(TICK_S)
        raise RuntimeError("the run does not begin")

    def wait_for_moment(self) -> None:
        """Return at the moment of the trial. Raises MissedError where the run is over first."""
        random = self.trial.when == "random"
        deadline_s = self.begun_s + (self.trial.instant_s if random else RUN_S)
        with self.journal.open("rb") as lines:
            while time.monotonic() < deadline_s:
                self._lines += lines.read()
                if not random and self._at_stage():
                    if self.trial.when in WITHIN:
                        time.sleep(self.trial.instant_s)
                    return
                if self.process.poll() is not None:
                    raise MissedError(_why(self._lines))
                time.sleep(TICK_S)
        if not random:
            raise MissedError("the record never came")

    def _at_stage(self) -> bool:
        whole, _, _ = self._lines.rpartition(b"\n")
        return any(stage == self.trial.when.rstrip("+") for stage in stages(whole))

    def kill(self) -> dict[str, Any]:
        """Kill whom it is about."""
        killed = self.family.kill(self.trial.whom)
        self.killed_s = time.monotonic()
        self._lines = self.journal.read_bytes()
        found = list(stages(self._lines.rpartition(b"\n")[0]))
        self.last_stage = found[-1] if found else "none"
        return {
            "killed": killed,
            "guard": "seen" if self.family.guard is not None else "no guard",
            "after_s": round(self.killed_s - self.begun_s, 3),
            "last_stage": self.last_stage,
        }

    def running(self) -> bool:
        """Whether the run goes on without those that were killed: its worker does what there is to do."""
        self.process.poll()  # a child that ended must be waited for, or it seems to live
        return self.family.running()

    def end(self) -> None:
        """End what is left of it."""
        self.family.end()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def _watch(stack: LocalStacks, run: _Run, before: dict[str, Any], mark: str) -> dict[str, Any]:
    """Poll until the state is that of before, and stays so; or until it is late."""
    began_s: float | None = None
    found: list[str] = []
    seen: list[tuple[float, list[str]]] = []
    at_15: list[str] | None = None
    ended_s = run.killed_s
    held_s = HELD_IN_A_CALL_S if run.last_stage in IN_A_CALL else HELD_S
    while True:
        running = run.running()
        now_s = time.monotonic()
        earlier, found = found, list(differences(before, without_guard(stack.seams(mark))))
        if not seen or seen[-1][1] != found[:6]:
            seen.append((round(now_s - run.killed_s, 2), found[:6]))
        if running:
            ended_s, began_s = now_s, None  # who is left reverts as planned, and is no late revert
        elif found:
            began_s = None
        elif began_s is None:
            began_s = now_s
        late_s = now_s - (ended_s if run.trial.whom == "guard" else run.killed_s)
        if at_15 is None and late_s >= LEFT_S:
            # On a busy machine a reading takes seconds: where this one is late, the one before tells as well.
            at_15 = found or (earlier if late_s > LEFT_S + 2 * POLL_S else [])
        if began_s is not None and now_s - began_s >= held_s:
            break
        if late_s >= SETTLE_S and (not running or late_s >= RUN_S):
            break
        time.sleep(POLL_S)
    restored = began_s is not None
    return {
        "restored": restored,
        "restored_s": round(began_s - run.killed_s, 2) if began_s is not None else None,
        "left_after_15_s": at_15 or [],
        "left": found[:20],
        "seen": seen[-6:],
    }


def without_guard(state: dict[str, Any]) -> dict[str, Any]:
    """Leave out the guard, and a command that was not killed: they end by themselves, and are no part of the stack."""
    ours = ("harness.guard", f"--name {SUITE} -j 1")
    return state | {"processes": [one for one in state["processes"] if not any(part in one for part in ours)]}


def _heal(
    stack: LocalStacks, run_dir: Path, before: dict[str, Any], mark: str, *, needed: bool, trial: Trial
) -> dict[str, Any]:
    """Heal where it is needed, and half of the time where it is not; the second time nothing may change.

    Where everybody was killed, the next run is half of the time the first to find out, and has to name the command.
    """
    if not trial.heals_anyway and (not needed or trial.whom == "all"):
        return {"healed": "left to the next run" if needed else "not asked"}
    first = harness(stack.folder, "heal", str(run_dir))
    stack.healed = first.returncode == 0
    after = list(differences(before, without_guard(stack.seams(mark))))
    second = harness(stack.folder, "heal", str(run_dir))
    again = list(differences(before, without_guard(stack.seams(mark))))
    return {
        "healed": "needed" if needed else "for nothing",
        "heal_code": first.returncode,
        "heal_said": (first.stdout + first.stderr)[-400:],
        "left_after_heal": after[:20],
        "second_heal_code": second.returncode,
        "second_heal_changed": after != again,
    }


def stages(lines: bytes) -> Iterator[str]:
    """Yield `undo` and the stages of the fault, as far as a journal has them."""
    for line in lines.split(b"\n"):
        if b'"kind":"undo"' in line:
            yield "undo"
        elif b'"kind":"fault"' in line:
            stage = str(json.loads(line)["stage"])
            if stage != "effect":
                yield stage


def scratch(folder: Path) -> list[str]:
    """Return what lies in the temporary folder of the campaign."""
    return sorted(str(path) for path in (folder / "tmp").glob("*/*"))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_ctime_ns if found.st_size == 0 else int(_first_line_digest(path), 16)


def _first_line_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.blake2b(file.readline(), digest_size=8).hexdigest()


def _why(lines: bytes) -> str:
    failed = [line for line in lines.split(b"\n") if b'"stage":"failed"' in line]
    return failed[-1].decode("utf-8", "replace")[:300] if failed else "the run was over first"
