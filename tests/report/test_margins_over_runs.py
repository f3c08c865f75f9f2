"""Margins over many runs: what is near, and what varies too much."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import main
from harness.model.errors import ScenarioError
from harness.report.margins import Margin, margins_in


@pytest.mark.parametrize(
    ("uses", "warning"),
    [
        ([0.5, 0.5, 0.5], None),
        ([0.5, 0.9], "used 90 % of its bound"),
        ([0.2, 0.8], None),  # two runs say little
        ([0.2, 0.8, 0.5, 0.4], "mean plus three standard deviations is"),
        ([0.3, 0.35, 0.32, 0.31], None),
    ],
)
def test_what_will_fail_by_chance_is_named(uses: list[float], warning: str | None) -> None:
    found = Margin("s", "c", "stays", tuple(uses)).warning
    assert found is None if warning is None else warning in (found or "")


def verdicts(folder: Path, *uses: float, **fields: str) -> Path:
    """Leave the verdicts of runs, each with one clause of which so much was used."""
    for k, share in enumerate(uses):
        run = folder / f"run-{k}"
        run.mkdir(parents=True)
        margin = {"id": "up", "kind": "stays", "used": share}
        document = {
            "name": "slow", "verdict": "pass", "reasons": [], "schema": 1, "run": "slow", "harness": "0",
            "started": "2026-06-01T10:00:00+00:00", "backend": "local", "seed": 1, "summary": "S.", "clauses": [],
            "margins": [margin], **fields,
        }  # fmt: skip
        (run / "verdict.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def test_runs_of_several_suites_are_put_together(tmp_path: Path) -> None:
    (found,) = margins_in([verdicts(tmp_path / "a", 0.5, 0.6), verdicts(tmp_path / "b", 0.7) / "run-0"])
    assert (found.run, found.clause, found.uses) == ("slow", "up", (0.5, 0.6, 0.7))


def test_twins_are_left_out_and_runs_of_a_matrix_kept_apart(tmp_path: Path) -> None:
    verdicts(tmp_path / "a", 0.5)
    verdicts(tmp_path / "b", 0.9, twin="control")
    verdicts(tmp_path / "c", 0.6, run="slow@latency=1s")
    assert [(m.run, m.uses) for m in margins_in([tmp_path])] == [("slow@latency=1s", (0.6,)), ("slow", (0.5,))]


def test_the_command_prints_them_and_what_to_beware_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdicts(tmp_path / "a", 0.5, 0.95)
    assert main(["margins", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "slow  up (stays)  2     95 %" in said
    assert "used 95 % of its bound" in said
    assert main(["margins", str(tmp_path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["runs"], row["worst"], row["mean"]) == (2, 0.95, 0.725)


@pytest.mark.parametrize("text", [None, "{", "{}"])
def test_what_is_no_verdict_is_one_message(
    tmp_path: Path, text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / "verdict.json").write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError):
        margins_in([tmp_path])
    assert main(["margins", str(tmp_path)]) == 2
    assert "Traceback" not in capsys.readouterr().err
