"""What advice is drawn from: one confirmed fault, the links that it broke, and what was asked before, during and after.

A reading or an answer of which the machine or the harness may be the cause shows nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from harness.judge.facts import Facts
from harness.judge.fault_facts import FaultFacts
from harness.judge.moments import Span
from harness.model.alert_clauses import DetectionResult
from harness.model.answers import ANSWER_PROBES
from harness.model.clauses import NoticedResult, RecoveryResult, StaysResult
from harness.model.faultstep import FaultStep
from harness.model.fields import Link
from harness.model.guard import GuardResult
from harness.model.reach import services_named, whole_services
from harness.model.readings import Answer, ProcessSeen, Reading
from harness.model.units import Unit
from harness.model.verdict import ClauseResult
from harness.model.wiring import ProbeFacts, Wiring

AWAY = ("container.pause", "container.stop", "node.loss", "network.disconnect", "network.partition")
"""Faults for as long as which a service answers nobody."""
ENDED = ("container.kill", "container.stop", "node.loss", "container.oom", "container.restart_loop")
"""Faults that end processes, so that what they hold in memory is lost."""
LATE = ("network.latency", "storage.slow")
ON_LINKS = (*LATE, "network.reset")
"""Faults that act on the links to a service, and not on the service itself."""
FEATURES = "features.corrupt"
OF_MISSING = ("availability", "failed_requests", "slow_answers", "latency_p50", "latency_p99")
"""Probes of answers that break where none comes, or none in time. The others look at what an answer says."""
FEWEST = 3
"""How many answers or readings show something: one or two may have been on their way."""
MOST_CITED = 4
OF_CRASHES = frozenset({4, 5, 6, 7, 8, 11, 31})
"""The signals that a program's own error ends it with: SIGILL, TRAP, ABRT, BUS, FPE, SEGV, SYS.

