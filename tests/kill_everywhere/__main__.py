"""Kills runs everywhere, and prints what they left behind.

`python -m tests.kill_everywhere [--minutes M] [--seed N] [--where local,attached,owned] [--only KIND] [--whom WHO]`

A campaign goes through every kind of fault, victim and moment in a seeded order, a trial after the other: first each
kind with each victim, then all moments. Each trial is a line of `trials.jsonl`. Started again with the same folder, it
goes on where it was stopped. `--tools` kills other tools instead. Exits 1 where `findings` has any.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.kill_everywhere.cases import CASES, STAGES, WHOM, WITHIN, every_kind_has_a_case
from tests.kill_everywhere.findings import findings
from tests.kill_everywhere.stacks import LocalStacks, stacks
from tests.kill_everywhere.table import table
from tests.kill_everywhere.trials import Trial, run_trial, without_guard

WHERE = ("local", "attached", "owned")
OUT = Path("reports/kill")
RECORDS = "trials.jsonl"
RANDOM_INSTANTS = 10
OWNED_CASES = ("latency", "node", "command", "pause", "environment", "full")
"""An owned stack is removed as a whole, whatever is in it: a few cases show that."""


def options(words: list[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.kill_everywhere")
    parser.add_argument("--minutes", type=float, default=30.0, help="stop after so many minutes (30)")
    parser.add_argument("--trials", type=int, help="stop after so many trials")
    parser.add_argument("--seed", type=int, default=1, help="order of the trials, and random instants (1)")
    parser.add_argument("--only", action="append", metavar="KIND", help="this kind of fault, or this case; repeatable")
    parser.add_argument("--whom", action="append", choices=WHOM, help="kill only these; repeatable")
    parser.add_argument(
        "--when", action="append", help=f"kill only at these: {', '.join((*STAGES, *WITHIN))}, random; repeatable"
    )
    parser.add_argument("--where", default=",".join(WHERE), help="local, attached and owned, by commas (all)")
    parser.add_argument("--backend", choices=["local", "compose"], help="only stacks of this backend")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help=f"records and scratch ({OUT})")
    parser.add_argument("--tools", action="store_true", help="kill other tools instead of the harness")
    parser.add_argument("--table", action="store_true", help="only print the table of what there is")
    return parser.parse_args(words)


def campaign(given: argparse.Namespace, where: str) -> list[Trial]:
    """Return the trials of one kind of stack in a seeded order: each kind of fault with each victim, then the rest."""
    chance = random.Random(f"{given.seed} {where}")
    left = {
        (name, whom): chance.sample(trials, len(trials))
        for name in _cases(given, where)
        for whom in given.whom or WHOM
        if (trials := _moments(given, where, name, whom))
    }
    first = [left[cell].pop() for cell in _grid(left, chance)]
    cells = chance.sample(list(left), len(left))
    longest = max(map(len, left.values()), default=0)
    return first + [left[cell][k] for k in range(longest) for cell in cells if k < len(left[cell])]


def _cases(given: argparse.Namespace, where: str) -> Iterator[str]:
    for name, case in CASES.items():
        if given.only and not {name, case.kind} & set(given.only):
            continue
        if (where == "local" and not case.everywhere) or (where != "attached" and name in ("objects", "blobs")):
            continue
        if where == "owned" and name not in OWNED_CASES and not given.only:
            continue
        yield name


def _moments(given: argparse.Namespace, where: str, name: str, whom: str) -> list[Trial]:
    if where == "local" and whom == "guard" and CASES[name].kind != "command":
        return []  # what dies with the stack has no guard
    moments = [(stage, 0) for stage in STAGES] + [("random", k) for k in range(RANDOM_INSTANTS)]
    moments += [(record, k) for record in WITHIN for k in range(2)]
    return [
        Trial(where, name, whom, when, number, given.seed)
        for when, number in moments
        if not given.when or when in given.when
    ]


def _grid(cells: Iterable[tuple[str, str]], chance: random.Random) -> list[tuple[str, str]]:
    """Return one case for each kind and victim, by turns of all kinds; the cases of a kind share its victims."""
    of_kind: dict[str, dict[str, list[str]]] = {}
    for name, whom in cells:
        of_kind.setdefault(CASES[name].kind, {}).setdefault(whom, []).append(name)
    kinds = chance.sample(list(of_kind), len(of_kind))
    turns = []
    for kind in kinds:
        victims = chance.sample(list(of_kind[kind]), len(of_kind[kind]))
        names = (of_kind[kind][whom] for whom in victims)
        turns.append(
            [(cases[k % len(cases)], whom) for k, (whom, cases) in enumerate(zip(victims, names, strict=True))]
        )
    return [turn[k] for k in range(len(WHOM)) for turn in turns if k < len(turn)]


def go(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Run the campaign as far as the time goes. Returns all records, earlier ones too."""
    deadline_s = time.monotonic() + given.minutes * 60
    chosen = [w for w in given.where.split(",") if given.backend in (None, "local" if w == "local" else "compose")]
    most = given.trials
    for place, where in enumerate(chosen):
        # What is left of the time is shared among the kinds of stacks that are still to come.
        share_s = (deadline_s - time.monotonic()) / (len(chosen) - place)
        for record in _go_on(given, where, time.monotonic() + share_s):
            print(_told(record), flush=True)
            if most is not None and (most := most - 1) <= 0:
                return records(given.out)
    return records(given.out)


