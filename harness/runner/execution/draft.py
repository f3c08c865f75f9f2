"""A scenario that grows: the Python form, whose faults and expectations become known only as a test goes on.

Each call is validated with the same models and the same checks as a file, so that a wrong name is an error at the call
that uses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.description.yamltree import Tree
from harness.model.alert_clauses import Quiet
from harness.model.clauses import Clause
from harness.model.errors import ScenarioError, did_you_mean, nearest
from harness.model.expectations import CLAUSES, Expect
from harness.model.faultstep import FaultStep, Target
from harness.model.guard import LIMITS, Guard
from harness.model.plan import Plan, Twin
from harness.model.scenario import Scenario
from harness.runner.checking.check import check
from harness.runner.loading.explain import RefusedError, Source, problems, read_model
from harness.runner.loading.load import Loaded
from harness.runner.planning.catalogue import Catalogue
from harness.runner.planning.plan import (
    attached_project,
    control_of,
    effective_seed,
    limits_of,
    planned_guard,
    proxied_links,
    rules_of,
    stack_facts,
    with_steady_state,
)

LONGEST_FAULT_S = 600.0
"""A fault that a test does not revert is reverted after this time."""
TO_COME = "to-come"
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Call(Source):
    """The source of errors is a call instead of a file: they name an argument."""

    def problem(self, place: Sequence[str | int], message: str, remedy: str | None = None) -> ScenarioError:
        """Return the error that names the argument."""
        names = [str(part) for part in place if isinstance(part, str)]
        field = names[-1] if names and names[-1] not in ("timeline", "expect", *CLAUSES) else None
        return ScenarioError(message, file=self.file, field=field, remedy=remedy)


def call(name: str) -> Call:
    """Return the source of errors for a call."""
    return Call(Tree(name))


class Draft:
    """The plan of a run, as far as it is known."""

    def __init__(
        self, run: str, settings: Mapping[str, Any], catalogue: Catalogue, *,
        seed: int | None = None, twin: Twin | None = None, backend: str = "local",
        attach: str | None = None, paired: bool = False, file: str | None = None,
    ) -> None:  # fmt: skip
        """`settings` are fields of a scenario file. Raises ScenarioError."""
        self._catalogue = catalogue
        source = call("@pytest.mark.stack")
        raw = {"schema": 1, "timeline": [_to_come(catalogue)], "expect": {}, **settings}
        scenario = with_steady_state(_read(Scenario, raw, source), catalogue.stack)
        plan = Plan(
            run=run,
            scenario=scenario,
            stack=stack_facts(catalogue),
            guard=planned_guard(scenario, catalogue),
            seed=effective_seed(seed, scenario),
            backend=backend,
            attach=attached_project(catalogue.stack, backend, attach),
            paired=paired,
            links=(),
            file=file,
            abort_if=rules_of(scenario, catalogue.stack),
            limits=limits_of(scenario, catalogue.stack),
        )
        if twin == "control":
            plan = control_of(plan)
        elif twin is not None:
            plan = plan.model_copy(update={"run": f"{run}~{twin}", "twin": twin})
        self._plan = plan
        self.steps: list[FaultStep] = []
        self._open: list[str] = []
        self._check(self._plan, source)

    @property
    def plan(self) -> Plan:
        """The plan as it is known now."""
        if not self.steps:
            return self._plan
        return self._with(timeline=tuple(self.steps))

    def rename(self, run: str) -> None:
        """Give the run the name of its folder."""
        self._plan = self._plan.model_copy(update={"run": run})

    def plan_links(self, wanted: Sequence[str] | str | None) -> None:
        """Decide which links run through the fault proxy, before the stack starts. Raises ScenarioError."""
        known = self._catalogue.links
        if wanted == "all" or (wanted is None and not self.steps):
            wanted = known
        elif isinstance(wanted, str):
            wanted = [wanted]
        for name in wanted or ():
            if name not in known:
                raise call("@pytest.mark.stack").problem(("links",), *self._catalogue.stack.no_link(name))
        links = proxied_links(self.steps, self._catalogue, wanted or ())
        self._plan = self._plan.model_copy(update={"links": links})

    def fault(
        self, kind: str, target: Mapping[str, Any], parameters: Mapping[str, Any], id_: str | None, *, planned: bool
    ) -> FaultStep:
        """Add a fault. `planned`: the links are fixed already. Raises ScenarioError."""
        source = call("chaos.fault")
        given = {name: value for name, value in target.items() if value is not None}
        known = self._catalogue.faults.get(kind)
        if "share" in parameters and known is not None and known.each_replica:
            given["share"] = parameters["share"]
            parameters = {name: value for name, value in parameters.items() if name != "share"}
        raw = {
            "id": self._id(id_, kind),
            "at": "0s",
            "fault": kind,
            "target": given,
            "with": dict(parameters),
            "for": f"{LONGEST_FAULT_S:g}s",
        }
        if not given:
            raise RefusedError(self._without_target(kind, parameters, source))
        step = _read(FaultStep, raw, source)
        self._check(self._with(timeline=self._laid_out(step)), source)
        proxied = {link.name for link in self._plan.links}
        missing = [name for name in self._catalogue.links_of(step) if name not in proxied]
        if planned and missing:
            remedy = f"plan it before the stack starts: @pytest.mark.stack(…, links=[{missing[0]!r}]) or links='all'"
            raise source.problem(("link",), f"the link {missing[0]!r} does not run through the fault proxy", remedy)
        self.steps.append(step)
        self._open.append(step.id)
        return step

    def _without_target(self, kind: str, parameters: Mapping[str, Any], source: Source) -> list[ScenarioError]:
        """Return what is wrong with a fault without a target: a misspelt one reads as a parameter."""
        faults, targets = self._catalogue.faults, tuple(Target.model_fields)
        if kind not in faults:
            return [source.problem(("fault",), f"unknown fault {kind!r}", did_you_mean(kind, faults))]
        known = (*faults[kind].parameters.model_fields, *targets)
        unknown = [name for name in parameters if name not in known]
        wrong = [source.problem((name,), f"unknown field {name!r}", did_you_mean(name, known)) for name in unknown]
        if not any(nearest(name, known) in targets for name in unknown):
            wrong.append(
                source.problem(("target",), "exactly one target is needed", f"give one of {', '.join(targets)}")
            )
        return wrong

    def ended(self, fault: str) -> None:
        """Note that a fault is reverted."""
        if fault in self._open:
            self._open.remove(fault)

    def expect(self, method: str, field: str, raw: Mapping[str, Any], about: str) -> Clause:
        """Add a clause. Raises ScenarioError."""
        source = call(f"chaos.{method}")
        if field not in CLAUSES:
            raise source.problem((), f"unknown kind of expectation {field!r}", did_you_mean(field, tuple(CLAUSES)))
        kind = CLAUSES[field]
        given = {name: value for name, value in raw.items() if value is not None}
        given["id"] = self._id(given.get("id"), f"{about}-{field}")
        if "fault" in kind.model_fields:
            given["fault"] = self._fault_of(given.get("fault"), source)
        clause = _read(kind, given, source)
        before = getattr(self._plan.scenario.expect, field)
        self._expect({field: (*before, clause)}, source)
        return clause

    def widen(self, name: str, at_most: float, because: str) -> None:
        """Widen a limit of the guard. Raises ScenarioError."""
        source = call("chaos.widen_guard")
        if name not in LIMITS:
            raise source.problem((), f"the guard has no limit {name!r}", did_you_mean(name, tuple(LIMITS)))
        before = self._plan.scenario.expect.guard.widened
        raw = {key: widened.model_dump() for key, widened in before.items()}
        guard = _read(Guard, raw | {name: {"at_most": at_most, "because": because}}, source)
        self._expect({"guard": guard}, source)
        self._plan = self._plan.model_copy(update={"guard": planned_guard(self._plan.scenario, self._catalogue)})

    def quiet(self, allowed: Sequence[str]) -> None:
        """Expect that no alert fires but those expected and those named. Raises ScenarioError."""
        source = call("chaos.expect_quiet")
        self._expect({"quiet": _read(Quiet, {"others": True, "except": list(allowed)}, source)}, source)

    def probe(self, name: str) -> str:
        """Return the name of a probe. Raises ScenarioError where there is none."""
        if name not in self._catalogue.probe_units:
            remedy = did_you_mean(name, self._catalogue.probe_units)
            raise call("chaos.probe").problem((), f"unknown probe {name!r}", remedy)
        return name

    def _expect(self, update: dict[str, Any], source: Source) -> None:
        expect: Expect = self._plan.scenario.expect.model_copy(update=update)
        plan = self._with(expect=expect)
        timeline = self._laid_out() or self._plan.scenario.timeline
        self._check(plan.model_copy(update={"scenario": _copy(plan.scenario, timeline=timeline)}), source)
        self._plan = plan

    def _check(self, plan: Plan, source: Source) -> None:
        wrong = check(Loaded(plan.scenario, source, {}), self._catalogue, complete=False)
        # The placeholder of the first fault is in no table.
        wrong = [problem for problem in wrong if TO_COME not in problem.message]
        if wrong:
            raise _all(wrong)

    def _laid_out(self, new: FaultStep | None = None) -> tuple[FaultStep, ...]:
        """Return the faults with those that are in now side by side with the new one, and the others before them."""
        steps = [*self.steps, new] if new is not None else self.steps
        now = {*self._open, *([new.id] if new is not None else [])}
        return tuple(
            step.model_copy(update={"at": LONGEST_FAULT_S * (len(steps) if step.id in now else k)})
            for k, step in enumerate(steps)
        )

    def _fault_of(self, named: str | None, source: Source) -> str:
        if named is not None:
            return named
        if not self.steps:
            raise source.problem((), "there is no fault yet", "call it inside or after `with chaos.fault(…)`")
        return self._open[-1] if self._open else self.steps[-1].id

    def _id(self, given: str | None, usual: str) -> str:
        taken = {*self.plan.scenario.ids} - {TO_COME}
        if given is not None:
            if given in taken:
                raise ScenarioError(f"the id {given!r} is used twice", field="id", remedy="give each its own")
            return given
        k = 1
        while (name := usual if k == 1 else f"{usual}-{k}") in taken:
            k += 1
        return name

    def _with(self, **update: Any) -> Plan:
        return self._plan.model_copy(update={"scenario": _copy(self._plan.scenario, **update)})


def _copy(scenario: Scenario, **update: Any) -> Scenario:
    return scenario.model_copy(update=update)


def _read(kind: type[Model], raw: Mapping[str, Any], source: Source) -> Model:
    try:
        return read_model(kind, dict(raw))
    except ValidationError as error:
        raise _all(problems(error, kind, dict(raw), source)) from None
    except (TypeError, ValueError) as error:
        raise source.problem((), f"a value cannot be written into a plan: {error}", "use numbers and texts") from None


def _all(wrong: Sequence[ScenarioError]) -> ScenarioError:
    return wrong[0] if len(wrong) == 1 else RefusedError(wrong)


def _to_come(catalogue: Catalogue) -> dict[str, Any]:
    """Return what stands in a plan for a first fault that is not known yet."""
    service = next(iter(catalogue.stack.services))
    return {"id": TO_COME, "at": "0s", "fault": TO_COME, "target": {"service": service}, "for": "1s"}