Others are sent to it: by who wants it to end, or by the kernel when memory is short.
"""
SEEN_LATE_S = 1.0
"""How much later than it happened something may be seen."""
_UNANSWERED = re.compile(r"no answer within (\d+(?:\.\d+)?) s")
_REFUSED = re.compile(r"\bstatus 4\d\d\b")
Bounded = StaysResult | RecoveryResult | GuardResult | NoticedResult
Numbered = tuple[int, Answer]


@dataclass(frozen=True, slots=True)
class MissingGuard:
    """A guard that a run shows to be missing: where, what shows it, and the failed clauses that it explains."""

    guard: str
    where: str
    seen: str
    clauses: tuple[str, ...]
    cites: tuple[int, ...] = ()
    shown_by: str = ""
    """A clause that the repair alone makes hold, where those that failed may need more than it."""


@dataclass(frozen=True)
class Case:
    """One run that failed, with the only fault of its timeline, or the one that the others are there to bring out."""

    facts: Facts
    step: FaultStep
    fault: FaultFacts
    injected: Span
    wiring: Wiring
    failed: tuple[ClauseResult, ...]
    restarts: tuple[Span, ...] = ()
    """When a service was killed besides, each time the same one, so that it loads objects that the fault damages."""

    @property
    def kind(self) -> str:
        """The kind of the fault."""
        return self.step.fault

    @property
    def away(self) -> bool:
        """Whether what the fault hits answered nobody for as long as it was in."""
        return self.kind in AWAY or (self.kind == "container.kill" and self.step.parameters.get("restart") == "none")

    @property
    def out_s(self) -> float:
        """Until when the fault was in for certain."""
        return self.facts.end_s if self.fault.reverted is None else self.fault.reverted.lo

    @property
    def gone_s(self) -> float:
        """From when on the fault was gone for certain."""
        return self.facts.end_s if self.fault.reverted is None else self.fault.reverted.hi

    @cached_property
    def hit(self) -> frozenset[str]:
        """The services that the fault acts on themselves, and not by their links alone."""
        if self.kind in ON_LINKS:
            return frozenset()
        nodes: dict[str, list[str]] = {}
        for service, node in self.facts.journal.plan.stack.services.items():
            nodes.setdefault(str(node), []).append(service)
        return frozenset(whole_services(self.step.target, nodes))

    @property
    def holder(self) -> str | None:
        """The service that holds the data that the fault changes; None where it changes none that has a name."""
        target = self.step.target
        found = self.wiring.keyspaces.get(target.keyspace or ""), self.wiring.datasets.get(target.dataset or "")
        return next(filter(None, found), None)

    @cached_property
    def broken(self) -> tuple[Link, ...]:
        """The links over which nothing, or nothing in time, came while the fault was in; of consumers that ran on."""
        target, pairs = self.step.target, self.wiring.pairs
        if target.link_names:
            return target.parsed_links
        if self.kind == "network.partition":
            other = set(services_named(self.step)) or set(self.facts.journal.plan.stack.services) - self.hit
            return tuple(k for k in pairs if {k.consumer, k.service} & self.hit and {k.consumer, k.service} & other)
        if self.kind in ON_LINKS and target.service is not None:
            return tuple(link for link in pairs if link.service == target.service)
        return tuple(link for link in pairs if link.service in self.hit and link.consumer not in self.hit)

    def cut_off(self, asked: str) -> tuple[Link, ...]:
        """Return the broken links that an answer of a service may need: its own, and those of what it still reaches."""
        broken = {link.name for link in self.broken}
        left = self.wiring.model_copy(update={"links": tuple(one for one in self.wiring.links if one not in broken)})
        return tuple(link for link in self.broken if link.consumer == asked or left.reaches(asked, link.consumer))

    def what_was(self, links: Sequence[Link]) -> str:
        """Say for a sentence what became of the services that broken links lead to."""
        services = listed({link.service for link in links})
        if self.kind in LATE:
            return f"{services} answered late"
        if self.kind == "network.reset":
            return f"connections to {services} were reset"
        return f"{services} could not {'be reached' if self.kind == 'network.partition' else 'answer'}"

    def lost_until_s(self, service: str) -> float:
        """Return until when a service was lost for certain; a new process of it may answer at once."""
        if self.away or self.kind not in ENDED or self.kind == "container.restart_loop":
            return self.out_s
        began_s = self.began_anew_s(service)
        return self.out_s if began_s is None else began_s

    def began_anew_s(self, service: str) -> float | None:
        """Return when a process of a service began anew once the fault was in."""
        began = (one.at_s for _, one in self.processes(service) if one.what != "exited")
        return min((at_s for at_s in began if at_s > self.injected.lo), default=None)

    def processes(self, service: str) -> list[tuple[int, ProcessSeen]]:
        """Return when processes of a service ended and began, each with its line."""
        return [(n, one) for n, one in self.facts.journal.of(ProcessSeen) if one.service == service]

    def asked(self, probe: str) -> str | None:
        """Return the one service that a probe asks; None where it is none, or may be one of several."""
        if probe in ANSWER_PROBES:
            return self.wiring.workload
        services = self.probe(probe).services
        return services[0] if len(services) == 1 else None

    def probe(self, name: str) -> ProbeFacts:
        """Return what is known of a polled probe."""
        return self.wiring.probes.get(name, ProbeFacts(kind=""))

    def unit(self, probe: str) -> Unit | None:
        """Return the unit of a polled probe; None where nobody knows it."""
        return self.facts.journal.plan.stack.probe_units.get(probe)

    def probes_of(self, service: str) -> list[str]:
        """Return the polled probes that ask a service, and nothing else."""
        return [name for name, probe in self.wiring.probes.items() if probe.services == (service,)]

    def failed_bounds(self, *results: type[Bounded]) -> list[tuple[ClauseResult, Bounded]]:
        """Return the failed clauses of these kinds, each with what was measured of it."""
        return [(c, c.measured) for c in self.failed if isinstance(c.measured, results)]

    def unanswered_bounds(self, *results: type[Bounded]) -> list[tuple[ClauseResult, Bounded]]:
        """Return the failed clauses of these kinds that break where an answer is missing or late."""
        found = self.failed_bounds(*results)
        return [pair for pair in found if pair[1].probe not in ANSWER_PROBES or pair[1].probe in OF_MISSING]

    def answers(self, from_s: float, to_s: float) -> list[Numbered]:
        """Return the answers to requests that count in a stretch, of which nothing but the stack is the cause."""
        return [
            (one.n, one.answer)
            for one in self.facts.attributed
            if from_s <= one.at_s < to_s and one.inconclusive is None
        ]

    def readings(self, probe: str, from_s: float, to_s: float) -> list[tuple[int, Reading]]:
        """Return the readings of a probe within a stretch, of which nothing but the stack is the cause."""
        return [
            (n, reading)
            for n, reading in self.facts.readings(probe)
            if reading.asked_s >= from_s
            and reading.answered_s <= to_s
            and self.facts.disturbed.why(reading.asked_s, reading.answered_s) is None
        ]

    def before(self) -> list[Answer]:
        """Return all answers between the steady state and the fault, whatever else may be the cause of what they say.

        A stack that starts may give wrong ones; it is not taken to be steady then.
        """
        return self.all_answers(self.facts.gate_s, self.injected.lo)

    def all_answers(self, from_s: float, to_s: float) -> list[Answer]:
        """Return the answers to requests that were due in a stretch, whatever else may be the cause of what they say.

        A busy machine does not show that a stack does well.
        """
        return [one for _, one in self.facts.answers if from_s <= one.due_s < to_s]

    def in_the_middle_of(self, test: Callable[[Answer], bool]) -> list[Numbered]:
        """Return the answers while the fault was in that a test picks; none where one before the fault is among them.

        What was so without the fault is not shown by it.
        """
        if any(test(answer) for _, answer in self.answers(self.facts.gate_s, self.injected.lo)):
            return []
        return [(n, answer) for n, answer in self.answers(self.injected.hi, self.out_s) if test(answer)]


def values_of(read: Iterable[tuple[int, Reading]]) -> list[tuple[int, float]]:
    """Return the values of readings, each with its line; those without a value are left out."""
    return [(n, one.value) for n, one in read if one.value is not None]


def falls(values: Sequence[tuple[int, float]]) -> list[int]:
    """Return the lines at which a value is below the one before it: an age is set back by each result."""
    return [n for (_, before), (n, value) in pairwise(values) if value < before]


def undetected(case: Case, *, late: bool = False) -> list[tuple[ClauseResult, DetectionResult]]:
    """Return the alerts that did not fire, with those that fired too late where that is asked for."""
    found = [(c, c.measured) for c in case.failed if isinstance(c.measured, DetectionResult)]
    return [(c, measured) for c, measured in found if late or measured.after_s is None]


def crashed(seen: ProcessSeen) -> bool:
    """Whether a process ended by itself, and in error: neither asked to, nor as who is done, nor for lack of memory."""
    if seen.what != "exited" or seen.asked is not None:
        return False
    return seen.signal in OF_CRASHES if seen.signal is not None else seen.exit_code not in (None, 0)


def unanswered_s(text: str | None) -> float | None:
    """Return how long an answer was waited for in vain; None where one came, or was refused."""
    found = _UNANSWERED.match(text or "")
    return None if found is None else float(found[1])


def refused(text: str | None) -> bool:
    """Whether a request failed because of what it asked for, or how often: a status of 400 to 499."""
    return _REFUSED.search(text or "") is not None


def wrong_silently(answer: Answer) -> bool:
    """Whether an answer was given, is certain to be wrong, and says nothing of it."""
    return answer.ok and answer.flagged is None and answer.wrong is True


def cited(found: Iterable[tuple[int, object]]) -> tuple[int, ...]:
    """Return the first lines of what shows something."""
    return tuple(n for n, _ in list(found)[:MOST_CITED])


def ids(found: Sequence[tuple[ClauseResult, object]]) -> tuple[str, ...]:
    """Return the ids of clauses."""
    return tuple(dict.fromkeys(clause.id for clause, _ in found))


def on_links(links: Sequence[Link]) -> str:
    """Return the place of what is missing on one of these links. Nobody can tell which, where there are several."""
    names = listed({link.name for link in links})
    return f"link {names}" if len(links) == 1 else f"one of the links {names}"


def listed(names: Iterable[str]) -> str:
    """Return names for a sentence."""
    return ", ".join(sorted(names))
