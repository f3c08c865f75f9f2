"""The journal as a file: what is written is what is read, and a file that lies is refused with its line."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.journal.records import Header, Journal, parse, read_lines
from harness.journal.writer import JournalWriter
from harness.model.errors import JournalError
from harness.model.ledger import Examples, Lineage, ModelVersion, TrainedOn
from harness.model.plan import Plan
from harness.model.readings import (
    Alert,
    AlertsSeen,
    Answer,
    Body,
    Closed,
    Evidence,
    FaultSeen,
    Gap,
    GateSeen,
    Hit,
    Phase,
    Planned,
    ProcessSeen,
    Reading,
    StackUp,
    Undo,
)

STEP = {"id": "slow", "at": "4s", "fault": "network.latency", "target": {"service": "store"}, "for": "7s"}
SCENARIO = {"schema": 1, "scenario": "toy", "summary": "A toy.", "stack": "toy", "timeline": [STEP], "expect": {}}
PLAN = Plan.model_validate({"run": "toy", "seed": 1, "stack": {"name": "toy"}, "scenario": SCENARIO})

LATER_S = 1e6
"""How long the journals of these tests have been open when their lines are written."""
numbers = st.floats(0, LATER_S, allow_nan=False)
ordered = st.tuples(numbers, numbers, numbers).map(sorted)
words = st.text(max_size=12)
ids = st.dictionaries(words, st.lists(words, max_size=2).map(tuple), max_size=2)
examples = st.builds(Examples, training=ids, quarantine=ids, settled_until=st.none() | st.integers(0, 10**9))
parents = st.just({}) | st.fixed_dictionaries({"parent": st.none() | st.integers(1, 9)})
versions = parents.map(lambda parent: ModelVersion(version=3, trained_on=(TrainedOn(key="p"),), **parent))
lineage = st.builds(Lineage, versions=st.lists(versions, max_size=2).map(tuple), poisoned=ids)
alerts = st.builds(Alert, name=words, labels=st.dictionaries(words, words, max_size=2))
bodies: st.SearchStrategy[Body] = st.one_of(
    st.builds(lambda moments, **rest: Reading(**polled(moments), **rest), ordered, probe=words,
              value=st.none() | numbers, down=st.none() | words),
    st.builds(Gap, probe=words, from_s=numbers, to_s=numbers, why=words),
    st.builds(lambda moments, **rest: Answer(due_s=moments[0], sent_s=moments[1], done_s=moments[2], **rest), ordered,
              id=words, at_event=st.integers(0, 10**9), ok=st.booleans(), wrong=st.none() | st.booleans(),
              ages=st.dictionaries(words, numbers, max_size=2)),
    st.builds(lambda moments, **rest: AlertsSeen(**polled(moments), **rest), ordered, source=words,
              firing=st.lists(alerts, max_size=2).map(tuple),
              fired=st.none() | st.lists(st.tuples(alerts, numbers), max_size=2).map(tuple)),
    st.builds(lambda moments, **rest: FaultSeen(lo_s=moments[0], hi_s=moments[1], **rest), ordered, fault=words,
              stage=st.just("injected"), landed=st.none() | st.booleans()),
    st.builds(Hit, fault=words, rows=st.lists(st.dictionaries(words, numbers | words, max_size=2)).map(tuple)),
    st.builds(ProcessSeen, service=words, what=st.just("exited"), at_s=numbers, signal=st.none() | st.integers(1, 30)),
    st.builds(Phase, phase=st.just("observed")),
    st.builds(GateSeen, met=st.booleans(), at_s=numbers,
              values=st.dictionaries(words, st.none() | numbers, max_size=2)),
    st.builds(Evidence, check=st.just("examples"), data=st.none() | examples, error=st.none() | words),
    st.builds(Evidence, check=st.just("lineage"), data=st.none() | lineage, error=st.none() | words),
    st.builds(StackUp, ready_s=numbers, project=st.none() | words, owned=st.booleans()),
)  # fmt: skip
closed = st.builds(Closed, reason=st.just("completed"))


def polled(moments: list[float]) -> dict[str, float]:
    return dict(zip(("planned_s", "asked_s", "answered_s"), moments, strict=True))


def later(path: Path) -> JournalWriter:
    """Open a journal that has been open for a long time."""
    writer = JournalWriter(path, PLAN)
    writer.clock._origin_s -= LATER_S
    return writer


def reread(path: Path) -> Journal:
    with path.open(encoding="utf-8") as lines:
        return read_lines(lines, str(path))


@settings(max_examples=40, deadline=None)
@given(st.lists(bodies, max_size=8), st.lists(closed, max_size=1))
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, written: list[Body], end: list[Body]
) -> None:
    path = tmp_path_factory.mktemp("run") / "deep" / "journal.jsonl"
    writer = later(path)
    written = [*written, *end]
    numbers = [writer.write(body) for body in written]
    writer.close()
    journal = reread(path)
    assert journal.plan == PLAN
    assert [line.body for line in journal.lines] == written
    assert [line.n for line in journal.lines] == numbers == list(range(1, len(written) + 1))
    assert not journal.cut_off
    moments = [line.t_s for line in journal.lines]
    assert moments == sorted(moments)


@settings(max_examples=40, deadline=None)
@given(st.lists(bodies, min_size=1, max_size=4), st.floats(0, 1))
def test_a_last_line_cut_off_anywhere_is_dropped(
    tmp_path_factory: pytest.TempPathFactory, written: list[Body], share: float
) -> None:
    path = tmp_path_factory.mktemp("run") / "journal.jsonl"
    writer = later(path)
    for body in written:
        writer.write(body)
    writer.close()
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    # As a share, for the line's length depends on the clock.
    at = 1 + int(share * (len(lines[-1]) - 2))
    journal = read_lines([*lines[:-1], lines[-1][:at]])
    assert journal.cut_off
    assert [line.body for line in journal.lines] == written[:-1]


def test_each_line_is_heard_by_the_listener_when_it_is_on_disk(tmp_path: Path) -> None:
    heard: list[tuple[int, Body, str]] = []
    path = tmp_path / "journal.jsonl"
    writer = JournalWriter(path, PLAN, lambda n, _at_s, body: heard.append((n, body, path.read_text())))
    writer.write(StackUp(ready_s=1, project="here"))
    [(n, body, on_disk)] = heard
    assert (n, body) == (1, StackUp(ready_s=1, project="here"))
    assert on_disk.endswith('"project":"here","kind":"stack_up"}\n')
    writer.close()


def test_an_undo_is_forced_to_the_disk_before_the_call_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced: list[int] = []
    monkeypatch.setattr(os, "fsync", forced.append)
    writer = JournalWriter(tmp_path / "journal.jsonl", PLAN)
    writer.write(StackUp(ready_s=1, project="not this"))
    assert forced == []
    writer.write(Undo(fault="slow", fault_kind="x", target={}, parameters={}, data={"was": 3}))
    assert len(forced) == 1
    writer.close()


def test_times_are_written_with_six_decimals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([100.0, 100.12345678])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    writer = JournalWriter(tmp_path / "journal.jsonl", PLAN)
    writer.write(StackUp(ready_s=1, project="x"))
    writer.close()
    assert '{"n":1,"t":0.123457,' in writer.path.read_text()


def test_the_writer_has_the_run_s_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([100.0, 100.5, 102.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    writer = JournalWriter(tmp_path / "journal.jsonl", PLAN)
    assert writer.now_s() == 0.5
    assert writer.clock.at_s(103.0) == 3.0
    writer.write(StackUp(ready_s=1, project="at two"))
    writer.close()
    assert reread(writer.path).lines[0].t_s == 2.0


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="--reports"):
        JournalWriter(tmp_path / "file" / "journal.jsonl", PLAN)
    JournalWriter(tmp_path / "journal.jsonl", PLAN).close()
    with pytest.raises(JournalError, match="exists"):
        JournalWriter(tmp_path / "journal.jsonl", PLAN)


def test_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = JournalWriter(tmp_path / "journal.jsonl", PLAN)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(JournalError, match="No space left"):
        writer.write(Undo(fault="slow", fault_kind="x", target={}, parameters={}, data={}))
    writer.close()


def test_a_line_that_the_disk_does_not_take_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = JournalWriter(tmp_path / "journal.jsonl", PLAN)
    writer.close()

    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "_file", Full())
    with pytest.raises(JournalError, match="No space left"):
        writer.write(StackUp(ready_s=1, project="x"))


def head(**changes: Any) -> str:
    header = Header(schema=1, harness="0", started="2026-06-01T10:00:00+00:00", plan=PLAN)
    return json.dumps({"n": 0, "t": 0.0, **header.model_dump(mode="json", by_alias=True), **changes}) + "\n"


GOOD = '{"n":1,"t":0.5,"kind":"stack_up","ready_s":1,"project":"x"}\n'


@pytest.mark.parametrize(
    ("lines", "line", "said"),
    [
        ([], None, "empty"),
        ([head()[:-1]], None, "empty"),
        (["\n"], 1, "not a journal's head"),
        (["[]\n"], 1, "not a journal's head"),
        (["[" * 100_000 + "\n"], 1, "not a journal's head"),
        ([head(schema=99)], 1, "schema 99"),
        ([head(plan={})], 1, "cannot be read"),
        ([head(started="yesterday")], 1, "cannot be read: started"),
        ([head(), "nonsense\n", GOOD], 2, "not a journal line"),
        ([head(), GOOD, "\n"], 3, "not a journal line"),
        ([head(), "[1]\n"], 2, "not a journal line"),
        ([head(), '{"t":0.5,"kind":"stack_up","ready_s":1,"project":"x"}\n'], 2, "not a journal line"),
        ([head(), '{"n":1,"t":0.5,"kind":"strange"}\n'], 2, "strange"),
        ([head(), '{"n":1,"t":0.5,"kind":"stack_up","ready_s":1,"project":"x","more":1}\n'], 2, "more"),
        ([head(), '{"n":1,"t":NaN,"kind":"stack_up","ready_s":1,"project":"x"}\n'], 2, "NaN"),
        ([head(), "[" * 100_000 + "\n", GOOD], 2, "not a journal line"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_journal_is_refused_with_its_line(lines: list[str], line: int | None, said: str) -> None:
    with pytest.raises(JournalError) as caught:
        parse(lines, "journal.jsonl")
    assert (caught.value.file, caught.value.line) == ("journal.jsonl", line)
    assert said in str(caught.value)


def journal(*bodies: Body) -> Journal:
    lines = [json.dumps({"n": n, "t": 10.0 + n, **b.model_dump(mode="json")}) + "\n" for n, b in enumerate(bodies, 1)]
    return read_lines([head(), *lines])


def reading(probe: str, asked_s: float) -> Reading:
    return Reading(probe=probe, planned_s=asked_s, asked_s=asked_s, answered_s=asked_s, value=1.0)


def test_what_is_asked_for_comes_in_the_order_in_which_it_was_asked() -> None:
    found = journal(reading("a", 3.0), reading("b", 2.0), reading("a", 1.0))
    assert [(n, r.asked_s) for n, r in found.readings("a")] == [(3, 1.0), (1, 3.0)]


FIRST: list[tuple[Callable[[Journal], object], object]] = [
    (lambda j: j.closed, None),
    (lambda j: j.gate, None),
    (lambda j: j.phase_s("observed"), None),
    (lambda j: j.fault_stage("slow", "injected"), None),
    (lambda j: j.evidence("lineage"), None),
    (lambda j: j.answers, []),
    (lambda j: j.alerts, []),
    (lambda j: j.gaps("workload"), []),
    (lambda j: j.all_gaps, []),
]


@pytest.mark.parametrize(("ask", "answer"), FIRST)
def test_what_is_not_there_is_none_or_nothing(ask: Callable[[Journal], object], answer: object) -> None:
    assert ask(journal()) == answer


def test_the_plan_is_the_one_that_it_has_become_last() -> None:
    grown = [PLAN.model_copy(update={"seed": seed}) for seed in (2, 3)]
    assert journal().plan == PLAN
    assert journal(*(Planned(plan=plan) for plan in grown)).plan.seed == 3


def test_the_last_gate_phase_and_evidence_count_and_the_first_stage_of_a_fault() -> None:
    def stage(hi_s: float) -> FaultSeen:
        return FaultSeen(fault="slow", stage="confirmed", lo_s=0, hi_s=hi_s)

    found = journal(
        GateSeen(met=False, at_s=1), GateSeen(met=True, at_s=2), Phase(phase="observed"), Phase(phase="observed"),
        Evidence(check="lineage"), Evidence(check="lineage", error="gone"), stage(1.0), stage(2.0),
        Gap(probe="lag", from_s=1, to_s=2, why="busy"), Closed(reason="interrupted"), Closed(reason="error"),
    )  # fmt: skip
    assert found.gate == (2, GateSeen(met=True, at_s=2))
    assert found.phase_s("observed") == 14.0
    assert found.evidence("lineage") == (6, Evidence(check="lineage", error="gone"))
    assert found.fault_stage("slow", "confirmed") == (7, stage(1.0))
    assert found.closed == Closed(reason="error")
    assert [g.why for g in found.gaps("lag")] == ["busy"]


def test_a_full_disk_is_an_error_that_names_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    writer = JournalWriter(path, PLAN)
    (handle,) = (int(one.name) for one in Path("/proc/self/fd").iterdir() if one.exists() and one.samefile(path))
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, handle)  # what the kernel says of each write from now on is what it says where the disk is full
    os.close(full)
    with pytest.raises(JournalError, match="the journal cannot be written: No space left on device") as caught:
        writer.write(Phase(phase="observed"))
    assert str(path) in str(caught.value)
    with pytest.raises(OSError, match="No space left on device"):
        writer.close()
