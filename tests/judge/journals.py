"""Journals written by hand: a builder that says what happened in a run, and gives the journal that it would leave.

Every journal goes through real JSON lines and `records.parse`, so that the tests hold for what is stored on disk. By
default the gate is met at 1 s, the fault `slow` goes in at 5 s and out at 12 s, and observation ends at 25 s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from harness.journal.records import Journal, read_lines
from harness.judge import judge
from harness.model.verdict import ClauseResult, Verdict

GATE_S, INJECTED_S, REVERTED_S, OBSERVED_S = 1.0, 5.0, 12.0, 25.0
SLOW = "Slow"
MOMENTS = ("hi_s", "at_s", "answered_s", "done_s", "from_s")
"""The latest moment in each kind of line."""
Stretch = tuple[float, float]
Firing = tuple[str, float, float]


def alert(text: str) -> dict[str, Any]:
    """Turn `Slow{service=trainer}` into an alert as a journal has it."""
    name, _, inner = text.rstrip("}").partition("{")
    labels = dict(pair.split("=") for pair in inner.split(",") if pair)
    return {"name": name, "labels": labels}


def _inside(at_s: float, stretches: Iterable[Stretch]) -> bool:
    return any(lo <= at_s < hi for lo, hi in stretches)


def times(from_s: float, to_s: float, every_s: float = 0.1) -> list[float]:
    """Return the moments of a regular poll."""
    return [round(from_s + k * every_s, 6) for k in range(round((to_s - from_s) / every_s))]


class Run:
    """One run, told piece by piece; every method returns the run itself."""

    def __init__(
        self,
        expect: Mapping[str, Any] | None = None,
        *,
        twin: str | None = None,
        sabotage: Mapping[str, Any] | None = None,
        guarantees: Sequence[str] = (),
        started: str = "2026-06-01T10:00:00+00:00",
        seed: int = 7,
        faults: Sequence[str] = ("slow",),
        rules: Sequence[str] = (SLOW, "Stale"),
        **scenario: Any,
    ) -> None:
        step = {"at": "4s", "fault": "network.latency", "target": {"link": "trainer -> store"}, "for": "7s"}
        self.plan: dict[str, Any] = {
            "run": "by-hand",
            "seed": seed,
            "twin": twin,
            "sabotage": sabotage,
            "stack": {"name": "toy", "alerts": list(rules), "integrity": list(guarantees)},
            "scenario": {
                "schema": 1,
                "scenario": "by-hand",
                "summary": "A journal written by hand.",
                "stack": "toy",
                "timeline": [{"id": fault} | step for fault in faults],
                "expect": dict(expect or {}),
                **scenario,
            },
        }
        if twin == "misfire":
            self.plan["meant"] = [{"fault": fault, "target": step["target"], "how": "declared"} for fault in faults]
            for aimed in self.plan["scenario"]["timeline"]:
                aimed["target"] = {"link": "board -> store"}
        self.started = started
        self.lines: list[tuple[float, dict[str, Any]]] = []

    def add(self, t_s: float, kind: str, **body: Any) -> Run:
        """Add one line, written at `t_s`, or as soon as its moments have passed."""
        self.lines.append((max([t_s, *(body[name] for name in MOMENTS if name in body)]), {"kind": kind, **body}))
        return self

    def gate(self, at_s: float = GATE_S, met: bool = True, why: str | None = None) -> Run:
        """The steady state is judged."""
        return self.add(at_s, "gate", met=met, at_s=at_s, why=why)

    def fault(
        self,
        fault: str = "slow",
        *,
        injected: float | Stretch | None = INJECTED_S,
        confirmed: float | None = INJECTED_S + 0.3,
        effects: Sequence[tuple[float, bool | None]] | None = None,
        reverted: float | Stretch | None = REVERTED_S,
        landed: bool = True,
    ) -> Run:
        """A fault goes in, is confirmed, is measured each second (or as `effects` says), and is taken out."""
        for stage, moment in (("injected", injected), ("confirmed", confirmed), ("reverted", reverted)):
            if moment is not None:
                lo_s, hi_s = moment if isinstance(moment, tuple) else (moment, moment)
                gone = False if stage == "reverted" else landed
                self.add(hi_s, "fault", fault=fault, stage=stage, lo_s=lo_s, hi_s=hi_s, landed=gone)
        if effects is None:
            end_s = reverted if isinstance(reverted, float) else reverted[0] if reverted else OBSERVED_S
            effects = [(t, True) for t in times(confirmed or 0.0, end_s, 1.0)[1:]] if confirmed else []
        for at_s, seen in effects:
            self.add(at_s + 0.05, "fault", fault=fault, stage="effect", lo_s=at_s, hi_s=at_s + 0.05, landed=seen)
        return self

    def alerts(
        self,
        *firing: Firing,
        pending: Sequence[Firing] = (),
        counted: Sequence[tuple[str, float]] | None = None,
        resets: Sequence[float] = (),
        source: str = "monitor",
        from_s: float = 0.5,
        to_s: float = OBSERVED_S + 0.5,
        down: Sequence[Stretch] = (),
        skip: Sequence[Stretch] = (),
        every_s: float = 0.1,
        beats: Callable[[float], float | None] = lambda t_s: float(int(t_s * 5)),
        late_s: float = 0.0,
    ) -> Run:
        """A source is polled; `counted` are the moments at which its counters rise, for sources that have them."""
        for t in times(from_s, to_s, every_s):
            if _inside(t, skip):
                continue
            body: dict[str, Any] = {"source": source, "planned_s": t - late_s, "asked_s": t, "answered_s": t + 0.01}
            if _inside(t, down):
                self.add(t + 0.01, "alerts", **body, down="no answer")
                continue
            body["firing"] = [alert(a) for a, lo, hi in firing if lo <= t < hi]
            body["pending"] = [alert(a) for a, lo, hi in pending if lo <= t < hi]
            body["evaluations"] = beats(t)
            if counted is not None:
                since_s = max((r for r in resets if r <= t), default=float("-inf"))
                names = dict.fromkeys(a for a, _ in counted)
                counts = {a: sum(a == b and since_s <= at <= t for b, at in counted) for a in names}
                body["fired"] = [[alert(a), n] for a, n in counts.items() if n]
            self.add(t + 0.01, "alerts", **body)
        return self

    def answers(
        self,
        *bad: tuple[float, float, Mapping[str, Any]],
        rate: int = 50,
        from_s: float = 0.5,
        to_s: float = OBSERVED_S + 0.5,
        late_s: float = 0.0,
    ) -> Run:
        """Requests are answered well, except in the stretches in which they are answered as said."""
        for k, t in enumerate(times(from_s, to_s, 1 / rate)):
            body: dict[str, Any] = {"id": f"r{k}", "at_event": 1000 + k, "due_s": t, "sent_s": t + late_s}
            body |= {"done_s": t + late_s + 0.02, "ok": True}
            for lo, hi, changes in bad:
                if lo <= t < hi:
                    body |= changes
            self.add(max(t, body["done_s"]), "answer", **body)
        return self

    def readings(
        self,
        probe: str,
        value: Callable[[float], float | None] | float,
        *,
        from_s: float = 0.5,
        to_s: float = OBSERVED_S + 0.5,
        down: Sequence[Stretch] = (),
        skip: Sequence[Stretch] = (),
        every_s: float = 0.1,
    ) -> Run:
        """A probe is polled."""
        for t in times(from_s, to_s, every_s):
            if _inside(t, skip):
                continue
            dead = _inside(t, down)
            read = None if dead else value(t) if callable(value) else value
            body = {"probe": probe, "planned_s": t, "asked_s": t, "answered_s": t + 0.01, "value": read}
            self.add(t + 0.01, "reading", **body, down="no answer" if dead else None)
        return self

    def machine(self, *busy: tuple[float, float, Mapping[str, Any]], to_s: float = OBSERVED_S + 0.5) -> Run:
        """The machine is looked at: at rest, except in the stretches in which it is as said."""
        for t in times(0.1, to_s):
            seen = {"processors": 2.0, "busy": 0.9, "own": 0.8, "steal": 0.0, "cpu_pressure": 0.02, "memory_free": 0.5}
            for lo, hi, changes in busy:
                if lo <= t < hi:
                    seen |= changes
            self.add(round(t + 0.1, 6), "machine", from_s=t, to_s=round(t + 0.1, 6), **seen)
        return self

    def gap(self, probe: str, from_s: float, to_s: float) -> Run:
        """The harness admits that it did not measure."""
        return self.add(to_s, "gap", probe=probe, from_s=from_s, to_s=to_s, why="the harness was busy")

    def dies(self, service: str, at_s: float, **how: Any) -> Run:
        """A process of the stack ends."""
        return self.add(at_s, "process", service=service, what="exited", at_s=at_s, **({"signal": 11} | how))

    def evidence(self, check: str, error: str | None = None, **data: Any) -> Run:
        """A part of the ledger is read."""
        body = {"data": data, "error": error} if data else {"error": error}
        return self.add(OBSERVED_S + 1, "integrity", check=check, **body)

    def hit(self, at_s: float, *rows: Mapping[str, Any]) -> Run:
        """The fault changes rows."""
        return self.add(at_s, "hit", fault="slow", rows=list(rows))

    def end(self, observed: float | None = OBSERVED_S, closed: str | None = "completed") -> Run:
        """Observation ends, and the journal is closed."""
        if observed is not None:
            self.add(observed, "phase", phase="observed")
        if closed is not None:
            last_s = max([OBSERVED_S + 2, *(t for t, _ in self.lines)])
            self.add(last_s, "closed", reason=closed)
        return self

    def text(self) -> list[str]:
        """Return the lines of the journal."""
        head = {"kind": "header", "schema": 1, "harness": "0", "started": self.started, "plan": self.plan}
        last_s = max((t for t, _ in self.lines), default=0.0)
        timed = [(last_s if body["kind"] == "closed" else t, body) for t, body in self.lines]
        ordered = sorted(timed, key=lambda line: (line[1]["kind"] == "closed", line[0]))
        bodies = [{"n": n, "t": t, **body} for n, (t, body) in enumerate(ordered, start=1)]
        return [json.dumps(line) + "\n" for line in [{"n": 0, "t": 0.0, **head}, *bodies]]

    def build(self) -> Journal:
        """Return the journal, even of a run that cannot have been: what its lines say is the judge's to weigh."""
        return read_lines(self.text())

    def judged(self, control: Run | None = None) -> Verdict:
        """Return the verdict."""
        return judge(self.build(), control.build() if control is not None else None)

    def clause(self, id_: str) -> ClauseResult:
        """Return the one clause of that id."""
        [found] = [c for c in self.judged().clauses if c.id == id_]
        return found


