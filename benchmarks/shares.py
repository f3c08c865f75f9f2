"""Bounds on shares by simulation: how often chance fails a run that is well, and how many runs that are not are caught.

The answers are due when those of a recorded run were. From its injection on each is bad by chance, independently of the
others, at a multiple of the rate that the bound allows; the judge then judges the clause.

`python -m benchmarks.shares [--quick] [--runs N] [--out DIR] [RUN …]`
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.figures import Cell, table
from benchmarks.results import CannotMeasureError, Options, Result, options_parser, run_part
from harness.journal.files import read
from harness.journal.records import SCHEMA, Header, parse
from harness.judge.bounds import stays
from harness.judge.facts import Facts, gather
from harness.model.clauses import Bound, StaysResult
from harness.model.plan import Plan
from harness.model.series import Attributed
from harness.model.shares import LEVEL, share_of
from harness.model.verdict import Value

RECORDED = Path(__file__).parent / "recorded" / "due_times.json"
RUNS, QUICK_RUNS = 10_000, 200
SEED = 1
TENTH, WORSE = 0.1, 5.0
MULTIPLES = (TENTH, 0.5, 1.0, 2.0, WORSE)
CAUGHT = 0.99
TOOK_S = 0.02
# Each clause with what makes an answer bad. The four of them share the level of a run, as they would in a scenario.
CLAUSES: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "serving": ({"probe": "availability", "at_least": 0.99}, {"ok": False}),
    "quick": ({"probe": "latency_p99", "at_most": "250ms"}, {"late_s": 0.5}),
    "right": ({"probe": "silent_wrong_answers", "at_most": 0.02}, {"wrong": True}),
    "own": ({"probe": "flagged_answers", "at_most": 0.05}, {"flagged": "stale"}),
}


@dataclass(frozen=True)
class Recorded:
    """When a run met its gate, was hit and ended, and when its requests were due: seconds on its clock."""

    name: str
    gate_s: float
    injected_s: float
    observed_s: float
    due_s: tuple[float, ...]


def recorded(folders: Sequence[Path] = ()) -> list[Recorded]:
    """Return the stored due times, or those of runs. Raises CannotMeasureError for a run without an injection."""
    if not folders:
        stored = json.loads(RECORDED.read_text(encoding="utf-8"))
        return [_stored(name, run) for name, run in stored.items()]
    found = []
    for folder in folders:
        facts = gather(read(folder))
        if facts.injected is None:
            raise CannotMeasureError(f"{folder} is a run without an injection; name another")
        due_s = tuple(sorted(answer.due_s for _, answer in facts.journal.answers))
        found.append(Recorded(folder.name, facts.gate_s, facts.injected.lo, facts.end_s, due_s))
    return found


def _stored(name: str, run: Mapping[str, Any]) -> Recorded:
    moments = (run[key] / 1e3 for key in ("gate_ms", "injected_ms", "observed_ms"))
    return Recorded(name, *moments, tuple(ms / 1e3 for ms in run["due_ms"]))


def plan() -> Plan:
    """Return the plan of a run with all the clauses."""
    bounds = [{"id": name, "over": "3s", "min_samples": 20, **bound} for name, (bound, _) in CLAUSES.items()]
    fault = {"id": "slow", "at": "3s", "fault": "network.latency", "target": {"link": "a -> b"}, "for": "10s"}
    scenario = {"schema": 1, "scenario": "shares", "summary": "Answers that are bad by chance.", "stack": "recorded"}
    scenario |= {"timeline": [fault], "expect": {"stays": bounds}}
    return Plan.model_validate({"run": "shares", "seed": SEED, "stack": {"name": "recorded"}, "scenario": scenario})


def journal_text(run: Recorded, bad: Collection[int] = (), change: Mapping[str, Any] | None = None) -> list[str]:
    """Return the lines of the journal of a run in which the answers with these numbers are bad."""
    lines = sorted([*_answers(run, bad, change or {}), *_course(run)], key=lambda line: line[0])
    header = Header(schema=SCHEMA, harness="0", started="2026-06-01T10:00:00+00:00", plan=plan())
    bodies = [(0.0, header.model_dump(mode="json", by_alias=True)), *lines]
    return [json.dumps({"n": n, "t": round(t_s, 6), **body}) + "\n" for n, (t_s, body) in enumerate(bodies)]


def _answers(run: Recorded, bad: Collection[int], change: Mapping[str, Any]) -> Iterator[tuple[float, dict[str, Any]]]:
    for k, due_s in enumerate(run.due_s):
        own = dict(change) if k in bad else {}
        done_s = round(due_s + own.pop("late_s", TOOK_S), 6)
        body = {"kind": "answer", "id": f"r{k}", "at_event": k, "due_s": due_s, "sent_s": due_s, "done_s": done_s}
        yield done_s, {**body, "ok": True, "wrong": False, **own}


def _course(run: Recorded) -> Iterator[tuple[float, dict[str, Any]]]:
    yield run.gate_s, {"kind": "gate", "met": True, "at_s": run.gate_s}
    effects = [(run.injected_s + k, "effect") for k in range(1, int(run.observed_s - run.injected_s) - 1)]
    for at_s, stage in ((run.injected_s, "injected"), (run.injected_s + 0.3, "confirmed"), *effects,
                        (run.observed_s - 1.0, "reverted")):  # fmt: skip
        body = {"kind": "fault", "fault": "slow", "stage": stage, "lo_s": at_s, "hi_s": at_s}
        yield at_s, body | {"landed": stage in ("confirmed", "effect")}
    yield run.observed_s, {"kind": "phase", "phase": "observed"}
    yield max(run.observed_s, run.due_s[-1]) + 1.0, {"kind": "closed", "reason": "completed"}


class Simulation:
    """One recorded run and one clause, judged again and again with other answers bad."""

    def __init__(self, run: Recorded, clause: str) -> None:
        """Read the run once with all answers good, and once with all of them bad."""
        change = CLAUSES[clause][1]
        self._facts = gather(parse(journal_text(run)))
        self._bad = gather(parse(journal_text(run, set(range(len(run.due_s))), change))).attributed
        bounds: Sequence[Bound] = self._facts.scenario.expect.stays
        self.clause = next(bound for bound in bounds if bound.id == clause)
        share = share_of(self.clause)
        assert share is not None
        self.allowed = share.allowed
        self._exposed = [k for k, due_s in enumerate(run.due_s) if run.injected_s <= due_s < run.observed_s]

    def draw(self, rate: float, chance: random.Random) -> set[int]:
        """Return the numbers of the answers that are bad."""
        return {k for k in self._exposed if chance.random() < rate}

    def judged(self, bad: set[int]) -> tuple[Value, bool]:
        """Judge the clause. The second is whether the value of any window was beyond the bound."""
        found = stays(self.clause, self._with(bad))
        assert isinstance(found.measured, StaysResult)
        worst = found.measured.worst
        return found.value, worst is not None and not self.clause.met_by(worst)

    def _with(self, bad: set[int]) -> Facts:
        # Answers that were open at the injection count from there on: order and moments are the same in both lists.
        attributed: list[Attributed] = [
            self._bad[k] if k in bad else one for k, one in enumerate(self._facts.attributed)
        ]
        facts = replace(self._facts)
        facts.__dict__.update(disturbed=self._facts.disturbed, attributed=attributed)
        return facts


def simulate(run: Recorded, clause: str, multiple: float, times: int, seed: int = SEED) -> tuple[Counter[Value], int]:
    """Return how often each verdict came, and in how many runs the value of a window was beyond the bound."""
    simulation, chance = Simulation(run, clause), random.Random(f"{seed} {run.name} {clause} {multiple}")
    found = [simulation.judged(simulation.draw(multiple * simulation.allowed, chance)) for _ in range(times)]
    return Counter(value for value, _ in found), sum(beyond for _, beyond in found)


def measure(options: Options, times: int | None = None, folders: Sequence[Path] = ()) -> Result:
    """Simulate every clause at every multiple of the rate that it allows."""
    times = times or (QUICK_RUNS if options.quick else RUNS)
    rows: list[list[Cell]] = []
    wrong = []
    for run in recorded(folders):
        for clause in CLAUSES:
            for multiple in MULTIPLES:
                number = times if multiple == TENTH else max(1, times // 10)
                verdicts, beyond = simulate(run, clause, multiple, number)
                counts = [verdicts[value] / number * 100 for value in (Value.FAIL, Value.PASS, Value.UNKNOWN)]
                rows.append([run.name, clause, f"{multiple:g}", number, *counts, beyond / number * 100])
                if multiple == TENTH and verdicts[Value.FAIL] > LEVEL * number:
                    wrong.append(f"{run.name}, {clause}: {verdicts[Value.FAIL]} of {number} runs that are well failed")
                if multiple == WORSE and verdicts[Value.FAIL] < CAUGHT * number:
                    wrong.append(f"{run.name}, {clause}: only {verdicts[Value.FAIL]} of {number} runs were caught")
    columns = ("run", "clause", "times the bound", "runs", "fail, %", "pass, %", "unknown, %", "a window beyond it, %")
    note = "The last column is what would fail if every window whose value is beyond its bound were broken."
    title = "Answers that are bad by chance, from the injection on"
    return Result([table(title, columns, rows, note)], {"rows": rows}, wrong)


def main() -> int:
    """Run it with its own options more."""
    parser = options_parser("shares")
    parser.add_argument(
        "--runs", type=int, help=f"runs at a tenth of the bound; a tenth of them at other rates ({RUNS})"
    )
    parser.add_argument("folders", nargs="*", type=Path, metavar="RUN", help="folders of runs whose due times are used")
    given = parser.parse_args()
    options = Options(given.quick, given.out)
    return run_part("shares", lambda options: measure(options, given.runs, given.folders), options)


if __name__ == "__main__":
    sys.exit(main())
