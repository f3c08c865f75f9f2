"""The journal lines that a verdict cites, as text, so that a reader can follow every reason on the page itself."""

from __future__ import annotations

import json
from dataclasses import dataclass

from harness.journal.records import Journal
from harness.model.verdict import Verdict

MOST_LINES = 200
MOST_CHARS = 700


@dataclass(frozen=True, slots=True)
class Cited:
    """One cited line, shortened where it is very long."""

    n: int
    t_s: float
    kind: str
    text: str


def cited_lines(journal: Journal, verdict: Verdict) -> list[Cited]:
    """Return the cited lines in order; at most MOST_LINES, those of the clauses that were not met first."""
    wanted: dict[int, None] = {}
    for clause in sorted(verdict.clauses, key=lambda c: c.value == "pass"):
        wanted.update(dict.fromkeys(clause.cites))
    by_number = {line.n: line for line in journal.lines}
    found = []
    for n in sorted([n for n in wanted if n in by_number][:MOST_LINES]):
        line = by_number[n]
        body = line.body.model_dump(mode="json", exclude_defaults=True)
        text = json.dumps(body, ensure_ascii=False)
        short = text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}… ({len(text):,} characters)"
        found.append(Cited(n, line.t_s, line.body.kind, short))
    return found
