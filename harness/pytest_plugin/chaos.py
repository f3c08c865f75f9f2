"""The `chaos` fixture: the Python form of a scenario, for tests written by hand.

It is the same machine as a scenario file underneath: the same run, the same journal, the same judge. What a test
expects is written down as it goes, and the verdict is reached over the whole journal when the test function returns.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

from harness.model.alert_clauses import Cleared, Detected
from harness.model.backend import Backend
from harness.model.clauses import Noticed, Recovered
from harness.model.errors import HarnessError, ScenarioError
from harness.model.faultstep import FaultStep
from harness.model.units import parse_wall_s
from harness.pytest_plugin.session_runner import EndedRun, SessionRunner, calm_memory
from harness.runner.execution.draft import LONGEST_FAULT_S, Draft
from harness.runner.execution.run import Run
from harness.runner.execution.session import CONFIRM_WITHIN_S, CallerScript, Session
from harness.runner.planning.catalogue import Catalogue
from harness.runner.safekeeping.latch import refuse_if_stopped
from harness.suite.conclude import stored_run

UP_S = 150.0
"""Beyond the stack's own limits: preparing its data and its workload, and importing what it is forked from."""
FAULT_S = 160.0
SLACK_S = 5.0
T = TypeVar("T")
P = ParamSpec("P")


def plainly(method: Callable[P, T]) -> Callable[P, T]:
    """Show an error of the harness at the line of the test that called, without frames of the harness."""

    @functools.wraps(method)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        __tracebackhide__ = True
        try:
            return method(*args, **kwargs)
        except HarnessError as error:
            raise error.with_traceback(None) from None

    return called


