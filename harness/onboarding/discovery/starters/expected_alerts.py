"""The alerts of a scenario: those that have to fire, and those that its owner may choose from, with their times."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.onboarding.discovery.starters.context import Context
from harness.onboarding.discovery.starters.rules import RuleFacts
from harness.onboarding.discovery.starters.starter import Starter

SLOW_RULE_S = 60
"""A rule that takes longer makes no scenario longer but its own."""
MOST_ALERTS = 8
SCRAPE_TIMEOUT_S = 10.0
"""How long Prometheus waits for an answer, unless it is told otherwise."""
LATER_S = 30
"""How much longer an alert may take to end than to begin."""


@dataclass(frozen=True)
class ExpectedAlerts:
    """The clauses on alerts of one scenario."""

    detected: Sequence[Mapping[str, Any]]
    cleared: Sequence[Mapping[str, Any]]
    offered: Sequence[tuple[Mapping[str, Any], str]]
    """Clauses of detection to choose from, each with what its rule is about; written as comments."""
    slower: Sequence[tuple[Mapping[str, Any], str]]
    """Those of rules for which the fault does not last long enough."""
    lengthen_to: str
    """How long the fault has to last for these."""
    take_s: int
    """How long the fault has to last for the others."""


def expected_alerts(
    context: Context, starter: Starter, hit: Collection[str], detects: Sequence[RuleFacts]
) -> ExpectedAlerts:
    """Return the clauses for the rules that have to fire; where there are none, those that may be about what is hit."""
    others = [] if detects else context.concerning(hit)
    soon = [rule for rule in others if is_soon(rule)][:MOST_ALERTS]
    late = [rule for rule in others if rule not in soon][:MOST_ALERTS]
    # A scrape of what hangs has to end before the rule sees anything.
    more_s = min(context.timing.scrape_s, SCRAPE_TIMEOUT_S) if starter.silent else 0.0
    seen = [(rule, _rounded(max(rule.fires_within_s + more_s, starter.lasts_s))) for rule in detects]
    offered_s = [_rounded(rule.fires_within_s + more_s) for rule in soon]
    return ExpectedAlerts(
        detected=[_clause(rule, "seen", within_s) for rule, within_s in seen],
        cleared=[_clause(rule, "quiet", rule.detect_s + LATER_S) for rule in detects],
        offered=[_offer(rule, more_s) for rule in soon],
        slower=[_offer(rule, more_s) for rule in late],
        lengthen_to=f"{max((_rounded(rule.fires_within_s + more_s) for rule in late), default=0)}s",
        take_s=max([*offered_s, *(within_s for _, within_s in seen)], default=0),
    )


def _clause(rule: RuleFacts, what: str, within_s: float) -> dict[str, Any]:
    return {"id": f"{what}-{rule.name}", "alert": rule.name, "within": f"{_rounded(within_s)}s"}


def _offer(rule: RuleFacts, more_s: float) -> tuple[dict[str, Any], str]:
    """Return the clause of a rule to choose from, and what it is about."""
    told = [rule.rule.summary] if rule.rule.summary else []
    told += ["`within` lacks the age that it waits for, which could not be read"] if rule.unread_age else []
    return _clause(rule, "seen", rule.fires_within_s + more_s), "; ".join(told)


def is_soon(rule: RuleFacts) -> bool:
    """Whether a scenario of another purpose may wait for a rule."""
    return not rule.unread_age and _rounded(rule.fires_within_s) <= SLOW_RULE_S


def _rounded(seconds: float) -> int:
    return int(-(-seconds // 5) * 5)
