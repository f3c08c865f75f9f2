"""What is told of an alert rule by its query: what it shows, whose series it reads, how long it takes."""

from __future__ import annotations

import pytest

from harness.onboarding.discovery.metrics import Metrics
from harness.onboarding.discovery.prometheus_files import Rule, Timing
from harness.onboarding.discovery.starters.rules import RuleFacts, read_rule

PACE = Timing(scrape_s=5.0, evaluate_s=5.0)
JOBS = {"api": frozenset({"web"}), "models": frozenset({"model-a", "model-b"})}
NAMES = {"web": "web", "www": "web", "model-a": "model-a", "model-b": "model-b", "mlflow": "mlflow"}
EXPORTED = {"requests_total": "web", "request_latency_seconds_bucket": "web", "mlflow_up": "exporter"}
RECORDED = {
    "job:errors:rate": 'rate(requests_total{code=~"5.."}[2m])',
    "job:requests:rate": "sum by (job) (rate(requests_total[2m]))",
    "job:batch:seconds": "time() - max(last_batch_timestamp_seconds)",
    "circle": "circle > 1",
}


def read(query: str, for_s: float = 10.0) -> RuleFacts:
    def exporters(metric: str) -> frozenset[str]:
        return frozenset({EXPORTED[metric]}) if metric in EXPORTED else frozenset()

    rule = Rule("It", "", for_s, {}, "rules.yml:1", query)
    return read_rule(rule, PACE, Metrics(JOBS, NAMES, exporters, RECORDED))


@pytest.mark.parametrize(
    ("query", "shows"),
    [
        ("up == 0", "down"),
        ('up{job="api"} < 1', "down"),
        ('up{job="api"} == bool 0', "down"),
        ('absent(up{job="api"})', "unknown"),
        ('absent(up{job="api"} == 1)', "down"),
        ("count(up == 0) > 1", "down"),
        ("count(up == 0) > 50", "unknown"),
        ("count(up == 1) < 1", "unknown"),
        ("up == 0 > 1", "unknown"),
        ("up offset 1h == 0", "unknown"),
        ("absent_over_time(requests_total[5m])", "down"),
        ("count(up == 1) < 2", "down"),
        ('sum by (job) (up{job="models"}) < 2', "down"),
        ("mlflow_up == 0", "down"),
        ('probe_success{instance="http://web:80"} == 0', "down"),
        ("up == 1", "unknown"),
        ("up", "unknown"),
        ('sum(rate(requests_total{code=~"5.."}[1m])) / sum(rate(requests_total[1m])) > 0.05', "errors"),
        ('rate(requests_total{status!="200"}[1m]) > 1', "errors"),
        ("increase(retraining_failures_total[1h]) > 0", "errors"),
        ("job:errors:rate > 0.1", "errors"),
        ('rate(requests_total{code="200"}[1m]) > 100', "unknown"),
        ("histogram_quantile(0.99, rate(request_latency_seconds_bucket[1m])) > 0.5", "slow"),
        ("rate(request_duration_seconds_sum[1m]) / rate(request_duration_seconds_count[1m]) > 2", "slow"),
        ("time() - last_batch_timestamp_seconds > 60", "old"),
        ("feature_age_seconds > 3600", "old"),
        ("process_cpu_seconds_total > 4", "unknown"),
        ("abs(score_mean - 0.2) > 0.1", "unknown"),
        ("requests_total < 5", "unknown"),
        ("rows_lag > 100", "old"),
        ("rate(requests_total[1m]) == 0", "still"),
        ('sum by (job) (increase(requests_total{code="200"}[5m])) == 0', "still"),
        ("sum(rate(requests_total[1m])) by (job) < 0.5", "still"),
        ("rate(requests_total[1m]) <= bool 0", "still"),
        ("changes(last_batch_timestamp_seconds[5m]) == 0", "still"),
        ("job:requests:rate < 1", "still"),
        ("(rate(requests_total[1m])) == 0", "still"),
        ("rate(requests_total[1m]) == 1", "unknown"),
        ("rate(requests_total[1m]) > 0", "unknown"),
        ("rate(requests_total[1m]) / rate(asked_total[1m]) < 0.9", "unknown"),
        ("rate(requests_total[1m]) == 0 and asked_total > 0", "unknown"),
        ("rate(process_cpu_seconds_total[1m]) == 0", "unknown"),
        ("requests_total > 5 or absent(requests_total)", "down"),
        ("up == 0 and on(instance) probe_success == 0", "unknown"),
        ('up{job="api"} == 0 unless on() maintenance == 1', "unknown"),
        ('rate(requests_total{code="500"}[1m]) > 1 and rate(requests_total[1m]) > 10', "errors"),
        ("scrape_duration_seconds > 5", "unknown"),
        ("vector(1)", "always"),
        ("circle > 1", "unknown"),
        ("this is no query (", "unknown"),
        ("", "unknown"),
    ],
)
def test_what_a_rule_shows(query: str, shows: str) -> None:
    assert read(query).shows == shows


