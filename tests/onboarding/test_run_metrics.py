"""Probes of when a job last ran: only of what a rule goes by, one program exports, and one page shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.faults.installed import Faults
from harness.onboarding.discovery.output import discover
from harness.onboarding.discovery.project import read_project
from harness.onboarding.discovery.rendering import STACK_FILE

COMPOSE = """\
services:
  trainer: {image: trainer, command: [python, train.py], volumes: ["./train.py:/train.py"]}
  prometheus: {image: prom/prometheus, expose: [9090], volumes: ["./p.yml:/p.yml", "./r.yml:/r.yml"]}
"""
JOB = '{job_name: trainer, static_configs: [{targets: ["trainer:9100"]}]}'
RULE = "time() - trainer_last_run_timestamp_seconds > 600"
PROGRAM = 'Gauge("trainer_last_run_timestamp_seconds")\n'


def probes(folder: Path, job: str = JOB, rule: str = RULE, program: str = PROGRAM) -> dict[str, Any]:
    files = {
        "compose.yaml": COMPOSE,
        "p.yml": f"scrape_configs:\n  - {job}\n",
        "r.yml": f"groups: [{{name: g, rules: [{{alert: Stalled, expr: '{rule}'}}]}}]\n",
        "train.py": program,
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    found = discover(read_project(folder, ask_engine=False), folder, Faults())
    written: dict[str, Any] = yaml.safe_load(found.files[STACK_FILE])["x-harness"]["probes"]
    return written


PAGE = "http://trainer:9100/metrics"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, PAGE),
        ({"rule": "time() - max by (job) (trainer_last_run_timestamp_seconds) > 600"}, PAGE),
        ({"rule": '(time() - trainer_last_run_timestamp_seconds{job="trainer"}) > 600'}, PAGE),
        ({"job": JOB.replace("{job_name", "{metrics_path: /prom, job_name")}, "http://trainer:9100/prom"),
        ({"job": JOB.replace("{job_name", "{metrics_path: prom, job_name")}, "http://trainer:9100/prom"),
        ({"program": 'say(f"trainer_last_run_timestamp_seconds {now}")\n'}, PAGE),
        ({"program": 'say("trainer_last_run_timestamp_seconds{job=\\"x\\"} %d" % now)\n'}, PAGE),
    ],
)
def test_what_a_rule_goes_by_is_read_where_prometheus_reads_it(tmp_path: Path, given: dict[str, str], url: str) -> None:
    found = probes(tmp_path, **given)["trainer_last_run"]
    assert found["metric"] == {"url": url, "name": "trainer_last_run_timestamp_seconds", "agg": "max"}


def other(metric: str) -> dict[str, str]:
    """A rule and a program with a metric of another name."""
    return {"rule": f"(time() - {metric}) > 600", "program": f'Gauge("{metric}")\n'}


@pytest.mark.parametrize(
    "metric",
    ["last_run_failure_timestamp_seconds", "last_runtime_error_timestamp", "last_training_row_timestamp_seconds",
     "last_run_skipped_timestamp", "last_run_started_timestamp", "last_run_timestamp_ms"],
)  # fmt: skip
def test_a_metric_of_something_else_about_runs_is_left_out(tmp_path: Path, metric: str) -> None:
    assert not [name for name in probes(tmp_path, **other(f"trainer_{metric}")) if "last" in name]


@pytest.mark.parametrize(
    "given",
    [
        {"program": 'Gauge("trainer_last_trained")\n'},
        {"rule": "time() - trainer_loaded_timestamp_seconds > 600"},
        {"rule": "trainer_last_run_timestamp_seconds > 600"},
        {"job": JOB.replace("trainer:9100", "elsewhere:9100")},
        {"job": JOB.replace("{job_name", "{scheme: https, job_name")},
        {"job": JOB.replace("{job_name", "{relabel_configs: [{action: keep}], job_name")},
        {"job": JOB.replace('"trainer:9100"', '"trainer:9100", "trainer:9200"')},
        {"job": JOB.replace("trainer:9100", "trainer")},
        {"job": JOB.replace("{job_name", "{bearer_token_file: /token, job_name")},
        {"job": JOB.replace("{job_name", "{http_headers: {X: {values: [a]}}, job_name")},
        {"job": JOB.replace("{job_name", "{proxy_url: 'http://other:1', job_name")},
        {"job": JOB.replace("{job_name", "{metric_relabel_configs: [{action: drop}], job_name")},
        {"program": "# trainer_last_run_timestamp_seconds is made elsewhere\n"},
        {"program": 'ask("/api/v1/query?query=time()-trainer_last_run_timestamp_seconds")\n'},
        {"program": PROGRAM + 'push_to_gateway("gateway:9091", job="trainer", registry=registry)\n'},
        {"rule": f"up == 0 # {RULE}"},
        {"rule": f'label_replace(up, "a", "{RULE}", "", "") == 0'},
    ],
    ids=[
        "a rule without its metric",
        "no run",
        "no age",
        "another host",
        "TLS",
        "relabelled",
        "two pages",
        "no port",
        "a token",
        "a header",
        "by way of another",
        "dropped",
        "a comment",
        "only asked for",
        "pushed",
        "a rule's comment",
        "a rule's text",
    ],
)
def test_what_is_not_sure_is_left_out(tmp_path: Path, given: dict[str, str]) -> None:
    assert "trainer_last_run" not in probes(tmp_path, **given)
