"""The journal of a run as it grows, for decisions while it runs: the gate, triggers, and when to stop observing.

No verdict rests on these; the judge reads the whole journal again with the same bounds.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from operator import itemgetter

from harness.model.answers import ANSWER_PROBES, quantile
from harness.model.clauses import Bound
from harness.model.readings import Alert, AlertsSeen, Answer, Body, FaultSeen, GateSeen, Reading
from harness.model.series import Point, answer_series, reading_series, window_point

KEPT_S = 30.0
TRIM_EVERY = 512
_DUE = itemgetter(0)


class Live:
    """The last half minute of a run, or all of it."""

    def __init__(self, *, whole: bool = False) -> None:
        """`whole` keeps every answer and every reading."""
        self._whole = whole
        self._history: dict[str, list[tuple[int, Reading]]] = {}
        self._answers: list[tuple[float, int, Answer]] = []
        self._trim_at = TRIM_EVERY
        self.readings: dict[str, tuple[int, Reading]] = {}
        self.alerts: dict[str, AlertsSeen] = {}
        self._answered: dict[str, AlertsSeen] = {}
        self._first_beat: dict[str, float] = {}
        self._beating: set[str] = set()
        self.stages: dict[tuple[str, str], float] = {}
        self.hits: set[tuple[str, int, str]] = set()
        self._gate_s: float | None = None
        self._sent_late: list[tuple[float, float]] = []
        self._polled_late: list[tuple[float, float]] = []
        """When each request or poll was due, and how late it went out."""

    def note(self, n: int, _at_s: float, body: Body) -> None:
        """Take in one line of the journal."""
        if isinstance(body, Answer):
            self._sent_late.append((body.due_s, body.sent_s - body.due_s))
            insort(self._answers, (body.due_s, n, body), key=_DUE)
            if not self._whole and len(self._answers) > self._trim_at:
                del self._answers[: bisect_right(self._answers, body.due_s - KEPT_S, key=_DUE)]
                self._trim_at = len(self._answers) + TRIM_EVERY
        elif isinstance(body, Reading):
            self._polled_late.append((body.planned_s, body.asked_s - body.planned_s))
            self.readings[body.probe] = (n, body)
            if self._whole:
                self._history.setdefault(body.probe, []).append((n, body))
        elif isinstance(body, AlertsSeen):
            self._polled_late.append((body.planned_s, body.asked_s - body.planned_s))
            self.alerts[body.source] = body
            if body.down is None:
                self._answered[body.source] = body
            if body.evaluations is not None:
                first = self._first_beat.setdefault(body.source, body.evaluations)
                if body.evaluations != first:
                    self._beating.add(body.source)
        elif isinstance(body, GateSeen):
            self._gate_s = body.at_s
        elif isinstance(body, FaultSeen):
            self.stages.setdefault((body.fault, body.stage), body.hi_s)

    def late_s(self) -> float | None:
        """Return the 99th percentile of the harness's own lateness since the gate, as the judge measures it."""
        if self._gate_s is None:
            return None
        since = [[late for due, late in all_ if due >= self._gate_s] for all_ in (self._sent_late, self._polled_late)]
        return max((quantile(late, 0.99) for late in since if late), default=None)

    def point(self, bound: Bound, settled_s: float) -> Point:
        """Compare the present state with a bound. Answers count up to `settled_s`, until which all of them are in."""
        probe = ANSWER_PROBES.get(bound.probe)
        if probe is not None:
            return window_point(bound, probe, self.answers_between(settled_s - bound.over, settled_s), settled_s)
        found = self.readings.get(bound.probe)
        if found is None:
            return Point(settled_s, settled_s, None, None, (), "not read yet")
        n, reading = found
        good = reading.value is not None and bound.met_by(reading.value)
        return Point(reading.asked_s, reading.answered_s, good, reading.value, (n,), reading.down)

    def answers_between(self, from_s: float, to_s: float) -> list[tuple[int, Answer]]:
        """Return the answers that were due after `from_s`, up to and with `to_s`."""
        first = bisect_right(self._answers, from_s, key=_DUE)
        last = bisect_right(self._answers, to_s, key=_DUE)
        return [(n, answer) for _, n, answer in self._answers[first:last]]

    def series(self, bound: Bound, from_s: float, to_s: float, every_s: float) -> list[Point]:
        """Return how a bound stood over time, as far back as the history goes."""
        if bound.probe in ANSWER_PROBES:
            return answer_series(bound, [(n, answer) for _, n, answer in list(self._answers)], from_s, to_s)
        return reading_series(bound, list(self._history.get(bound.probe, ())), from_s, to_s, (), every_s)

    def all_firing(self) -> list[Alert]:
        """Return every label set that fires now. A source that does not answer counts with its last answer."""
        return [alert for seen in self._answered.values() for alert in seen.firing]

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

    def beating(self, source: str) -> bool:
        """Whether a source has evaluated its rules since the first poll."""
        return source in self._beating
