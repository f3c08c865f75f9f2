"""`harness doctor` on the rules of a real Prometheus: those that can never fire, and those that no scenario fires."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from calling import Called, Harness

sys.path.insert(0, str(Path(__file__).parents[1] / "seams"))

from real_servers import free_port

pytestmark = pytest.mark.slow

STACK = """\
name: watched
x-harness:
  schema: 1
  ready_within: 20s
  alerts: {{Misspelt: {{}}, Hot: {{}}}}
  alert_sources: [{{kind: prometheus, url: "http://prometheus:18090", watchdog: [Watchdog]}}]
services:
  prometheus:
    x-harness:
      port: 18090
      health: {{http: /-/ready}}
      local:
        command: ["{prometheus}", "--config.file={folder}/prometheus.yml", "--storage.tsdb.path={folder}/tsdb",
                    "--web.listen-address={{address}}:{{port}}"]
"""
PROMETHEUS = """\
global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}
scrape_configs: [{{job_name: web, static_configs: [{{targets: {targets}}}]}}]
rule_files: [rules.yml]
"""
RULES = """\
groups:
  - name: answers
    rules:
      - {alert: Hot, expr: 'heat{room="1"} > 1'}
      - {alert: Misspelt, expr: heet > 1}
      - {alert: OtherJob, expr: 'up{job="wep"} == 0'}
      - {alert: NoSuchLabel, expr: 'sum by (room) (rate(heat{rooms="1"}[1m])) > 1'}
      - {alert: NoErrorYet, expr: 'requests_total{code=~"5.."} / ignoring (code) heat > 1'}
      - {alert: NotCountedYet, expr: 'rate(failures_total[1m]) > 0'}
      - {alert: Lost, expr: absent(heet)}
      - {alert: Either, expr: heet > 1 or heat > 1}
      - {alert: Unless, expr: heat > 1 unless heet}
      - {alert: Twice, expr: heet > 1}
      - {alert: Twice, expr: heat > 1}
  - name: recorded
    rules:
      - {record: room:heat, expr: heat > 100}
      - {record: room:heet, expr: sum(unheard_of)}
      - {alert: OfRecorded, expr: 'room:heat > 1'}
      - {alert: OfDeadRecorded, expr: 'room:heet > 1'}
      - {alert: Watchdog, expr: vector(1)}
"""
PAGE = """\
# TYPE heat gauge
heat{room="1"} 1
heat{room="2"} 1
# TYPE requests_total counter
requests_total{code="200"} 3
requests_total{code="404"} 1
# TYPE failures_total counter
"""
SCENARIO = """\
schema: 1
scenario: heated
summary: It gets hot.
stack: ../compose.yaml
timeline:
  - {id: heat, at: 1s, fault: command, target: {service: prometheus}, for: 1s,
     with: {inject: ["true"], confirm: ["true"], revert: ["true"]}}
expect: {detected: [{id: seen, alert: ALERT, labels: any, within: 5s}]}
"""


class Page(BaseHTTPRequestHandler):
    """What the Prometheus scrapes."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(PAGE.encode())

    def log_message(self, *_: Any) -> None:
        pass


