"""What could never be told on a stack is refused before anything starts, with its place and a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_files import GOOD, STACK, changed, check_problems, line_of, load_problems, written

from harness.model.errors import ScenarioError
from harness.runner.checking.notes import notes
from harness.runner.checking.stacks import validated
from harness.runner.loading.explain import problems_of

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
    fields = {"requests": "requests.jsonl", "url": '"http://server:18001"', "rate": "60/s", "repeat": "true", **more}
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


SERVING = "{id: serving, probe: availability, at_least: 0.99, over: 2s}"


def serving(bound: str) -> str:
    return changed(SERVING, f"{{id: serving, {bound}, over: 2s}}")


@pytest.mark.parametrize(
    ("bound", "workload", "field", "hint"),
    [
        ("probe: availability, at_least: 0.99, min_samples: 10000", requests(rate="50/s"), "over",
         "at 50 requests a second, a window of 2 s holds 100 answers, and 10000 are needed"),
        ("probe: availability, at_least: 0.99, min_samples: 10000", (MADE, MADE.replace("}", ", peak: 60/s}")), "over",
         "at 60 requests a second, a window of 2 s holds 120 answers"),
        ("probe: availability, at_least: 0.9999", requests(), "at_least",
         "at 60 requests a second there are 7,200 at most: the bound would never be kept"),
        ("probe: availability, at_least: 0", requests(), "at_least", "availability is at least 0: the clause cannot"),
        ("probe: slow_answers, at_most: 1", requests(), "at_most", "slow_answers is at most 1: the clause cannot fail"),
        ("probe: failed_requests, at_least: 0", requests(), "at_least", "the clause cannot fail"),
        ("probe: latency_p99, at_least: 0s", requests(), "at_least", "latency_p99 is at least 0s: the clause cannot"),
    ],
)  # fmt: skip
def test_clauses_that_can_never_be_decided(
    tmp_path: Path, bound: str, workload: tuple[str, str], field: str, hint: str
) -> None:
    text = serving(bound)
    (found,) = problems(tmp_path, text, workload)
    assert hint in found.message
    assert found.remedy
    assert (found.field, found.line) == (f"expect.stays.0.{field}", line_of(text, "id: serving"))


def timed(*times: float) -> str:
    return "".join(f'{{"at": {at_s}, "body": 1, "expect": {{"status": 200}}}}\n' for at_s in times)


def test_times_of_lines_that_can_never_decide_a_bound(tmp_path: Path) -> None:
    def of_stays(bound: str, lines: str) -> list[ScenarioError]:
        found = problems(tmp_path, serving(bound), requests(rate=""), lines=lines)
        return [one for one in found if str(one.field).startswith("expect.stays")]

    seldom, many = timed(*range(0, 100, 10)), "probe: availability, at_least: 0.99"
    (found,) = of_stays(many, seldom)
    assert found.field == "expect.stays.0.over"
    assert found.message.startswith("at the times of its lines, a window of 2 s holds 1 answers, and 100 are needed")
    assert "`harness record --rate`" in str(found.remedy)
    few = f"{many}, min_samples: 1"
    (found,) = of_stays(few, seldom)
    assert "at the times of its lines there are 13 at most" in found.message
    assert of_stays(few, timed(*(k / 10 for k in range(100)))) == []
    burst = timed(*(k / 100 for k in range(150)), 20.0)
    assert of_stays(many, burst) == [], "some windows hold enough of them"


@pytest.mark.parametrize("more", [{"rate": "60/s"}, {"rate": ""}])
def test_a_file_that_is_over_before_the_fault(tmp_path: Path, more: dict[str, str]) -> None:
    lines = LINE * 200 if more["rate"] else timed(*(k / 60 for k in range(200)))
    found = problems(tmp_path, GOOD, requests(repeat="", **more), lines=lines)
    (stays,) = [one for one in found if one.field == "expect.stays.0.probe"]
    assert "the file of requests is over before the injection" in stays.message
    assert "`repeat: true`" in str(stays.remedy)
    assert problems(tmp_path, GOOD, requests(**more), lines=lines) == []


@pytest.mark.parametrize(
    "bound",
    [
        "probe: availability, at_least: 1",
        "probe: slow_answers, at_most: 0",
        "probe: failed_requests, at_most: 1",
        "probe: latency_p99, at_most: 0s",
        "probe: replicas_up, at_least: 0",
        "probe: availability, at_least: 0.998",
    ],
)
def test_clauses_that_can_be_decided_are_not_refused(tmp_path: Path, bound: str) -> None:
    assert problems(tmp_path, serving(bound), requests()) == []


def test_a_longer_observation_gives_more_answers(tmp_path: Path) -> None:
    text = serving("probe: availability, at_least: 0.9998")
    assert len(problems(tmp_path, text, requests())) == 1
    assert problems(tmp_path, text + "observe: 5min\n", requests()) == []


@pytest.mark.parametrize("start", ["2013-06-14T05:59", "2014-06-14T06:00"])
def test_a_start_outside_of_the_data(tmp_path: Path, start: str) -> None:
    within = ("  freshness:", "  events: {from: 2013-06-14T06:00, until: 2013-06-20T06:00}\n  freshness:")
    text = changed("start_at: 2013-06-14T06:00", f"start_at: {start}")
    (found,) = problems(tmp_path, text, within)
    assert (found.field, found.line) == ("start_at", line_of(text, "start_at"))
    assert found.message == f"the stack 'small' has no data for a run that starts at {start}"
    assert found.remedy == "write a moment from 2013-06-14T06:00 to 2013-06-20T06:00"
    assert problems(tmp_path, GOOD, within) == []
    assert problems(tmp_path, text) == []


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


def test_a_notice_by_a_probe_that_is_read_too_seldom(tmp_path: Path) -> None:
    told = "  noticed: [{id: n, probe: training_lag, at_most: 8h event, within: 15s}]\n  recovered:"
    text = changed("  recovered:", told)
    assert problems(tmp_path, text, seldom("2s")) == []
    found = [one for one in problems(tmp_path, text, seldom("20s")) if "noticed" in str(one.field)]
    assert [one.field for one in found] == ["expect.noticed.0.within"]
    assert "read every 20 s: that it leaves its bound within 15 s cannot be observed" in found[0].message


def test_a_watchdog_is_no_detection(tmp_path: Path) -> None:
    sources = '[{kind: prometheus, url: "http://server:18001"}]'
    found = problems(tmp_path, GOOD, (sources, sources.replace("}]", ", watchdog: [ObjectStoreSlow]}]")))
    assert {one.field for one in found} == {"expect.detected.0.alert", "expect.cleared.0.alert"}
    assert all("is a watchdog" in one.message for one in found)


def test_alerts_need_a_source(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD, ('  alert_sources: [{kind: prometheus, url: "http://server:18001"}]\n', ""))
    assert {one.field for one in found} == {"expect.detected.0.alert", "expect.cleared.0.alert", "expect.quiet"}
    assert all("x-harness.alert_sources" in (one.remedy or "") for one in found)


def test_a_window_that_is_too_short_is_refused_with_its_place(tmp_path: Path) -> None:
    text = changed(BOUND, BOUND.replace("within", "over: 50ms, within"))
    (problem,) = load_problems(tmp_path, text)
    assert problem.field == "expect.recovered.0.over"
    assert problem.line == line_of(text, "caught-up")
    assert (problem.message, problem.remedy) == ("50ms is too short for a window", "write 100ms or more")


def test_a_recovery_may_have_less_time_than_its_window_is_long(tmp_path: Path) -> None:
    text = changed(BOUND, BOUND.replace("within: 15s", "over: 5s, within: 1s"))
    assert check_problems(tmp_path, text) == ()
