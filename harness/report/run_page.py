"""`report.html`: one run for a person, the verdict and its reasons first."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.journal.records import Journal
from harness.judge.hits import rows_hit
from harness.model.alert_clauses import ClearedResult, DetectionResult, QuietResult, UnfiredResult
from harness.model.clauses import NoticedResult, RecoveryResult, StaysResult, UnbrokenResult
from harness.model.expectations import AbortResult, Expect
from harness.model.readings import ProcessSeen
from harness.model.verdict import ClauseResult, Damage, FaultReport, Value, Verdict
from harness.report.documents import Estimate, Quality, RunDocument
from harness.report.figure import run_svg
from harness.report.pages import drawing, page
from harness.report.spans import alert_lanes
from harness.report.story import process_text, story
from harness.report.table import Timed, after, confirmed_text, damage, damage_parts, notices
from harness.report.taken_out import taken_out_text
from harness.report.words import NONE, amount, between, count, headline, seconds, unit_of, unseen_text

MOST_CITES = 8
MOST_LINES = 200
MOST_CHARS = 700
MOST_PROCESSES = 60
MOST_EVIDENCE_CHARS = 1500
_COLLATERAL = "no process dies except by the fault"


@dataclass(frozen=True, slots=True)
class ClauseRow:
    """A clause as the table shows it."""

    id: str
    kind: str
    value: str
    expected: str
    measured: str
    measured_detail: str
    reason: str
    cites: tuple[int, ...]
    more: int
    advice: tuple[int, ...] = ()
    """The numbers of the pieces of advice that it is among the reasons for."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the headline numbers."""

    name: str
    value: str
    detail: str


def run_html(run_dir: Path, journal: Journal, verdict: Verdict, document: RunDocument) -> str:
    """Return the page of a run."""
    excerpt = cited_lines(journal, verdict)
    alerts = alert_lanes(journal)
    events, left_out = story(journal, verdict, alerts)
    processes = [seen for _, seen in journal.of(ProcessSeen)]
    return page(
        "run.html.j2",
        run=document,
        scenario=journal.plan.scenario,
        plan=journal.plan,
        headline=headline(verdict),
        tone=verdict.counts_as,
        reasons=_reasons(verdict),
        ended=_ended(run_dir, journal, verdict),
        figures=_figures(document, journal.plan.scenario.expect),
        plot=drawing(run_svg(journal, verdict, alerts)),
        clauses=[_row(c, journal, {line.n for line in excerpt}, verdict) for c in _ordered(verdict)],
        faults=[(f, _evidence(f), rows_hit(journal, f.id)) for f in verdict.faults],
        damage=damage_rows(verdict.damage),
        quality=quality_rows(document.quality),
        processes=[(seen.at_s, process_text(seen)) for seen in processes[:MOST_PROCESSES]],
        processes_left=max(0, len(processes) - MOST_PROCESSES),
        events=events,
        events_left=left_out,
        excerpt=excerpt,
        logs=_logs(run_dir),
    )


def _reasons(verdict: Verdict) -> tuple[str, ...]:
    """Return the reasons; a pass that gives none rests on its clauses."""
    if verdict.reasons or not verdict.clauses or verdict.value is not Value.PASS:
        return verdict.reasons
    number = len(verdict.clauses)
    return (
        f"{'all ' if number > 1 else ''}{count(number, 'clause')} met: " + ", ".join(c.id for c in verdict.clauses),
    )


def _ended(run_dir: Path, journal: Journal, verdict: Verdict) -> str | None:
    """Return how the run ended, where that was not at its end and the headline does not say it."""
    closed = journal.closed
    if closed is None:
        killed = "The journal has no closing record: the run was killed. This page covers what was written until then."
        return f"{killed} {taken_out_text(run_dir)}".rstrip()
    if closed.reason == "completed" or (closed.reason == "aborted" and verdict.of_kind(AbortResult.KIND)):
        return None
    words = {
        "interrupted": "The run was interrupted.",
        "gate": "The run ended at the gate: the steady state was not reached, so no fault was injected.",
        "error": "The harness itself failed.",
        "aborted": "A guardrail was crossed: all faults were reverted at once, and the run ended.",
        "stopped": "The run was stopped: all faults were reverted at once, and the run ended.",
    }[closed.reason]
    return f"{words} {closed.error}" if closed.error else words