CROWDED = {"busy": 2.0, "own": 0.7, "cpu_pressure": 0.9}
"""Others take 1.3 of 2 processors."""
SEEN = {"id": "seen", "alert": SLOW, "within": "6s"}
STAYS = {"id": "up", "probe": "availability", "at_least": 0.99, "over": "2s"}
BACK = {"id": "back", "probe": "lag", "at_most": 5, "within": "6s", "hold": "3s"}
CLEAR = {"id": "clear", "alert": SLOW, "within": "6s"}
ALL: dict[str, Any] = {
    "detected": [SEEN],
    "quiet": "others",
    "stays": [STAYS],
    "recovered": [BACK],
    "cleared": [CLEAR],
}
BROKEN: Callable[[float], float] = lambda t_s: 9.0 if 6.0 <= t_s < 14.0 else 1.0  # noqa: E731 - a curve, not a routine


def lag(*broken: Stretch) -> Callable[[float], float]:
    """Return a curve that breaks the bound of `BACK` in those stretches."""
    return lambda t_s: 9.0 if _inside(t_s, broken) else 1.0


def good_run(expect: Mapping[str, Any] | None = None, **plan: Any) -> Run:
    """Return a run in which all goes as it should: detected after 2 s, recovered and cleared 2 s after revert."""
    run = Run(ALL if expect is None else expect, **plan).gate().fault()
    return run.alerts((SLOW, 7.0, 14.0)).answers().readings("lag", BROKEN).end()


POISONED: dict[str, Any] = {
    "versions": [{"version": 2, "parent": 1, "promoted": True, "trained_on": [{"key": "t2", "digest": "sha256:t2"}]}],
    "poisoned": {"t2": ["a"]},
}