class Pages(ThreadingHTTPServer):
    """A server that says nothing of a Prometheus that was stopped in the middle of a scrape."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving() -> Iterator[str]:
    server = Pages(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def watched(folder: Path, *targets: str) -> Path:
    """Write the stack of one Prometheus, with its settings and a folder for scenarios; return its file."""
    folder.joinpath("rules.yml").write_text(RULES)
    folder.joinpath("prometheus.yml").write_text(PROMETHEUS.format(targets=json.dumps(targets)))
    stack = folder / "compose.yaml"
    stack.write_text(STACK.format(prometheus=shutil.which("prometheus"), folder=folder))
    (folder / "scenarios").mkdir()
    return stack


def alerts(called: Called) -> dict[str, tuple[str, str]]:
    """Return what was found of alerts: state, and what is said."""
    findings = json.loads(called.out)["findings"]
    return {one["name"]: (one["state"], one["says"]) for one in findings if one["area"] == "alerts"}


def test_rules_that_can_never_fire(tmp_path: Path, harness_: Harness) -> None:
    with serving() as target:
        stack = watched(tmp_path, target)
        scenario = tmp_path / "scenarios" / "heated.scenario.yaml"
        scenario.write_text(SCENARIO.replace("ALERT", "Misspelt"))
        called = harness_("doctor", stack, tmp_path / "scenarios", "--start", "--watch", "1s", "--json")
    assert called.code == 1, called.err
    found = alerts(called)
    state, said = found.pop("http://prometheus:18090")
    assert (state, said.endswith("rules are being evaluated")) == ("note", True), "some fire already"
    assert found.pop("declared alerts")[0] == "ok"
    missing = found.pop("alerts with a scenario")
    assert missing[0] == "note"
    assert missing[1].startswith("scenarios fire 1 of 12; none fires Hot, OtherJob, ")
    assert "Watchdog" not in missing[1]
    place = "(rules.yml, group answers)"
    assert found == {
        "Misspelt": ("wrong", f"cannot fire: nothing exports heet (did you mean heat?) {place}"),
        "OtherJob": ("wrong", f'cannot fire: no series of up has job="wep" (there is: web) {place}'),
        "NoSuchLabel": ("wrong", f"cannot fire: no series of heat has a label rooms (did you mean room?) {place}"),
        "NoErrorYet": (
            "note",
            f'cannot fire now: no series of requests_total has code=~"5.." (there is: 200, 404) {place}',
        ),
        "NotCountedYet": ("note", f"cannot fire now: failures_total has no series yet {place}"),
        "Twice": (
            "note",
            f"cannot fire now: nothing exports heet (did you mean heat?) {place}; another rule of this name can",
        ),
        "OfDeadRecorded": ("wrong", "cannot fire: nothing exports unheard_of (rules.yml, group recorded)"),
    }
    (heated,) = [one for one in json.loads(called.out)["findings"] if one["area"] == "scenario"]
    assert heated["state"] == "wrong"
    assert f"alert Misspelt: cannot fire: nothing exports heet (did you mean heat?) {place}" in heated["says"]


def test_nothing_is_certain_while_a_target_is_not_scraped(tmp_path: Path, harness_: Harness) -> None:
    gone = f"127.0.0.1:{free_port()}"
    with serving() as target:
        stack = watched(tmp_path, target, gone)
        stack.write_text(stack.read_text().replace("ready_within: 20s", "ready_within: 12s"))
        called = harness_("doctor", stack, "--start", "--watch", "1s", "--json")
    assert called.code == 0, called.out
    found = alerts(called)
    assert found["Misspelt"] == (
        "note",
        "cannot fire: nothing exports heet (did you mean heat?) (rules.yml, group answers); "
        f"not certain: http://{gone}/metrics is not scraped",
    )
    assert "Hot" not in found
    assert "alerts with a scenario" not in found, "no scenario was given"


def test_a_target_that_is_not_there_may_bring_its_labels(tmp_path: Path, harness_: Harness) -> None:
    rules = """groups: [{name: g, rules: [
        {alert: OfAnotherPool, expr: 'up{job="batch"} == 0'}, {alert: OfNoPool, expr: 'up{job="wep"} == 0'},
        {alert: OfNoTarget, expr: 'up{instance="x:1"} == 0'}, {alert: Misspelt, expr: heet > 1}]}]"""
    pools = "{job_name: batch, dns_sd_configs: [{names: [batch.invalid], type: A, port: 1}]}"
    with serving() as target:
        stack = watched(tmp_path, target)
        stack.write_text(stack.read_text().replace("ready_within: 20s", "ready_within: 5s"))
        tmp_path.joinpath("rules.yml").write_text(rules)
        settings = tmp_path / "prometheus.yml"
        settings.write_text(settings.read_text().replace("}]}]\n", "}]}, " + pools + "]\n"))
        called = harness_("doctor", stack, "--start", "--watch", "1s", "--json")
        found = alerts(called)
        for name in ("OfAnotherPool", "OfNoPool", "OfNoTarget", "Misspelt"):
            assert found[name][0] == "note", found[name]
            assert found[name][1].endswith("not certain: the scrape pool batch has no target")
        there = f"{{job_name: batch, static_configs: [{{targets: ['{target}']}}]}}"
        settings.write_text(settings.read_text().replace(pools, there))
        stack.write_text(stack.read_text().replace("ready_within: 5s", "ready_within: 20s"))
        found = alerts(harness_("doctor", stack, "--start", "--watch", "1s", "--json"))
    assert "OfAnotherPool" not in found
    assert {name: found[name][0] for name in ("OfNoPool", "OfNoTarget")} == {"OfNoPool": "wrong", "OfNoTarget": "wrong"}


def test_rules_that_all_have_a_scenario(tmp_path: Path, harness_: Harness) -> None:
    with serving() as target:
        stack = watched(tmp_path, target)
        tmp_path.joinpath("rules.yml").write_text('groups: [{name: g, rules: [{alert: Hot, expr: "heat > 1"}]}]')
        stack.write_text(stack.read_text().replace(", watchdog: [Watchdog]", "").replace("Misspelt: {}, ", ""))
        (tmp_path / "scenarios" / "heated.scenario.yaml").write_text(SCENARIO.replace("ALERT", "Hot"))
        called = harness_("doctor", stack, tmp_path / "scenarios", "--start", "--watch", "1s", "--json")
    assert called.code == 0, called.out
    assert alerts(called)["alerts with a scenario"] == ("ok", "scenarios fire 1 of 1")