def _figures(run: RunDocument, expect: Expect) -> list[Figure]:
    cost = run.damage
    parts = damage_parts(cost)
    details = [*parts[1:], f"of {count(cost.requests, 'request')}"] if parts else []
    if cost.wrong_before_detection:
        details.append(f"{cost.wrong_before_detection:,} silently wrong before detection")
    faults = ", ".join(f"{f.kind} on {f.target}" for f in run.faults)
    found = notices(run)
    return [
        Figure("fault confirmed", confirmed_text(run.faults, run.twin), faults),
        Figure("detected after", after(found), _slowest(found, bool(expect.detected or expect.noticed))),
        Figure("recovered after", after(run.recovery), _slowest(run.recovery, bool(expect.recovered))),
        Figure("damage", parts[0] if parts else damage(cost), ", ".join(details)),
    ]


def _slowest(timed: Sequence[Timed], wanted: bool) -> str:
    """Name the clause that the time at the top is of, and what it was allowed."""
    if not timed:
        return "not judged" if wanted else "not expected by the scenario"
    slowest = max(timed, key=lambda t: math.inf if t.after_s is None else t.after_s)
    return f"{slowest.id}: {seconds(slowest.within_s)} allowed"


def _ordered(verdict: Verdict) -> list[ClauseResult]:
    order = {"fail": 0, "unknown": 1, "pass": 2}
    return sorted(verdict.clauses, key=lambda c: order[c.value])


def _row(clause: ClauseResult, journal: Journal, shown: set[int], verdict: Verdict) -> ClauseRow:
    measured, detail = _measured(clause, journal)
    cites = tuple(n for n in clause.cites if n in shown)
    return ClauseRow(
        id=clause.id,
        kind=clause.kind,
        value=clause.value,
        expected=_expected(clause, journal),
        measured=measured,
        measured_detail=detail,
        reason=clause.reason,
        cites=cites[:MOST_CITES],
        more=max(0, len(clause.cites) - MOST_CITES),
        advice=tuple(k for k, one in enumerate(verdict.advice, start=1) if clause.id in one.clauses),
    )


def _expected(clause: ClauseResult, journal: Journal) -> str:
    """Return what was expected, in the words of the scenario's clause."""
    if isinstance(clause.measured, UnbrokenResult):
        return f"{clause.measured.probe} {clause.measured.limit}"
    if isinstance(clause.measured, UnfiredResult):
        return f"{clause.measured.alert} does not fire"
    texts = {(c.KIND, c.id): c.text for c in journal.plan.clauses} | {("collateral", "collateral"): _COLLATERAL}
    return texts.get((clause.kind, clause.id), "")


def _measured(clause: ClauseResult, journal: Journal) -> tuple[str, str]:
    """Return what was measured of a clause, and the interval in which it lies."""
    match clause.measured:
        case DetectionResult() | NoticedResult() | ClearedResult() | RecoveryResult() as timed:
            after = f"after {seconds(timed.after_s)}" if timed.after_s is not None else NONE
            details = [between(timed.after_lo_s, timed.after_s), unseen_text(timed)]
            return after, "; ".join(filter(None, details))
        case StaysResult() as stayed:
            worst = f"worst {amount(stayed.worst, unit_of(stayed.probe, journal.plan.stack))}"
            return worst, unseen_text(stayed) or ""
        case QuietResult() as quiet:
            return ", ".join(f"{a.alert} {a.fired}×" for a in quiet.alerts if a.fired) or "none fired", ""
    summary = clause.measured.summary or (NONE if clause.value is Value.UNKNOWN else "")
    return summary, unseen_text(clause.measured) or ""


