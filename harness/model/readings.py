"""What a run can observe: the bodies of journal lines.

Every moment is in seconds on the run's own monotonic clock, which starts when its journal is opened. `planned_s` is
when the harness meant to act, `asked_s` when it did, `answered_s` when the answer was in; the difference between the
first two is the harness's own lateness. `down` says why the stack gave no answer: that is a reading, not a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, field_serializer, model_validator

from harness.model.clauses import RuleKind
from harness.model.fault import NO_TRAFFIC
from harness.model.fields import Frozen, Whole
from harness.model.ledger import PARTS, LedgerPart, Part, not_of_the_form
from harness.model.plan import Plan
from harness.model.wording import in_short

CLOCKS_DIFFER_S = 2.0
"""By how much a start that a source stamps may be off on the run's clock, either way.

The clock of an Alertmanager that is further away is corrected for, by the `Date` of its answers; that is in whole
seconds and as late as its answer, so a smaller difference cannot be told from none. Nobody knows the clock of who sends
to a webhook: it is taken to be as near. So a start is certain to lie before a moment, or after it, only by more than
this.
"""


class Record(Frozen):
    """What one line of a journal holds. Its numbers are finite."""

    model_config = ConfigDict(allow_inf_nan=False)


class Reading(Record):
    """One polled value of a probe."""

    kind: Literal["reading"] = "reading"
    probe: str
    planned_s: float
    asked_s: float
    answered_s: float
    value: float | None
    down: str | None = None


class Gap(Record):
    """A stretch of which nothing is known: the harness did not measure, could not, or measured an earlier time."""

    kind: Literal["gap"] = "gap"
    probe: str
    from_s: float
    to_s: float
    why: str


class Answer(Record):
    """One request of the workload and what became of it.

    `wrong` is None where the score could not be checked against the model's artefact; `why` then says why not. It is
    None too where a request failed by an answer that cannot be read. `ages`
    are in seconds of active event time, by feature group, from the stamp that the answer carries to the moment at which
    the request was due.
    """

    kind: Literal["answer"] = "answer"
    id: str
    entity: str | None = None
    at_event: Whole
    due_s: float
    sent_s: float
    done_s: float
    ok: bool
    error: str | None = None
    slow: bool = False
    flagged: str | None = None
    stale: bool = False
    wrong: bool | None = False
    why: str | None = None
    ages: dict[str, float] = Field(default_factory=dict)
    stamps: dict[str, Whole | None] = Field(default_factory=dict)
    version: Whole | None = None
    score: float | None = None
    outcome: Whole | None = None
    outcome_at: Whole | None = None


class Alert(Record):
    """One label set of one alert rule."""

    name: str
    labels: dict[str, str] = Field(default_factory=dict)
    started_s: float | None = Field(
        default=None, description="when it began by the stack's own stamp: evidence, not the clock"
    )

    @cached_property
    def key(self) -> str:
        """The label set as text, the same however the source orders it."""
        inner = ",".join(f"{k}={v}" for k, v in sorted(self.labels.items()))
        return f"{self.name}{{{inner}}}"

    def matches(self, name: str, labels: dict[str, str]) -> bool:
        """Whether this is that alert, with at least those labels."""
        return self.name == name and all(self.labels.get(k) == v for k, v in labels.items())


class AlertsSeen(Record):
    """One poll of an alert source.

    `evaluations` counts passes over the source's rules (the proof that it was looking), which come `interval_s` apart
    where the source says so. `fired` is its count of transitions to firing by alert (its history, so that a short
    firing between two polls is not missed). `awake` tells whether its watchdogs fire; they are not among the alerts.
    """

    kind: Literal["alerts"] = "alerts"
    source: str
    planned_s: float
    asked_s: float
    answered_s: float
    firing: tuple[Alert, ...] = ()
    pending: tuple[Alert, ...] = ()
    evaluations: float | None = None
    fired: tuple[tuple[Alert, float], ...] | None = None
    interval_s: float | None = None
    awake: bool | None = None
    delivered: bool = Field(False, description="told by the source when it happens, rather than looked up")
    refused: str | None = Field(None, description="why a notification since the last poll was not understood")
    down: str | None = None


class RuleSeen(Record):
    """What an alert rule that a run expects to fire had to go by at one moment: evidence for advice, for no clause.

    `without` are the selectors for want of whose series the rule gives nothing, whatever else happens.
    """

    kind: Literal["rule"] = "rule"
    source: str
    alert: str
    rule: int = Field(0, description="which of the rules of that name")
    place: str = Field("", description="its file and group, as the source names them")
    asked_s: float
    answered_s: float
    without: tuple[str, ...] = ()
    metrics: tuple[str, ...] = Field((), description="the metrics that it goes by")
    fires_after_s: float | None = Field(
        None, description="how long nothing may happen before it fires; None if unknown"
    )


FaultStage = Literal["injecting", "injected", "confirmed", "effect", "reverting", "reverted", "failed"]


class FaultSeen(Record):
    """A stage of a fault. `lo_s`..`hi_s` encloses the moment; `landed` is what was measured at the seam.

    `evidence` is for readers: whatever the fault measured, as JSON. Only its `error` and its `why` are read back.
    """

    kind: Literal["fault"] = "fault"
    fault: str
    stage: FaultStage
    lo_s: float
    hi_s: float
    at_event: Whole | None = None
    landed: bool | None = None
    evidence: dict[str, Any] = Field(default_factory=dict)

    @property
    def error(self) -> str | None:
        """Why a failed stage failed."""
        error = self.evidence.get("error")
        return None if error is None else str(error)

    @property
    def why(self) -> str | None:
        """Why the effect was not measured, where it was looked for and not found."""
        why = self.evidence.get("why", self.error)
        return None if why is None else str(why)

    @property
    def met_nothing(self) -> bool:
        """Whether it was looked for and not found because no traffic met the fault: it would meet none again."""
        return self.why is not None and self.why.startswith(NO_TRAFFIC)


class Hit(Record):
    """Rows that a fault changed: the manifest, as it grows."""

    kind: Literal["hit"] = "hit"
    fault: str
    rows: tuple[dict[str, Any], ...]
    untold: str | None = Field(default=None, description="why the fault may have changed more than its manifest lists")


class Undo(Record):
    """How a fault was to be reverted, as data, written before its injection: a record of what happened, for people.

    Nothing is reverted from it: that goes by the files of `harness/model/undo.py`, which need no journal.
    """

    kind: Literal["undo"] = "undo"
    fault: str
    fault_kind: str
    target: dict[str, Any]
    parameters: dict[str, Any]
    data: dict[str, Any]


class ProcessSeen(Record):
    """A process of the stack, or the fault proxy, that started or ended. `asked`: who did it, such as `harness`."""

    kind: Literal["process"] = "process"
    service: str
    node: str | None = None
    what: Literal["started", "exited", "restarted"]
    at_s: float
    exit_code: Whole | None = None
    signal: Whole | None = None
    asked: str | None = None
    replica: int | None = None
    """Of which of the service's replicas; None where there is only one."""

    @property
    def who(self) -> str:
        """The service, and which of its replicas."""
        return self.service if self.replica is None else f"replica {self.replica} of {self.service}"


