"""How a probe is read: what reads it (one call gives one number, or says why there is none), and in which thread.

Whatever the stack does is a reading. `ProbeContext` is what a reader may use of its run. A package of its own offers a
`ProbeKind` under the entry-point group `harness.probes`. A client that blocks is called in a daemon thread of its own,
one call at a time: threads do not pile up, a source that hangs costs its deadline and is a reading, `down`, and it
keeps no process from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import aiohttp
from pydantic import BaseModel

from harness.model.backend import Backend, ServiceStatus
from harness.model.errors import HarnessError, ProbeError
from harness.model.eventtime import parse_timestamp
from harness.model.secrets import hide
from harness.model.stack import StackDescription
from harness.model.units import format_seconds

LONGEST_REASON = 300
AHEAD_S = 2.0
"""How far a time stamp may be ahead of the clock, on the clock of the wall: those of two machines differ a little."""
OWN_TROUBLES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL)
NO_THREAD = "can't start new thread"
"""What Python says, by a RuntimeError, where the system gives it no more threads."""
T = TypeVar("T")


class NoAnswerError(Exception):
    """The stack gave no usable answer; the text says why."""


class NotAskedError(NoAnswerError):
    """The harness itself could not ask: no more open files, no memory, no free port. That says nothing of the stack."""


class OldSampleError(NoAnswerError):
    """What was answered is from too long ago, or from an unknown time: nothing is known of the present."""


def wall_age(unix: float) -> float:
    """Return how long ago a moment was, in seconds. Raises NoAnswerError for one that lies ahead."""
    return not_ahead(time.time() - unix)


def not_ahead(age_s: float, speed: float = 1.0) -> float:
    """Return an age on a clock of that speed. Raises NoAnswerError where it is negative: that tells no age at all."""
    if age_s < -AHEAD_S * speed:
        raise NoAnswerError(f"its time stamp is {format_seconds(round(-age_s, 1))} ahead of the clock")
    return age_s


def age_of(unix: float, how: str, event_age: Callable[[float], float] | None) -> float:
    """Return the age of a moment in seconds: by the wall clock, or for `event_age` by the event clock, if there is one.

    Raises NoAnswerError where there is none, or the moment lies ahead.
    """
    if how != "event_age":
        return wall_age(unix)
    if event_age is None:
        raise NoAnswerError("the stack has no event clock, so there is no age in event time")
    return event_age(unix)


def is_own(error: BaseException) -> bool:
    """Whether an error is the harness's own trouble: no more open files, memory, threads or ports.

    Clients wrap an error of the system in errors of their own, so what an error came from is looked at too.
    """
    seen: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in seen:
        if isinstance(one, MemoryError) or (isinstance(one, OSError) and one.errno in OWN_TROUBLES):
            return True
        if isinstance(one, RuntimeError) and NO_THREAD in str(one):
            return True
        seen.append(one)
        one = one.__cause__ or one.__context__
    return False


def failing(error: BaseException, why: str | None = None) -> NoAnswerError:
    """Return what a client's error means: the harness's own trouble, or no usable answer. `why` words it otherwise."""
    kind = NotAskedError if is_own(error) or _short_of_files() else NoAnswerError
    return kind(why or f"{type(error).__name__}: {error}")


def _short_of_files() -> bool:
    """Whether this process can open no file now: some libraries then say no more than that they failed."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return is_own(error)
    return False


def short_reason(why: str) -> str:
    """Return a reason in one line, without secrets, no longer than a reader wants."""
    line = " ".join(hide(why).split())
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 1]}…"


@contextlib.asynccontextmanager
async def asking_backend(deadline_s: float) -> AsyncIterator[None]:
    """Ask the backend for something, in time. It is the harness's own, so what goes wrong raises NotAskedError."""
    try:
        async with asyncio.timeout(deadline_s):
            yield
    except TimeoutError:
        raise NotAskedError(f"the backend gave no answer within {deadline_s:g} s") from None
    except HarnessError as error:
        raise NotAskedError(error.message) from None


class Reader(Protocol):
    """Reads one probe of one run.

    One that needs several answers for a number may have `keeps_deadlines = True`: it then sets the deadline of each
    answer itself, and must come to an end by that.
    """

    async def read(self) -> float:
        """Return the number, now. Raises NoAnswerError; the caller else sets the deadline, by cancelling."""

    async def close(self) -> None:
        """Give up connections. Idempotent."""


