"""The sidecar of a run: its second guard, in a container beside the stack that the run is attached to.

It is for engines on other machines: the first guard is lost with the machine of its run, and cannot reach the stack
while the network is cut. The undo of each fault is in the container before the fault goes in. As long as heartbeats
come, it does nothing.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from harness.backends.compose.archives import unpacked
from harness.backends.compose.engine import client as connected
from harness.backends.compose.engine import engine_errors
from harness.backends.compose.labels import PROJECT, SERVICE
from harness.guard.sidecar_folder import ACK, FOLDER, HEARTBEAT, READY
from harness.guard.sidecar_image import HOME, IMAGE, archive_of, sidecar_image
from harness.guard.sidecars_on_engine import GUARDS, HOST, RUN, RUN_ID
from harness.journal import undo_folder
from harness.journal.owner import LEASE_S
from harness.journal.undo import UndoFiles
from harness.model.errors import BackendError, ScenarioError, did_you_mean
from harness.model.undo import RunUndo

KIND = "HARNESS_GUARD"
KINDS = ("process", "container")
SOCKET = "HARNESS_GUARD_SOCKET"
"""Where the engine's socket is on its own machine, if not at the usual place."""
PASSED_ON = ("HARNESS_TOOLS_IMAGE", "HARNESS_PROXY", "HARNESS_PROXY_IMAGE")
READY_S = 30.0
CALL_S = 5
"""How long one call to the engine may take: whoever waits longer cannot send the next heartbeat in time."""
START_CALL_S = 120
"""The same, while its image may have to be made."""
LOOK_EVERY_S = 0.1
NOT_REACHED = "the guard in a container is not reached"


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


class Sidecar:
    """The container, as its run, its first guard and `harness heal` reach it. All calls block."""

    def __init__(self, run: Path, undo: RunUndo) -> None:
        self._files = UndoFiles(run)
        self._undo = undo
        self._name = name_of(undo.id)
        self._client: Any = None
        self._sent: dict[str, tuple[int, int]] = {}
        """The files that it has, as they were when they were sent."""
        self._own_beats: collections.deque[bytes] = collections.deque(maxlen=1000)
        self._last_ack, self._last_ack_s = b"", time.monotonic()

    def start(self) -> None:
        """Start it and wait until it watches. Raises BackendError."""
        client = self._engine()
        with engine_errors("the guard in a container could not be started"):
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
        with engine_errors("the guard in a container could not be started"):
            image = sidecar_image(client)
            if self._ack(client)[0]:
                raise BackendError("the guard in a container takes the faults of the run out")
            self._remove(client)
            self._sent = {}
            made = client.api.create_container(
                image,
                name=self._name,
                entrypoint=["python3", "-P", "-m", "harness.guard.sidecar_main"],
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
            self._send(client)
            client.api.start(made)
            self._wait_until_ready(client)
            self._last_ack_s = time.monotonic()

    def beat(self) -> bool:
        """Send a heartbeat, and what has changed. Returns whether it has begun to take faults out.

        Raises BackendError where it does not answer.
        """
        client = self._engine()
        with engine_errors(NOT_REACHED):
            self._send(client)
            acted, ack = self._ack(client)
        now_s = time.monotonic()
        if ack != self._last_ack:
            self._last_ack, self._last_ack_s = ack, now_s
        if not acted and now_s - self._last_ack_s > LEASE_S:
            raise BackendError("the guard in a container does not answer heartbeats")
        return acted

    def wait_until_idle(self, within_s: float) -> None:
        """Return once it has answered this caller, and so takes nothing out right now, or has ended.

        Returns after a while in any case. Raises BackendError.
        """
        client = self._engine()
        until_s = time.monotonic() + within_s
        with engine_errors(NOT_REACHED):
            while time.monotonic() < until_s:
                self._send(client)
                state = client.api.inspect_container(self._name)["State"]
                if self._ack(client)[1] in self._own_beats or not state["Running"] or state["Paused"]:
                    return
                time.sleep(LOOK_EVERY_S)

    def has_heartbeat(self, within_s: float) -> bool:
        """Return whether somebody else sends it heartbeats. Raises BackendError."""
        client = self._engine()
        until_s = time.monotonic() + within_s
        with engine_errors(NOT_REACHED):
            before = self._ack(client)[1]
            while time.monotonic() < until_s:
                time.sleep(LOOK_EVERY_S)
                if self._ack(client)[1] != before:
                    return True
        return False

    def _ack(self, client: Any) -> tuple[bool, bytes]:
        """Return whether it has taken faults out, and the last heartbeat that it has seen."""
        import docker.errors

        try:
            stream, _ = client.api.get_archive(self._name, f"{FOLDER}/undo/{ACK}")
        except docker.errors.NotFound:
            return False, b""
        acted, _, beat = _members(b"".join(stream)).get(ACK, b"").partition(b" ")
        return acted == b"1", beat

    def _send(self, client: Any) -> None:
        now = {}
        changed: list[tuple[str, bytes]] = []
        for path in self._files_to_send():
            with contextlib.suppress(FileNotFoundError):
                about = path.stat()
                name = str(path.relative_to(self._files.folder))
                now[name] = (about.st_mtime_ns, about.st_size)
                if self._sent.get(name) != now[name]:
                    changed.append((name, self._as_sent(name, path.read_bytes())))
        beat = f"{socket.gethostname()} {os.getpid()} {time.monotonic()}".encode()
        self._own_beats.append(beat)
        changed.append((HEARTBEAT, beat))
        client.api.put_archive(self._name, "/", archive_of((f"{FOLDER}/undo/{n}".lstrip("/"), d) for n, d in changed))
        self._sent = now

    def _files_to_send(self) -> list[Path]:
        folder = self._files.folder
        own = [undo_folder.RUN, undo_folder.ENDED]
        faults = self._files.all()
        own += [one for name in reversed(faults) for one in (name, undo_folder.gone_file(name))]
        return [folder / name for name in own] + sorted(path for path in self._files.kept.rglob("*") if path.is_file())

    def _as_sent(self, name: str, data: bytes) -> bytes:
        """Return what is sent of a file: the guard there has no other one beside it."""
        if name != undo_folder.RUN:
            return data
        body = self._undo.model_copy(update={"guard": None}).model_dump(mode="json", by_alias=True)
        return json.dumps({"sha256": undo_folder.digest_of(body), "body": body}).encode()

    def undo_there(self) -> dict[str, bytes]:
        """Return the files of its undo folder, by name. Raises BackendError."""
        client = self._engine()
        with engine_errors(NOT_REACHED):
            stream, _ = client.api.get_archive(self._name, f"{FOLDER}/undo")
            return _members(b"".join(stream), "undo/")

    def remove(self) -> None:
        """Remove it: nothing of its run is left. Raises BackendError."""
        client = self._engine()
        with engine_errors("the guard in a container could not be removed"):
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
                raise BackendError(f"the guard in a container did not start: {last[0]}")
            time.sleep(LOOK_EVERY_S)


def _members(archive: bytes, folder: str = "") -> dict[str, bytes]:
    """Return the files of an archive that are in that folder of it, by name: one in a folder below has another."""
    files = unpacked(archive, undo_folder.MOST_BYTES)
    return {
        about.name.removeprefix(folder): content
        for about, content in files
        if content is not None and about.name.startswith(folder) and "/" not in about.name.removeprefix(folder)
    }
