"""Damaged journals: each is refused with its line, or judged as what is left of it; none crashes, hangs or passes.

The campaign changes recorded and hand-written journals in every way that a disk, a copy or a clock can, and says for
each change what must come of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journals import BROKEN, Run, good_run

from harness.journal.records import parse
from harness.judge import judge
from harness.model.errors import JournalError

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parent / "golden"
TEXTS = {
    "by-hand": good_run().text(),
    **{file.stem: file.read_text().splitlines(keepends=True) for file in sorted(GOLDEN.glob("v*/*.jsonl"))},
}
UNIX_S = 1.79e9
HUGE = 10**400
Lines = list[str]
Change = Callable[[dict[str, Any]], None]


def outcome(lines: Lines) -> str:
    """Return the verdict, or `refused`."""
    try:
        return str(judge(parse(lines, "journal.jsonl")).value)
    except JournalError as error:
        return "refused" if error.line is not None or not lines else "refused without its line"


def changed(lines: Lines, at: int, change: Change) -> Lines:
    data = json.loads(lines[at])
    change(data)
    return [*lines[:at], json.dumps(data) + "\n", *lines[at + 1 :]]


def put(**fields: Any) -> Change:
    return lambda data: data.update(fields)


def numbers(data: dict[str, Any]) -> list[str]:
    return [k for k, v in data.items() if isinstance(v, (int, float)) and not isinstance(v, bool)]


def spots(lines: Lines) -> list[int]:
    """Return the first, the middle and the last line of each kind; the last line of all stands apart."""
    by_kind: dict[str, list[int]] = {}
    for at, line in enumerate(lines[:-1]):
        if at:
            by_kind.setdefault(json.loads(line)["kind"], []).append(at)
    return sorted({at for found in by_kind.values() for at in (found[0], found[len(found) // 2], found[-1])})


def mutations(lines: Lines) -> Iterator[tuple[str, Lines]]:
    """Yield (name, changed lines); a run can have written none of them."""
    for at in spots(lines):
        before, line, after = lines[:at], lines[at], lines[at + 1 :]
        data = json.loads(line)
        kind = data["kind"]
        yield f"{kind} {at} lost", [*before, *after]
        yield f"{kind} {at} doubled", [*before, line, line, *after]
        yield (
            f"{kind} {at} moved back",
            [*lines[: at - 1], line, lines[at - 1], *after] if at > 1 else [*before, *after],
        )
        yield f"{kind} {at} cut", [*before, line[: len(line) // 2] + "\n", *after]
        yield f"{kind} {at} empty", [*before, "\n", *after]
        for name in ("1e999", "-1e999", str(HUGE), "NaN", "Infinity", "null", '"1"', "1.5", "[]"):
            yield f"{kind} {at} n {name}", [*before, re.sub(r'^\{"n": ?\d+', f'{{"n":{name}', line), *after]
        for name in ("1e999", "-1e999", str(HUGE), "NaN", "Infinity", "null", "-1", str(UNIX_S), "{}"):
            yield f"{kind} {at} t {name}", [*before, re.sub(r'"t": ?[-\d.e]+', f'"t":{name}', line), *after]
        yield f"{kind} {at} time goes back", changed(lines, at, put(t=json.loads(lines[at - 1]).get("t", 0.0) - 0.5))
        yield f"{kind} {at} of no kind", changed(lines, at, put(kind="reeding"))
        yield f"{kind} {at} with more", changed(lines, at, put(more=1))
        for name in numbers(data):
            if name in ("n", "t"):
                continue
            for value in ("1e999", "-1e999", "NaN", "-Infinity", str(HUGE)):
                text = re.sub(rf'"{name}": ?[-\d.e]+', f'"{name}":{value}', line)
                assert text != line
                yield f"{kind} {at} {name} {value}", [*before, text, *after]
            if name.endswith("_s") and name not in ("to_s", "interval_s", "ready_s"):
                yield f"{kind} {at} {name} in Unix time", changed(lines, at, put(**{name: UNIX_S}))


CAMPAIGN = [(text, name, lines) for text, whole in TEXTS.items() for name, lines in mutations(whole)]


@pytest.mark.parametrize("text", TEXTS)
def test_a_journal_that_no_run_can_have_written_is_refused_with_its_line(text: str) -> None:
    assert outcome(TEXTS[text]) != "refused"
    mine = [(name, lines) for of, name, lines in CAMPAIGN if of == text]
    assert len(mine) > 150
    wrong = [name for name, lines in mine if outcome(lines) != "refused"]
    assert wrong == []


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_lost_at_the_end_leaves_no_pass(text: str) -> None:
    lines = TEXTS[text]
    for left in (lines[:-1], [*lines[:-1], lines[-1][:20]], lines[: len(lines) // 2], lines[:2]):
        assert outcome(left) in ("unknown", "fail" if "fail" in text or "caught" in text else "unknown")
    assert outcome([*lines[1:]]) == "refused"
    assert outcome([*lines, lines[-1]]) == "refused"
    assert outcome([]) == "refused"


def in_journal(at: int, *bodies: dict[str, Any]) -> Lines:
    """Return the hand-written journal with lines put in, numbered anew."""
    lines = [json.loads(line) for line in TEXTS["by-hand"]]
    t_s = lines[at]["t"]
    lines[at + 1 : at + 1] = [{"n": 0, "t": t_s, **body} for body in bodies]
    return [json.dumps(line | {"n": n}) + "\n" for n, line in enumerate(lines)]


def first(kind: str, **fields: Any) -> int:
    """Return the position of the first such line in the hand-written journal."""
    lines = [json.loads(line) for line in TEXTS["by-hand"]]
    return next(k for k, line in enumerate(lines) if line["kind"] == kind and fields.items() <= line.items())


FAULT = {"kind": "fault", "fault": "slow", "lo_s": 11.5, "hi_s": 11.5}
READING = {"kind": "reading", "probe": "lag", "value": 9}


@pytest.mark.parametrize(
    ("after", "body"),
    [
        ("observed", {"kind": "phase", "phase": "observed"}),
        ("observed", {"kind": "phase", "phase": "gate"}),
        ("reverted", {"kind": "gate", "met": True, "at_s": 12.0}),
        ("reverted", FAULT | {"stage": "confirmed", "landed": True}),
        ("reverted", FAULT | {"stage": "reverted", "landed": False}),
        ("reverted", FAULT | {"stage": "injected"}),
        ("reverted", FAULT | {"stage": "effect", "fault": "slux", "landed": False}),
        ("reverted", {"kind": "process", "service": "server", "what": "exited", "at_s": 9.0, "asked": "nope"}),
        ("reverted", {"kind": "gap", "probe": "lag", "from_s": 8.0, "to_s": -1.0, "why": "x"}),
        ("reverted", READING | {"planned_s": 0.2, "asked_s": 0.2, "answered_s": 0.21}),
        ("reverted", READING | {"planned_s": -8, "asked_s": -8, "answered_s": 12}),
        ("reverted", READING | {"planned_s": 1.9, "asked_s": 1.9, "answered_s": 1.99}),
        ("reverted", {"kind": "closed", "reason": "completed"}),
    ],
)
def test_lines_that_no_run_writes_there_are_refused(after: str, body: dict[str, Any]) -> None:
    at = first("phase", phase="observed") if after == "observed" else first("fault", stage="reverted")
    assert outcome(in_journal(at)) == "pass"
    assert outcome(in_journal(at, body)) == "refused"


def test_an_answer_that_is_written_again_under_a_new_number_is_refused() -> None:
    at = first("fault", stage="reverted")
    answer = next(line for line in map(json.loads, TEXTS["by-hand"]) if line["kind"] == "answer")
    assert outcome(in_journal(at, {name: answer[name] for name in answer if name not in ("n", "t")})) == "refused"


PROCESS = {"kind": "process", "service": "trainer", "what": "restarted", "at_s": 9.0}
LEDGER = {"kind": "integrity", "check": "checkpoints", "data": {"checkpoints": [{"key": "c", "ok": True}]}}


def test_a_process_that_did_the_same_at_the_same_moment_twice_is_refused() -> None:
    at = first("fault", stage="reverted")
    assert outcome(in_journal(at, PROCESS)) == "pass"
    assert outcome(in_journal(at, PROCESS, PROCESS | {"at_s": 9.000001}, PROCESS | {"service": "store"})) == "pass"
    assert outcome(in_journal(at, PROCESS, PROCESS)) == "refused"


def test_evidence_that_was_read_before_observation_ended_is_refused() -> None:
    assert outcome(in_journal(first("gate"), LEDGER)) == "refused"
    assert outcome(in_journal(first("fault", stage="reverted"), LEDGER)) == "refused"
    assert outcome(in_journal(first("phase", phase="observed"), LEDGER)) == "pass"


def test_a_fault_that_goes_in_after_observation_ended_is_refused() -> None:
    observed = {"kind": "phase", "phase": "observed"}
    lines = [json.loads(line) for line in Run({"quiet": "others"}).gate().fault().alerts().end(3.0).text()]
    at = next(k for k, line in enumerate(lines) if line.get("stage") == "injected")
    with pytest.raises(JournalError, match=r"cannot be 'injected' after observation ended") as refused:
        parse([json.dumps(line) + "\n" for line in lines])
    assert refused.value.line == at + 1
    at = first("gate")
    assert outcome(in_journal(at, observed)) == "refused"


@pytest.mark.parametrize("observed_s", [3.0, 6.0, 11.9])
def test_a_run_whose_observation_did_not_outlast_its_fault_is_unknown(observed_s: float) -> None:
    for expect in ({"quiet": "others"}, {"stays": [{"id": "low", "probe": "lag", "at_most": 20}]}):
        run = Run(expect).gate().fault().alerts(("Stale", 17.0, 19.0)).readings("lag", BROKEN)
        verdict = run.end(observed_s).judged()
        assert verdict.value == "unknown"
        assert any(f"observation ended at {observed_s:.2f} s" in reason for reason in verdict.reasons)


def test_what_broke_before_such_an_end_is_a_failure_all_the_same() -> None:
    run = Run({"quiet": "others"}).gate().fault().alerts(("Stale", 7.0, 9.0)).end(11.0)
    assert run.judged().value == "fail"


def test_what_real_runs_leave_at_their_end_is_not_refused() -> None:
    def text(run: Run) -> str:
        return outcome(run.text())

    alone = Run({"quiet": "others"}).gate().alerts().fault(reverted=None, effects=[(t, True) for t in (8.0, 10.0)])
    # The revert failed, and was done when the run healed.
    failed = {"kind": "fault", "fault": "slow", "lo_s": 12.0, "hi_s": 12.0, "stage": "failed"}
    run = alone.add(12.0, **failed).end().add(25.5, "phase", phase="healing")
    for stage in ("reverting", "reverted"):
        run.add(26.0, "fault", fault="slow", stage=stage, lo_s=26.0, hi_s=26.0, landed=False)
    assert text(run) == "unknown"
    # A caller's time-out kept the fault in while the run was observed.
    run = (
        Run({"quiet": "others"})
        .gate()
        .alerts()
        .fault(reverted=26.0, effects=[(t, True) for t in (8.0, 12.0, 16.0, 20.0, 24.0)])
    )
    assert text(run.end().add(25.5, "phase", phase="healing")) == "unknown"
    # Interrupted while the fault was going in.
    run = (
        Run({"quiet": "others"}).gate().alerts().add(4.9, "phase", phase="healing").fault(confirmed=None, reverted=6.0)
    )
    assert text(run.end(None, closed="interrupted")) == "unknown"
    # A caller's fault that never went in.
    assert text(Run({"quiet": "others"}).gate().alerts().end()) == "unknown"


@pytest.mark.parametrize(("ends", "refused"), [({"reason": "completed", "error": "x"}, True), ({}, False)])
def test_a_run_that_completed_has_no_error(ends: dict[str, Any], refused: bool) -> None:
    lines = TEXTS["by-hand"]
    assert json.loads(lines[-1])["kind"] == "closed"
    assert (outcome([*lines[:-1], json.dumps(json.loads(lines[-1]) | ends) + "\n"]) == "refused") is refused


def test_a_reading_is_written_at_most_ten_seconds_after_it_was_read() -> None:
    at = first("fault", stage="reverted")
    read = {"kind": "reading", "probe": "lag", "value": 1, "planned_s": 1.9, "asked_s": 1.9, "answered_s": 2.0}
    assert outcome(in_journal(at, read)) == "pass"


@pytest.mark.parametrize(("early_s", "said"), [(1e-05, "unknown"), (1.1e-05, "refused")])
def test_moments_may_be_out_of_order_by_what_is_lost_in_rounding(early_s: float, said: str) -> None:
    line = {
        "n": 1,
        "t": 0.0,
        "kind": "reading",
        "probe": "lag",
        "planned_s": early_s,
        "asked_s": 0.0,
        "answered_s": 0.0,
    }
    assert outcome([TEXTS["by-hand"][0], json.dumps(line | {"value": 1}) + "\n"]) == said


def test_a_revert_that_failed_may_be_tried_again() -> None:
    at = first("fault", stage="reverted") - 1
    assert outcome(in_journal(at, *[FAULT | {"stage": "reverting"}] * 2)) == "pass"


@pytest.mark.parametrize("head", [{"n": 1}, {"t": []}, {"n": "x"}, {"schema": True}, {"schema": 1.0}])
def test_a_head_that_no_run_wrote_is_refused(head: dict[str, Any]) -> None:
    assert outcome(changed(TEXTS["by-hand"], 0, put(**head))) == "refused"


@pytest.mark.parametrize("phase", ["observed", "stopping"])
def test_phases_in_the_time_of_another_clock_do_not_hang_the_judge(phase: str) -> None:
    lines = TEXTS["by-hand"]
    at = next(k for k, line in enumerate(lines) if '"phase": "observed"' in line)
    late = changed(lines, at, put(phase=phase, t=UNIX_S))
    assert outcome([*late[: at + 1], *(re.sub(r'"t": ?[\d.]+', f'"t":{UNIX_S}', line) for line in late[at + 1 :])]) == (
        "refused"
    )


def test_a_journal_with_days_of_silence_is_judged_at_once() -> None:
    days_s = 29 * 86400.0
    run = good_run()
    run.lines = [(days_s if body["kind"] in ("phase", "closed") else t, body) for t, body in run.lines]
    found = judge(run.build())
    assert found.value == "unknown", found.reasons
    assert any("samples in the window" in reason or "no attempt" in reason for reason in found.reasons)


@settings(max_examples=60, deadline=5000, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(TEXTS)), st.data())
def test_any_damage_to_the_bytes_is_refused_or_judged(text: str, data: st.DataObject) -> None:
    whole = "".join(TEXTS[text])
    at = data.draw(st.integers(0, len(whole) - 1))
    length = data.draw(st.integers(0, 400))
    new = data.draw(st.sampled_from(["", "\n", "0", "9" * 400, '"', "{}", "null", "e9", "-", ",", "Infinity"]))
    lines = (whole[:at] + new + whole[at + length :]).splitlines(keepends=True)
    found = outcome(lines)
    if found == "pass":
        assert outcome(TEXTS[text]) == "pass"
        # No line of evidence is lost: what changed is inside of one line, and the number of lines is the same.
        assert len(lines) == len(TEXTS[text])
