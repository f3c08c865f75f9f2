"""What a scenario cannot show on its stack although it is valid there: said before it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.model.clauses import Bound
from harness.model.errors import ScenarioError
from harness.runner.checking.feeling import noticed_by_its_end, unfelt
from harness.runner.loading.explain import Place, Source
from harness.runner.loading.load import Loaded
from harness.runner.planning.catalogue import OF_EXPECTED, Catalogue

NO_MODELS = "describe x-harness.integrity.store and x-harness.integrity.models in the stack"

ASK_A_CONSUMER = (
    "expect something of a service that uses what the fault breaks: requests of a workload whose answers need it, a "
    "number from its answer, or an alert"
)
_BY_STATUS = {
    "http": "give the probe `read: status` and write `equals: 200`, so that no answer is no notice",
    "grpc": "give the probe `read: status` and write `equals: 1`, so that no answer is no notice",
    "tcp": "a port cannot tell: use a probe that needs an answer, such as `http` with `read: status`",
}
"""What to do about a probe that reads the same without any answer, by its kind."""


def notes(loaded: Sequence[tuple[Loaded, Catalogue]]) -> list[ScenarioError]:
    """Return what these scenarios cannot show, each once, with its place and a remedy."""
    found = {str(note): note for item, catalogue in loaded for note in _of_one(item, catalogue)}
    return list(found.values())


def never_opens(
    steady_state: Sequence[Bound], at: Place, source: Source, catalogue: Catalogue
) -> Iterator[ScenarioError]:
    """Yield each bound of a steady state that could never be seen to hold."""
    for index, bound in enumerate(steady_state):
        if _never_right(bound, catalogue):
            message = f"the probe {bound.probe!r} cannot show that answers are right, as the stack declares no model"
            place: Place = (*at, index, "probe")
            yield source.problem(place, f"{message}: the gate would never open", NO_MODELS)


def _never_right(bound: Bound, catalogue: Catalogue) -> bool:
    """Whether a bound asks for right answers where nothing tells that an answer is right."""
    return bound.probe in OF_EXPECTED and bound.at_most is not None and not catalogue.scores_checked


def _of_one(item: Loaded, catalogue: Catalogue) -> Iterator[ScenarioError]:
    yield from _without_feeling(item, catalogue)
    yield from _by_their_end(item, catalogue)
    expect = item.scenario.expect
    lists: tuple[tuple[str, tuple[Bound, ...]], ...] = (("stays", expect.stays), ("recovered", expect.recovered))
    for field, bounds in lists:
        for index, bound in enumerate(bounds):
            if _never_right(bound, catalogue):
                place: Place = ("expect", field, index, "probe")
                message = (
                    f"the probe {bound.probe!r} shows wrong features and stale answers alone, as the stack declares no "
                    "model to check scores against: this clause can fail, but it cannot pass"
                )
                yield item.source.problem(place, message, NO_MODELS)


def _without_feeling(item: Loaded, catalogue: Catalogue) -> Iterator[ScenarioError]:
    """Yield each fault that no clause could feel: whatever the stack does, a run would pass."""
    for index, step in enumerate(item.scenario.timeline):
        why = unfelt(step, item.scenario, catalogue)
        if why is not None:
            place: Place = ("timeline", index, "target")
            yield item.source.problem(place, f"{why}: {step.fault} on {step.target}", ASK_A_CONSUMER)


def _by_their_end(item: Loaded, catalogue: Catalogue) -> Iterator[ScenarioError]:
    """Yield each clause that passes where a service is gone, which says nothing of what it would have noticed."""
    for index, clause in enumerate(item.scenario.expect.noticed):
        if noticed_by_its_end(clause, item.scenario, catalogue):
            place: Place = ("expect", "noticed", index, "probe")
            message = f"the fault acts on the service of {clause.probe!r}, and `read: up` is 0 without an answer too"
            remedy = _BY_STATUS[catalogue.stack.probes[clause.probe].kind]
            yield item.source.problem(place, f"{message}: that the service is gone would pass", remedy)