PhaseName = Literal["starting", "gate", "baseline", "fault", "observing", "observed", "healing", "stopping"]


class Phase(Record):
    """The run goes on to its next part."""

    kind: Literal["phase"] = "phase"
    phase: PhaseName
    detail: str | None = None


class GateSeen(Record):
    """Whether the steady state was reached, and if not, why."""

    kind: Literal["gate"] = "gate"
    met: bool
    at_s: float
    why: str | None = None
    values: dict[str, float | None] = Field(default_factory=dict)


class Evidence(Record):
    """One part of the stack's ledger: a record, or the `error` because of which there is none."""

    kind: Literal["integrity"] = "integrity"
    check: Part
    data: LedgerPart | None = None
    error: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _record_of_its_part(cls, raw: Any) -> Any:
        """Read `data` as the record of its part. One of another form becomes an error."""
        if not isinstance(raw, dict) or not isinstance(raw.get("data"), dict) or not isinstance(raw.get("check"), str):
            return raw
        if raw["check"] not in PARTS:
            return raw
        if not raw["data"]:
            return raw | {"data": None}
        try:
            return raw | {"data": PARTS[raw["check"]].model_validate(raw["data"])}
        except ValidationError as error:
            return raw | {"data": None, "error": not_of_the_form(in_short(error))}

    @field_serializer("data")
    def _as_recorded(self, data: LedgerPart | None) -> dict[str, Any] | None:
        # A parent that is null and one that was never recorded are two different things.
        return data.model_dump(mode="json", exclude_unset=True) if data is not None else None


