"""`command`: commands of your own inject a fault, confirm it and revert it.

For what the other faults do not reach: a cloud's console, a feature flag, a queue. Each command is a list of words,
runs on the harness's machine in the compose file's folder, and has a deadline; in its words `service:port` stands for
the service's address. `confirm` ends with 0 where the fault is in, 1 where it is not, and any other code where it
cannot tell; `absent` ends with 0 where it is gone, 1 where it is not. `prepare`, `inject` and `revert` must end with
0. The undo holds all that `revert` needs, so that another process can run it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from harness.model.errors import FaultError
from harness.model.fault import Changes, Confirmation, FaultKind
from harness.model.faultstep import FaultStep
from harness.model.fields import Command, Frozen
from harness.model.secrets import hide_all
from harness.model.units import PositiveWallSeconds
from harness.seams import Seams
from harness.seams.commands import MARK, Done, addressed, end_marked, run

LONGEST_S = 120.0
LONGEST_EVIDENCE = 4000
LOOKS = 20
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)")
"""A variable that a word of a command names, for the shell that it starts."""
_WHERE = ("AWS_PROFILE", "AWS_REGION", "DOCKER_CONTEXT", "DOCKER_HOST", "KUBECONFIG", "MLFLOW_TRACKING_URI", "PGHOST")
"""Variables that name the place where common tools act, though no word of a command names them."""
IN, NOT_IN = 0, 1
"""Exit codes of `confirm`: the fault is in, or is not. `absent` has it the other way round: 0 says that it is gone."""


class CommandParameters(Frozen):
    """The commands, each a list of words in which `service:port` stands for where that service is."""

    inject: Command = Field(description="puts the fault in")
    confirm: Command = Field(description="ends with 0 where the fault is in, with 1 where it is not")
    revert: Command = Field(description="takes the fault out; harmless where it is out already")
    prepare: Command | None = Field(None, description="looks first; what it prints last is HARNESS_PREPARED to others")
    absent: Command | None = Field(None, description="ends with 0 where the fault is gone; unless given, confirm's 1")
    timeout: PositiveWallSeconds = Field(10.0, description="how long one command may take")
    changes_data: bool = Field(
        True, description="`false` where no command changes data; otherwise `nothing_poisoned` is unknown"
    )

    @field_validator("timeout")
    @classmethod
    def _bounded(cls, timeout: float) -> float:
        if timeout > LONGEST_S:
            raise ValueError(f"one command may take {LONGEST_S:g} s at most")
        return timeout


class CommandFault:
    """The commands of one fault of one run."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        self._given = CommandParameters.model_validate(step.parameters)
        self._backend = seams.backend
        self._services = seams.stack.services
        self._folder = Path(seams.stack.file).parent
        self._environment = {"HARNESS_FAULT": step.id, "HARNESS_TARGET": str(step.target), "HARNESS_PREPARED": ""}
        self._environment |= {MARK: uuid.uuid4().hex}

    async def prepare(self) -> dict[str, Any]:
        """Run `prepare`, and return the commands that take the fault out, ready to run."""
        if self._given.prepare is not None:
            done = await self._run(self._given.prepare)
            _expect_well("prepare", done)
            self._environment["HARNESS_PREPARED"] = done.last_line
        return {
            "revert": self._ready(self._given.revert),
            "absent": self._ready(self._given.absent or self._given.confirm),
            "absent_code": IN if self._given.absent is not None else NOT_IN,
            "folder": str(self._folder),
            "environment": self._environment,
            "variables": self._variables(),
            "timeout_s": self._given.timeout,
        }

    async def inject(self) -> None:
        """Run `inject`."""
        _expect_well("inject", await self._run(self._given.inject))

    async def confirm(self) -> Confirmation:
        """Run `confirm`."""
        done = await self._run(self._given.confirm)
        return Confirmation({IN: True, NOT_IN: False}.get(done.exit_code), _evidence(done))

    async def revert(self, undo: dict[str, Any]) -> None:
        """Run `revert`."""
        await take_out(undo)

    async def absent(self) -> Confirmation:
        """Run `absent`, or `confirm` where there is none."""
        given = self._given.absent
        return _gone(await self._run(given or self._given.confirm), IN if given is not None else NOT_IN)

    def manifest(self) -> list[dict[str, Any]]:
        """Return no rows: a command does not report which rows it changed, see `changes`."""
        return []

    def _variables(self) -> dict[str, str | None]:
        """Return what tells later whether the commands that take the fault out would find what they find now.

        Values may be secrets, so only their digests are kept.
        """
        words = [*self._given.revert, *(self._given.absent or self._given.confirm)]
        named = {name for word in words for name in _VARIABLE.findall(word)} - set(self._environment)
        salt = self._environment[MARK]
        return {name: _digest(os.environ.get(name), salt) for name in sorted(named | set(_WHERE))}

    def _ready(self, argv: Sequence[str]) -> list[str]:
        return addressed(argv, self._backend, self._services)

    async def _run(self, argv: Sequence[str]) -> Done:
        return await run(self._ready(argv), self._given.timeout, self._folder, self._environment)


