"""What the scenarios of a stack touch: which of its services, links and alerts any of them is about, and which none is.

A service is touched by a fault on it, on its node, on its data or on a link of it, a link by a fault that disturbs it,
and an alert by a scenario that expects it to fire. Where a misfire puts a fault does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.model.reach import services_hit, services_named
from harness.model.scenario import Scenario
from harness.runner.planning.catalogue import Catalogue

By = Mapping[str, tuple[str, ...]]
"""Of each name, the scenarios that touch it."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Everything of a stack that a scenario may touch, in the order of the stack, with those that do."""

    services: By
    links: By
    alerts: By
    forbidden: frozenset[str]
    """What no fault may touch, by the stack's `never_touch`."""

    @property
    def parts(self) -> dict[str, By]:
        """What there is, by its kind."""
        return {"services": self.services, "links": self.links, "alerts": self.alerts}

    @property
    def never(self) -> dict[str, tuple[str, ...]]:
        """What no scenario touches and one may, by its kind."""
        return {
            kind: tuple(
                name for name, by in part.items() if not by and (kind == "alerts" or name not in self.forbidden)
            )
            for kind, part in self.parts.items()
        }


def coverage(scenarios: Iterable[Scenario], catalogue: Catalogue) -> Coverage:
    """Return what scenarios touch, which are all of this stack."""
    stack = catalogue.stack
    services: dict[str, dict[str, None]] = {name: {} for name in stack.services}
    links: dict[str, dict[str, None]] = {name: {} for name in catalogue.links}
    alerts: dict[str, dict[str, None]] = {name: {} for name in stack.alerts}
    for scenario in scenarios:
        for step in scenario.timeline:
            _note(services, {*services_hit(step.target, stack), *services_named(step)}, scenario)
            _note(links, catalogue.links_of(step), scenario)
        _note(alerts, [clause.alert for clause in scenario.expect.detected], scenario)
    return Coverage(_listed(services), _listed(links), _listed(alerts), frozenset(stack.never_touch))


def _note(found: Mapping[str, dict[str, None]], names: Iterable[str], scenario: Scenario) -> None:
    for name in names:
        if name in found:
            found[name][scenario.scenario] = None


def _listed(found: Mapping[str, dict[str, None]]) -> By:
    return {name: tuple(by) for name, by in found.items()}