@pytest.mark.parametrize(
    ("query", "about"),
    [
        ("up == 0", {"web", "model-a", "model-b"}),
        ('up{job="models"} == 0', {"model-a", "model-b"}),
        ('up{job=~"mod.*"} == 0', {"model-a", "model-b"}),
        ('up{job!="models"} == 0', {"web"}),
        ('up{job=~"("} == 0', set()),
        ('up{instance="model-a:8080"} == 0', {"model-a"}),
        ('probe_success{instance="http://www:80/health"} == 0', {"web"}),
        ('requests_total{service="model-b"} > 3', {"model-b"}),
        ("rate(requests_total[1m]) > 3", {"web"}),
        ("job:errors:rate > 0.1", {"web"}),
        ("mlflow_up == 0", {"exporter", "mlflow"}),
        ("unheard_of > 3", set()),
        ('time() - max(last_seen{service="web"}) > 30', {"web"}),
        ('job:errors:rate{service="model-a"} > 0.1', {"model-a", "web"}),
        ("requests_total > (", set()),
    ],
)
def test_whom_a_rule_is_about(query: str, about: set[str]) -> None:
    assert read(query).about == about


def test_how_long_a_rule_takes() -> None:
    assert read("up == 0").detect_s == 5 + 2 * 5 + 10 + 5
    assert read("absent_over_time(up[1m])").detect_s == 30 + 60
    assert read("rate(requests_total{code='500'}[2m]) > 1").detect_s == 30 + 120, "a rate looks back"
    assert read("rate(requests_total[1m30s]) > 1").detect_s == 30 + 90
    assert read("max_over_time(requests_total[2m:10s]) > 1").detect_s == 30 + 120, "a subquery has a step, too"
    assert read('requests_total{code=~"[5m]"} > 1').detect_s == 30, "what stands in quotes is no range"


@pytest.mark.parametrize(
    ("query", "threshold"),
    [
        ("x_latency_seconds > 0.5", 0.5),
        ("x_latency_seconds >= bool 2", 2.0),
        ("x > 1e3", 1000.0),
        ("(x > 3 * y)", None),
        ("x > y", None),
        ("x < 2", None),
        ("rate(requests_total[1m]) > 10 and x_latency_seconds > 0.5", 0.5),
        ("x_duration > 2 * 60", 120.0),
        ("x_duration > 60 / 2", 30.0),
        ("x_duration > 2e-3", 0.002),
        ("sum(x_duration > bool 5) > 2", 2.0),
        ('x{le="> 7"} > 2', 2.0),
    ],
)
def test_the_limit_of_a_rule(query: str, threshold: float | None) -> None:
    assert read(query).threshold == threshold


