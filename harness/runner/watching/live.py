"""A run as it grows: its journal so far, for decisions while it runs, such as the gate and triggers.

No verdict rests on these; the judge reads the whole journal again with the same bounds.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right, insort
from collections import deque
from dataclasses import dataclass
from operator import itemgetter

from harness.model.alertsources import MAX_RULE_SILENCE_S, longest_silence_s
from harness.model.answers import ANSWER_PROBES, looking_at, quantile
from harness.model.clauses import Bound
from harness.model.hitrows import HitRow
from harness.model.machine import busy_share, busy_text
from harness.model.readings import (
    Alert,
    AlertsSeen,
    Answer,
    Body,
    FaultSeen,
    Gap,
    GateSeen,
    MachineSeen,
    ProcessSeen,
    Reading,
)
from harness.model.replicas import replica_name
from harness.model.series import Point, answer_series, as_due, reading_series, too_few, window_point

KEPT_S = 30.0
TRIM_EVERY = 512
LOOKS = 30
"""How many looks at the machine say how it is now: those of three seconds."""
MOSTLY = 0.5
_DUE = itemgetter(0)


@dataclass
class _Beat:
    """The evaluations of one source: their count, when it last changed, and how long that had taken."""

    count: float
    at_s: float
    every_s: float | None = None
    interval_s: float = 0.0

    def note(self, seen: AlertsSeen) -> None:
        self.interval_s = seen.interval_s or 0.0
        if seen.evaluations is not None and seen.evaluations != self.count:
            if seen.evaluations > self.count:
                self.every_s, self.at_s = seen.answered_s - self.at_s, seen.answered_s
            self.count = seen.evaluations


class _Late:
    """How late requests or polls went out: every one that was due since the gate, as the judge counts them."""

    def __init__(self) -> None:
        self.since_gate: array[float] = array("d")
        self._before: deque[tuple[float, float]] = deque()
        """When each one of the last half minute was due, and how late it went out: the gate may lie before some."""
        self._gate_s: float | None = None

    def note(self, due_s: float, late_s: float) -> None:
        if self._gate_s is None:
            self._before.append((due_s, late_s))
            while self._before[0][0] < due_s - KEPT_S:
                self._before.popleft()
        elif due_s >= self._gate_s:
            self.since_gate.append(late_s)

    def gate(self, at_s: float) -> None:
        self._gate_s = at_s
        self.since_gate = array("d", (late_s for due_s, late_s in self._before if due_s >= at_s))
        self._before.clear()


class Live:
    """The last half minute of a run, or all of it.

    What needs the whole run is bare numbers: when each answer was due, when each probe was read, and how late requests
    and polls went out.
    """

    def __init__(self, *, whole: bool = False) -> None:
        """`whole` keeps every answer and every reading."""
        self._whole = whole
        self._history: dict[str, list[tuple[int, Reading]]] = {}
        self._answers: list[tuple[float, int, Answer]] = []
        self._trim_at = TRIM_EVERY
        self.readings: dict[str, tuple[int, Reading]] = {}
        self._asked: dict[str, array[float]] = {}
        """When each probe was read."""
        self._gaps: dict[str, tuple[int, Gap]] = {}
        self.alerts: dict[str, AlertsSeen] = {}
        self._answered: dict[str, AlertsSeen] = {}
        self._last_fired: dict[str, tuple[Alert, float]] = {}
        """Each alert that has fired, and when that was last seen."""
        self._beats: dict[str, _Beat] = {}
        self.ended: dict[str, ProcessSeen] = {}
        """Services that failed by themselves and have not been started again."""
        self.stages: dict[tuple[str, str], float] = {}
        self.hits: set[HitRow] = set()
        self._gate_s: float | None = None
        self._machine: deque[MachineSeen] = deque(maxlen=LOOKS)
        self._due: dict[tuple[str, ...], array[float]] = {}
        """When each answer was due, by the probes that look at it."""
        self._sent_late, self._polled_late = _Late(), _Late()

    def note(self, n: int, _at_s: float, body: Body) -> None:
        """Take in one line of the journal."""
        if isinstance(body, Answer):
            self._due.setdefault(looking_at(body), array("d")).append(body.due_s)
            self._sent_late.note(body.due_s, body.sent_s - body.due_s)
            insort(self._answers, (body.due_s, n, body), key=_DUE)
            if not self._whole and len(self._answers) > self._trim_at:
                del self._answers[: bisect_right(self._answers, body.due_s - KEPT_S, key=_DUE)]
                self._trim_at = len(self._answers) + TRIM_EVERY
        elif isinstance(body, Reading):
            self._polled_late.note(body.planned_s, body.asked_s - body.planned_s)
            self.readings[body.probe] = (n, body)
            self._asked.setdefault(body.probe, array("d")).append(body.asked_s)
            if self._whole:
                self._history.setdefault(body.probe, []).append((n, body))
        elif isinstance(body, Gap):
            self._gaps[body.probe] = (n, body)
        elif isinstance(body, AlertsSeen):
            self._polled_late.note(body.planned_s, body.asked_s - body.planned_s)
            self.alerts[body.source] = body
            if body.down is None:
                self._answered[body.source] = body
            self._last_fired |= {alert.key: (alert, body.answered_s) for alert in body.firing}
            if body.evaluations is not None:
                self._beats.setdefault(body.source, _Beat(body.evaluations, body.answered_s)).note(body)
        elif isinstance(body, MachineSeen):
            self._machine.append(body)
        elif isinstance(body, GateSeen):
            self._gate_s = body.at_s
            self._sent_late.gate(body.at_s)
            self._polled_late.gate(body.at_s)
        elif isinstance(body, FaultSeen):
            self.stages.setdefault((body.fault, body.stage), body.hi_s)
        elif isinstance(body, ProcessSeen):
            name = replica_name(body.service, body.replica)
            self.ended.pop(name, None)
            if body.what == "exited" and body.asked is None and body.exit_code != 0:
                self.ended[name] = body

    @property
    def gate_s(self) -> float | None:
        """When the steady state was met; None before that."""
        return self._gate_s

    def answered_since(self, since_s: float, most: int, probe: str | None = None) -> int:
        """Return how many answers were due since a moment, those that a probe looks at; no more than so many count."""
        found = 0
        for due in (due for probes, due in self._due.items() if probe is None or probe in probes):
            for due_s in reversed(due):
                if found >= most or due_s < since_s - KEPT_S:  # answers come nearly in the order in which they were due
                    break
                found += due_s >= since_s
        return found

    def machine_busy(self) -> str | None:
        """Return what the run had to do without of late, if for most of the time; None where it had enough."""
        seen = list(self._machine)
        return busy_text(seen) if busy_share(seen) > MOSTLY else None

    def late_s(self) -> float | None:
        """Return the 99th percentile of the harness's own lateness since the gate, as the judge measures it."""
        since = (self._sent_late.since_gate, self._polled_late.since_gate)
        return max((quantile(late, 0.99) for late in since if late), default=None)

    def point(self, bound: Bound, settled_s: float) -> Point:
        """Compare the present state with a bound. Answers count up to `settled_s`, until which all of them are in."""
        probe = ANSWER_PROBES.get(bound.probe)
        if probe is not None:
            return window_point(bound, probe, self.answers_between(settled_s - bound.over, settled_s), settled_s)
        found, gap = self.readings.get(bound.probe), self.gap(bound.probe)
        if gap is not None:
            return Point(gap[1].from_s, settled_s, None, None, (gap[0],), gap[1].why, gap=True)
        if found is None:
            return Point(settled_s, settled_s, None, None, (), "not read yet")
        n, reading = found
        few = too_few(bound, self._asked[bound.probe], reading.asked_s)
        if few is not None:
            return Point(reading.asked_s, reading.answered_s, None, reading.value, (n,), few)
        good = reading.value is not None and bound.met_by(reading.value)
        return Point(reading.asked_s, reading.answered_s, good, reading.value, (n,), reading.down)

    def gap(self, probe: str) -> tuple[int, Gap] | None:
        """Return since what line nothing is known of a probe; None where its last reading is the present one."""
        found, gap = self.readings.get(probe), self._gaps.get(probe)
        return gap if gap is not None and (found is None or gap[1].to_s > found[1].answered_s) else None

    def answers_between(self, from_s: float, to_s: float) -> list[tuple[int, Answer]]:
        """Return the answers that were due after `from_s`, up to and with `to_s`."""
        first = bisect_right(self._answers, from_s, key=_DUE)
        last = bisect_right(self._answers, to_s, key=_DUE)
        return [(n, answer) for _, n, answer in self._answers[first:last]]

    def series(self, bound: Bound, from_s: float, to_s: float, every_s: float) -> list[Point]:
        """Return how a bound stood over time, as far back as the history goes."""
        if bound.probe in ANSWER_PROBES:
            return answer_series(bound, as_due((n, answer) for _, n, answer in list(self._answers)), from_s, to_s)
        return reading_series(bound, list(self._history.get(bound.probe, ())), from_s, to_s, (), every_s)

    def fired_since(self, name: str, labels: dict[str, str], since_s: float) -> bool:
        """Whether an alert was seen to fire at a moment or later, however shortly."""
        return any(at_s >= since_s and alert.matches(name, labels) for alert, at_s in self._last_fired.values())

    def firing(self, name: str, labels: dict[str, str], pending: bool = False) -> list[Alert]:
        """Return the label sets of an alert that fire now; with `pending`, the pending ones as well.

        A source that does not answer counts with its last answer: no answer does not mean that nothing fires.
        """
        return [
            alert
            for seen in self._answered.values()
            for alert in (*seen.firing, *(seen.pending if pending else ()))
            if alert.matches(name, labels)
        ]

    def may_fire_again(self, name: str, labels: dict[str, str], now_s: float, margin_s: float) -> bool:
        """Whether an alert that was over may only be so because a source has not evaluated its rules since.

        Only of a source that does so seldom, and not once it has had the time for it.
        """
        quiet_s = [at_s + margin_s for alert, at_s in self._last_fired.values() if alert.matches(name, labels)]
        if not quiet_s:
            return False
        seldom = [beat for beat in self._beats.values() if longest_silence_s(beat.interval_s) > MAX_RULE_SILENCE_S]
        waiting = (beat for beat in seldom if now_s < max(quiet_s) + longest_silence_s(beat.interval_s))
        return any(beat.at_s < max(quiet_s) for beat in waiting)

    def evaluating(self, source: str, now_s: float) -> bool:
        """Whether a source was seen to evaluate its rules since the first poll, and no longer ago than is usual."""
        beat = self._beats.get(source)
        if beat is None or beat.every_s is None:
            return False
        return now_s - beat.at_s <= longest_silence_s(max(beat.every_s, beat.interval_s))
