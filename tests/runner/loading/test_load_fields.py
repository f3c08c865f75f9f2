"""What is wrong inside a scenario file: each with file, line, field and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_files import GOOD, changed, line_of, load_problems, loaded


@pytest.mark.parametrize(
    ("old", "new", "field", "message", "remedy"),
    [
        ("owner: ml-platform", "ownr: ml-platform", "ownr", "unknown field 'ownr'", "did you mean 'owner'?"),
        ("at: 5s", "att: 5s", "timeline.0.att", "unknown field 'att'", "did you mean 'at'?"),
        ("for: 12s", "duration: 12s", "timeline.0.duration", "unknown field 'duration'", "valid here: "),
        ("quiet: others", "quiet: {exept: []}", "expect.quiet.exept", "unknown field 'exept'", "'except'?"),
        ("quiet: others", "quiet: other", "expect.quiet", "'other' is not valid here", "did you mean 'others'?"),
        ("  recovered:", "  recoverd:", "expect.recoverd", "unknown field 'recoverd'", "did you mean 'recovered'?"),
        ("seed: 7", "seed: !reset 7", "seed", "!reset means nothing in a scenario", "leave the tag out"),
        ("seed: 7", "seed: !!timestamp 7", "seed", "the tag '!!timestamp'", "leave the tag out"),
        ("seed: 7", "seed: seven", "seed", "a whole number is needed here, not 'seven'", ""),
        ("seed: 7", "seed: true", "seed", "a whole number is needed here, not true", ""),
        ("seed: 7", "seed: 1.5", "seed", "a whole number is needed here, not 1.5", ""),
        ("owner: ml-platform", "owner: 3", "owner", "a text is needed here, not 3", "put it in quotes"),
        ("tags: [nightly, demo]", "tags: nightly", "tags", "a list is needed here, not 'nightly'", ""),
        ("tags: [nightly, demo]", "tags: [[a]]", "tags.0", "a text is needed here, not a list", ""),
        ("may_die: [server]", "may_die: {a: b}", "may_die", "a list is needed here, not a mapping", ""),
        ("vars: {latency: 800ms, share: 0.5}", "vars: {latency: [1]}", "vars.latency", "a text or", ""),
        ("summary: The object store answers late.", 'summary: ""', "summary", "this is empty", ""),
        ("schema: 1", "schema: 2", "schema", "2 is not valid here", "1 is valid here"),
        ("scenario: slow-store", "scenario: slow/store", "scenario", "'slow/store' is not an id", "use letters"),
        ("scenario: slow-store", "scenario: ..", "scenario", "begins with a dot", "begin with a letter"),
        ("for: 12s", "for: 12", "timeline.0.for", "12 is not a duration", "write one with its unit"),
        ("for: 12s", "for: -3s", "timeline.0.for", "'-3s' has a sign", "write a duration without one, such as 3s"),
        ("for: 12s", "for: 0s", "timeline.0.for", "a duration longer than zero", ""),
        ("for: 12s", "for: 9d", "timeline.0.for", "longer than a week", ""),
        ("for: 12s", "for: 12s event", "timeline.0.for", "is event time", "a wall-clock duration is needed"),
        ("within: 6s", "within: soon", "expect.detected.0.within", "'soon' is not a duration", "write one"),
        ("at_most: 8h event", "at_most: 8 hours", "expect.recovered.0.at_most", "neither a number nor a duration", ""),
        ("at_most: 8h event", "at_most: 8h event, at_least: 1", "expect.recovered.0", "exactly one of at_least", ""),
        ("at: 5s", "at: 5s\n    after: {alert: X}", "timeline.0", "exactly one of at and after", ""),
        ("target: {link: trainer -> object-store}", "target: {node: a, service: server}", "timeline.0.target",
         "exactly one target is needed", ""),
        ("start_at: 2013-06-14T06:00", "start_at: someday", "start_at", "'someday' is not a moment", ""),
        ("id: quiet-again", "id: seen", "expect.cleared.0.id", "the id 'seen' is used twice, first on line 22", ""),
        ("id: seen", "id: up", "expect.detected.0.id", "the id 'up' is used twice, first on line 12", ""),
    ],
)  # fmt: skip
def test_one_wrong_field(tmp_path: Path, old: str, new: str, field: str, message: str, remedy: str) -> None:
    text = changed(old, new)
    (problem,) = [p for p in load_problems(tmp_path, text) if p.field == field]
    assert message in problem.message
    assert remedy in (problem.remedy or "")
    assert problem.file == str(tmp_path / "one.scenario.yaml")
    assert problem.line == line_of(GOOD, "- id: slow" if field == "timeline.0" else old)


def test_a_missing_field_is_named_where_it_is_missing(tmp_path: Path) -> None:
    (problem,) = load_problems(tmp_path, changed("    fault: network.latency\n", ""))
    assert (problem.field, problem.message) == ("timeline.0.fault", "the field 'fault' is missing")
    assert problem.line == line_of(GOOD, "- id: slow")


def test_an_empty_timeline(tmp_path: Path) -> None:
    start = GOOD.index("timeline:")
    text = GOOD[:start] + "timeline: []\n" + GOOD[GOOD.index("expect:") :]
    (problem,) = load_problems(tmp_path, text)
    assert (problem.field, problem.message) == ("timeline", "this is empty")


def test_errors_are_reported_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = changed("owner:", "ownr:", changed("for: 12s", "for: 12", changed("seed: 7", "seed: x")))
    assert [p.field for p in load_problems(tmp_path, text)] == ["ownr", "seed", "timeline.0.for"]


def test_variables_are_filled_in_with_their_own_type(tmp_path: Path) -> None:
    text = changed("at_least: 0.99, over: 2s}\ntimeline", 'at_least: "${share}", over: 2s}\ntimeline')
    text = changed("summary: The", "summary: Half is ${share}, late by ${latency}. The", text)
    (item,) = loaded(tmp_path, text)
    assert item.scenario.steady_state[0].limit.value == 0.5
    assert item.scenario.summary.startswith("Half is 0.5, late by 800ms.")


@pytest.mark.parametrize(
    ("new", "message", "remedy"),
    [
        ("${latncy}", "unknown variable 'latncy'", "did you mean 'latency'?"),
        ("${latency", "'${latency' is not a variable", "write ${name}"),
        ("${}", "'${}' is not a variable", "write ${name}"),
        ("${secret:}", "'${secret:}' is not a variable", "${secret:NAME}"),
    ],
)
def test_a_variable_that_is_none(tmp_path: Path, new: str, message: str, remedy: str) -> None:
    text = changed('"${latency}"', f'"{new}"')
    (problem,) = load_problems(tmp_path, text)
    assert problem.message == message
    assert remedy in (problem.remedy or "")
    assert (problem.field, problem.line) == ("timeline.0.with.latency", line_of(text, new))


@pytest.mark.parametrize(
    ("new", "field", "message"),
    [
        ("vars: {latency: 800ms, a b: 1}", "vars.a b", "not a name of a variable"),
        ("vars: {latency: '${share}'}", "vars.latency", "cannot refer to other variables"),
        ("vars: {latency: 1s}\nmatrix: {latency: [1s]}", "matrix.latency", "is also in vars"),
        ("matrix: {latency: []}", "matrix.latency", "no values"),
        ("matrix: {latency: [1s, 1s]}", "matrix.latency.1", "listed twice"),
        ("matrix: {latency: 1s}", "matrix.latency", "a list is needed"),
        (f"matrix: {{latency: [1s, 2s], b: {list(range(150))}}}", "matrix", "300 runs"),
    ],
)
def test_variables_that_cannot_be(tmp_path: Path, new: str, field: str, message: str) -> None:
    found = load_problems(tmp_path, changed("vars: {latency: 800ms, share: 0.5}", new))
    assert any(p.field == field and message in p.message for p in found), [str(p) for p in found]


def test_a_field_that_is_indented_too_little_is_sent_where_it_belongs(tmp_path: Path) -> None:
    text = GOOD + "flaps_at_most: [{alert: FeaturesStale, times: 1}]\n"
    (problem,) = [p for p in load_problems(tmp_path, text) if p.field == "flaps_at_most"]
    assert problem.message == "unknown field 'flaps_at_most'"
    assert problem.remedy == "it belongs under `expect`: write it there, or indent it further"
