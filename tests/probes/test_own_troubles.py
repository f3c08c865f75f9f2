"""What is the harness's own trouble is a gap: it is never held against the stack, and never hidden."""

from __future__ import annotations

import datetime as dt
import errno
import time
from email.utils import formatdate
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from alert_polls import Polls
from servers import event_clock, serving, workload

from harness.journal.clock import Clock
from harness.model.readings import AlertsSeen, Answer, Gap, Reading
from harness.model.stack import EventClockEndpoint, ProbeSpec, ServiceSpec, StackDescription
from harness.model.workload import WorkloadSpec
from harness.probes.event_clock import ClockSteps, by_the_clock
from harness.probes.gauges import Gauges
from harness.probes.polled import Single
from harness.probes.reader import NoAnswerError, NotAskedError
from harness.probes.senders import Sender
from harness.probes.verify import Verifier

FULL = OSError(errno.EMFILE, "Too many open files")
REFUSED = OSError(errno.ECONNREFUSED, "Connection refused")


class Session:
    """A session of which every request fails by one error."""

    def __init__(self, error: OSError) -> None:
        self._error = error

    def request(self, *_: Any, **__: Any) -> Any:
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


@pytest.mark.parametrize(("error", "gaps"), [(FULL, 3), (REFUSED, 0)])
async def test_d11_requests_that_could_not_be_sent_did_not_fail(
    error: OSError, gaps: int, monkeypatch: pytest.MonkeyPatch
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


def stack(event: bool) -> StackDescription:
    probes = {"old": {"json": {"url": "http://s:1", "path": "at", "as": "age"}}, "n": {"http": {"url": "http://s:1"}}}
    return StackDescription(
        schema=1,
        name="s",
        file="f",
        services={"s": ServiceSpec(name="s", index=0, node="a", port=1)},
        event_clock=EventClockEndpoint(url="http://s:1/clock") if event else None,
        probes={name: ProbeSpec.model_validate(probe) for name, probe in probes.items()},
    )


@pytest.mark.parametrize(("event", "probes"), [(True, ["workload", "old"]), (False, ["old"])])
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
