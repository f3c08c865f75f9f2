"""The watchers of a running stack: the workload, the polled probes, the alert sources, the process events.

Each is a task that writes its readings into the journal. A watcher that ends by itself is a failure of the harness, not
of the stack, and is raised to the run.
"""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp

from harness.description.installed_probes import InstalledKinds
from harness.journal.writer import JournalWriter
from harness.model.backend import FAULT_PROXY, Backend
from harness.model.errors import BackendError, HarnessError, ProbeError
from harness.model.eventtime import EventClock
from harness.model.plan import Plan
from harness.model.readings import ProcessSeen
from harness.model.secrets import reveal
from harness.model.stack import StackDescription
from harness.probes.alert_poller import AlertPoller
from harness.probes.alert_sources import rule_watches, source_pollers
from harness.probes.http import named_host
from harness.probes.polled import Poller, pollers
from harness.probes.polling import EVERY_S, poll
from harness.probes.request_file import RequestFile
from harness.probes.rule_watch import EVERY_S as RULES_EVERY_S
from harness.probes.senders import RequestSender, Sender
from harness.probes.verify import Artefacts, Verifier
from harness.probes.workload_file import Workload
from harness.seams import Seams

CLOSE_S = 1.0


class Watchers:
    """The watchers of one run."""

    def __init__(self, plan: Plan, stack: StackDescription, backend: Backend, journal: JournalWriter) -> None:
        self._plan = plan
        self._stack = stack
        self._backend = backend
        self._journal = journal
        self.clock = journal.clock
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._sources: list[AlertPoller] = []
        self._pollers: list[Poller] = []
        self._sender: Sender | RequestSender | None = None

    def start(self, seams: Seams, workload: Workload | RequestFile | None) -> None:
        """Start all of them."""
        self._tasks["process events"] = asyncio.create_task(self._processes())
        self._start_alerts()
        self._start_polling(seams.clock)
        if isinstance(workload, RequestFile):
            self._start_requests(workload)
        elif workload is not None and seams.clock is not None:
            self._start_workload(seams, workload, seams.clock)

    def _start_alerts(self) -> None:
        self._sources = source_pollers(self._stack, self._backend, self._session, self.clock, self._journal.write)
        for k, watcher in enumerate(self._sources):
            name = f"alert source {self._stack.alert_sources[k].name}"
            self._tasks[name] = asyncio.create_task(self._poll_alerts(watcher, 0.01 * k))
        watches = rule_watches(
            self._stack, self._backend, self._watched(), self._session, self.clock, self._journal.write
        )
        for k, watch in enumerate(watches):
            self._tasks[f"rules {k}"] = asyncio.create_task(poll(self.clock, watch.once, RULES_EVERY_S, 0.05))

    def _watched(self) -> tuple[str, ...]:
        """Return the alerts whose rules are looked at: those expected, or any where a test has yet to say which."""
        if not self._plan.faults_on:
            return ()
        scenario = self._plan.scenario
        expected = tuple(clause.alert for clause in scenario.expect.detected)
        return expected if scenario.timeline else expected or tuple(self._stack.alerts)

    async def _poll_alerts(self, watcher: AlertPoller, offset_s: float) -> None:
        await watcher.start()
        try:
            await poll(self.clock, watcher.once, offset_s=offset_s)
        finally:
            await watcher.close()

    def _start_polling(self, events: EventClock | None) -> None:
        self._pollers = pollers(
            self._stack, self._backend, self._session, self.clock, self._journal.write, events, InstalledKinds()
        )
        for k, poller in enumerate(self._pollers, start=1):
            # Spread over the grid, so that not all probes are read in the same millisecond.
            offset_s = EVERY_S * k / (len(self._pollers) + 1)
            polling = poll(self.clock, poller.once, poller.every_s, offset_s)
            self._tasks[f"probes of {poller.name}"] = asyncio.create_task(polling)

    def _start_workload(self, seams: Seams, workload: Workload, events: EventClock) -> None:
        spec, integrity = self._stack.workload, self._stack.integrity
        assert spec is not None
        artefacts = None
        if integrity.has_artefacts:
            assert integrity.store is not None
            assert integrity.models is not None
            objects = seams.objects(integrity.store.service, integrity.store.bucket)
            artefacts = Artefacts(objects, integrity.models.prefix)
        self._sender = Sender(
            workload,
            spec,
            self._backend.resolve(spec.url),
            events,
            Verifier(workload, events, self._plan.stack.freshness_s, artefacts),
            self._journal.write,
            self.clock,
        )
        self._tasks["workload"] = asyncio.create_task(self._sender.run())

    def _start_requests(self, file: RequestFile) -> None:
        spec = self._stack.workload
        assert spec is not None
        self._sender = RequestSender(
            file,
            spec,
            reveal(self._backend.resolve(spec.url)),
            named_host(spec.url) | {name: reveal(value) for name, value in spec.headers.items()},
            self._journal.write,
            self.clock,
        )
        self._tasks["workload"] = asyncio.create_task(self._sender.run())

    async def look(self) -> None:
        """Poll every alert source once more, now."""
        now_s = self.clock.now_s()
        await asyncio.gather(*(source.once(now_s) for source in self._sources))

    def settled_s(self) -> float:
        """Return until when every request that was due has its answer."""
        now_s = self.clock.now_s()
        return now_s if self._sender is None else min(now_s, self._sender.settled_s())

    def check(self) -> None:
        """Raise the error of a watcher that has ended by itself."""
        for name, task in self._tasks.items():
            _raise_error_of(name, task)

    async def stop_workload(self) -> None:
        """Stop sending and wait for the answers that are still due. Raises what failed meanwhile: answers may lack."""
        task = await self._end("workload")
        if task is not None:
            _raise_error_of("workload", task)

    async def stop(self) -> None:
        """Stop all of them. Idempotent."""
        for name in list(self._tasks):
            await self._end(name)
        for poller in self._pollers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await poller.close()
        await self._session.close()

    async def _end(self, name: str) -> asyncio.Task[None] | None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # retrieved, so that asyncio does not report it a second time
        return task

    async def _processes(self) -> None:
        async for event in self._backend.events():
            ours = event.service == FAULT_PROXY
            died = event.what in ("exited", "killed") and not event.asked
            if ours and not died:
                continue
            self._journal.write(
                ProcessSeen(
                    service=event.service,
                    node=None if ours else self._stack.services[event.service].node,
                    what="exited" if event.what == "killed" else event.what,
                    at_s=self.clock.at_s(event.at_s),
                    exit_code=event.exit_code,
                    signal=event.signal,
                    asked="harness" if event.asked else None,
                    replica=event.replica,
                )
            )
            if ours:
                raise BackendError("the fault proxy died: the links are no longer under control")


def _raise_error_of(name: str, task: asyncio.Task[None]) -> None:
    """Raise what a watcher has ended with, if it has ended by an error."""
    error = task.exception() if task.done() and not task.cancelled() else None
    if isinstance(error, HarnessError):
        raise error
    if error is not None:
        raise ProbeError(f"the watcher of {name} failed: {type(error).__name__}: {error}") from error
