"""The second guard of a run: a container beside the stack that the run is attached to, where the faults are.

It is for engines on other machines: the first guard is lost with the machine of its run, and cannot reach the stack
while the network is cut. The undo of each fault is in the container before the fault goes in. As long as it is told
that somebody watches, it does nothing.
"""

from __future__ import annotations

import collections
import contextlib
import io
import json
import os
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness.backends.compose.engine import client as connected
from harness.backends.compose.engine import engine_errors
from harness.backends.compose.leftovers import PROJECT, SERVICE
from harness.guard.container_guards import GUARDS, HOST, RUN, RUN_ID
from harness.guard.image import HOME, IMAGE, archive_of, guard_image
from harness.guard.told import FOLDER, HEARD, READY, RENEWED
from harness.journal import undo_folder
from harness.journal.owner import LEASE_S, RENEW_S
from harness.journal.undo import UndoFiles
from harness.model.errors import BackendError, HarnessError, ScenarioError, did_you_mean
from harness.model.undo import RunUndo

KIND = "HARNESS_GUARD"
KINDS = ("process", "container")
SOCKET = "HARNESS_GUARD_SOCKET"
"""Where the engine's socket is on its own machine, if not at the usual place."""
PASSED_ON = ("HARNESS_TOOLS_IMAGE", "HARNESS_PROXY", "HARNESS_PROXY_IMAGE")
READY_S = 30.0
CALL_S = 5
"""How long one call to the engine may take: whoever waits longer cannot say in time that the run goes on."""
START_CALL_S = 120
"""The same, while its image may have to be made."""
LOOK_EVERY_S = 0.1
IDLE_WITHIN_S = 90.0
"""How long somebody who heals waits for it to end what it has begun."""


def wanted(near: bool) -> bool:
    """Return whether an attached run has a guard in a container; `near`: its engine is on this machine.

    Raises ScenarioError.
    """
    kind = os.environ.get(KIND) or ("process" if near else "container")
    if kind not in KINDS:
        raise ScenarioError(f"{kind!r} is no guard", field=KIND, remedy=did_you_mean(kind, KINDS))
    return kind == "container"


def name_of(run_id: str) -> str:
    """Return the name of the container of a run's guard."""
    return f"ml-chaos-harness-guard-{run_id[:16]}"


