"""Alerts that come by a webhook, in the forms of Alertmanager and Grafana, and what is refused."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from alert_polls import Polls
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from servers import serving

sys.path.insert(0, str(Path(__file__).parents[1] / "seams"))

from real_servers import free_port

from harness.model.alertsources import AlertSource
from harness.model.errors import ProbeError
from harness.probes import webhook
from harness.probes.alert_poller import Heartbeats, Rounds


def told(status: str, name: str = "Hot", starts: str = "2026-05-01T10:00:00Z", **labels: str) -> dict[str, Any]:
    return {"status": status, "labels": {"alertname": name, **labels}, "annotations": {}, "startsAt": starts,
            "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "c6ea"}  # fmt: skip


def from_alertmanager(*alerts: dict[str, Any]) -> dict[str, Any]:
    return {"version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "harness",
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
            "externalURL": "x", "alerts": list(alerts)}  # fmt: skip


def from_grafana(*alerts: dict[str, Any]) -> dict[str, Any]:
    return {"receiver": "My Super Webhook", "status": "firing", "orgId": 1, "title": "[FIRING:1]", "state": "alerting",
            "message": "m",
            "alerts": [{**one, "values": {"B": 44.2}, "silenceURL": "x"} for one in alerts]}  # fmt: skip


def from_old_grafana(state: str, name: str = "Hot") -> dict[str, Any]:
    return {"ruleId": 1, "ruleName": name, "state": state, "title": "[Alerting] Hot", "tags": {"service": "web"},
            "evalMatches": [{"metric": "heat", "value": 5, "tags": {}}]}  # fmt: skip


class Hook(Polls):
    """A webhook, and somebody who calls it."""

    def __init__(self, **more: Any) -> None:
        self.place = f"127.0.0.1:{free_port()}"
        super().__init__({"kind": "webhook", "listen": self.place, **more})

    async def call(self, body: Any, token: str | None = None) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        sent: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
        url = f"http://{self.place}/any/path"
        async with aiohttp.ClientSession() as session, session.post(url, headers=headers, **sent) as response:
            return response.status

    async def firing(self) -> list[str]:
        seen = await self.once()
        assert seen.down is None
        return sorted(alert.key for alert in seen.firing)


@pytest.mark.parametrize("form", [from_alertmanager, from_grafana])
async def test_alerts_fire_until_they_are_resolved(form: Any) -> None:
    async with Hook() as hook:
        assert await hook.firing() == []
        assert await hook.call(form(told("firing", service="web"), told("firing", "Cold"))) == 200
        assert await hook.firing() == ["Cold{}", "Hot{service=web}"]
        await hook.call(form(told("firing", service="web")))  # said again, as is done every few minutes
        await hook.call(form(told("resolved", "Cold")))
        assert await hook.firing() == ["Hot{service=web}"]
        assert {alert.key: count for alert, count in hook.seen[-1].fired or ()} == {
            "Cold{}": 1.0,
            "Hot{service=web}": 1.0,
        }
        assert hook.seen[-1].evaluations is None, "nothing shows that somebody looks at the rules"


async def test_a_firing_that_begins_anew_counts_again_though_nobody_resolved_it() -> None:
    async with Hook() as hook:
        await hook.call(from_alertmanager(told("firing")))
        await hook.call(from_alertmanager(told("firing", starts="2026-05-01T11:00:00Z")))
        await hook.call(from_alertmanager(told("resolved"), told("firing", starts="2026-05-01T12:00:00Z")))
        assert await hook.firing() == ["Hot{}"]
        assert [count for _, count in hook.seen[-1].fired or ()] == [3.0]


@pytest.mark.parametrize("starts", [None, "", "soon", "0001-01-01T00:00:00Z", 0])
async def test_what_is_told_again_without_a_start_may_be_a_new_firing(starts: Any) -> None:
    async with Hook() as hook:
        for _ in range(2):
            await hook.call(from_alertmanager({**told("firing"), "startsAt": starts}))
        assert await hook.firing() == ["Hot{}"]
        (alert,) = hook.seen[-1].firing
        assert alert.started_s is None or alert.started_s < -1e9
        assert [count for _, count in hook.seen[-1].fired or ()] == [2.0]


async def test_a_reminder_is_no_new_firing_though_this_machine_s_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Hook() as hook:
        await hook.call(from_alertmanager(told("firing")))
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() - 90.0)
        await hook.call(from_alertmanager(told("firing")))
        await hook.once()
        assert [count for _, count in hook.seen[-1].fired or ()] == [1.0]


async def test_the_older_form_of_grafana() -> None:
    async with Hook() as hook:
        for state, firing in (("pending", []), ("alerting", ["Hot{service=web}"]), ("ok", []), ("no_data", [])):
            assert await hook.call(from_old_grafana(state)) == 200
            assert await hook.firing() == firing


async def test_a_watchdog_proves_that_notifications_arrive_and_is_no_alert() -> None:
    async with Hook(watchdog=["Watchdog"], watchdog_every="2min") as hook:
        seen = await hook.once()
        assert (seen.awake, seen.evaluations, seen.interval_s) == (False, None, 120.0)
        for count in (1.0, 2.0):
            await hook.call(from_alertmanager(told("firing", "Watchdog"), told("firing")))
            seen = await hook.once()
            assert (seen.awake, seen.evaluations, [alert.name for alert in seen.firing]) == (True, count, ["Hot"])
            assert [alert.name for alert, _ in seen.fired or ()] == ["Hot"]
        await hook.call(from_alertmanager(told("resolved", "Watchdog")))
        seen = await hook.once()
        assert (seen.awake, seen.evaluations) == (False, None)


BAD = [b"", b"{", b"[]", b"3", b"null", b"[" * 100_000, b'{"alerts": 3}', b'{"alerts": [{}]}', b'{"alerts": {}}',
       b'{"state": "odd", "ruleName": "x"}',
       b'{"alerts": [{"status": "odd", "labels": {"alertname": "x"}}]}',
       b'{"alerts": [{"status": "firing", "labels": {}}]}']  # fmt: skip


@pytest.mark.parametrize("body", BAD, ids=[str(body[:30]) for body in BAD])
async def test_what_is_no_notification_is_refused_and_changes_nothing(body: bytes) -> None:
    async with Hook() as hook:
        await hook.call(from_alertmanager(told("firing")))
        assert await hook.call(body) == 400
        seen = await hook.once()
        assert "not a notification" in (seen.refused or "")
        assert [alert.key for alert in seen.firing] == ["Hot{}"]
        assert (await hook.once()).refused is None, "it is told once"


async def test_d2_a_notification_that_is_too_long_was_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "LARGEST_BYTES", 100)
    async with Hook() as hook:
        assert await hook.call(b"[" * 200) == 413
        assert "cannot be taken" in ((await hook.once()).refused or "")


async def test_a_notification_that_leaves_alerts_out_says_so() -> None:
    async with Hook() as hook:
        assert await hook.call(from_alertmanager(told("firing")) | {"truncatedAlerts": 7}) == 200
        seen = await hook.once()
        assert [alert.key for alert in seen.firing] == ["Hot{}"]
        assert "7 alerts were left out" in (seen.refused or "")
        await hook.call(from_alertmanager(told("firing")))
        assert (await hook.once()).refused is None


async def test_only_who_knows_the_token_may_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "t0ken-of-the-hook")
    async with Hook(token="${secret:HOOK_TOKEN}") as hook:
        assert await hook.call(from_alertmanager(told("firing"))) == 401
        assert await hook.call(from_alertmanager(told("firing")), "wrong") == 401
        assert await hook.firing() == []
        assert await hook.call(from_alertmanager(told("firing")), "t0ken-of-the-hook") == 200
        assert await hook.firing() == ["Hot{}"]


async def test_an_address_that_is_taken_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        hook = Polls({"kind": "webhook", "listen": f"127.0.0.1:{taken.getsockname()[1]}"})
        with pytest.raises(ProbeError, match=r"no webhook can listen on .* in use"):
            async with hook:
                pass
        await hook._session.close()


async def test_alertmanagers_list_of_alerts() -> None:
    def listed(name: str, state: str, updated: str = "2026-05-01T10:00:00Z") -> dict[str, Any]:
        return {
            "labels": {"alertname": name},
            "status": {"state": state},
            "startsAt": "2026-05-01T10:00:00Z",
            "updatedAt": updated,
        }

    said: list[Any] = [
        [listed("Hot", "active"), listed("Cold", "suppressed"), listed("New", "unprocessed"), listed("Dog", "active")]
    ]

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.path == "/am/api/v2/alerts"
        return web.json_response(said[0])

    async with serving(handler) as url:
        source = {"kind": "alertmanager", "url": f"{url}/am", "watchdog": ["Dog"]}
        async with Polls(source) as polls, Polls({**source, "suppressed": True, "watchdog": []}) as wide:
            seen = await polls.once()
            assert ([alert.name for alert in seen.firing], seen.awake, seen.evaluations) == (["Hot"], True, 0.0)
            assert sorted(alert.name for alert in (await wide.once()).firing) == ["Cold", "Dog", "Hot"]
            assert wide.seen[-1].evaluations is None
            said[0][-1] = listed("Dog", "active", "2026-05-01T10:01:00Z")
            assert (await polls.once()).evaluations == 1.0
            said[0].pop()
            seen = await polls.once()
            assert (seen.awake, seen.evaluations) == (False, None)
            for odd in ({}, 3, [3], [{"labels": {}}], [{"status": 3, "labels": {"alertname": "x"}}]):
                said[0] = odd
                assert (await polls.once()).down is not None, odd


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), max_size=30))
def test_a_round_is_over_when_every_group_was_gone_through_since_it_began(steps: list[list[bool]]) -> None:
    rounds, marks = Rounds(), {"a": 0, "b": 0, "c": 0}
    assert rounds.note(marks) == 0
    expected, missing = 0, {"a", "b", "c"}
    for step in steps:
        for name, moved in zip(marks, step, strict=True):
            marks[name] += moved
            missing -= {name} if moved else set()
        if not missing:
            expected, missing = expected + 1, {"a", "b", "c"}
        assert rounds.note(marks) == expected


def test_what_is_gone_is_not_gone_through() -> None:
    rounds = Rounds()
    counts = [rounds.note({"a": k, "b": k} if k < 3 or k > 5 else {"a": k}) for k in range(9)]
    assert counts == [0, 1, 2, 2, 2, 2, 3, 4, 5]


def test_every_series_of_a_heartbeat_counts_for_itself() -> None:
    beats = Heartbeats()
    assert [beats.note({"a": k, "b": 5}) for k in range(4)] == [0, 0, 0, 0]
    assert [beats.note({"a": k, "b": k}) for k in (6, 7, 8)] == [1, 2, 3]
    assert [beats.note({"a": k}) for k in (9, 10)] == [3, 3]


def test_a_heartbeat_begins_again_with_its_source() -> None:
    beats = Heartbeats()
    assert [beats.note({"": k}) for k in (5, 6, 7, 1, 2, 3)] == [0, 1, 2, 0, 1, 2]


def test_evaluators_that_stand_still_and_answer_by_turns_prove_no_more_than_one_round() -> None:
    beats = Heartbeats()
    assert max(beats.note({"": k}) for k in (5, 9) * 20) == 1


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ({"kind": "webhook"}, "needs `listen`"), ({"kind": "prometheus"}, "needs `url`"),
        ({"kind": "alertmanager"}, "needs `url`"),
        ({"kind": "webhook", "listen": "9093"}, "not an address to listen on"),
        ({"kind": "webhook", "listen": "a:99999"}, "not an address"),
        ({"kind": "webhook", "listen": "a:1", "url": "http://a"}, "`url` is not for"),
        ({"kind": "alertmanager", "url": "http://a", "heartbeat": "x"},
         "`heartbeat` is not for a source of kind alertmanager"),
        ({"kind": "prometheus", "url": "http://a", "suppressed": True}, "`suppressed` is not for"),
        ({"kind": "nagios", "url": "http://a"}, "'prometheus', 'alertmanager', 'grafana' or 'webhook'"),
        ({"kind": "prometheus", "url": "http://a", "watchdog": ["a b"]}, "not a name"),
    ],
)  # fmt: skip
def test_sources_that_cannot_be_meant(spec: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        AlertSource.model_validate(spec)
    assert hint in str(caught.value)
