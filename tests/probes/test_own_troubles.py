"""What is the harness's own trouble is a gap: it is never held against the stack, and never hidden."""

from __future__ import annotations

import asyncio
import datetime as dt
import errno
import math
import resource
import sys
import threading
import time
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from alert_polls import Polls
from real_probes import Probing
from real_servers import FakeBackend
from servers import event_clock, serving, workload

from harness.journal.clock import Clock
from harness.model.alertsources import AlertSource
from harness.model.errors import BackendError
from harness.model.readings import AlertsSeen, Answer, Gap, Reading
from harness.model.stack import EventClockEndpoint, ProbeSpec, ServiceSpec, StackDescription
from harness.model.workload import WorkloadSpec
from harness.probes.event_clock import ClockSteps, by_the_clock
from harness.probes.gauges import AGGREGATES, Gauges
from harness.probes.polled import Single
from harness.probes.reader import NoAnswerError, NotAskedError, OwnThread
from harness.probes.senders import Sender
from harness.probes.verify import Verifier

FULL = OSError(errno.EMFILE, "Too many open files")
REFUSED = OSError(errno.ECONNREFUSED, "Connection refused")


class Session:
    """A session of which every request fails by one error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def request(self, *_: Any, **__: Any) -> Any:
        if not isinstance(self._error, OSError):
            raise self._error
        raise aiohttp.ClientOSError(self._error.errno, self._error.strerror)


class Reader:
    def __init__(self, error: Exception) -> None:
        self._error = error

    async def read(self) -> float:
        raise self._error

    async def close(self) -> None:
        """Nothing is open."""


SPEC = ProbeSpec.model_validate({"http": {"url": "http://a:1", "read": "up"}})


@pytest.mark.parametrize("error", [FULL, NotAskedError("no more open files")])
async def test_d11_a_probe_that_the_harness_could_not_read_is_a_gap(error: Exception) -> None:
    told: list[Reading | Gap] = []
    await Single("p", SPEC, Reader(error), Clock(), told.append).once(0.0)
    assert [(type(one), one.probe) for one in told] == [(Gap, "p")]


@pytest.mark.parametrize("error", [REFUSED, NoAnswerError("status 500"), ValueError("no")])
async def test_d11_whatever_else_happens_is_a_reading(error: Exception) -> None:
    told: list[Reading | Gap] = []
    await Single("p", SPEC, Reader(error), Clock(), told.append).once(0.0)
    (one,) = told
    assert isinstance(one, Reading)
    assert one.value is None


def wrapped(error: Exception) -> Exception:
    """An error as a client wraps it in one of its own."""
    try:
        try:
            raise error
        except Exception as cause:
            raise ConnectionError("the client could not connect") from cause
    except ConnectionError as made:
        return made


THREADS = RuntimeError("can't start new thread")


@pytest.mark.parametrize("error", [wrapped(FULL), MemoryError(), THREADS, wrapped(THREADS)])
async def test_what_came_of_the_harness_s_own_trouble_is_a_gap_however_it_is_wrapped(error: Exception) -> None:
    told: list[Reading | Gap] = []
    await Single("p", SPEC, Reader(error), Clock(), told.append).once(0.0)
    assert [type(one) for one in told] == [Gap]


@pytest.mark.parametrize("error", [wrapped(REFUSED), RuntimeError("no"), wrapped(ValueError("no"))])
async def test_other_errors_are_readings_however_they_are_wrapped(error: Exception) -> None:
    told: list[Reading | Gap] = []
    await Single("p", SPEC, Reader(error), Clock(), told.append).once(0.0)
    assert [type(one) for one in told] == [Reading]


@pytest.mark.parametrize(("error", "kind"), [(FULL, Gap), (THREADS, Gap), (REFUSED, Reading)])
@pytest.mark.parametrize("read", ["up", "status"])
async def test_an_http_probe_that_could_not_be_asked_is_not_down(
    read: str, error: Exception, kind: type, tmp_path: Path
) -> None:
    async with Probing(tmp_path, {"p": {"http": {"url": "http://a.example:1", "read": read}}}) as probing:
        probing.pollers[0]._reader._around = replace(probing.pollers[0]._reader._around, session=Session(error))
        await probing.pollers[0].once(0.0)
        assert [type(one) for one in probing.told] == [kind]


async def test_a_thread_that_cannot_be_had_is_no_hanging_call(monkeypatch: pytest.MonkeyPatch) -> None:
    thread = OwnThread("t")

    def none(_: Any) -> None:
        raise THREADS

    monkeypatch.setattr(threading.Thread, "start", none)
    for _ in range(2):
        with pytest.raises(NotAskedError, match="can't start new thread"):
            await thread.call(lambda: 1)
    monkeypatch.undo()
    assert await thread.call(lambda: 1) == 1


STORES = {
    "redis": {"redis": {"url": "redis://127.0.0.1:1", "key": "k"}},
    "s3": {"s3": {"url": "http://127.0.0.1:1", "bucket": "b", "key": "k"}},
    "sql": {"sql": {"url": "postgresql://u@127.0.0.1:1/x", "query": "select 1"}},
    "command": {"command": [sys.executable, "-c", "print(1)"]},
    "tcp": {"tcp": {"address": "127.0.0.1:1"}},
    "kafka_lag": {"kafka_lag": {"bootstrap": "127.0.0.1:1", "group": "g", "topic": "t"}},
    "mongo": {"mongo": {"url": "mongodb://127.0.0.1:1"}},
    "grpc": {"grpc": {"address": "127.0.0.1:1"}},
    "pattern": {"file": {"path": "*.bin", "read": "count"}},
    "log": {"log": {"file": "a.log", "pattern": "x"}},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", STORES)
async def test_no_more_open_files_is_a_gap_for_every_kind_of_probe(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("x\n", encoding="utf-8")
    async with Probing(tmp_path, {"p": STORES[kind]}) as probing:
        await probing.once()  # what is read once from files is read
        (as_usual,) = probing.told
        assert isinstance(as_usual, Reading)
        probing.told.clear()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            await probing.pollers[0].once(0.0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert [type(one) for one in probing.told] == [Gap], probing.told


@pytest.mark.parametrize("probe", [{"container": {"service": "web"}}, {"log": {"service": "web", "pattern": "x"}}])
@pytest.mark.parametrize("how", ["error", "late"])
async def test_a_backend_that_does_not_tell_is_the_harness_s_own(probe: Any, how: str, tmp_path: Path) -> None:
    class Backend(FakeBackend):
        async def status(self) -> Any:
            if how == "late":
                await asyncio.Event().wait()
            raise BackendError("the engine does not answer")

        async def log_since(self, _service: str, _position: str) -> Any:
            return await self.status()

    spec = {"p": {**probe, "timeout": "100ms"}}
    async with Probing(tmp_path, spec, backend=Backend(addresses={"web": "127.0.0.1:1"})) as probing:
        for poller in probing.pollers:
            await poller.once(0.0)
        (found,) = probing.told
    assert isinstance(found, Gap)
    assert found.why == {"error": "the engine does not answer", "late": "the backend gave no answer within 0.1 s"}[how]


@pytest.mark.parametrize("name", ["max", "min", "sum", "mean"])
@pytest.mark.parametrize("values", [[1.0, math.nan], [math.nan, 1.0], [1.0, math.nan, 2.0]])
def test_a_value_that_is_no_number_hides_behind_no_other(name: str, values: list[float]) -> None:
    assert math.isnan(AGGREGATES[name](values))


def test_sums_that_cannot_be_told_are_no_numbers() -> None:
    assert math.isnan(AGGREGATES["sum"]([math.inf, -math.inf]))
    assert math.isnan(AGGREGATES["mean"]([1.7e308, 1.7e308]))
    assert AGGREGATES["min"]([math.inf, 1.0]) == 1.0


@pytest.mark.parametrize(("error", "kind"), [(FULL, Gap), (REFUSED, Reading)])
async def test_d11_a_page_that_several_probes_share(error: OSError, kind: type) -> None:
    told: list[Reading | Gap] = []
    specs = {n: ProbeSpec.model_validate({"json": {"url": "http://a:1", "path": n}, "unit": "count"}) for n in "ab"}
    session: Any = Session(error)
    await Gauges(session, "http://a:1", specs, Clock(), None, told.append).once(0.0)
    assert [(type(one), one.probe) for one in told] == [(kind, "a"), (kind, "b")]


@pytest.mark.parametrize(("error", "kind"), [(FULL, Gap), (REFUSED, AlertsSeen)])
async def test_d11_an_alert_source(error: OSError, kind: type) -> None:
    async with Polls({"kind": "alertmanager", "url": "http://am:1"}, {"am": "127.0.0.1:1"}) as polls:
        polls.poller._session = Session(error)  # type: ignore[attr-defined]
        assert type(await polls.once()) is kind


@pytest.mark.parametrize(("error", "gaps"), [(FULL, 3), (THREADS, 3), (REFUSED, 0)])
async def test_d11_requests_that_could_not_be_sent_did_not_fail(
    error: Exception, gaps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Answer | Gap] = []
    clock, work = event_clock(), workload(3)
    spec = WorkloadSpec(make=("make",), url="http://server/predict")
    monkeypatch.setattr(aiohttp.ClientSession, "request", Session(error).request)
    verifier = Verifier(work, clock, {}, None)
    await Sender(work, spec, "http://127.0.0.1:1/", clock, verifier, told.append, Clock()).run()
    own = [one for one in told if isinstance(one, Gap) and "end" not in one.why]
    assert len(own) == gaps
    assert sum(isinstance(one, Answer) for one in told) == 3 - gaps


HOOK = AlertSource(kind="webhook", listen="127.0.0.1:9").name
"""The starts of alerts that come by a webhook are known by their stamps alone."""


def stack(event: bool) -> StackDescription:
    probes = {"old": {"json": {"url": "http://s:1", "path": "at", "as": "age"}}, "n": {"http": {"url": "http://s:1"}}}
    return StackDescription(
        schema=1,
        name="s",
        file="f",
        services={"s": ServiceSpec(name="s", index=0, node="a", port=1)},
        event_clock=EventClockEndpoint(url="http://s:1/clock") if event else None,
        alert_sources=(
            AlertSource(kind="webhook", listen="127.0.0.1:9"),
            AlertSource(kind="prometheus", url="http://s:1"),
        ),
        probes={name: ProbeSpec.model_validate(probe) for name, probe in probes.items()},
    )


@pytest.mark.parametrize(("event", "probes"), [(True, ["workload", "old", HOOK]), (False, ["old", HOOK])])
def test_d11_ages_are_not_right_once_the_wall_clock_was_set(
    event: bool, probes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Gap] = []
    clock = Clock()
    steps = ClockSteps(clock, told.append, by_the_clock(stack(event)))
    steps.look()
    assert told == []
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 90.0)
    steps.look()
    assert [gap.probe for gap in told] == probes
    assert all("set by -90.0 s" in gap.why and gap.to_s > 1e8 for gap in told)
    steps.look()
    assert len(told) == len(probes), "it is told once"


@pytest.mark.parametrize(
    ("slept_s", "says"), [(90.0, "the machine was suspended for 90.0 s"), (40.0, "the wall clock was set by +90.0 s")]
)
def test_d11_a_machine_that_was_suspended_is_not_called_a_clock_that_was_set(
    slept_s: float, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Gap] = []
    slept = [1000.0]
    steps = ClockSteps(Clock(), told.append, ["old"], lambda: slept[0])
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 90.0)
    slept[0] += slept_s
    steps.look()
    assert [gap.why.partition(",")[0] for gap in told] == [says]


@pytest.mark.parametrize("ahead_s", [-600.0, 600.0, 0.0])
async def test_d11_an_alertmanager_whose_clock_is_off_is_understood(ahead_s: float) -> None:
    began = time.time()

    async def handler(_: web.Request) -> web.StreamResponse:
        stamp = dt.datetime.fromtimestamp(began + ahead_s, dt.UTC).isoformat()
        alert = {"labels": {"alertname": "A"}, "startsAt": stamp, "updatedAt": stamp, "status": {"state": "active"}}
        return web.json_response([alert], headers={"Date": formatdate(time.time() + ahead_s, usegmt=True)})

    async with serving(handler) as url:
        address = url.removeprefix("http://")
        async with Polls({"kind": "alertmanager", "url": "http://am:1"}, {"am": address}) as polls:
            (alert,) = (await polls.once()).firing
            assert alert.started_s is not None
            assert abs(alert.started_s - (began - polls.clock.unix_at_zero_s())) < 1.6