class GuardBeside:
    """The container of one run's guard, as its run, its first guard and `harness heal` reach it. All calls block."""

    def __init__(self, run: Path, undo: RunUndo) -> None:
        self._files = UndoFiles(run)
        self._undo = undo
        self._name = name_of(undo.id)
        self._client: Any = None
        self._told: dict[str, tuple[int, int]] = {}
        self._said: collections.deque[bytes] = collections.deque(maxlen=1000)
        self._last_heard, self._last_heard_s = b"", time.monotonic()

    def start(self) -> None:
        """Start it and wait until it watches. Raises BackendError."""
        client = self._engine()
        with engine_errors("the guard beside the stack could not be started"):
            client.ping()  # an engine that does not answer is not waited for as long as for an image
        client.api.timeout = START_CALL_S
        try:
            self._start(client)
        except BackendError as error:
            remedy = error.remedy or f"{IMAGE} names an image with this Python; {KIND}=process does without"
            raise BackendError(error.message, remedy=remedy) from error
        finally:
            client.api.timeout = CALL_S

    def _start(self, client: Any) -> None:
        with engine_errors("the guard beside the stack could not be started"):
            image = guard_image(client)
            if self._heard(client)[0]:
                raise BackendError("the guard beside the stack takes the faults of the run out")
            self._remove(client)
            self._told = {}
            made = client.api.create_container(
                image,
                name=self._name,
                entrypoint=["python3", "-P", "-m", "harness.guard.in_container"],
                command=[],
                environment=self._environment(),
                labels=self._labels(),
                host_config=client.api.create_host_config(
                    # So that it reaches the stack as a process on the engine's machine does, and nothing reaches it.
                    network_mode="host",
                    binds=[f"{os.environ.get(SOCKET) or '/var/run/docker.sock'}:/var/run/docker.sock"],
                    restart_policy={"Name": "on-failure"},
                    security_opt=["no-new-privileges:true"],
                ),
            )["Id"]
            self._tell(client)
            client.api.start(made)
            self._wait_until_ready(client)
            self._last_heard_s = time.monotonic()

    def tell(self) -> bool:
        """Tell it that somebody watches, and what has changed. Returns whether it has begun to take faults out.

        Raises BackendError where it does not listen.
        """
        client = self._engine()
        with engine_errors("the guard beside the stack is not reached"):
            self._tell(client)
            acted, heard = self._heard(client)
        now_s = time.monotonic()
        if heard != self._last_heard:
            self._last_heard, self._last_heard_s = heard, now_s
        if not acted and now_s - self._last_heard_s > LEASE_S:
            raise BackendError("the guard beside the stack does not listen")
        return acted

    def wait_until_idle(self, within_s: float) -> None:
        """Return once it has heard this caller, and so takes nothing out right now, or has ended. Raises BackendError.

        Returns after a while in any case.
        """
        client = self._engine()
        until_s = time.monotonic() + within_s
        with engine_errors("the guard beside the stack is not reached"):
            while time.monotonic() < until_s:
                self._tell(client)
                state = client.api.inspect_container(self._name)["State"]
                if self._heard(client)[1] in self._said or not state["Running"] or state["Paused"]:
                    return
                time.sleep(LOOK_EVERY_S)

    def hears_somebody(self, within_s: float) -> bool:
        """Return whether somebody else tells it that he watches. Raises BackendError."""
        client = self._engine()
        until_s = time.monotonic() + within_s
        with engine_errors("the guard beside the stack is not reached"):
            before = self._heard(client)[1]
            while time.monotonic() < until_s:
                time.sleep(LOOK_EVERY_S)
                if self._heard(client)[1] != before:
                    return True
        return False

    def _heard(self, client: Any) -> tuple[bool, bytes]:
        """Return whether it has taken faults out, and what it has heard last."""
        import docker.errors

        try:
            stream, _ = client.api.get_archive(self._name, f"{FOLDER}/undo/{HEARD}")
        except docker.errors.NotFound:
            return False, b""
        acted, _, heard = _members(b"".join(stream)).get(HEARD, b"").partition(b" ")
        return acted == b"1", heard

    def _tell(self, client: Any) -> None:
        now = {}
        changed: list[tuple[str, bytes]] = []
        for path in self._to_be_told():
            with contextlib.suppress(FileNotFoundError):
                about = path.stat()
                name = str(path.relative_to(self._files.folder))
                now[name] = (about.st_mtime_ns, about.st_size)
                if self._told.get(name) != now[name]:
                    changed.append((name, self._for_there(name, path.read_bytes())))
        said = f"{socket.gethostname()} {os.getpid()} {time.monotonic()}".encode()
        self._said.append(said)
        changed.append((RENEWED, said))
        client.api.put_archive(self._name, "/", archive_of((f"{FOLDER}/undo/{n}".lstrip("/"), d) for n, d in changed))
        self._told = now

    def _to_be_told(self) -> list[Path]:
        folder = self._files.folder
        own = [undo_folder.RUN, undo_folder.ENDED]
        faults = self._files.all()
        own += [one for name in reversed(faults) for one in (name, undo_folder.gone_file(name))]
        return [folder / name for name in own] + sorted(path for path in self._files.kept.rglob("*") if path.is_file())

    def _for_there(self, name: str, data: bytes) -> bytes:
        """Return what is told of a file: the guard there has no other one beside it."""
        if name != undo_folder.RUN:
            return data
        body = self._undo.model_copy(update={"guard": None}).model_dump(mode="json", by_alias=True)
        return json.dumps({"sha256": undo_folder.digest_of(body), "body": body}).encode()

    def learn(self) -> list[str]:
        """Write down here what it has measured to be gone. Returns these faults. Raises BackendError."""
        client = self._engine()
        with engine_errors("the guard beside the stack is not reached"):
            stream, _ = client.api.get_archive(self._name, f"{FOLDER}/undo")
            found = _members(b"".join(stream))
        were_open = self._files.open()
        for name in map(undo_folder.gone_file, were_open):
            self._take_in(name, found)
        are_open = self._files.open()
        if not are_open:
            self._take_in(undo_folder.ENDED, found)
        return [undo_folder.fault_of(name) for name in were_open if name not in are_open]

    def _take_in(self, name: str, found: dict[str, bytes]) -> None:
        """Write down what it says in a file, if that is as it was written there."""
        if name not in found:
            return
        file = self._files.folder / name
        new = file.with_name(f"{name}.learned")
        new.write_bytes(found[name])
        body = undo_folder.content(new)
        new.unlink()
        if body is not None:
            undo_folder.put(file, body)

    def remove(self) -> None:
        """Remove it: nothing of its run is left. Raises BackendError."""
        client = self._engine()
        with engine_errors("the guard beside the stack could not be removed"):
            self._remove(client)

    def close(self) -> None:
        """Close the connection to the engine. Idempotent."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _engine(self) -> Any:
        if self._client is None:
            self._client = connected()
            self._client.api.timeout = CALL_S
        return self._client

    def _remove(self, client: Any) -> None:
        import docker.errors

        with contextlib.suppress(docker.errors.NotFound):
            client.api.remove_container(self._name, force=True, v=True)

    def _environment(self) -> dict[str, str]:
        passed = {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
        return {"PYTHONPATH": HOME, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", **passed}

    def _labels(self) -> dict[str, str]:
        # The labels of compose on its image, if any, would make it one of the stack's containers.
        labels = {PROJECT: "", SERVICE: "", GUARDS: str(self._undo.project), RUN_ID: self._undo.id}
        return labels | {RUN: str(self._files.folder.parent.absolute()), HOST: socket.gethostname()}

    def _wait_until_ready(self, client: Any) -> None:
        until_s = time.monotonic() + READY_S
        while True:
            said = client.api.logs(self._name).decode(errors="replace")
            if READY in said:
                return
            if time.monotonic() > until_s or not client.api.inspect_container(self._name)["State"]["Running"]:
                last = said.strip().splitlines()[-1:] or ["it said nothing"]
                self._remove(client)
                raise BackendError(f"the guard beside the stack did not start: {last[0]}")
            time.sleep(LOOK_EVERY_S)


def is_spoken_to(run: Path, undo: RunUndo) -> bool:
    """Return whether the guard beside the stack hears of its run, which goes on somewhere else, then. Blocks."""
    guard = GuardBeside(run, undo)
    try:
        return guard.hears_somebody(LEASE_S)
    except HarnessError:
        return False
    finally:
        guard.close()


@contextlib.contextmanager
def spoken_for(run: Path, undo: RunUndo) -> Iterator[list[str]]:
    """Keep the guard beside the stack from acting while somebody heals here, and remove it once nothing is left.

    Yields the faults that it has taken out before. Where it is not reached, or not there, healing does without it.
    Blocks.
    """
    guard = GuardBeside(run, undo)
    over = threading.Event()
    teller: threading.Thread | None = None
    learned: list[str] = []
    try:
        with contextlib.suppress(HarnessError, OSError):
            guard.wait_until_idle(IDLE_WITHIN_S)
            teller = threading.Thread(target=_go_on_telling, args=(guard.tell, over), daemon=True)
            teller.start()
            learned = guard.learn()
        yield learned
    finally:
        over.set()
        if teller is not None:
            teller.join()
        if undo_folder.has_ended(undo_folder.folder_of(run)):
            with contextlib.suppress(HarnessError):
                guard.remove()
        guard.close()


def _go_on_telling(tell: Callable[[], bool], over: threading.Event) -> None:
    while not over.wait(RENEW_S):
        with contextlib.suppress(HarnessError):
            tell()


def _members(data: bytes) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() and member.size < undo_folder.MOST_BYTES else None
            if file is not None:
                found[Path(member.name).name] = file.read()
    return found
