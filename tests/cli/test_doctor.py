"""`harness doctor` on a running stack: what works, what does not, and the remedies."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from calling import Called, Harness

import harness.guard.stack_owner
import harness.onboarding.doctor.examine
import harness.runner.keeping.up
from harness.guard.stack_owner import StackOwner
from harness.liveness import ProcessId

sys.path.insert(0, str(Path(__file__).parents[1] / "guard"))

from left_behind import dead_run

pytestmark = pytest.mark.slow

STACK = Path(__file__).parent / "doctor_stack"
SCENARIO = """\
schema: 1
scenario: {name}
summary: The store answers late.
stack: ../compose.yaml
timeline:
  - id: slow
    at: 1s
    fault: {fault}
    target: {target}
    with: {settings}
    for: 5s
expect: {expect}
"""


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """Return a copy of the stack, to be changed."""
    return Path(shutil.copytree(STACK, tmp_path / "clinic", ignore=shutil.ignore_patterns("__pycache__")))


def changed(clinic: Path, old: str, new: str) -> None:
    path = clinic / "compose.yaml"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def found(called: Called) -> dict[str, dict[str, Any]]:
    return {f"{one['area']} {one['name']}": one for one in json.loads(called.out)["findings"]}


def scenario(clinic: Path, name: str, **fields: str) -> None:
    usual = {
        "fault": "network.latency", "target": "{link: web -> store}", "settings": "{latency: 100ms}",
        "expect": "{stays: [{id: young, probe: age, at_most: 10s}]}",
    }  # fmt: skip
    folder = clinic / "scenarios"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.scenario.yaml").write_text(SCENARIO.format(**usual | fields | {"name": name}))


def test_a_stack_in_which_all_works(clinic: Path, harness_: Harness) -> None:
    scenario(clinic, "slow")
    result = harness_("doctor", clinic / "compose.yaml", clinic / "scenarios", "--start", "--watch", "1s")
    assert (result.code, result.err) == (0, "")
    head, *rows = result.out.splitlines()
    assert head.split() == ["area", "name", "result"]
    said = {tuple(row.split()[:2]): row for row in rows if row}
    assert "ok" in said["ok", "stack"]
    assert max(map(len, rows)) <= 80, "the last column goes on below"
    table = " ".join(result.out.split())
    for part in (
        "probe age 3.5 s (in",
        "probe rows 12 (in",
        "alerts http://web:18001 1 firing: Late; rules are being evaluated",
        "alerts declared alerts 1 of 1 are rules of a source",
        "link web -> store runs through the proxy:",
        "scenario slow nothing is missing",
    ):
        assert part in table
    assert rows[-1].startswith("everything works"), "though other stacks of this user may be noted"


def test_each_failure_is_reported_with_its_remedy(clinic: Path, harness_: Harness) -> None:
    changed(clinic, "path: age", "path: name")
    changed(clinic, "name: rows", "name: columns")
    changed(clinic, "heartbeat: rounds_total", "heartbeat: still_total")
    changed(clinic, "alerts: {Late: {}}", "alerts: {Late: {}, Lost: {}}")
    scenario(clinic, "rests-on-age")
    scenario(clinic, "rests-on-alerts", expect="{detected: [{id: seen, alert: Lost, within: 5s}]}")
    scenario(clinic, "rests-on-restarts", expect="{churn_at_most: [{id: steady, service: web, at_most: 9}]}")
    scenario(clinic, "no-such-link", target="{link: web -> stoer}")
    result = harness_("doctor", clinic / "compose.yaml", clinic / "scenarios", "--start", "--watch", "1s", "--json")
    assert result.code == 1
    seen = found(result)
    assert json.loads(result.out)["works"] is False
    wrong = {name: one["says"] for name, one in seen.items() if one["state"] == "wrong"}
    assert wrong.pop("scenario no-such-link").count("did you mean 'web -> store'?") == 1
    assert wrong.pop("stack steady state").endswith("nothing shows that http://web:18001 evaluates its rules")
    assert wrong == {
        "probe age": "no number at 'name'",
        "probe rows": "no series columns with these labels",
        "alerts http://web:18001": "1 firing: Late; no rule was evaluated meanwhile",
        "alerts Lost": "no source has a rule with this name",
        "scenario rests-on-age": "probe age: no number at 'name'",
        "scenario rests-on-alerts": "alert Lost: no source has a rule with this name; alert source http://web:18001: "
        "1 firing: Late; no rule was evaluated meanwhile",
    }
    assert seen["scenario rests-on-restarts"]["state"] == "ok"
    assert seen["alerts Lost"]["remedy"] == "correct its name, or remove it", "no rule has a name like it"
    assert all(seen[name]["remedy"] for name in ("stack steady state", *wrong) if not name.startswith("scenario"))
    plain = harness_("doctor", clinic / "compose.yaml", "--start", "--watch", "1s")
    assert plain.code == 1
    assert "\n  probe age: is the address right" in plain.out.partition("remedies:")[2]
    assert "do not work" in plain.out.splitlines()[-1]


def test_a_real_prometheus_needs_no_heartbeat(clinic: Path, harness_: Harness) -> None:
    changed(clinic, ", heartbeat: rounds_total", "")
    result = harness_("doctor", clinic / "compose.yaml", "--start", "--watch", "1s", "--json")
    assert result.code == 0
    assert found(result)["alerts http://web:18001"]["says"] == "0 firing; rules are being evaluated"


def test_a_source_that_proves_nothing_is_noted(clinic: Path, harness_: Harness) -> None:
    changed(clinic, 'url: "http://web:18001", heartbeat: rounds_total', 'url: "http://web:18001/plain"')
    result = harness_("doctor", clinic / "compose.yaml", "--start", "--watch", "1s", "--json")
    assert result.code == 0
    source = found(result)["alerts http://web:18001/plain"]
    assert (source["state"], source["says"]) == ("note", "1 firing: Late; nothing shows that rules are evaluated")
    rules = found(result)["alerts rules"]
    assert rules["state"] == "note"
    assert rules["says"].startswith("http://web:18001/plain does not list its rules")


def with_a_silent_store(clinic: Path, more: str = "") -> None:
    old = "x-harness: {port: 18002, health: {http: /}, local: {command: [python, -m, doctor_stack_server, "
    changed(clinic, old, f"x-harness: {{port: 18002{more}, local: {{command: [python, -m, silent_store, ")


def test_faults_that_can_never_be_confirmed_on_a_link(clinic: Path, harness_: Harness) -> None:
    with_a_silent_store(clinic)
    scenario(clinic, "slow")
    scenario(clinic, "reset", fault="network.reset", settings="{after: 0s}", target="{service: store}")
    own = '{inject: ["true"], confirm: ["true"], revert: ["true"]}'
    scenario(clinic, "other", fault="command", settings=own, target="{service: store}")
    result = harness_("doctor", clinic / "compose.yaml", clinic / "scenarios", "--start", "--watch", "500ms", "--json")
    seen = found(result)
    link = seen["link web -> store"]
    assert (link["state"], link["confirms"]) == ("note", [])
    silent = "runs through the proxy; store stays silent when it is asked for / over HTTP"
    assert link["says"] == f"{silent}, so that none of network.latency, network.reset, storage.slow can be confirmed"
    assert "x-harness.roles: one of postgres, " in link["remedy"]
    assert result.code == 1
    for name, fault in (("slow", "network.latency"), ("reset", "network.reset")):
        assert seen[f"scenario {name}"]["state"] == "wrong"
        assert f"{fault} cannot be confirmed on the link web -> store: runs" in seen[f"scenario {name}"]["says"]
    assert seen["scenario other"]["state"] == "ok"


def test_a_link_is_tried_in_the_protocol_of_the_services_role(clinic: Path, harness_: Harness) -> None:
    with_a_silent_store(clinic, ", roles: [postgres]")
    scenario(clinic, "slow")
    result = harness_("doctor", clinic / "compose.yaml", clinic / "scenarios", "--start", "--watch", "500ms", "--json")
    assert result.code == 0, result.out
    seen = found(result)
    link = seen["link web -> store"]
    assert link["confirms"] == ["network.latency", "network.reset", "storage.slow"]
    assert link["says"].endswith(
        "ms (asked as postgres); can be confirmed: network.latency, network.reset, storage.slow"
    )
    assert seen["scenario slow"]["says"] == "nothing is missing"
    assert "confirms" not in seen["service store"]


def with_a_workload(clinic: Path, *lines: dict[str, Any], more: str = "") -> None:
    block = f'  workload: {{requests: requests.jsonl, url: "http://web:18001", rate: 10/s{more}}}\n'
    changed(clinic, "  ready_within: 10s\n", f"  ready_within: 10s\n{block}")
    (clinic / "requests.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_the_requests_of_the_workload_are_sent_and_judged(clinic: Path, harness_: Harness) -> None:
    good = {"method": "GET", "path": "/numbers", "expect": {"json": {"age": 3.5}}}
    with_a_workload(
        clinic,
        good,
        good,
        {"method": "GET", "path": "/api/gone", "expect": {"status": 200}},
        {"method": "GET", "path": "/numbers", "expect": {"json": {"age": 4, "name": "store", "more": {"any": True}}}},
        {"method": "GET", "path": "/api/lost", "expect": {"status": 200}},
        {"path": "/predict", "body": {"x": 1}, "expect": {"status": 200}},
    )
    result = harness_("doctor", clinic / "compose.yaml", "--start", "--watch", "500ms", "--json")
    seen = found(result)
    assert result.code == 1
    assert seen["workload requests.jsonl:3"]["says"] == "GET /api/gone: status 404; the same on line 5"
    assert "is the path right?" in seen["workload requests.jsonl:3"]["remedy"]
    differs = "age is 3.5, not 4; name is 'web', not 'store'; nothing at 'more'"
    assert seen["workload requests.jsonl:4"]["says"] == f"GET /numbers: {differs}"
    assert seen["workload requests.jsonl:6"]["says"] == "POST /predict: status 501", "the stack is doctor's own"
    all_in_all = seen["workload requests.jsonl"]
    assert all_in_all["state"] == "note"
    assert all_in_all["says"].startswith("4 different requests sent: "), "lines 1, 2 and 4 ask the same"
    assert " ms (median), " in all_in_all["says"]


def test_a_workload_in_which_all_is_right(clinic: Path, harness_: Harness) -> None:
    with_a_workload(clinic, *({"path": f"/numbers?n={n}", "expect": {"json": {"name": "web"}}} for n in range(52)),
                    more=", method: get")  # fmt: skip
    result = harness_("doctor", clinic / "compose.yaml", "--start", "--watch", "500ms", "--json")
    assert result.code == 0, result.out
    said = found(result)["workload requests.jsonl"]
    assert said["state"] == "ok"
    assert said["says"].startswith("50 of 52 different requests sent: ")
    assert said["says"].endswith("; all answers are as expected")


def test_a_workload_that_nobody_answers_and_secrets_that_are_not_there(
    clinic: Path, harness_: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_a_workload(clinic, {"path": "/x"}, more=', headers: {A: "$${secret:ONE_KEY}", B: "$${secret:TWO_KEY}"}')
    for name in ("ONE_KEY", "TWO_KEY"):
        monkeypatch.delenv(name, raising=False)
    result = harness_("doctor", clinic / "compose.yaml", "--start", "--watch", "500ms", "--json")
    seen = found(result)
    assert result.code == 1
    assert seen["secret ONE_KEY"]["says"].endswith("compose.yaml:6: x-harness.workload.headers.A needs it")
    assert seen["secret TWO_KEY"]["remedy"] == "export TWO_KEY=…"
    assert seen["workload requests.jsonl"]["says"].startswith("cannot be sent: the secret 'ONE_KEY' is not in the env")
    for name in ("ONE_KEY", "TWO_KEY"):
        monkeypatch.setenv(name, "k")
    changed(clinic, 'url: "http://web:18001", rate', 'url: "http://store:18003", rate')
    seen = found(harness_("doctor", clinic / "compose.yaml", "--start", "--watch", "500ms", "--json"))
    assert not any(name.startswith("secret") for name in seen)
    assert seen["workload requests.jsonl:1"]["state"] == "wrong"
    assert seen["workload requests.jsonl:1"]["remedy"].startswith("is x-harness.workload.url the address")
    (clinic / "requests.jsonl").write_text('{"path": "x"}\n')
    result = harness_("doctor", clinic / "compose.yaml", "--start")
    assert (result.code, result.out) == (2, "")
    assert "requests.jsonl:1: path: 'x' is not a path — begin it with '/'" in result.err


STEADY = "  steady_state: [{id: young, probe: age, at_most: %s}]\n"


def test_a_stack_that_is_still_coming_up_is_waited_for(clinic: Path, harness_: Harness) -> None:
    with_a_workload(clinic, {"method": "GET", "path": "/warming/answers", "expect": {"json": {"age": 3.5}}})
    changed(clinic, "web:18001/numbers", "web:18001/warming/steady")
    changed(clinic, "  ready_within: 10s\n", f"  ready_within: 30s\n{STEADY % '5s'}")
    later = '    later: {json: {url: "http://web:18001/warming/later", path: age}, unit: wall}\n'
    changed(clinic, "    rows: {metric", f"{later}    rows: {{metric")
    result = harness_("doctor", clinic / "compose.yaml", "--start", "--watch", "500ms", "--json")
    assert result.code == 0, result.out
    seen = found(result)
    assert re.fullmatch(r"holds, \d+\.\d s after the start", seen["stack steady state"]["says"])
    assert seen["workload requests.jsonl"]["state"] == "ok", "its one line is sent again and again until it is right"
    assert seen["probe later"]["says"].startswith("3.5 s (in"), "no steady state rests on it, and it is waited for"


def test_a_steady_state_that_never_holds(clinic: Path, harness_: Harness) -> None:
    with_a_workload(clinic, {"method": "GET", "path": "/numbers", "expect": {"json": {"age": 4}}})
    changed(clinic, "  ready_within: 10s\n", f"  ready_within: 3s\n{STEADY % '3s'}")
    result = harness_("doctor", clinic / "compose.yaml", "--start", "--watch", "500ms", "--json")
    assert result.code == 1
    steady = found(result)["stack steady state"]
    assert steady["state"] == "wrong"
    assert steady["says"].startswith("did not hold within 3 s: ")
    assert "age is 3.5 s, not at most 3s" in steady["says"]
    assert "for one, requests.jsonl:1: age is 3.5, not 4" in steady["says"]
    assert steady["remedy"] == "correct what does not hold, or give it a longer x-harness.ready_within"


def test_a_source_that_does_not_answer(clinic: Path, harness_: Harness) -> None:
    changed(clinic, 'url: "http://web:18001", heartbeat', 'url: "http://store:18003", heartbeat')
    result = harness_("doctor", clinic / "compose.yaml", "--start", "--watch", "500ms", "--json")
    assert result.code == 1
    assert found(result)["alerts http://store:18003"]["state"] == "wrong"


def test_a_stack_that_does_not_start(clinic: Path, harness_: Harness) -> None:
    path = clinic / "compose.yaml"
    path.write_text(path.read_text().replace("[python, -m, doctor_stack_server", "[no-such-program"))
    result = harness_("doctor", path, "--start")
    assert result.code == 4
    assert "needs 'no-such-program', which is not there" in result.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "there is no running stack to examine — use --start"),
        (("--backend", "local", "--attach", "shop"), "--attach: there is nothing to attach to on the local backend"),
        (("--start", "--attach", "shop"), "--start: --start and --attach exclude each other"),
        (("--start", "--backend", "podman"), "unknown backend 'podman'"),
        (("--start", "--watch", "long"), "--watch: 'long' is not a duration — write one such as 5s or 1min"),
        (("--backend", "compose"), "name the compose project that runs with --attach"),
    ],
)
def test_what_cannot_be_asked(clinic: Path, harness_: Harness, arguments: tuple[str, ...], said: str) -> None:
    result = harness_("doctor", clinic / "compose.yaml", *arguments)
    assert (result.code, result.out) == (2, "")
    assert said in result.err


def test_a_local_stack_that_is_up_cannot_be_attached_to(
    clinic: Path, harness_: Harness, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    note = {**ProcessId.here().to_dict(), "stack": "clinic"}
    (kept / "up.json").write_text(json.dumps(note))
    monkeypatch.setattr(harness.runner.keeping.up, "scratch_folders", lambda kind: [kept] if kind == "up" else [])
    result = harness_("doctor", clinic / "compose.yaml")
    assert (result.code, result.out) == (2, "")
    assert "the local stack 'clinic' that `harness up` keeps cannot be attached to — use --start" in result.err
    (kept / "up.json").write_text(json.dumps(note | {"stack": "another"}))
    assert "there is no running stack to examine" in harness_("doctor", clinic / "compose.yaml").err


def test_a_stack_that_there_is_not(harness_: Harness) -> None:
    assert harness_("doctor", "gone.yaml", "--start").code == 2
    assert harness_("doctor", "refrence", "--start").code == 2


def test_an_engine_that_cannot_be_reached(clinic: Path, harness_: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{clinic}/no.sock")
    result = harness_("doctor", clinic / "compose.yaml", "--attach", "shop")
    assert (result.code, result.out) == (4, "")
    assert "no Docker engine answers at unix://" in result.err
    assert "DOCKER_HOST" in result.err


def test_leftovers_of_earlier_runs_are_reported(
    clinic: Path, harness_: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness.onboarding.doctor.examine, "zygotes", lambda: iter([object()]))
    result = harness_("doctor", clinic / "compose.yaml", "--start", "--watch", "500ms", "--json")
    assert result.code == 0
    assert found(result)["machine other stacks"]["state"] == "note"


def test_a_stack_that_a_run_owns_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = dead_run(tmp_path, {}, run="dead", backend="compose", project="shop", owned=False)
    owners = [
        StackOwner("shop", "1", str(dead), ProcessId.here()),
        StackOwner("mart", "2", str(tmp_path / "gone"), ProcessId.here()),
    ]
    monkeypatch.setattr(harness.guard.stack_owner, "owned_stacks", lambda _: owners)
    of_dead, of_living = harness.onboarding.doctor.examine._owners(None, "shop")
    assert (of_dead.state, of_living.state) == ("wrong", "note")
    assert "which has ended and may have left a fault in" in of_dead.says
    assert of_dead.remedy == f"run `harness heal {dead}` first"
    assert "the stack 'mart' is owned by the run" in of_living.says


@pytest.mark.parametrize("examined", ["mart", None])
def test_what_a_run_left_in_another_stack_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, examined: str | None
) -> None:
    dead = dead_run(tmp_path, {}, run="dead", backend="compose", project="shop", owned=False)
    owner = StackOwner("shop", "1", str(dead), ProcessId.here())
    monkeypatch.setattr(harness.guard.stack_owner, "owned_stacks", lambda _: [owner])
    (of_dead,) = harness.onboarding.doctor.examine._owners(None, examined)
    assert of_dead.state == "note"
    assert of_dead.remedy == f"run `harness heal {dead}` first"


def test_a_disk_that_is_full(clinic: Path, harness_: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path) -> Any:
        return shutil._ntuple_diskusage(10**9, 10**9, 1000)  # type: ignore[attr-defined]

    monkeypatch.setattr(shutil, "disk_usage", full)
    result = harness_("doctor", clinic / "compose.yaml", "--start")
    assert result.code == 4, "the backend refuses to start then, with the same finding"
    assert "full" in result.err
