"""`harness run --dry-run`: what each run would do, hit, measure and execute. Nothing is started or asked."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.cli.terminal import echo, echo_json
from harness.model.stack import StackDescription

if TYPE_CHECKING:
    from harness.model.plan import Plan
    from harness.runner.planning.preview import FaultPreview, Preview

Row = tuple[str, str]


def print_plans(plans: Sequence[Plan], as_json: bool) -> None:
    """Print each plan with what it would hit; in JSON under the key `preview`."""
    from harness.description.stackfile import resolve_stack
    from harness.runner.planning.preview import preview

    stacks = {name: resolve_stack(name) for name in {plan.scenario.stack for plan in plans}}
    pairs = [(plan, stacks[plan.scenario.stack]) for plan in plans]
    if as_json:
        data = [
            plan.model_dump(mode="json", by_alias=True) | {"preview": preview(plan, stack).model_dump(mode="json")}
            for plan, stack in pairs
        ]
        echo_json(data)
        return
    echo("\n\n".join("\n".join(_lines(plan, stack, preview(plan, stack))) for plan, stack in pairs))
    echo(f"\n{len(plans)} run{'s' if len(plans) != 1 else ''}; nothing was started.")


def _lines(plan: Plan, stack: StackDescription, seen: Preview) -> list[str]:
    rows = [*_about(plan, seen), *_twin(plan), *_gate(plan, stack)]
    for fault in seen.faults:
        rows += _fault(fault)
    rows += _expected(plan)
    rows += [("measured", text) for text in seen.measured]
    rows += [("runs", f"{one.what}: {shlex.join(one.argv)} ({one.where})") for one in seen.commands]
    rows += [("abort if", text) for text in seen.abort_if] or [("abort if", "nothing")]
    rows.append(("limits", ", ".join(seen.limits) or "none"))
    rows.append(("never touch", ", ".join(seen.never_touch) or "nothing is listed"))
    rows.append(("may die", ", ".join(seen.may_die) or "no service"))
    width = max(len(name) for name, _ in rows)
    return [plan.run, *(f"  {name.ljust(width)}  {text}" for name, text in rows)]


def _about(plan: Plan, seen: Preview) -> list[Row]:
    from harness.runner.safekeeping.latch import Watched

    whose = "owned: started for this run, and stopped after it"
    if seen.attached is not None:
        whose = f"attached: the running compose project {seen.attached}, which is left as it is"
    latch = Watched((plan.stack.name, plan.attach)).look()
    return [
        ("stack", f"{seen.stack} ({seen.backend}), {seen.file}"),
        ("", whose),
        ("containers", seen.containers),
        *([("stopped", f"{latch.text}; `{latch.release}`")] if latch is not None else []),
        ("seed", str(plan.seed)),
        ("start at", plan.scenario.start_at or "the stack's own start"),
        ("proxied", ", ".join(map(str, plan.links)) or "no link"),
    ]


def _twin(plan: Plan) -> list[Row]:
    rows: list[Row] = []
    if plan.sabotage is not None:
        env = ", ".join(f"{name}={value}" for name, value in plan.sabotage.env.items())
        must_fail = ", ".join(plan.sabotage.breaks)
        rows.append(("sabotage", f"{plan.sabotage.name} off ({plan.sabotage.service}: {env}); must fail: {must_fail}"))
    rows += [
        ("misfire", f"{one.fault}: on {plan.scenario.fault(one.fault).target} ({one.how}) instead of {one.target}")
        for one in plan.meant
    ]
    return rows + ([("misfire", f"nothing is run: {plan.unaimed}")] if plan.unaimed is not None else [])


def _gate(plan: Plan, stack: StackDescription) -> list[Row]:
    from harness.runner.watching.gate import gate_bounds

    return [("gate", f"{bound.id}: {bound.probe} {bound.limit_text}") for bound in gate_bounds(plan, stack)]


def _fault(fault: FaultPreview) -> list[Row]:
    with_ = "".join(f", {name} {value}" for name, value in fault.parameters.items())
    off = "" if fault.injected else " (left out: control)"
    rows = [("fault", f"{fault.id}: {fault.when} for {fault.lasts}: {fault.fault} on {fault.target}{with_}{off}")]
    rows.append(("  hits", _things(fault.hits) or "what its commands hit: nobody can tell"))
    return rows + ([("  touches", _things(fault.touches))] if fault.touches else [])


_WORDS = {"keyspace": "key space"}


def _things(found: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{_WORDS.get(kind, kind)} {', '.join(names)}" for kind, names in found.items())


def _expected(plan: Plan) -> list[Row]:
    from harness.model.expectations import Guarantee

    found = plan.clauses
    named = [clause for clause in found if not isinstance(clause, Guarantee)]
    guarantees = [clause.id for clause in found if isinstance(clause, Guarantee)]
    rows = [(c.KIND, c.text if c.id == c.KIND else f"{c.id}: {c.text}") for c in named]
    return [*rows, (Guarantee.KIND, ", ".join(guarantees) or "nothing")]
