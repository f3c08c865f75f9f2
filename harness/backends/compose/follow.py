"""What a project's containers do and write: the engine's events as process events, and logs saved before removal.

A thread reads the engine's stream and hands each event to the loop. The engine does not report who sent a kill; the
harness announces its own here before it sends them.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from harness.backends.compose.containers_of import ContainerSnapshot, containers_of
from harness.backends.compose.leftovers import ONE_OFF, PROJECT, SERVICE
from harness.model.backend import ProcessEvent
from harness.model.errors import BackendError

MOST_LINES = 20000
AT_ONCE = 8


def tail(client: Any, project: str, service: str, lines: int) -> list[str]:
    """Return the last log lines of a service of a project. Blocks; none where the engine gives none."""
    import docker.errors
    import requests

    try:
        found = [one for one in containers_of(client, project) if one.service == service]
        raw: bytes = client.api.logs(found[0].id, tail=lines) if found and lines > 0 else b""
    except (docker.errors.DockerException, requests.RequestException):
        return []
    return raw.decode("utf-8", "replace").splitlines()[-lines:] if raw else []


BEGINNING = "1970-01-01T00:00:00.000000000Z"


def lines_since(client: Any, container: str, position: str, most: int | None = None) -> tuple[list[str], str]:
    """Return the lines after a position, which is the engine's own stamp of a line, and the last one's. Blocks.

    `most` cuts it to the last few. Raises BackendError where the engine gives none.
    """
    import docker.errors
    import requests

    # The engine takes a fraction of a second as a number, which holds microseconds: what came before is left out below.
    since = {"since": dt.datetime.fromisoformat(f"{position[:26]}+00:00").timestamp() - 2e-6} if position else {}
    try:
        raw: bytes = client.api.logs(container, timestamps=True, tail=most or "all", **since)
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise BackendError(f"the engine gives no log: {error}") from error
    stamped = [line.partition(" ") for line in raw.decode("utf-8", "replace").splitlines()]
    later = [(stamp, text) for stamp, _, text in stamped if stamp > position]
    return [text for _, text in later], max(stamp for stamp, _ in later) if later else position


def write_logs(client: Any, project: str, folder: Path) -> None:
    """Write the log of every service of a project into a folder. Blocks. What the engine does not give is left out."""
    import docker.errors
    import requests

    def write(one: ContainerSnapshot) -> None:
        with contextlib.suppress(docker.errors.DockerException, requests.RequestException, OSError):
            (folder / f"{one.service}.log").write_bytes(client.api.logs(one.id, tail=MOST_LINES))

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(write, containers_of(client, project)))


FATAL = 128


class EventStream:
    """Follows one project's containers until stopped."""

    def __init__(
        self, client: Any, project: str, tell: Callable[[ProcessEvent], None], lost: Callable[[str], None]
    ) -> None:
        """`tell` gets every event, in the loop; `lost` is called once where the engine's stream breaks off."""
        self._client = client
        self._project = project
        self._tell = tell
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._ending: set[str] = set()
        self._ours: set[str] = set()
        self._ended: dict[str, bool] = {}
        self._stopping = False
        self._stream: Any = None
        self._thread = threading.Thread(target=self._follow, name="docker-events", daemon=True)

    def start(self, since_s: float) -> None:
        """Begin with what happened after a moment of the wall clock."""
        self._stream = self._client.events(
            decode=True, since=int(since_s), filters={"label": f"{PROJECT}={self._project}", "type": "container"}
        )
        self._thread.start()

    def expect_end(self, services: Iterable[str]) -> None:
        """The next end of each of these is the harness's own doing."""
        self._ending.update(services)

    def own(self, service: str, on: bool) -> None:
        """From now on, or no more, every end of this one is the harness's own doing."""
        (self._ours.add if on else self._ours.discard)(service)

    def stop(self) -> None:
        """Stop following. Idempotent."""
        self._stopping = True
        if self._stream is not None:
            with contextlib.suppress(Exception):
                self._stream.close()

    def _follow(self) -> None:
        why = "the engine's stream of events ended"
        try:
            for raw in self._stream:
                at_s = time.monotonic()
                if self._stopping:
                    return
                self._post(self._take, raw, at_s)
        except Exception as error:  # noqa: BLE001 - a daemon that goes away breaks the stream in many ways
            why = f"the engine's stream of events broke off: {type(error).__name__}"
        if not self._stopping:
            self._post(self._lost, why)

    def _post(self, call: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(call, *arguments)

    def _take(self, raw: dict[str, Any], at_s: float) -> None:
        attributes = (raw.get("Actor") or {}).get("Attributes") or {}
        service = attributes.get(SERVICE)
        if service is None or attributes.get(ONE_OFF) == "True":
            return
        action = str(raw.get("Action"))
        if action == "die":
            code = int(attributes.get("exitCode") or 0)
            signal = code - FATAL if FATAL < code < FATAL + 65 else None
            expected = service in self._ours or service in self._ending
            self._ending.discard(service)
            self._ended[service] = expected
            what: Literal["killed", "exited"] = "killed" if signal is not None else "exited"
            self._tell(ProcessEvent(service, what, at_s, None if signal is not None else code, signal, expected))
        elif action == "start":
            # A start after an end that the harness did not cause is the engine's own restart.
            expected = self._ended.pop(service, True)
            self._tell(ProcessEvent(service, "started" if expected else "restarted", at_s, asked=expected))
