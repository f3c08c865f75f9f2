"""How near clauses came to their bounds over many runs: which of them will fail one day by chance alone."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from harness.model.errors import ScenarioError
from harness.model.givenfile import is_folder, read_bytes, resolved
from harness.model.wording import in_short
from harness.report.documents import MarginEntry, RunDocument, SuiteDocument
from harness.report.words import per_cent

NEAR = 0.9
"""The share of its bound from which a clause is too near to it, whatever the other runs say."""
SPREAD = 3.0
"""How many standard deviations above the mean must still lie within the bound."""
LARGEST_BYTES = 256 * 2**20
LEAST_RUNS = 3
"""Fewer runs say nothing of how much a share varies."""


@dataclass(frozen=True)
class Margin:
    """One clause of one run, and the shares of its bound that it used, in every suite in which it was run."""

    run: str
    clause: str
    kind: str
    uses: tuple[float, ...]

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
            return f"used {per_cent(self.worst)} of its bound"
        if len(self.uses) < LEAST_RUNS:
            return None
        reach = self.mean + SPREAD * statistics.stdev(self.uses)
        return f"mean plus three standard deviations is {per_cent(reach)} of its bound" if reach > 1 else None


def nearest(suite: SuiteDocument) -> list[tuple[str, MarginEntry]]:
    """Return the margins of a suite's passed clauses, each with its run's folder, the nearest to its bound first."""
    found = [(run.run_dir, margin) for run in suite.scenarios for margin in run.margins if run.twin is None]
    return sorted(found, key=lambda pair: (-pair[1].used, pair[0], pair[1].id))


def margins_in(folders: Iterable[Path]) -> list[Margin]:
    """Return the margins of every passed clause of the runs in these folders, the nearest to its bound first.

    Twins are left out. Raises ScenarioError where there is no run, or one that cannot be read.
    """
    files: set[Path] = set()
    for folder in folders:
        inside = list(folder.rglob("verdict.json")) if is_folder(folder) else [folder]
        if not inside:
            raise ScenarioError(
                "there is no verdict.json in it", file=str(folder), remedy="give folders of suites, or of their runs"
            )
        files |= {resolved(file) for file in inside}
    found: dict[tuple[str, str, str], list[float]] = {}
    for document in map(_read, sorted(files)):
        for margin in document.margins if document.twin is None else ():
            found.setdefault((document.run, margin.id, margin.kind), []).append(margin.used)
    margins = [Margin(*key, tuple(uses)) for key, uses in found.items()]
    return sorted(margins, key=lambda margin: (-margin.worst, margin.run, margin.clause))


def _read(file: Path) -> RunDocument:
    try:
        return RunDocument.model_validate_json(read_bytes(file, LARGEST_BYTES, ScenarioError, "give a verdict.json"))
    except ValidationError as error:
        raise ScenarioError(
            f"this is no verdict of this version: {in_short(error)}",
            file=str(file),
            remedy="`harness report SUITE` writes it anew",
        ) from error
