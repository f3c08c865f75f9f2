"""Which names of metrics tell when a job last ran."""

from __future__ import annotations

import pytest

from harness.model.last_runs import is_time_of_last_run, tells_of_last_run


@pytest.mark.parametrize(
    ("metric", "is_time", "tells"),
    [
        ("trainer_last_run_timestamp_seconds", True, True),
        ("retrain_last_success_unixtime", True, True),
        ("trainer_last_trained_ts", True, True),
        ("trainer_last_run_timestamp_ms", False, True),
        ("trainer_last_run_age_seconds", False, True),
        ("trainer_runs_completed_total", False, True),
        ("trainer_last_run_failed_timestamp", False, False),
        ("trainer_last_training_rows", False, False),
        ("trainer_dry_runs_left", False, False),
        ("trainer_loaded_timestamp_seconds", False, False),
    ],
)
def test_the_names_of_last_runs(metric: str, is_time: bool, tells: bool) -> None:
    assert (is_time_of_last_run(metric), tells_of_last_run(metric)) == (is_time, tells)
