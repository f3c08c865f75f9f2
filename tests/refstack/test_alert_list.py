"""The stack's alerts stand in four files: rules.py is the list, and the others say the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from harness.description.stackfile import load_stack
from refstack.rules import RULES

COMPOSE = Path(__file__).parents[2] / "compose"
METRIC_LABELS = {"monitor_feature_skew": {"group", "store"}}
"""Labels of the metrics that the Prometheus rules take as they are."""


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+)(ms|s)", text)
    assert match is not None, text
    return int(match[1]) / (1000 if match[2] == "ms" else 1)


def prometheus_rules() -> list[dict[str, Any]]:
    (group,) = read(COMPOSE / "prometheus" / "rules.yml")["groups"]
    return [rule for rule in group["rules"] if rule["alert"] != "Watchdog"]


def labels_of(expression: str, scraped: list[dict[str, str]]) -> set[str]:
    """The names of the labels that the result of a rule's expression has."""
    found = set(re.findall(r'label_replace\(.*,\s+"(\w+)", "[^"]+",', expression))
    for names in re.findall(r"\bby \(([^)]*)\)", expression):
        found |= {name.strip() for name in names.split(",")}
    for metric, names in METRIC_LABELS.items():
        found |= names if metric in expression else set()
    if alert := re.search(r'up\{alert="(\w+)"\}', expression):
        (names,) = {frozenset(labels) - {"alert"} for labels in scraped if labels["alert"] == alert[1]}
        found |= names
    return found


def test_the_stack_description_lists_every_rule_with_its_summary() -> None:
    listed = load_stack(COMPOSE / "compose.yaml").alerts
    assert {name: entry.summary for name, entry in listed.items()} == {n: r.summary for n, r in RULES.items()}
    for name, entry in listed.items():
        assert entry.off is not None
        assert (entry.off.service, entry.off.env) == ("monitor", {"RULES_OFF": name})


def test_the_rules_of_prometheus_agree_in_name_severity_summary_labels_and_duration() -> None:
    settings = read(COMPOSE / "prometheus" / "prometheus.yml")
    interval_s = seconds(settings["global"]["evaluation_interval"])
    scraped = [c["labels"] for job in settings["scrape_configs"] for c in job["static_configs"] if "labels" in c]
    for found in prometheus_rules():
        rule = RULES[found["alert"]]
        assert found["labels"] == {"severity": rule.severity}, rule.alert
        assert found["annotations"] == {"summary": rule.summary}, rule.alert
        assert labels_of(found["expr"], scraped) == set(rule.labels), rule.alert
        # Prometheus evaluates less often than the monitor, so it cannot tell durations within one interval apart.
        assert abs(seconds(found.get("for", "0s")) - rule.for_s) < interval_s, rule.alert


def test_the_readme_lists_every_rule_with_its_labels_and_duration() -> None:
    alerts = (COMPOSE / "README.md").read_text().split("## Alerts")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)(?:\{([\w,]+)\})?` \| (\S+)(?: s)? \|", alerts, re.MULTILINE)
    listed = {name: (set(filter(None, labels.split(","))) | {"service"}, for_s) for name, labels, for_s in rows}
    expected = {name: (set(r.labels), f"{r.for_s:g}" if r.for_s else "–") for name, r in RULES.items()}
    assert listed == expected
