"""What other programs read: the fields of `verdict.json` and `suite.json`, and their published JSON Schema.

Times are seconds on the run's monotonic clock; an event that never came is null, never 0. `met` is true, false, or null
for unknown. A kind of expectation that has no entry here gets one from its result, under the field that the table
`judge.kinds` names. `make generate` writes both schemas into reports/README.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, create_model
from pydantic_core import PydanticSerializationError, to_jsonable_python

from harness.judge.kinds import KINDS
from harness.model.advice import Advice
from harness.model.clauses import NoticedResult, Result
from harness.model.cleaned import escaped_json
from harness.model.fields import Frozen
from harness.model.verdict import CAUGHT, Catch, ClauseResult, Damage, FaultReport, Value, catch_of, counted

SCHEMA: Literal[1] = 1


class DetectionEntry(Frozen):
    """An alert that had to fire in time: `after_lo_s`..`after_s` after injection."""

    id: str
    alert: str
    within_s: float | None
    after_lo_s: float | None
    after_s: float | None
    met: bool | None


class NoticedEntry(NoticedResult):
    """A probe that had to leave its bound in time: `after_lo_s`..`after_s` after injection."""

    id: str


class QuietAlert(Frozen):
    """An alert that had to stay quiet, and how often it fired."""

    alert: str
    fired: int
    met: bool | None


class StaysEntry(Frozen):
    """A bound that must never break, and its worst value."""

    id: str
    probe: str
    limit: str
    worst: float | None
    met: bool | None


class RecoveryEntry(Frozen):
    """A bound that had to hold again: `after_lo_s`..`after_s` after revert (or injection)."""

    id: str
    probe: str
    within_s: float | None
    after_lo_s: float | None
    after_s: float | None
    met: bool | None


class ClearedEntry(Frozen):
    """An alert that had to be quiet again: `after_lo_s`..`after_s` after revert."""

    id: str
    alert: str
    within_s: float | None
    after_lo_s: float | None
    after_s: float | None
    met: bool | None


class MarginEntry(Frozen):
    """How near a clause that passed came to its bound."""

    id: str
    kind: str
    used: float = Field(description="the share of the bound that was used; 1 is the bound itself")


class GuaranteeEntry(Frozen):
    """A guarantee about data, checked against the stack's ledger."""

    id: str
    met: bool | None
    reason: str


class Estimate(Frozen):
    """A statistic with its 95 % confidence interval; all null where it is not defined."""

    value: float | None
    lo: float | None
    hi: float | None


class QualityWindow(Frozen):
    """Quality of the answers to requests that were due in one stretch of the run."""

    window: Literal["before", "during", "after"]
    from_s: float
    to_s: float
    requests: int
    scored: int = Field(description="answered with a score, and the outcome is known")
    positives: int
    log_loss: Estimate
    auc: Estimate
    paired: int | None = Field(
        None, description="scored requests that the control answered too; null without a control"
    )
    log_loss_minus_control: Estimate | None = None
    auc_minus_control: Estimate | None = None


class Quality(Frozen):
    """Reported as damage, never expected: over windows this short both wander with no fault at all."""

    method: str
    windows: tuple[QualityWindow, ...]


class KnownWeak(Frozen):
    """An expected failure, as the scenario declares it."""

    reason: str
    ticket: str
    until: str


class _Promised(Frozen):
    """The fields of one judged run that other programs rely on."""

    name: str
    verdict: Value
    reasons: tuple[str, ...]
    faults: tuple[FaultReport, ...] = ()
    detection: tuple[DetectionEntry, ...] = ()
    noticed: tuple[NoticedEntry, ...] = ()
    quiet: tuple[QuietAlert, ...] = ()
    stays: tuple[StaysEntry, ...] = ()
    recovery: tuple[RecoveryEntry, ...] = ()
    damage: Damage = Damage()
    twin: str | None = None
    sabotage: str | None = None
    caught: bool | None = Field(None, description=CAUGHT)
    cleared: tuple[ClearedEntry, ...] = ()
    integrity: tuple[GuaranteeEntry, ...] = ()
    quality: Quality | None = None
    known_weakness: KnownWeak | None = None
    unbounded: tuple[str, ...] = Field(default=(), description="for a pass: damage that no clause of it bounds")
    margins: tuple[MarginEntry, ...] = Field(default=(), description="of the clauses that passed, the nearest first")
    advice: tuple[Advice, ...] = Field(default=(), description="for a fail: guards that seem to be missing")

    @property
    def catch(self) -> Catch | None:
        """What became of a sabotage; None for what is none, or is not known."""
        return catch_of(self.verdict, self.twin, self.caught)

    @property
    def counts_as(self) -> Value:
        """What the run counts as."""
        return counted(self.verdict, self.catch)


