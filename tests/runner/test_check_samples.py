"""What could never be told on a stack is refused before anything starts, with its place and a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_files import GOOD, STACK, changed, line_of, written

from harness.model.errors import ScenarioError
from harness.runner.explain import problems_of
from harness.runner.notes import notes
from harness.runner.stacks import validated

BOUND = "{id: caught-up, probe: training_lag, at_most: 8h event, within: 15s}"
MADE = 'workload: {make: [make], url: "http://server:18001/predict", timeout: 2s}'
LINE = '{"body": 1, "expect": {"status": 200}}\n'


def problems(folder: Path, scenario: str, *changes: tuple[str, str], lines: str = LINE) -> list[ScenarioError]:
    """Return what is wrong with a scenario on the small stack, changed."""
    text = STACK.read_text("utf-8")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "stack.yaml").write_text(text, encoding="utf-8")
    (folder / "requests.jsonl").write_text(lines, encoding="utf-8")
    try:
        validated([written(folder, scenario)], stack=str(folder / "stack.yaml"))
    except ScenarioError as error:
        return list(problems_of(error))
    return []


def requests(**more: str) -> tuple[str, str]:
    fields = {"requests": "requests.jsonl", "url": '"http://server:18001"', "rate": "60/s", **more}
    return MADE, "workload: {" + ", ".join(f"{name}: {value}" for name, value in fields.items() if value) + "}"


def test_a_file_of_requests_will_do_for_what_it_can_tell(tmp_path: Path) -> None:
    assert problems(tmp_path, GOOD, requests()) == []


@pytest.mark.parametrize(
    ("probe", "changes", "lines", "hint", "remedy"),
    [
        ("silent_wrong_answers", (requests(),), '{"body": 1}\n', "needs expected answers, and no request has one",
         "write `expect`"),
        ("wrong_answers", (requests(),), '{"body": 1}\n', "needs expected answers, and no request has one",
         "write `expect`"),
        ("flagged_answers", (requests(),), LINE, "needs the field that marks a fallback answer",
         "x-harness.workload.flagged"),
        ("stale_answers", (requests(),), LINE, "needs the event times of features", "x-harness.probes"),
        ("availability", ((f"  {MADE}\n", ""),), LINE, "the stack has no workload", "describe x-harness.workload"),
        ("availability", (requests(rate="5/s"),), LINE, "holds 10 answers, and 100 are needed", "write min_samples: 8"),
    ],
)  # fmt: skip
def test_answers_that_nobody_can_judge(
    tmp_path: Path, probe: str, changes: tuple[tuple[str, str], ...], lines: str, hint: str, remedy: str
) -> None:
    text = changed("{id: serving, probe: availability, at_least: 0.99, over: 2s}",
                   f"{{id: serving, probe: {probe}, at_least: 0.99, over: 2s}}")  # fmt: skip
    found = [
        one for one in problems(tmp_path, text, *changes, lines=lines) if (one.field or "").startswith("expect.stays")
    ]
    assert [hint in one.message and remedy in (one.remedy or "") for one in found] == [True]
    assert found[0].line == line_of(text, "id: serving")


@pytest.mark.parametrize("probe", ["silent_wrong_answers", "wrong_answers"])
def test_d4_what_no_model_can_show_is_said_before_a_run(tmp_path: Path, probe: str) -> None:
    bound = f"{{id: right, probe: {probe}, at_most: 0.01, over: 2s}}"
    text = changed("{id: serving, probe: availability, at_least: 0.99, over: 2s}", bound)
    (tmp_path / "stack.yaml").write_text(STACK.read_text("utf-8"), "utf-8")
    (note,) = notes(validated([written(tmp_path, text)], stack=str(tmp_path / "stack.yaml")))
    assert (note.field, note.line) == ("expect.stays.0.probe", line_of(text, "id: right"))
    assert "can fail, but it cannot pass" in note.message
    assert "x-harness.integrity.models" in (note.remedy or "")

    declared = STACK.read_text("utf-8").replace("    promotions:", "    models: {prefix: models/}\n    promotions:")
    (tmp_path / "stack.yaml").write_text(declared, "utf-8")
    assert notes(validated([written(tmp_path, text)], stack=str(tmp_path / "stack.yaml"))) == []


def test_d4_a_file_of_requests_says_itself_what_is_right(tmp_path: Path) -> None:
    bound = "{id: right, probe: wrong_answers, at_most: 0.01, over: 2s}"
    text = changed("{id: serving, probe: availability, at_least: 0.99, over: 2s}", bound)
    assert problems(tmp_path, text, requests()) == []
    assert notes(validated([written(tmp_path, text)], stack=str(tmp_path / "stack.yaml"))) == []


def test_d4_a_steady_state_that_could_never_be_seen(tmp_path: Path) -> None:
    place = "steady_state:\n"
    bound = "  - {id: sound, probe: silent_wrong_answers, at_most: 0, over: 2s}\n"
    text = changed(place, place + bound)
    (found,) = problems(tmp_path, text)
    assert found.field == "steady_state.0.probe"
    assert "the gate would never open" in found.message
    assert "x-harness.integrity.models" in (found.remedy or "")
    assert problems(tmp_path, text, ("    promotions:", "    models: {prefix: models/}\n    promotions:")) == []


def test_few_requests_will_do_where_the_bound_says_so(tmp_path: Path) -> None:
    text = GOOD.replace(
        "probe: availability, at_least: 0.99, over: 2s",
        "probe: availability, at_least: 0.99, over: 2s, min_samples: 10",
    )
    assert problems(tmp_path, text, requests(rate="5/s")) == []


def test_a_file_of_requests_that_is_wrong_is_met_here(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, GOOD, requests(), lines=LINE + "{}\n{")
    assert (found.file, found.line) == (str(tmp_path / "requests.jsonl"), 3)
    (found,) = problems(tmp_path, GOOD, requests(rate=""))
    assert "this line has no time" in found.message
    (found,) = problems(tmp_path, GOOD, requests(requests="gone.jsonl"))
    assert "cannot be read: No such file" in found.message


LAG = 'training_lag: {metric: {url: "http://server:18001/metrics", name: lag}, unit: event}'


def seldom(every: str) -> tuple[str, str]:
    return LAG, LAG.replace("unit: event}", f"unit: event, every: {every}}}")


@pytest.mark.parametrize(
    ("bound", "every", "field", "hint"),
    [
        (BOUND, "2s", None, ""),
        (BOUND, "20s", "within", "read every 20 s: a recovery within 15 s cannot be observed"),
        (BOUND.replace("within", "min_samples: 2, within"), "2s", "min_samples", "3 s hold 1 of it"),
        (BOUND.replace("within", "over: 10s, min_samples: 5, within"), "2s", None, ""),
    ],
)  # fmt: skip
def test_probes_that_are_read_too_seldom(tmp_path: Path, bound: str, every: str, field: str | None, hint: str) -> None:
    found = problems(tmp_path, changed(BOUND, bound), seldom(every))
    assert [one.field for one in found] == ([f"expect.recovered.0.{field}"] if field else [])
    assert all(hint in one.message and one.remedy for one in found)


def test_a_watchdog_is_no_detection(tmp_path: Path) -> None:
    sources = '[{kind: prometheus, url: "http://server:18001"}]'
    found = problems(tmp_path, GOOD, (sources, sources.replace("}]", ", watchdog: [ObjectStoreSlow]}]")))
    assert {one.field for one in found} == {"expect.detected.0.alert", "expect.cleared.0.alert"}
    assert all("is a watchdog" in one.message for one in found)


def test_alerts_need_a_source(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD, ('  alert_sources: [{kind: prometheus, url: "http://server:18001"}]\n', ""))
    assert {one.field for one in found} == {"expect.detected.0.alert", "expect.cleared.0.alert", "expect.quiet"}
    assert all("x-harness.alert_sources" in (one.remedy or "") for one in found)
