"""Advice: the guard that a failed run shows to be missing, where to look, and the scenario that proves the repair.

The guards themselves are data, in `harness/judge/advice/guards.py`; which of them a journal supports is decided beside
it. Only a run that failed has any.
"""

from __future__ import annotations

from pydantic import Field

from harness.model.fields import Frozen


class AdviceSource(Frozen):
    """Where a guard is described: a title with its chapter, and an address where there is one."""

    title: str
    url: str | None = None

    @property
    def text(self) -> str:
        """The title, with the address after it."""
        return self.title if self.url is None else f"{self.title} ({self.url})"


class Proof(Frozen):
    """What proves the repair: the same scenario once more. It may fail for more than this one."""

    scenario: str
    command: str = Field(description="what runs it; empty where the journal does not say where it is written")


class Advice(Frozen):
    """One guard that seems to be missing: one for each cause, with every failed clause that it explains."""

    id: str = Field(description="the guard; docs/advice.md lists them")
    guard: str = Field(description="what good teams have there")
    where: str = Field(description="where to look: a link, a service, a rule and its place")
    seen: str = Field(description="what of this run shows that it is missing")
    repair: str = Field(description="what to do")
    clauses: tuple[str, ...] = Field(description="the ids of the failed clauses that it explains")
    cites: tuple[int, ...] = Field(default=(), description="lines of the journal that show it")
    proof: Proof
    sources: tuple[AdviceSource, ...]

    @property
    def text(self) -> str:
        """The advice as one paragraph, without its sources."""
        return f"{self.where}: {self.seen}. What seems to be missing: {first_small(self.guard)}. {self.repair}"

    @property
    def proof_text(self) -> str:
        """What proves the repair, in words."""
        run = f": {self.proof.command}" if self.proof.command else ""
        return f"the scenario {self.proof.scenario} passes, which may take more than one repair{run}"


def first_small(text: str) -> str:
    """Return a phrase as it stands inside of a sentence."""
    return text[:1].lower() + text[1:]
