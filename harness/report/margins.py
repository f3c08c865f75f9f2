"""How near clauses came to their bounds over many runs: which of them will fail one day by chance alone."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from harness.model.errors import ScenarioError
from harness.report.documents import MarginEntry, RunDocument, SuiteDocument

NEAR = 0.9
"""The share of its bound from which a clause is too near to it, whatever the other runs say."""
SPREAD = 3.0
"""How many standard deviations above the mean must still lie within the bound."""
LEAST_RUNS = 3
"""Fewer runs say nothing of how much a share varies."""


@dataclass(frozen=True)
class Margin:
    """One clause of one scenario, and the shares of its bound that its runs used."""

    scenario: str
    clause: str
    kind: str
    uses: list[float] = field(default_factory=list)

    @property
    def worst(self) -> float:
        """The greatest share."""
        return max(self.uses)

    @property
    def mean(self) -> float:
        """The mean share."""
        return statistics.fmean(self.uses)

    @property
    def warning(self) -> str | None:
        """Why this clause will fail by chance; None where it has room enough."""
        if self.worst >= NEAR:
            return f"used {self.worst:.0%} of its bound"
        if len(self.uses) < LEAST_RUNS:
            return None
        reach = self.mean + SPREAD * statistics.stdev(self.uses)
        return f"varies so much that {reach:.0%} of its bound is likely one day" if reach > 1 else None


def nearest(suite: SuiteDocument) -> list[MarginEntry]:
    """Return the margins of a suite's passed clauses, the nearest to its bound first."""
    found = [margin for run in suite.scenarios for margin in run.margins if run.twin is None]
    return sorted(found, key=lambda margin: (-margin.used, margin.scenario, margin.id))


def margins_in(folders: Iterable[Path]) -> list[Margin]:
    """Return the margins of every passed clause of the runs in these folders, the nearest to its bound first.

    Raises ScenarioError where there is no run, or one that cannot be read.
    """
    found: dict[tuple[str, str], Margin] = {}
    for folder in folders:
        files = [folder] if folder.is_file() else sorted(folder.rglob("verdict.json"))
        if not files:
            raise ScenarioError(
                "there is no verdict.json in it", file=str(folder), remedy="give folders of suites, or of their runs"
            )
        for file in files:
            for margin in _read(file).margins:
                key = (margin.scenario, margin.id)
                found.setdefault(key, Margin(margin.scenario, margin.id, margin.kind)).uses.append(margin.used)
    return sorted(found.values(), key=lambda margin: (-margin.worst, margin.scenario, margin.clause))


def _read(file: Path) -> RunDocument:
    try:
        return RunDocument.model_validate_json(file.read_bytes())
    except OSError as error:
        raise ScenarioError(f"it cannot be read: {error.strerror}", file=str(file)) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ScenarioError(
            f"this is no verdict of this version: {'.'.join(map(str, first['loc']))}: {first['msg']}",
            file=str(file),
            remedy="`harness report SUITE` writes it anew",
        ) from error
