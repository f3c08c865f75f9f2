"""What every backend must do. Written against the protocol alone, to be run on each kind of backend."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from watching import get, marked, soon

from harness.backends.priority import NICENESS, may_raise
from harness.model.backend import Backend, LinkEndpoint, ProcessEvent, StackPlan
from harness.model.errors import BackendError
from harness.model.fields import Link

Plan = Callable[..., StackPlan]
LINK = Link("relay", "echo")


async def collect(backend: Backend, seen: list[ProcessEvent]) -> None:
    async for event in backend.events():
        seen.append(event)  # noqa: PERF401 - each must be there as soon as it happens


async def test_is_a_backend(backend: Backend) -> None:
    assert isinstance(backend, Backend)


async def test_start_means_every_service_is_healthy(backend: Backend, plan: Plan, tmp_path: Path) -> None:
    info = await backend.start(plan())
    assert (await get(backend, "http://echo:17101/healthz"))[0] == 200
    assert (await get(backend, "http://relay:17102/healthz"))[0] == 200
    status = await backend.status()
    assert [(s.service, s.node, s.state, s.restarts) for s in status] == [
        ("echo", "a", "running", 0),
        ("relay", "b", "running", 0),
        ("flaky", "a", "running", 0),
        ("sleeper", "b", "running", 0),
    ]
    assert len({s.pid for s in status} - {None}) == 4
    assert info.name == "teststack"
    assert info.ready_s > 0
    assert backend.logs("echo", 5)[0].startswith("echo listens on ")


async def test_services_get_their_settings(backend: Backend, plan: Plan) -> None:
    await backend.start(plan(start_at="2013-06-14T06:00", echo={"EXTRA": "$HOME costs 5 $$"}))
    environment = json.loads((await get(backend, "http://echo:17101/environment"))[1])
    assert environment["GREETING"] == "hello"
    assert environment["START_AT"] == "2013-06-14T06:00"
    assert environment["EXTRA"] == "$HOME costs 5 $$"
    assert "PYTEST_CURRENT_TEST" not in environment, "services are given their own settings and little else"


async def test_dependencies_are_waited_for(backend: Backend, plan: Plan) -> None:
    seen: list[ProcessEvent] = []
    following = asyncio.create_task(collect(backend, seen))
    await backend.start(plan())
    await backend.stop()
    await following
    started = [e.service for e in seen if e.what == "started"]
    assert started.index("echo") < started.index("relay")
    assert started.index("flaky") < started.index("sleeper")
    assert all(e.asked for e in seen), "starts and stops were the harness's own"


async def test_stop_is_idempotent_and_a_stopped_stack_can_be_started_again(backend: Backend, plan: Plan) -> None:
    await backend.stop()
    for _ in range(2):
        await backend.start(plan())
        with pytest.raises(BackendError, match="runs already"):
            await backend.start(plan())
        await backend.stop()
        await backend.stop()
        with pytest.raises(BackendError, match="does not run"):
            await backend.status()
        with pytest.raises(BackendError, match="does not run"):
            backend.resolve("http://echo:17101/")


async def test_resolve_names_the_nearest_service(backend: Backend, plan: Plan) -> None:
    await backend.start(plan())
    with pytest.raises(BackendError, match="did you mean 'echo'"):
        backend.resolve("http://ecko:17101/")
    with pytest.raises(BackendError, match="has no port"):
        backend.resolve("http://echo/")
    assert backend.resolve("http://127.0.0.1:9/x") == "http://127.0.0.1:9/x"
    for call in (backend.kill, backend.restore, backend.pause, backend.resume, backend.process_states):
        with pytest.raises(BackendError, match="did you mean 'relay'"):
            await call(["relai"])
    with pytest.raises(BackendError, match="did you mean 'sleeper'"):
        backend.logs("sleper", 5)


async def test_a_killed_service_is_restarted_by_its_policy(backend: Backend, plan: Plan) -> None:
    await backend.start(plan())
    before = (await backend.status())[0].pid
    await backend.kill(["echo"])

    async def restarted() -> bool:
        echo = (await backend.status())[0]
        return echo.state == "running" and echo.restarts == 1 and echo.pid != before

    await soon(restarted, "echo runs again")
    await backend.kill(["relay"])  # no restart policy
    relay = (await backend.status())[1]
    assert (relay.state, relay.pid, relay.restarts) == ("exited", None, 0)


async def test_a_node_is_killed_at_once_and_stays_down_until_restored(backend: Backend, plan: Plan) -> None:
    seen: list[ProcessEvent] = []
    await backend.start(plan())
    following = asyncio.create_task(collect(backend, seen))
    node = ["echo", "flaky"]
    await backend.kill(node, suppress_restart=True)
    # One that has ended may not have been waited for yet.
    assert set((await backend.process_states(node)).values()) <= {"absent", "Z"}
    assert [s.state for s in await backend.status()] == ["suppressed", "running", "suppressed", "running"]
    with pytest.raises(OSError):
        await get(backend, "http://echo:17101/healthz")
    await backend.restore(node)
    await backend.restore(node)

    async def up() -> bool:
        try:
            return (await get(backend, "http://echo:17101/healthz"))[0] == 200
        except OSError:
            return False

    await soon(up, "echo answers again")
    assert [s.state for s in await backend.status()] == ["running"] * 4
    await backend.stop()
    await following
    killed = [e for e in seen if e.what == "killed" and e.service in node][:2]
    assert [(e.signal, e.asked) for e in killed] == [(signal.SIGKILL, True)] * 2
    again = [e for e in seen if e.what == "started" and e.service in node and e.at_s > killed[1].at_s]
    assert len(again) == 2, "restored once, though asked twice"


async def test_what_a_service_started_dies_with_it_alone(backend: Backend, plan: Plan, marker: str) -> None:
    await backend.start(plan())
    before = set(marked(marker))
    await get(backend, "http://echo:17101/children")

    looks: list[set[int]] = []

    async def children() -> bool:
        looks.append(set(marked(marker)) - before)
        return len(looks[-1]) == 4 and looks[-2:-1] == looks[-1:]

    await soon(children, "sleep, sh and its sleep, and the sleep of an sh that has ended run, and nothing else")
    started = looks[-1]
    await backend.kill(["relay"], suppress_restart=True)
    assert started <= set(marked(marker)), "what a service started is no other service's"
    await backend.kill(["echo"], suppress_restart=True)
    assert not started & set(marked(marker))


async def test_pause_and_resume_are_measured(backend: Backend, plan: Plan) -> None:
    await backend.start(plan())
    await get(backend, "http://echo:17101/children")
    await backend.pause(["echo", "sleeper"])
    assert await backend.process_states(["echo", "sleeper"]) == {"echo": "T", "sleeper": "T"}
    assert [s.state for s in await backend.status()] == ["paused", "running", "running", "paused"]
    await backend.resume(["echo", "sleeper"])
    assert set((await backend.process_states(["echo", "sleeper"])).values()) <= {"S", "R"}
    assert (await get(backend, "http://echo:17101/healthz"))[0] == 200
    await backend.pause(["echo"])  # a paused stack can be stopped as well


async def test_events_tell_what_the_harness_did_not_ask_for(backend: Backend, plan: Plan) -> None:
    await backend.start(plan())
    seen: list[ProcessEvent] = []
    following = asyncio.create_task(collect(backend, seen))
    before_s = time.monotonic()
    with pytest.raises((OSError, ValueError)):
        await get(backend, "http://flaky:17101/exit?code=3")

    async def restarted() -> bool:
        return any(e.what == "restarted" for e in seen)

    await soon(restarted, "flaky is restarted")
    unasked = [(e.service, e.what, e.exit_code) for e in seen if not e.asked]
    assert unasked == [("flaky", "exited", 3), ("flaky", "restarted", None)]
    assert all(before_s <= e.at_s <= time.monotonic() for e in seen if not e.asked)
    await backend.stop()
    await following


async def test_a_signal_other_than_kill_is_for_the_service_to_handle(backend: Backend, plan: Plan) -> None:
    await backend.start(plan())
    await backend.kill(["sleeper"], signal=signal.SIGTERM)

    async def gone() -> bool:
        return (await backend.process_states(["sleeper"]))["sleeper"] == "absent"

    await soon(gone, "sleeper has ended")
    following = backend.events()
    ended = [await anext(following) for _ in range(5)][-1]
    assert (ended.service, ended.what, ended.signal, ended.asked) == ("sleeper", "killed", signal.SIGTERM, True)


async def test_only_planned_links_run_through_the_proxy(backend: Backend, plan: Plan) -> None:
    await backend.start(plan())
    assert backend.links == {}
    assert backend.resolve("http://echo:17101/", "relay") == backend.resolve("http://echo:17101/")
    await backend.stop()

    await backend.start(plan(links=(LINK,)))
    endpoint = backend.links["relay -> echo"]
    assert backend.resolve("http://echo:17101/", "relay") != backend.resolve("http://echo:17101/")
    assert list(endpoint.proxies) == [17101, 17109], "the main port, and the one that only the consumer names"
    for port, path in ((17101, "/ask"), (17109, "/ask-second")):
        assert (await get(backend, f"http://relay:17102{path}"))[0] == 200
        await disable(endpoint, port)
        assert (await get(backend, f"http://relay:17102{path}"))[0] == 502
    assert (await get(backend, "http://echo:17101/healthz"))[0] == 200, "the direct way is untouched"


async def disable(endpoint: LinkEndpoint, of: int) -> None:
    from harness.backends.http_request import request

    address, port = endpoint.proxy_api_url.removeprefix("http://").split(":")
    path = f"/proxies/{endpoint.proxies[of]}"
    status, _ = await request("POST", address, int(port), path, {"enabled": False}, token=endpoint.proxy_token)
    assert status == 200


async def test_a_link_that_nobody_uses_is_refused(backend: Backend, plan: Plan) -> None:
    with pytest.raises(BackendError, match=r"'echo -> relay' is in nobody's configuration.*relay -> echo"):
        await backend.start(plan(links=(Link("echo", "relay"),)))


async def test_jobs_run_without_a_stack_and_with_one(backend: Backend, plan: Plan, tmp_path: Path) -> None:
    shout = ["python", "-c", "import os,sys; print(os.environ['WORD']); print('aside', file=sys.stderr); sys.exit(4)"]
    result = await backend.run_job(shout, 5.0, {"WORD": "out"})
    assert (result.exit_code, result.stdout, result.stderr) == (4, "out\n", "aside\n")
    result = await backend.run_job(["python", "-m", "json.tool", str(tmp_path / "missing")], 5.0)
    assert result.exit_code != 0
    assert "missing" in result.stderr
    await backend.start(plan())
    result = await backend.run_job(["echo", "http://relay:17102/x"], 5.0)
    assert result.stdout == f"{backend.resolve('http://relay:17102/x')}\n"
    result = await backend.run_job(["no-such-program"], 5.0)
    assert result.exit_code == 127
    assert "no-such-program" in result.stderr


async def test_a_job_waits_for_the_harness_by_its_own_priority_or_by_the_harness_s(backend: Backend) -> None:
    lowered = (
        "import os; begun = os.times().elapsed\n"
        "while os.nice(0) == int(os.environ['OURS']) and os.times().elapsed < begun + 0.5: pass\n"
        "print(os.nice(0))"
    )
    result = await backend.run_job(["python", "-c", lowered], 8.0, {"OURS": str(os.nice(0))})
    assert int(result.stdout) - os.nice(0) == (0 if may_raise() else NICENESS)


async def test_a_job_that_does_not_end_costs_bounded_time(backend: Backend, marker: str) -> None:
    """What it started would outlast any test; `marker` sees to it that nothing of it is left."""
    with pytest.raises(BackendError, match=r"did not end within 0\.2 s"):
        await backend.run_job(["sh", "-c", "sleep 1000 & sleep 1000"], 0.2, {"HARNESS_TEST_MARKER": marker})


async def test_logs_are_the_last_lines_also_after_the_stack(backend: Backend, plan: Plan) -> None:
    await backend.start(plan())
    await backend.stop()
    assert len(backend.logs("echo", 1)) == 1
    assert backend.logs("echo", 1)[0].startswith("echo listens on")
    assert backend.logs("sleeper", 5) == []


async def test_a_cancelled_start_leaves_nothing(backend: Backend, plan: Plan) -> None:
    starting = asyncio.create_task(backend.start(plan()))
    following = backend.events()
    await anext(following)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await backend.start(plan())