def _evidence(fault: FaultReport) -> str:
    text = json.dumps(fault.evidence, indent=2, ensure_ascii=False, default=str)
    return text if len(text) <= MOST_EVIDENCE_CHARS else text[:MOST_EVIDENCE_CHARS] + "\n… shortened; see the journal"


def _logs(run_dir: Path) -> list[str]:
    logs = run_dir / "logs"
    return sorted(f.name for f in logs.iterdir() if f.is_file()) if logs.is_dir() else []


@dataclass(frozen=True, slots=True)
class Cited:
    """One cited line, shortened where it is very long."""

    n: int
    t_s: float
    kind: str
    text: str


def cited_lines(journal: Journal, verdict: Verdict) -> list[Cited]:
    """Return the cited lines in order; at most MOST_LINES, those of the clauses that were not met first."""
    wanted: dict[int, None] = {}
    for clause in sorted(verdict.clauses, key=lambda c: c.value == "pass"):
        wanted.update(dict.fromkeys(clause.cites))
    # What advice rests on comes first: where too many lines are cited, it is shown all the same.
    wanted = dict.fromkeys([n for one in verdict.advice for n in one.cites]) | wanted
    by_number = {line.n: line for line in journal.lines}
    found = []
    for n in sorted([n for n in wanted if n in by_number][:MOST_LINES]):
        line = by_number[n]
        body = line.body.model_dump(mode="json", exclude_defaults=True)
        text = json.dumps(body, ensure_ascii=False)
        short = text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}… ({len(text):,} characters)"
        found.append(Cited(n, line.t_s, line.body.kind, short))
    return found


def damage_rows(cost: Damage) -> list[tuple[str, str]]:
    """Return the rows of the table of damage."""
    rows = [
        ("requests due from injection to the end", f"{cost.requests:,}"),
        ("silently wrong or stale, before detection", f"{cost.wrong_before_detection:,}"),
        ("silently wrong or stale, from detection to recovery", f"{cost.wrong_until_recovery:,}"),
        ("silently wrong or stale, after recovery", f"{cost.wrong_after:,}"),
        ("failed: not answered in time", f"{cost.failed:,}"),
        ("slow", f"{cost.slow:,}"),
        ("flagged: the answer says that a fallback was taken", f"{cost.flagged:,}"),
        ("score could not be checked", f"{cost.unverified:,}"),
        ("seconds with any damage", f"{cost.seconds:,}"),
    ]
    if cost.rows_hit:
        versions = ", ".join(map(str, cost.versions_poisoned)) or "none"
        rows += [
            ("rows that the fault changed", f"{cost.rows_hit:,}"),
            ("answers from those rows", count(cost.answers_from_hit_rows, "answer")),
            ("model versions that learned from them", versions),
        ]
    return rows


@dataclass(frozen=True, slots=True)
class QualityRow:
    """A window of the table of quality."""

    window: str
    period: str
    scored: str
    positives: str
    cells: tuple[tuple[str, str], ...]


def quality_rows(quality: Quality | None) -> list[QualityRow]:
    """Return the rows of the table of quality."""
    if quality is None:
        return []
    return [
        QualityRow(
            window=w.window,
            period=f"{seconds(w.from_s)} to {seconds(w.to_s)}",
            scored=f"{w.scored:,} of {w.requests:,}",
            positives=f"{w.positives:,}",
            cells=tuple(_estimate(e) for e in (w.log_loss, w.log_loss_minus_control, w.auc, w.auc_minus_control)),
        )
        for w in quality.windows
    ]


def _estimate(estimate: Estimate | None) -> tuple[str, str]:
    if estimate is None or estimate.value is None:
        return NONE, ""
    interval = "" if estimate.lo is None or estimate.hi is None else f"{estimate.lo:.3f} to {estimate.hi:.3f}"
    return f"{estimate.value:.3f}", interval
