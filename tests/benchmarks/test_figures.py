"""Figures of the benchmarks: quantiles, cells, tables, and their storage."""

import json

import pytest

from benchmarks.figures import NOTHING, Spread, Table, quantile, ratio, shown, spread, spread_cells, table
from benchmarks.render import rendered
from benchmarks.results import CannotMeasureError, Options, Result, load, run_part, store


def test_a_quantile_is_a_measured_value() -> None:
    values = [float(v) for v in range(1, 101)]
    assert quantile(values, 0.5) == 50
    assert quantile(values, 0.99) == 99
    assert quantile(values, 1.0) == 100
    assert quantile([7.0], 0.99) == 7.0
    assert quantile([], 0.5) is None


def test_a_spread_has_the_median_and_the_extremes() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)
    assert spread([]) is None
    assert spread_cells([0.001, 0.003], 1e3) == (2.0, 1.0, 3.0, 2)
    assert spread_cells([]) == (None, None, None, 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, NOTHING),
        (0.0, "0"),
        (12, "12"),
        (1.23456, "1.23"),
        (0.00123456, "0.00123"),
        (1234.5, "1234"),
        (-0.0456789, "-0.0457"),
        (float("inf"), NOTHING),
        ("as it is", "as it is"),
    ],
)
def test_a_cell_has_three_significant_digits(value: float | str | None, text: str) -> None:
    assert shown(value) == text


def test_a_ratio_to_zero_or_nothing_is_none() -> None:
    assert ratio(2.0, 4.0) == 0.5
    assert ratio(2.0, 0.0) is None
    assert ratio(None, 4.0) is None


def test_a_table_is_aligned_markdown_and_survives_storage() -> None:
    made = table("Start", ("start, s", "median"), [("cold", 1.5), ("next, much longer", None)], "A note.")
    lines = made.markdown().splitlines()
    assert lines[0] == "**Start**"
    assert lines[2] == "| start, s          | median |"
    assert lines[3] == "|-------------------|--------|"
    assert lines[5] == "| next, much longer | –      |"
    assert lines[-1] == "A note."
    assert Table.from_json(json.loads(json.dumps(made.as_json()))) == made


def test_each_part_replaces_only_its_own_figures(tmp_path, capsys) -> None:
    options = Options(quick=True, out=tmp_path)
    store(options, "one", {"not_measured": "no server"})
    assert run_part("two", lambda _: Result([table("T", ("a",), [("b",)])], {"x": 1}), options) == 0
    assert run_part("two", lambda _: Result([], {"x": 2}, ["it was otherwise"]), options) == 1
    data = load(tmp_path / "benchmarks.json")
    assert data["parts"]["one"] == {"not_measured": "no server"}
    assert data["parts"]["two"]["figures"] == {"x": 2}
    assert "WRONG: it was otherwise" in capsys.readouterr().out
    text = rendered(data)
    assert "Not measured: no server" in text
    assert "- **wrong**: it was otherwise" in text


def test_a_failed_measurement_is_printed_and_stored(tmp_path, capsys) -> None:
    def part(_: Options) -> Result:
        raise CannotMeasureError("the program is missing")

    assert run_part("three", part, Options(out=tmp_path)) == 4
    assert "the program is missing" in capsys.readouterr().out
    assert load(tmp_path / "benchmarks.json")["parts"]["three"] == {"not_measured": "the program is missing"}


def test_figures_of_another_version_are_rejected(tmp_path) -> None:
    file = tmp_path / "benchmarks.json"
    file.write_text('{"schema": 99, "parts": {}}')
    with pytest.raises(CannotMeasureError, match="another version"):
        load(file)