def _entry(result: type[Result]) -> Any:
    """Return the model of an entry for a kind without one above: its result, with the clause's id."""
    return create_model(f"{result.__name__}Entry", __base__=result, id=(str, ...))


def _further() -> dict[str, Any]:
    """Return a field for each kind of expectation without one above."""
    further = {kind.document: _entry(kind.result) for kind in KINDS if kind.document not in _Promised.model_fields}
    return {name: (GenericAlias(tuple, (entry, ...)), ()) for name, entry in further.items()}


if TYPE_CHECKING:
    RunRecord = _Promised
else:
    RunRecord = create_model("RunRecord", __base__=_Promised, __doc__="One judged run.", **_further())
ENTRIES: dict[str, Any] = {
    kind.document: RunRecord.model_fields[kind.document].annotation.__args__[0]  # type: ignore[union-attr]
    for kind in KINDS
}
"""The model of an entry, by the field that lists it."""


Interruption = Literal["not run", "cut off"]
"""What the end of a suite by Ctrl-C or a signal was to a run: it came before it began, or while it went on."""


class SuiteScenario(RunRecord):
    """One run as the suite lists it."""

    run_dir: str = Field(description="the run's folder, relative to suite.json")
    error: str | None = Field(None, description="what failed in the harness itself; the verdict is then unknown")
    interrupted: Interruption | None = Field(
        None, description="whether the suite was interrupted before this run began, or while it went on"
    )
    repeated_by: str | None = Field(
        None, description="the run that counts instead of this one, for which the machine was too busy"
    )


class Counts(Frozen):
    """Runs by verdict; one that was repeated does not count."""

    passed: int = Field(0, alias="pass")
    fail: int = 0
    unknown: int = 0


class SuiteDocument(Frozen):
    """`suite.json`."""

    schema_version: Literal[1] = Field(alias="schema")
    suite: str
    backend: str
    seed: int
    started: str = Field(description="wall-clock start, ISO 8601 with zone")
    wall_s: float
    counts: Counts
    scenarios: tuple[SuiteScenario, ...]
    twin: str | None = None
    errors: int = Field(0, description="how many of the unknown are failures of the harness itself")


class RunDocument(RunRecord):
    """`verdict.json`: the same fields, with every clause, its reason and the journal lines it cites."""

    schema_version: Literal[1] = Field(alias="schema")
    run: str
    harness: str
    started: str
    backend: str
    seed: int
    summary: str
    clauses: tuple[ClauseResult, ...]


def to_json(document: RunDocument | SuiteDocument) -> str:
    """Write a document as it is stored: a number that JSON cannot hold is null."""
    try:
        text = document.model_dump_json(indent=2, by_alias=True)
    except PydanticSerializationError:  # half of a surrogate pair: of a file's name, or of what a report said before
        data = to_jsonable_python(_readable(document.model_dump(by_alias=True)), inf_nan_mode="null")
        text = json.dumps(data, indent=2, ensure_ascii=False)
    return escaped_json(text) + "\n"


def _readable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_readable(name): _readable(inside) for name, inside in value.items()}
    return [_readable(inside) for inside in value] if isinstance(value, list | tuple) else value


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each file by its name."""
    documents: dict[str, type[Frozen]] = {"verdict.json": RunDocument, "suite.json": SuiteDocument}
    return {
        name: {"$schema": "https://json-schema.org/draft/2020-12/schema"}
        | model.model_json_schema(by_alias=True, mode="serialization")
        for name, model in documents.items()
    }


def with_schemas(page: str) -> str:
    """Return a page of documentation with the schema blocks on it renewed."""
    for name, schema in json_schemas().items():
        before, begin, rest = page.partition(f"<code>{name}</code></summary>\n\n```json\n")
        _, end, after = rest.partition("\n```\n")
        if not begin or not end:
            raise ValueError(f"the page has no block for the schema of {name}")
        page = f"{before}{begin}{json.dumps(schema, indent=1)}{end}{after}"
    return page


def renew_schemas(page: Path) -> None:
    """Rewrite the schema blocks of a page of documentation."""
    page.write_text(with_schemas(page.read_text("utf-8")), "utf-8")
