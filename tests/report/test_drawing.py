"""Drawings: what is shown of a run, and that they follow the page's colours without a style of their own."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from made_runs import (
    ALL,
    END_S,
    GATE_S,
    HOSTILE,
    SCENARIO,
    STALE,
    Tape,
    control,
    failing,
    interrupted,
    never_started,
    passing,
    phases,
    plan,
    polls,
    sabotaged,
    stages,
    unknown,
)

from harness.judge import judge
from harness.judge.compared import compared
from harness.judge.facts import gather
from harness.model.readings import Alert, AlertsSeen, Answer, Closed, MachineSeen, Reading
from harness.report.drawing import LIGHT
from harness.report.figure import lane_rows, run_svg
from harness.report.panels import panels
from harness.report.spans import MOST_LANES, alert_lanes, extent, fault_lanes, markers
from harness.report.suite_page import thumbnail_svg

SVG = "{http://www.w3.org/2000/svg}"


def titles(svg: str) -> list[str]:
    return [t.text or "" for t in ET.fromstring(svg).iter(f"{SVG}title")]


def texts(svg: str) -> list[str]:
    return ["".join(t.itertext()) for t in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", ALL)
def test_every_run_can_be_drawn_without_styles(name: str) -> None:
    svg = run_svg(*ALL[name]())
    assert "style=" not in svg
    assert "<style" not in svg
    colours = set(re.findall(r"#[0-9a-f]{6}", svg))
    assert colours <= set(LIGHT.values())
    ET.fromstring(thumbnail_svg(*ALL[name]()))


def test_colours_are_classes_too() -> None:
    for element in ET.fromstring(run_svg(*passing())).iter():
        for kind, short in (("fill", "f"), ("stroke", "s")):
            if element.get(kind, "none").startswith("#"):
                assert any(c.startswith(f"{short}-") for c in element.get("class", "").split())


def test_the_moments_that_matter_are_named() -> None:
    said = texts(run_svg(*passing()))
    assert [t for t in said if re.match("injected|detected|reverted|recovered", t)] == [
        "injected 9.26 s",
        "detected 11.8 s",
        "reverted 21.5 s",
        "recovered 26.4 s",
    ]


def test_recovery_is_marked_only_when_all_recovered() -> None:
    assert [m.what for m in markers(failing()[1])] == ["injected", "detected", "reverted"]
    assert [m.what for m in markers(interrupted()[1])] == ["injected"]


def test_the_fault_lane_shows_what_is_proven() -> None:
    def intervals(made: str) -> list[str]:
        return [s.what for s in fault_lanes(ALL[made]()[0])[0].intervals]

    assert intervals("pass") == ["unconfirmed", "confirmed", "reverting"]
    assert intervals("unknown") == ["unconfirmed", "reverting"]
    assert intervals("interrupted") == ["unconfirmed", "confirmed"]
    assert intervals("control") == ["planned"]
    assert intervals("never-started") == []


def test_expected_alerts_come_first_and_unexpected_ones_are_marked() -> None:
    lanes = alert_lanes(failing()[0])
    assert [(lane.label, lane.expected) for lane in lanes] == [
        ("FeaturesStale · pipeline", True),
        ("ScoreDrift · server-1", False),
    ]
    assert lanes[1].pending[0].from_s == pytest.approx(14.01, abs=0.11)
    assert lanes[1].firing[0].to_s == pytest.approx(19.01, abs=0.11)


def test_an_expected_alert_that_never_fired_has_an_empty_lane() -> None:
    rows = [row for row in lane_rows(sabotaged()[0]) if row.kind == "expected"]
    assert [(row.label, row.bars, row.note) for row in rows] == [("FeaturesStale · pipeline", (), "never fired")]


def test_no_alert_is_expected_in_a_control() -> None:
    assert alert_lanes(control()[0]) == []
    tape = Tape()
    polls(tape, 1.0, 5.0, {"loud": (STALE, 1.5, 2.0, 3.0)})
    [lane] = alert_lanes(tape.journal(plan("control")))
    assert (lane.label, lane.expected, len(lane.firing)) == ("FeaturesStale · pipeline", False, 1)


def test_an_alert_is_not_missed_where_no_fault_was_injected() -> None:
    assert [row.note for row in lane_rows(never_started()[0]) if row.kind == "expected"] == ["did not fire"]


def test_a_firing_that_no_poll_saw_is_still_drawn() -> None:
    tape = Tape()
    blip = Alert(name="Blip")
    for k in range(40):
        fired = ((blip, 1.0 if k >= 20 else 0.0),)
        poll = {"source": "m", "planned_s": k / 10, "asked_s": k / 10, "answered_s": k / 10, "fired": fired}
        tape.at(k / 10, AlertsSeen.model_validate(poll))
    journal = tape.journal(plan())
    lane = next(lane for lane in alert_lanes(journal) if lane.label == "Blip")
    assert len(lane.firing) == 1
    assert any(t.startswith("Blip: firing") for t in titles(run_svg(journal, unknown()[1])))


def test_too_many_alerts_are_counted_instead_of_drawn() -> None:
    tape = Tape()
    polls(tape, 1.0, 5.0, {str(k): (Alert(name=f"A{k}"), 1.5, 2.0, 3.0) for k in range(30)})
    rows = lane_rows(tape.journal(plan()))
    alerts = [row for row in rows if row.kind in ("expected", "not expected")]
    assert len(alerts) == MOST_LANES
    assert rows[-1].label == f"and {30 + 1 - MOST_LANES} more alerts"


def test_names_may_hold_anything() -> None:
    tape = Tape()
    odd = Alert(name=f"数据 $x^2$ \x07 {HOSTILE}", labels={"service": "\ud800"})
    polls(tape, 1.0, 5.0, {"odd": (odd, 1.5, 2.0, 3.0)})
    svg = run_svg(tape.journal(plan()), unknown()[1])
    assert any(t.startswith("数据 $x^2$ \ufffd <script>") for t in titles(svg))


def test_each_probe_of_a_clause_has_one_panel_with_all_its_bounds() -> None:
    journal, _ = passing()
    shown = panels(journal)
    assert [p.probe for p in shown] == [
        "feature_age_p99",
        "silent_wrong_answers",
        "training_lag",
        "availability",
        "wrong_answers",
        "latency_p99",
    ]
    assert [b.id for b in shown[3].bounds] == ["serving", "up"]
    assert any(p.good is False for p in shown[0].points)
    assert shown[0].points[-1].good is True
    assert shown[0].points[-1].hi_s <= END_S


def test_a_probe_that_must_notice_is_drawn_with_its_limit_and_its_moment() -> None:
    told = {"id": "says-no", "probe": "server_ready", "equals": 200, "within": "6s"}
    journal, verdict = passing()
    tape = Tape([(line.t_s, line.body) for line in journal.lines])
    for tenth in range(10, 340):
        at_s, value = tenth / 10, 503.0 if 120 <= tenth < 200 else 200.0
        read = Reading(probe="server_ready", planned_s=at_s, asked_s=at_s, answered_s=at_s + 0.01, value=value)
        tape.at(at_s + 0.01, read)
    made = tape.journal(plan(expect=SCENARIO["expect"] | {"noticed": [told]}))
    found = judge(made)
    assert [clause.value for clause in found.of_kind("noticed")] == ["pass"], found.reasons
    assert [(m.what, round(m.at_s, 1)) for m in markers(found) if m.what == "noticed"] == [("noticed", 12.0)]
    assert not [m for m in markers(verdict) if m.what == "noticed"]
    svg = run_svg(made, found)
    assert any("bound of says-no: server_ready = 200" in title for title in titles(svg))
    assert any(text == "noticed 12.0 s" for text in texts(svg))


def test_a_panel_shows_what_the_judge_judges() -> None:
    tape = Tape()
    tape.written = [(line.t_s, line.body) for line in failing()[0].lines]
    for tenth in range(140, 150):  # while the training lag could not be read
        at_s = tenth / 10
        seen = MachineSeen(from_s=at_s, to_s=at_s + 0.1, processors=2.0, busy=2.0, own=0.7, cpu_pressure=0.9)
        tape.at(at_s + 0.1, seen)
    for k in range(60):  # open at the injection, and slow before it
        slow = {"id": f"s{k}", "at_event": 1, "due_s": 8.9, "sent_s": 8.9, "done_s": 9.5, "ok": True, "slow": True}
        tape.at(9.5, Answer.model_validate(slow))
    journal = tape.journal(plan())
    facts = gather(journal)
    for panel in panels(journal):
        judged = compared(panel.bounds[0], facts).points
        assert list(panel.points[-len(judged) :]) == judged, panel.probe
    [lag] = [panel for panel in panels(journal) if panel.probe == "training_lag"]
    assert any(point.machine and point.good is None for point in lag.points)


def test_a_probe_that_is_seldom_read_is_not_grey() -> None:
    tape = Tape()
    tape.written = [(line.t_s, line.body) for line in passing()[0].lines if not isinstance(line.body, Reading)]
    for k in range(17):
        at_s = 1.7 + 2 * k
        body = {"probe": "training_lag", "planned_s": at_s, "asked_s": at_s, "answered_s": at_s + 0.02, "value": 9.0}
        tape.at(at_s + 0.02, Reading.model_validate(body))
    seldom = plan()
    stack = seldom.stack.model_copy(update={"probe_every_s": {"training_lag": 2.0}})
    journal = tape.journal(seldom.model_copy(update={"stack": stack}))
    [lag] = [panel for panel in panels(journal) if panel.probe == "training_lag"]
    assert {point.good for point in lag.points} == {True}
    assert "training_lag: inconclusive" not in run_svg(journal, unknown()[1])


def test_an_interrupted_run_is_drawn_to_the_revert_that_healing_brought() -> None:
    tape = Tape()
    phases(tape, (0.0, "starting"), (1.6, "gate"), (GATE_S, "baseline"), (9.2, "fault"))
    stages(tape, "quiet-pipeline", (9.2, "injecting"), (9.3, "injected"))
    phases(tape, (12.0, "healing"), (15.0, "stopping"))
    stages(tape, "quiet-pipeline", (12.1, "reverting"), (14.0, "reverted"))
    tape.at(18.0, Closed(reason="interrupted"))
    assert extent(tape.journal(plan())) == (1.1, 14.5)


def test_a_fault_that_was_never_reverted_has_an_open_end() -> None:
    assert [(s.what, s.open) for s in fault_lanes(interrupted()[0])[0].intervals] == [
        ("unconfirmed", False),
        ("confirmed", True),
    ]


def test_breaches_and_inconclusive_stretches_have_tooltips() -> None:
    said = titles(run_svg(*passing()))
    assert any(t.startswith("feature_age_p99: breaches its bound") for t in said)
    assert any("timed out after 500 ms" in t for t in said)
    assert any(re.match(r"9 s to 10 s: \d+ correct", t) for t in said)