class Statuses:
    """The states of the services: those who ask while an answer is on its way share it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._asked: asyncio.Task[tuple[ServiceStatus, ...]] | None = None

    async def get(self) -> tuple[ServiceStatus, ...]:
        """Return every service's state. Raises BackendError."""
        if self._asked is None or self._asked.done():
            self._asked = asyncio.ensure_future(self._backend.status())
            # Looked at, whoever still waits for it.
            self._asked.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._asked)


@dataclass(frozen=True, slots=True)
class ProbeContext:
    """What a reader may use: where the services are, how old a stamp is, and how long one answer may take."""

    backend: Backend
    stack: StackDescription
    session: aiohttp.ClientSession
    deadline_s: float
    event_age: Callable[[float], float] | None = None
    """Turns an event time into an age by the stack's event clock; None where it has none."""
    shared: Statuses | None = None
    """Asks for the services' states once for all who ask at the same moment."""

    @property
    def folder(self) -> Path:
        """The compose file's folder, at which relative paths start."""
        return Path(self.stack.file).parent

    async def statuses(self) -> tuple[ServiceStatus, ...]:
        """Return every service's state. Raises BackendError."""
        return await (self.shared.get() if self.shared is not None else self.backend.status())

    def reachable(self, url: str) -> str:
        """Return a URL of HTTP with its service, if it names one, replaced by where that is. Raises BackendError."""
        parts = urlsplit(url)
        service = self.service_of(parts.hostname)
        if service is None:
            return url
        port = parts.port or self.stack.services[service].port or (443 if parts.scheme == "https" else 80)
        head, _, _host = parts.netloc.rpartition("@")
        place = self.backend.resolve(f"{service}:{port}")
        return parts._replace(netloc=f"{head}@{place}" if head else place).geturl()

    def place(self, service: str, port: int | None = None) -> tuple[str, int]:
        """Return host and port of a service: on that port, or on its own. Raises ProbeError, BackendError."""
        chosen = port or self.stack.services[service].port
        if chosen is None:
            raise ProbeError(f"the service {service!r} has no port to ask on", remedy="give x-harness.port of it")
        host, _, found = self.backend.resolve(f"{service}:{chosen}").rpartition(":")
        return host.strip("[]"), int(found)

    def service_of(self, host: str | None) -> str | None:
        """Return the service that a host names, None for any other host."""
        # Hosts of URLs come in small letters.
        return {name.lower(): name for name in self.stack.services}.get((host or "").lower())

    def age(self, stamp: Any, how: str) -> float:
        """Return the age of a timestamp in seconds: by the wall clock, or for `event_age` by the event clock.

        Raises NoAnswerError where it is no stamp, or there is no event clock.
        """
        try:
            unix = parse_timestamp(stamp)
        except ValueError as error:
            raise NoAnswerError(str(error)) from None
        return age_of(unix, how, self.event_age)


@dataclass(frozen=True, slots=True)
class ProbeKind:
    """A kind of probe that another package brings in, under its own name."""

    kind: str
    summary: str
    settings: type[BaseModel]
    """Its fields are checked as the stack is read. May have `EVERY_S`, `DEADLINE_S` and `usual_unit`."""
    make: Callable[[Any, ProbeContext], Reader]
    """`make(settings, around)` binds it to one run. Raises ProbeError where that cannot be."""


class OwnThread:
    """Runs one blocking call after the other."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._free = threading.Lock()

    async def call(self, work: Callable[[], T]) -> T:
        """Return what the call returns, or raise what it raises.

        Raises NoAnswerError while one before it hangs, and NotAskedError where there is no thread for it.
        """
        if not self._free.acquire(blocking=False):
            raise NoAnswerError("the call before this one has not come back yet")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if done.done():
                return  # nobody waits for it any more
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]

        def run() -> None:
            result: Any = None
            error: BaseException | None = None
            try:
                result = work()
            except BaseException as failure:  # noqa: BLE001 - it is raised where it is waited for
                error = failure
            finally:
                self._free.release()
            with contextlib.suppress(RuntimeError):  # the loop is closed: the run is long over
                loop.call_soon_threadsafe(settle, result, error)

        try:
            threading.Thread(target=run, name=self._name, daemon=True).start()
        except (RuntimeError, MemoryError) as error:
            self._free.release()  # or every later call would seem to wait for this one
            raise NotAskedError(f"{type(error).__name__}: {error}") from None
        return await done