async def take_out(undo: Mapping[str, Any]) -> None:
    """Take a fault out by its undo alone, with no stack at hand. Raises FaultError."""
    folder, environment = Path(undo["folder"]), dict(undo["environment"])
    _expect_same_variables(undo)
    _expect_well("revert", await run(undo["revert"], float(undo["timeout_s"]), folder, environment))


def _expect_same_variables(undo: Mapping[str, Any]) -> None:
    """Raise FaultError where the commands would act elsewhere than those of the run did: in another shell, say."""
    salt = str(undo["environment"].get(MARK))
    for name, digest in undo.get("variables", {}).items():
        if _digest(os.environ.get(name), salt) != digest:
            was = "was not set" if digest is None else "had another value" if name in os.environ else "was set"
            message = f"its commands would not find what those of the run found: the variable {name} {was} there"
            raise FaultError(message, remedy=f"{'unset' if digest is None else 'set'} it as it was, and heal again")


def _digest(value: str | None, salt: str) -> str | None:
    """Return a digest from which the value is not to be had by trying out."""
    if value is None:
        return None
    return hashlib.scrypt(value.encode(errors="surrogateescape"), salt=salt.encode(), n=2**14, r=8, p=1).hex()


def end_left(undo: Mapping[str, Any]) -> None:
    """End what is left of the commands of a fault whose run was killed while one was at work. Blocks."""
    environment = undo.get("environment")
    mark = environment.get(MARK) if isinstance(environment, Mapping) else None
    for _ in range(LOOKS if isinstance(mark, str) else 0):
        if not end_marked(str(mark)):  # what was being started meanwhile is found by another look
            return


async def is_gone(undo: Mapping[str, Any]) -> Confirmation:
    """Ask, by the undo alone, whether a fault is gone: `landed` False means gone. Raises FaultError."""
    folder, environment = Path(undo["folder"]), dict(undo["environment"])
    _expect_same_variables(undo)
    done = await run(undo["absent"], float(undo["timeout_s"]), folder, environment)
    return _gone(done, int(undo["absent_code"]))


def _gone(done: Done, code: int) -> Confirmation:
    other = NOT_IN if code == IN else IN
    return Confirmation({code: False, other: True}.get(done.exit_code), _evidence(done))


def _expect_well(what: str, done: Done) -> None:
    if done.exit_code != 0:
        raise FaultError(f"the command of `{what}` ended with {done.exit_code}: {done.complaint}")


def _evidence(done: Done) -> dict[str, Any]:
    """Return the last line of output: its fields where it is a mapping in JSON."""
    text = done.last_line[:LONGEST_EVIDENCE]
    try:
        reply = json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        reply = text
    found = dict(reply) if isinstance(reply, dict) else {"output": reply}
    return {**hide_all(found), "exit_code": done.exit_code}


def _changes(step: FaultStep) -> Changes:
    """Believe who wrote the commands that they change no data; which rows they change is nowhere told."""
    return "anything" if CommandParameters.model_validate(step.parameters).changes_data else "nothing"


def _make(step: FaultStep, seams: Seams, seed: int) -> CommandFault:
    return CommandFault(step, seams)


KIND = FaultKind(
    kind="command",
    summary="commands of your own inject a fault, confirm it and revert it",
    targets=("service", "node", "keyspace", "dataset"),
    parameters=CommandParameters,
    confirmed_by="`confirm` ends with 0",
    restored="whatever `revert` restores; `absent` must end with 0, or without it `confirm` with 1",
    certifies="what your commands prove, and no more",
    not_certified="anything that `confirm` does not measure",
    make=_make,
    changes=_changes,
    in_flight_s=lambda step: CommandParameters.model_validate(step.parameters).timeout,
    call_limit_s=LONGEST_S + 5.0,
)