@pytest.mark.parametrize(
    ("query", "limit_s"),
    [
        ("x_latency_seconds > 0.5", 0.5),
        ("x_latency > 0.5", 0.5),
        ("x_latency_ms > 250", 0.25),
        ("x_latency_ms / 1000 > 0.25", 0.25),
        ("x_latency_seconds * 1000 > 250", 0.25),
        ('x_latency_seconds{route="in_ms"} > 2', 2.0),
        ("histogram_quantile(0.9, rate(request_duration_milliseconds_bucket[1m])) > 300", 0.3),
        ("x_latency_seconds > y", None),
    ],
)
def test_the_limit_of_a_rule_on_a_time(query: str, limit_s: float | None) -> None:
    found = read(query).limit_s
    assert found == (None if limit_s is None else pytest.approx(limit_s))


@pytest.mark.parametrize(
    ("query", "lost"),
    [
        ("up == 0", 1),
        ("sum(up) < 1", 3),
        ("count(up == 0) > 1", 2),
        ("count(up == 0) >= 1", 1),
        ("count(up == 1) < 2", 2),
        ("count(up == 1) <= 2", 1),
        ("count(up == 0) / count(up) > 0.5", 3),
    ],
)
def test_how_many_services_must_be_down_and_how_many_must_not(query: str, lost: int) -> None:
    """Of three that are scraped. Where none is up, none is counted, and no series is below the limit."""
    assert read(query).lost == lost


@pytest.mark.parametrize(
    ("query", "service", "fires"),
    [
        ("up == 0", "model-a", True),
        ('min(up{job="models"}) == 0', "model-a", True),
        ('sum(up{job="models"}) < 1', "model-a", False),
        ('absent(up{job="models"} == 1)', "model-a", False),
        ('absent(up{job="api"} == 1)', "web", True),
        ('up{job="models"} == 0', "web", False),
        ("mlflow_up == 0", "mlflow", False),
    ],
)
def test_which_service_fires_a_rule_alone(query: str, service: str, fires: bool) -> None:
    assert read(query).fires_for(service) is fires


@pytest.mark.parametrize(
    ("query", "age_s"),
    [
        ("time() - last_batch_timestamp_seconds > 40", 40.0),
        ("time() - max by (job) (last_batch_timestamp_seconds) > 5 * 60", 300.0),
        ("time() - last_batch_timestamp_seconds > 1m30s", 90.0),
        ("(time() - last_batch_timestamp_seconds) / 60 > 10", 600.0),
        ("max(time() - last_batch_timestamp_seconds) / (60 * 60) > 2", 7200.0),
        ("time() - last_batch_timestamp_ms / 1000 > 30", 30.0),
        ("time() * 1000 - last_batch_timestamp_ms > 5000", 5.0),
        ("feature_age_seconds > 3600", 3600.0),
        ("feature_age_seconds / 60 > 10", 600.0),
        ("max(features_staleness_minutes) > 3", 180.0),
        ("seconds_since_last_success > 20", 20.0),
        ("replication_lag_ms > 2500", 2.5),
        ("time() - (last_batch_timestamp_seconds > 0) > 40", 40.0),
        ("time() - last_batch_timestamp_seconds > 40 and requests_total > 7", 40.0),
        ("requests_total > 7 and time() - last_batch_timestamp_seconds > 40", 40.0),
        ("job:batch:seconds > 25", 25.0),
        ("consumer_lag > 1000", None),
        ("last_success_timestamp_seconds > 5", None),
        ("time() - last_batch_timestamp_seconds > limit_seconds", None),
        ("request_latency_seconds > 3", None),
        ("up == 0", None),
    ],
)
def test_from_which_age_on_a_rule_fires(query: str, age_s: float | None) -> None:
    reading = read(query)
    assert reading.age_s == (None if age_s is None else pytest.approx(age_s))
    assert reading.fires_within_s == pytest.approx(reading.detect_s + (age_s or 0.0))
