"""The texts of failures: which expectation, what was measured instead, how late, the journal lines cited, and where the
report is."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from harness.journal.files import NAME as JOURNAL
from harness.journal.records import Journal
from harness.model.alert_clauses import ClearedResult, DetectionResult
from harness.model.clauses import NoticedResult, RecoveryResult
from harness.model.cleaned import cleaned
from harness.model.errors import BackendError
from harness.model.readings import AlertsSeen, Answer, FaultSeen, ProcessSeen, Reading
from harness.model.verdict import ClauseResult, Value, Verdict
from harness.pytest_plugin.session_end import ERROR_PROPERTY, RUN_PROPERTY, VERDICT_PROPERTY, readable_path
from harness.pytest_plugin.session_runner import Finished
from harness.report.words import advice_lines
from harness.suite.rules import passes

MOST_CLAUSES = 8
MOST_CITED = 4
LOG_LINES = 8


def note_run(item: pytest.Item, finished: Finished) -> None:
    """Put a run, its verdict and its error into the test's report, and so into pytest's own JUnit file."""
    item.user_properties.append((RUN_PROPERTY, str(finished.run_dir)))
    if finished.verdict is not None:
        item.user_properties.append((VERDICT_PROPERTY, str(finished.verdict.value)))
    if finished.error is not None:
        item.user_properties.append((ERROR_PROPERTY, cleaned(str(finished.error))))


def errors(finished: Iterable[Finished]) -> list[str]:
    """Return the texts of the runs that the harness could not complete."""
    return [error_text(one) for one in finished if one.error is not None]


def failures(finished: Iterable[Finished]) -> list[str]:
    """Return the texts of the runs whose verdicts do not pass."""
    return [verdict_text(one) for one in finished if one.verdict is None or not passes(one.verdict)]


def verdict_text(finished: Finished) -> str:
    """Return why a run did not pass."""
    verdict, journal = finished.verdict, finished.journal
    assert verdict is not None
    assert journal is not None
    bad = [c for c in verdict.clauses if c.value is verdict.value] or list(verdict.clauses)
    others = [c for c in verdict.clauses if c not in bad and c.value is not Value.PASS]
    lines = [_headline(finished, verdict), ""]
    for clause in [*bad, *others][:MOST_CLAUSES]:
        lines += _clause(clause, journal)
    left = len(bad) + len(others) - MOST_CLAUSES
    passed = sum(c.value is Value.PASS for c in verdict.clauses)
    if left > 0:
        lines.append(f"  and {left} more, see the report")
    if passed:
        lines.append(f"  passed: {passed} of {len(verdict.clauses)} clauses")
    if not verdict.clauses or verdict.known_weakness is not None:
        lines += [f"  {reason}" for reason in verdict.reasons]
    lines += [f"  {line}" for line in advice_lines(verdict.advice)]
    return "\n".join([*lines, "", *_places(finished)])


def _headline(finished: Finished, verdict: Verdict) -> str:
    plan = finished.plan
    faults = ", ".join(f"{f.kind} on {f.target}" for f in verdict.faults)
    if verdict.catch is not None:
        off = f"{verdict.sabotage} was switched off"
        summary = f"{off}, and not every clause that must fail without it did (verdict: {verdict.value})"
    elif verdict.value is Value.UNKNOWN:
        summary = "UNKNOWN: the run neither passed nor failed"
    else:
        summary = f"{str(verdict.value).upper()}{f' under {faults}' if faults else ''}"
    return f"{plan.run}: {summary} (seed {plan.seed})"


def _clause(clause: ClauseResult, journal: Journal) -> list[str]:
    lines = [f"  {clause.value:7}  {clause.id} ({clause.kind}): {clause.reason}"]
    late = _late(clause)
    if late is not None:
        lines.append(f"           {late}")
    by_number = {line.n: line for line in journal.lines}
    for n in clause.cites[:MOST_CITED]:
        if n in by_number:
            line = by_number[n]
            lines.append(f"           journal line {n}, at {line.t_s:.2f} s: {_summary(line.body)}")
    if len(clause.cites) > MOST_CITED:
        lines.append(f"           and {len(clause.cites) - MOST_CITED} more lines of the journal")
    return lines


def _late(clause: ClauseResult) -> str | None:
    timed, late = clause.measured, DetectionResult | NoticedResult | ClearedResult | RecoveryResult
    if clause.value is not Value.FAIL or not isinstance(timed, late):
        return None
    within_s, after_s = timed.within_s, timed.after_s
    if after_s is None:
        return f"it never happened; the deadline was {_seconds(within_s)}"
    took, deadline = _seconds(after_s), _seconds(within_s)
    return f"{_seconds(after_s - within_s)} late: it took {took}, and the deadline was {deadline}"


def _seconds(value: float) -> str:
    return f"{value * 1e3:.0f} ms" if abs(value) < 1 else f"{value:.2f} s"


def _summary(body: object) -> str:
    match body:
        case FaultSeen():
            return f"fault {body.fault} {body.stage}"
        case AlertsSeen():
            firing = ", ".join(a.key for a in body.firing) or "nothing"
            return f"{body.source} did not answer ({body.down})" if body.down else f"firing: {firing}"
        case Reading():
            return f"{body.probe} {f'did not answer ({body.down})' if body.value is None else f'is {body.value:.6g}'}"
        case Answer():
            how = body.error or "; ".join(filter(None, ["wrong" if body.wrong else "", body.flagged, body.why]))
            return f"answer to {body.id}: {how or 'good'}"
        case ProcessSeen():
            return f"{body.service} {body.what}"
    return str(getattr(body, "kind", "?"))


def error_text(finished: Finished) -> str:
    """Return why the harness could not complete a run, with the last log lines of the services that died."""
    error = finished.error
    assert error is not None
    lines = [f"{finished.plan.run}: the harness could not complete this run: {str(error).rstrip()}"]
    if isinstance(error, BackendError) and "log lines" not in str(error):
        lines += last_logs(finished)
    return "\n".join([*lines, "", *_places(finished)])


def last_logs(finished: Finished) -> list[str]:
    """Return the last log lines of the services that died although the harness did not stop them."""
    died = [
        seen.service
        for _, seen in (finished.journal.of(ProcessSeen) if finished.journal is not None else [])
        if seen.what == "exited" and seen.asked is None and seen.exit_code != 0
    ]
    lines = []
    for service in dict.fromkeys(died):
        try:
            text = (finished.run_dir / "logs" / f"{service}.log").read_text("utf-8", "replace")
        except OSError:
            continue
        last = text.splitlines()[-LOG_LINES:]
        lines += [f"the last log lines of {service!r}:", *(f"    {line}" for line in last)]
    return lines


def _places(finished: Finished) -> list[str]:
    journal, report = finished.run_dir / JOURNAL, finished.run_dir / "report.html"
    found = [("journal", journal), ("report", report), ("logs", finished.run_dir / "logs")]
    # The report may be drawn only at the end of the session.
    there = finished.journal is not None
    return [
        f"  {what:8} {readable_path(path)}" for what, path in found if path.exists() or (there and what == "report")
    ]