class Chaos:
    """What a test does to its stack, and what it expects of it."""

    def __init__(
        self,
        runner: SessionRunner,
        new_draft: Callable[[str | None], Draft],
        catalogue: Catalogue,
        links: Sequence[str] | str | None,
    ) -> None:
        """`new_draft` makes the draft of the run, or that of the control of a run with the given name."""
        self._runner = runner
        self._new_draft = new_draft
        self._catalogue = catalogue
        self._links = links
        self._reset(None)

    def _reset(self, control_of: str | None) -> None:
        self._draft = self._new_draft(control_of)
        self._session: Session | None = None
        self._run_dir: Path | None = None
        self._ended: EndedRun | None = None
        self._progress: list[str] = []
        self._on_end = ExitStack()

    def begin_control(self, control_of: str) -> None:
        """Forget the run, which has ended; the next calls are those of its control."""
        self._reset(control_of)

    @property
    def ended(self) -> EndedRun | None:
        """The run after its end; None where there was none."""
        return self._ended

    @property
    def run_dir(self) -> Path:
        """The folder with the run's journal and report."""
        if self._run_dir is None:
            self._run_dir = self._runner.claim(self._draft.plan.run)
            self._draft.rename(self._run_dir.name)
        return self._run_dir

    @property
    def used(self) -> bool:
        """Whether a stack was started."""
        return self._session is not None

    @plainly
    def start(self) -> None:
        """Start the stack and wait for its steady state; the first call that needs the stack does this too."""
        if self._session is not None:
            return
        refuse_if_stopped((self._draft.plan.stack.name, self._draft.plan.attach))
        self._draft.plan_links(self._links)
        run_dir = self.run_dir  # claimed first, for it names the run
        plan, stack, progress = self._draft.plan, self._catalogue.stack, self._progress
        # Made here, not on the session's thread: what it shares with other runs belongs to the process.
        backend = self._runner.backend(stack, plan)

        script = CallerScript(plan)

        def make() -> tuple[Run, Backend]:
            return Run(plan, stack, backend, run_dir, self._runner.recorder(progress), script), backend

        self._on_end.enter_context(calm_memory())
        self._session = Session(script, make)
        self._session.start(UP_S + stack.ready_within_s + plan.scenario.gate_timeout)

    def fault(
        self, kind: str, *, link: str | None = None, links: Sequence[str] | None = None, service: str | None = None,
        services: Sequence[str] | None = None, node: str | None = None, keyspace: str | None = None,
        dataset: str | None = None, replica: int | None = None, id: str | None = None,  # noqa: A002
        **parameters: Any,
    ) -> AbstractContextManager[str]:  # fmt: skip
        """Put a fault in until the `with` block ends, and wait on entry until it is confirmed. Gives its id.

        `share` is that of a service's replicas, for a fault on containers; of rows or objects, for one on data.
        """
        target = {
            "link": link,
            "links": None if links is None else list(links),
            "service": service,
            "services": None if services is None else list(services),
            "node": node,
            "keyspace": keyspace,
            "dataset": dataset,
            "replica": replica,
        }
        return _Held(self, lambda: self._draft.fault(kind, target, parameters, id, planned=self.used))

    def _enter(self, add: Callable[[], FaultStep]) -> FaultStep:
        step = add()
        self.start()
        plan = self._draft.plan
        self._call(lambda script: script.enter(step, plan), FAULT_S + CONFIRM_WITHIN_S)
        return step

    def _leave(self, step: FaultStep) -> None:
        self._draft.ended(step.id)
        if self._ended is None and self._session is not None:
            plan = self._draft.plan
            self._call(lambda script: script.leave(step.id, plan), FAULT_S)

    @plainly
    def expect_alert(
        self, name: str, *, within: str, labels: Mapping[str, str] | Literal["any"] | None = None,
        fault: str | None = None, id: str | None = None,  # noqa: A002
    ) -> None:  # fmt: skip
        """Expect an alert to fire in time after the fault's injection, and wait until it does or its time is over.

        `labels="any"`: it may also be about another replica or node than the one that was hit.
        """
        raw = {"alert": name, "within": within, "labels": _plain(labels), "fault": fault, "id": id}
        self._expect("expect_alert", "detected", raw, name)

    @plainly
    def expect_noticed(
        self, probe: str, *, within: str, at_least: float | str | None = None, at_most: float | str | None = None,
        equals: float | str | None = None, fault: str | None = None, id: str | None = None,  # noqa: A002
    ) -> None:  # fmt: skip
        """Expect a probe to leave its bound in time after the fault's injection, and wait until it does.

        `chaos.expect_noticed("server_ready", equals=200, within="5s")`: its answer has to be another one.
        """
        raw = {"probe": probe, "at_least": at_least, "at_most": at_most, "equals": equals}
        self._expect("expect_noticed", "noticed", {**raw, "within": within, "fault": fault, "id": id}, probe)

    @plainly
    def expect_cleared(
        self, name: str, *, within: str, labels: Mapping[str, str] | None = None, fault: str | None = None,
        id: str | None = None,  # noqa: A002
    ) -> None:  # fmt: skip
        """Expect an alert to be quiet in time after the fault's revert; after the `with`, wait for it."""
        raw = {"alert": name, "within": within, "labels": _plain(labels), "fault": fault, "id": id}
        self._expect("expect_cleared", "cleared", raw, name)

    @plainly
    def expect_stays(
        self, probe: str, *, at_least: float | str | None = None, at_most: float | str | None = None,
        equals: float | str | None = None, over: str | None = None, min_samples: int | None = None,
        id: str | None = None,  # noqa: A002
    ) -> None:  # fmt: skip
        """Expect a bound to be kept in every window from the first injection to the end."""
        raw = {"probe": probe, "at_least": at_least, "at_most": at_most, "equals": equals, "over": over}
        self._expect("expect_stays", "stays", {**raw, "min_samples": min_samples, "id": id}, probe)

    @plainly
    def expect_recovered(
        self, probe: str, *, within: str, at_least: float | str | None = None, at_most: float | str | None = None,
        equals: float | str | None = None, hold: str | None = None,
        since: Literal["revert", "injection"] | None = None, over: str | None = None,
        min_samples: int | None = None, fault: str | None = None, id: str | None = None,  # noqa: A002
    ) -> None:  # fmt: skip
        """Expect a bound that the fault breaks to be kept again, in time, and to hold; wait for it where it can be."""
        raw = {"probe": probe, "at_least": at_least, "at_most": at_most, "equals": equals, "within": within}
        raw |= {"hold": hold, "from": since, "over": over, "min_samples": min_samples, "fault": fault, "id": id}
        self._expect("expect_recovered", "recovered", raw, probe)

    @plainly
    def expect_flaps(
        self, name: str, *, at_most: int, labels: Mapping[str, str] | None = None, id: str | None = None,  # noqa: A002
    ) -> None:  # fmt: skip
        """Expect an alert to start firing no more often than that in the whole run."""
        raw = {"alert": name, "at_most": at_most, "labels": _plain(labels), "id": id}
        self._expect("expect_flaps", "flaps_at_most", raw, name)

    @plainly
    def expect(self, kind: str, **fields: Any) -> None:
        """Expect what a scenario file lists under `expect`: `chaos.expect("stays", probe="up", at_least=1)`."""
        about = next((value for name, value in fields.items() if name != "id" and isinstance(value, str)), kind)
        self._expect("expect", kind, fields, about)

    @plainly
    def widen_guard(self, limit: str, *, at_most: float, because: str) -> None:
        """Allow more `failed`, `slow`, `flagged` or `wrong` answers once the recovery is over than usual."""
        self._draft.widen(limit, at_most, because)
        self._grown()

    @plainly
    def expect_quiet(self, except_: Sequence[str] = ()) -> None:
        """Expect that no alert fires but those expected and those named here."""
        self._draft.quiet([except_] if isinstance(except_, str) else list(except_))
        self._grown()

    def _expect(self, method: str, field: str, raw: Mapping[str, Any], about: str) -> None:
        clause = self._draft.expect(method, field, raw, about)
        self._grown()
        if isinstance(clause, Detected | Noticed | Cleared | Recovered) and self.used:
            hold_s = clause.hold if isinstance(clause, Recovered) else 0.0
            self._call(lambda script: script.wait_for(clause), clause.within + hold_s + LONGEST_FAULT_S)

    def _grown(self) -> None:
        if self.used:
            plan = self._draft.plan
            self._call(lambda script: script.expect(plan), SLACK_S)

    @plainly
    def probe(self, name: str) -> float | None:
        """Return what a probe gives now; None where it gives nothing, or does not answer."""
        known = self._draft.probe(name)
        self.start()
        return self._call(lambda script: script.current(known), SLACK_S)

    @plainly
    def observe(self, seconds: float | str) -> None:
        """Let the run go on for a while: `3.5` or `"3500ms"`."""
        try:
            length_s = float(seconds) if isinstance(seconds, int | float) else parse_wall_s(seconds)
        except ValueError as error:
            raise ScenarioError(str(error), file="chaos.observe", field="seconds") from None
        self.start()
        self._call(lambda script: script.pause(length_s), length_s + SLACK_S)

    sleep = observe

    def _call(self, work: Callable[[CallerScript], Coroutine[Any, Any, T]], limit_s: float) -> T:
        if self._ended is not None:
            raise ScenarioError("the run is over: its verdict is reached when the test function returns")
        assert self._session is not None
        return self._session.call(work, limit_s)

    def end(self) -> EndedRun | None:
        """End the run after observing. None where there was none."""
        return self._end(lambda session: session.finish().error)

    def fail(self, error: BaseException) -> EndedRun | None:
        """Heal and stop, for the test itself has failed; the run up to here is still reported."""
        if isinstance(error, KeyboardInterrupt):
            return self._end(lambda session: session.interrupt().error)
        what = f"the test ended early: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return self._end(lambda session: session.finish(failure=what).error)

    def _end(self, how: Callable[[Session], HarnessError | None]) -> EndedRun | None:
        if self._session is None or self._ended is not None:
            return self._ended
        try:
            error = how(self._session)
        except HarnessError as failure:
            error = failure
        self._on_end.close()
        self._ended = EndedRun(self._draft.plan, stored_run(self.run_dir, error), self._progress)
        return self._ended

    def close(self) -> None:
        """Stop a run that is still going on. Idempotent."""
        if self._session is not None and self._ended is None:
            try:
                self._session.interrupt()
            finally:
                self._on_end.close()


class _Held(AbstractContextManager[str]):
    """A fault as a scope: in on entry, out at exit."""

    def __init__(self, chaos: Chaos, add: Callable[[], FaultStep]) -> None:
        self._chaos = chaos
        self._add = add
        self._step: FaultStep | None = None

    @plainly
    def __enter__(self) -> str:
        self._step = self._chaos._enter(self._add)
        return self._step.id

    @plainly
    def __exit__(self, *_: object) -> None:
        if self._step is not None:
            self._chaos._leave(self._step)


def _plain(labels: Mapping[str, str] | Literal["any"] | None) -> dict[str, str] | Literal["any"] | None:
    return labels if labels is None or labels == "any" else dict(labels)