class MachineSeen(Record):
    """What the machine did in one stretch of a run. None stands for what the platform does not tell.

    Processor time is in processors: 1.3 is one and a third of them busy all the while. Pressure is the share of the
    stretch in which something on the machine waited for it, as the kernel's pressure stall information has it (`some`).
    """

    kind: Literal["machine"] = "machine"
    from_s: float
    to_s: float
    late_s: float = Field(0.0, description="how late the harness itself was to look")
    continued: Literal[True] | None = Field(None, description="the run's process was stopped, and continued (SIGCONT)")
    processors: float = Field(gt=0, description="how many the run may use")
    busy: float | None = Field(None, description="processors in use, by whatever")
    own: float | None = Field(None, description="of these, by the harness and the stack of this run")
    steal: float | None = Field(None, description="processors that the hypervisor gave to other machines")
    throttled: float | None = Field(None, description="share in which the harness's own group had used up its quota")
    waiting: Whole | None = Field(None, description="processes that ran or wanted to, at the end of the stretch")
    cpu_pressure: float | None = None
    io_pressure: float | None = None
    memory_pressure: float | None = None
    memory_free: float | None = Field(None, description="share of the memory that is available")

    @property
    def others(self) -> float | None:
        """The processors that everything outside of the run used."""
        return None if self.busy is None or self.own is None else max(0.0, self.busy - self.own)


class Planned(Record):
    """The whole plan as it has become, for a run whose faults and expectations are only known as it goes."""

    kind: Literal["planned"] = "planned"
    plan: Plan


class StackUp(Record):
    """The stack is up. Healing a killed run in containers needs the project, and whether the run owned the stack."""

    kind: Literal["stack_up"] = "stack_up"
    ready_s: float
    project: str | None = None
    """The compose project, for a stack of containers."""
    owned: bool = True
    """Whether the run started the stack, rather than found it running."""


class Abort(Record):
    """A guardrail was crossed: everything is reverted, and the run ends.

    `from_s`..`at_s` is the window over which the rule held, and `lines` are the lines that show it.
    """

    kind: Literal["abort"] = "abort"
    why: RuleKind
    rule: str
    probe: str | None = None
    alert: str | None = None
    from_s: float
    at_s: float
    value: float | None = None
    measured: str | None = Field(None, description="what was measured, in words")
    lines: tuple[Whole, ...] = ()


class Stop(Record):
    """The run was stopped by a latch: a file that anybody may write."""

    kind: Literal["stop"] = "stop"
    latch: str
    by: str
    since: str
    why: str | None = None


class Closed(Record):
    """The last line of a run that came to its end, or was brought to one."""

    kind: Literal["closed"] = "closed"
    reason: Literal["completed", "gate", "interrupted", "error", "aborted", "stopped"]
    error: str | None = None


Body = Annotated[
    Reading
    | Gap
    | Answer
    | AlertsSeen
    | RuleSeen
    | FaultSeen
    | Hit
    | Undo
    | ProcessSeen
    | Phase
    | GateSeen
    | Evidence
    | MachineSeen
    | Planned
    | StackUp
    | Abort
    | Stop
    | Closed,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its number, when it was written on the run's clock, and its record."""

    n: int
    t_s: float
    body: Body
