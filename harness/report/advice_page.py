"""The guards on docs/advice.md: `python -m harness.report.advice_page docs/advice.md` writes them from their table.

A test fails when the page is out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from harness.judge.advice.guards import GUARDS, AdvisedGuard
from harness.model.advice import AdviceSource

BEGIN, END = "<!-- generated from harness/judge/advice/guards.py: begin -->\n", "<!-- end -->\n"


def with_guards(page: str) -> str:
    """Return the page with all guards between its markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no part between {BEGIN.strip()!r} and {END.strip()!r}")
    sections = "\n".join(map(_section, GUARDS.values()))
    return f"{before}{BEGIN}\n{sections}\n{END}{after}"


def _section(guard: AdvisedGuard) -> str:
    sources = "; ".join(map(_source, guard.sources))
    lines = [
        f"### `{guard.id}`",
        "",
        f"{guard.guard}. {guard.repair}",
        "",
        f"- **given when** {guard.evidence}",
        f"- **described in** {sources}",
    ]
    return "\n".join(lines) + "\n"


def _source(source: AdviceSource) -> str:
    return source.title if source.url is None else f"[{source.title}]({source.url})"


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.write_text(with_guards(place.read_text("utf-8")), "utf-8")
