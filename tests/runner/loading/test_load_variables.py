"""Matrices, `--set`, and secrets that stay secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_files import changed, load_all, loaded, written

from harness.model.errors import ScenarioError
from harness.model.secrets import reveal
from harness.runner.loading.load import load_file
from harness.runner.loading.variables import parse_settings

MATRIX = changed("vars: {latency: 800ms, share: 0.5}", "matrix: {latency: [800ms, 1s], deep: [true, 3]}")


def test_a_matrix_makes_a_run_of_every_combination(tmp_path: Path) -> None:
    items = loaded(tmp_path, MATRIX)
    assert [item.name for item in items] == [
        "slow-store[latency=800ms,deep=true]",
        "slow-store[latency=800ms,deep=3]",
        "slow-store[latency=1s,deep=true]",
        "slow-store[latency=1s,deep=3]",
    ]
    assert [item.scenario.timeline[0].parameters["latency"] for item in items] == ["800ms"] * 2 + ["1s"] * 2
    assert items[0].matrix == {"latency": "800ms", "deep": True}


def test_settings_override_variables(tmp_path: Path) -> None:
    (item,) = load_file(written(tmp_path), parse_settings(("latency=2s",)))
    assert item.scenario.timeline[0].parameters["latency"] == "2s"
    assert item.scenario.vars == {"latency": "2s", "share": 0.5}


def test_settings_fix_an_axis_of_a_matrix(tmp_path: Path) -> None:
    items = load_file(written(tmp_path, MATRIX), parse_settings(("latency=2s",)))
    assert [item.name for item in items] == ["slow-store[latency=2s,deep=true]", "slow-store[latency=2s,deep=3]"]


def test_settings_are_numbers_and_truth_values_where_they_look_like_them() -> None:
    given = ("a=1", "b=-2.5", "c=true", "d=1e3", "e=5s", "f=", "g=a=b", "h=nan", "i=0x1")
    assert parse_settings(given) == {
        "a": 1, "b": -2.5, "c": True, "d": 1000.0, "e": "5s", "f": "", "g": "a=b", "h": "nan", "i": "0x1",
    }  # fmt: skip


@pytest.mark.parametrize("given", ["latency", "=1", "a b=1", ""])
def test_a_setting_without_a_value_or_name(given: str) -> None:
    with pytest.raises(ScenarioError, match=r"--set.*is not NAME=VALUE.*name=value"):
        parse_settings((given,))


def test_a_setting_for_no_scenario_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no scenario has a variable 'latncy' — did you mean 'latency'"):
        load_all([written(tmp_path)], parse_settings(("latncy=1s",)))


def test_secrets_stay_placeholders_until_they_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    (item,) = loaded(tmp_path, changed("jitter: 100ms", 'jitter: "Bearer ${secret:TOKEN} ${latency}"'))
    text = item.scenario.timeline[0].parameters["jitter"]
    assert text == "Bearer ${secret:TOKEN} 800ms"
    assert "hunter2" not in item.scenario.model_dump_json()
    assert reveal(text) == "Bearer hunter2 800ms"


def test_a_secret_that_is_not_there() -> None:
    with pytest.raises(ScenarioError, match="the secret 'TOKEN' is not in the environment"):
        reveal("${secret:TOKEN}", {})


def test_revealing_leaves_the_rest_of_a_text_alone() -> None:
    assert reveal("$5 ${x} ${secret:A}${secret:A}", {"A": "${secret:A}"}) == "$5 ${x} ${secret:A}${secret:A}"
