"""What may be named in a scenario: faults, and what a stack has of probes, alerts, links, services and evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from harness.model.answers import ANSWER_PROBES, AnswerProbe
from harness.model.errors import ProbeError, StackError
from harness.model.fault import FaultKind
from harness.model.faultstep import FaultStep
from harness.model.reach import links_hit, things_hit
from harness.model.units import Unit

if TYPE_CHECKING:
    from harness.model.stack import StackDescription
    from harness.probes.request_file import RequestFile

OF_EVERY_ANSWER = ("availability", "failed_requests", "slow_answers", "latency_p50", "latency_p99")
OF_EXPECTED = ("wrong_answers", "silent_wrong_answers")
OF_FLAGGED = ("flagged_answers",)
"""What a file of requests makes measurable: always, where it says what is expected, where it says what a flag is."""


@dataclass(frozen=True)
class Catalogue:
    """Every name that is valid on one stack."""

    stack: StackDescription
    faults: Mapping[str, FaultKind]

    @cached_property
    def answer_probes(self) -> dict[str, AnswerProbe]:
        """The probes of answers that the workload makes measurable. Raises StackError for a bad file of requests."""
        spec = self.stack.workload
        if spec is None:
            return {}
        if spec.requests is None:
            return dict(ANSWER_PROBES)
        expects = self.requests is not None and self.requests.expects
        names = [*OF_EVERY_ANSWER, *(OF_EXPECTED if expects else ()), *(OF_FLAGGED if spec.flagged else ())]
        return {name: probe for name, probe in ANSWER_PROBES.items() if name in names}

    @cached_property
    def requests(self) -> RequestFile | None:
        """The file of requests of the stack, where it has one. Raises StackError for a bad one."""
        if self.stack.workload is None or self.stack.workload.requests is None:
            return None
        from harness.runner.planning.workloads import requests_of  # brings asyncio, which few scenarios need here

        try:
            return requests_of(self.stack)
        except ProbeError as error:
            raise StackError(
                error.message, file=error.file, line=error.line, field=error.field, remedy=error.remedy
            ) from error

    def most_answers(self, window_s: float) -> float | None:
        """Return how many requests are due within so many seconds, at most; None where that is not known."""
        spec = self.stack.workload
        if spec is None:
            return None
        if spec.most_per_s is not None:
            return spec.most_per_s * window_s
        return self.requests.most_within(window_s, spec.repeat) if self.requests is not None else None

    @property
    def scores_checked(self) -> bool:
        """Whether anything can tell that an answer of the workload is right: its model, or what a file expects."""
        spec = self.stack.workload
        return spec is None or spec.requests is not None or self.stack.integrity.has_artefacts

    @cached_property
    def probe_units(self) -> dict[str, Unit]:
        """Every probe with the unit of its readings: the workload's own, then those that the stack declares."""
        own = {name: probe.unit for name, probe in self.answer_probes.items()}
        return own | {name: probe.unit for name, probe in self.stack.probes.items()}

    @cached_property
    def links(self) -> tuple[str, ...]:
        """Every link, as it is written in a scenario."""
        return tuple(link.name for link in self.stack.links)

    @cached_property
    def integrity(self) -> tuple[str, ...]:
        """The guarantees for which the stack describes where the evidence lies."""
        has = self.stack.integrity
        ledger = has.store is not None and has.examples is not None and has.lineage is not None
        there = {
            "examples_exactly_once": ledger,
            "checkpoints_restorable": has.checkpoints is not None,
            "promotion_monotonic": has.promotions is not None,
            "nothing_poisoned": ledger,
        }
        return tuple(check for check, described in there.items() if described)

    def of_target(self, kind: str) -> tuple[str, ...]:
        """Return the names that are valid for one kind of target."""
        names = {
            "link": self.links,
            "links": self.links,
            "service": tuple(self.stack.services),
            "services": tuple(self.stack.services),
            "node": tuple(self.stack.nodes),
            "keyspace": tuple(self.stack.keyspaces),
            "dataset": tuple(self.stack.datasets),
        }
        return names[kind]

    def links_of(self, step: FaultStep) -> tuple[str, ...]:
        """Return the links that a fault disturbs, in the order of the stack."""
        return links_hit(step.target, self.stack, acts_on_links=self._acts_on_links(step.fault))

    def things_hit(self, step: FaultStep) -> dict[str, tuple[str, ...]]:
        """Return what a fault acts on itself, by kind."""
        return things_hit(step.target, self.stack, acts_on_links=self._acts_on_links(step.fault))

    def _acts_on_links(self, fault: str) -> bool:
        return fault in self.faults and "link" in self.faults[fault].targets