def _go_on(given: argparse.Namespace, where: str, deadline_s: float) -> Iterator[dict[str, Any]]:
    done = {one["id"] for one in records(given.out)}
    folder = given.out.resolve() / where
    without_one: set[str] = set()
    with stacks(where, folder) as stack, (given.out / RECORDS).open("a", encoding="utf-8") as file:
        if where != "attached":  # that one was just started
            stack.renew()
        before = without_guard(stack.seams("nobody"))
        for trial in campaign(given, where):
            if time.monotonic() > deadline_s:
                return
            if trial.id in done or (trial.whom == "guard" and trial.case in without_one):
                continue
            record = _tried(trial, stack, before)
            (without_one.add if record.get("guard") == "no guard" else without_one.discard)(trial.case)
            file.write(json.dumps(record) + "\n")
            file.flush()
            if record.get("left_after_heal") or "error" in record:
                stack.renew()
                before = without_guard(stack.seams("nobody"))
            yield record


def _tried(trial: Trial, stack: LocalStacks, before: dict[str, Any]) -> dict[str, Any]:
    try:
        return run_trial(trial, stack, before)
    except Exception as error:  # noqa: BLE001 - a campaign of hours goes on
        base = {"id": trial.id, "kind": CASES[trial.case].kind, "where": trial.where, "whom": trial.whom}
        return base | {"error": f"{type(error).__name__}: {error}"[-600:]}


def _told(record: dict[str, Any]) -> str:
    if "error" in record or "missed" in record:
        return f"{record['id']}: {record.get('error') or 'missed: ' + record['missed']}"
    state = f"restored after {record['restored_s']} s" if record["restored"] else "NOT RESTORED"
    healed = f"; heal {record['healed']}" + (f" exit {record['heal_code']}" if "heal_code" in record else "")
    left = "".join(f"\n    after heal: {one}" for one in record.get("left_after_heal", ())[:6])
    late = "".join(f"\n    after 15 s: {one}" for one in record["left_after_15_s"][:6])
    killed = "+".join(record["killed"]) or "nobody"
    what = f"{record['id']}: killed {killed} at {record['last_stage']} ({record['guard']})"
    return f"{what}: {state}{healed}; next: {record['next']}{late}{left}"


def records(out: Path) -> list[dict[str, Any]]:
    """Return the records of a campaign."""
    try:
        return [json.loads(line) for line in (out / RECORDS).read_text("utf-8").splitlines()]
    except FileNotFoundError:
        return []


def main(words: list[str] | None = None) -> int:
    """Run the program."""
    given = options(words)
    given.out.mkdir(parents=True, exist_ok=True)
    missing = every_kind_has_a_case()
    if missing:
        print(f"no case for: {', '.join(sorted(missing))}", file=sys.stderr)
        return 2
    if given.tools:
        from tests.kill_everywhere.tools import compare

        print(compare(given))
        return 0
    found = records(given.out) if given.table else go(given)
    print(table(found))
    wrong = findings(found)
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
