"""What polls of alerts can prove: what was quiet when the fault went in, what may have fired before, who was asked."""

from __future__ import annotations

from collections.abc import Sequence

from harness.judge.alert_history import Episode, Poll, sources_of
from harness.judge.facts import Facts
from harness.judge.moments import Span

# The runner polls once more right before it injects. An episode whose last absence lies further back than this may
# have begun before the fault did.
AT_INJECTION_S = 0.5
MAX_POLL_GAP_S = 1.0
MAX_RULE_SILENCE_S = 2.0


def at_injection(polls: Sequence[Poll], injected: Span, declared: Sequence[str]) -> list[Poll] | None:
    """Return each source's last answer right before injection, None where one of them has none."""
    found: dict[str, Poll | None] = dict.fromkeys(sources_of(polls, declared))
    for n, poll in polls:
        if poll.down is None and poll.answered_s <= injected.lo and injected.lo - poll.asked_s <= AT_INJECTION_S:
            found[poll.source] = (n, poll)
    shown = [poll for poll in found.values() if poll is not None]
    return shown if shown and len(shown) == len(found) else None


def may_precede(episode: Episode, facts: Facts, injected: Span) -> bool:
    """Whether a firing may have begun before the fault: nobody looked right before, or the harness admits a gap."""
    lo_s = episode.start.lo
    gaps = [g for g in facts.journal.gaps(episode.source) if g.from_s < injected.lo and g.to_s > lo_s]
    # A source that is told of alerts may be told late; the stack's own stamp is evidence enough for a doubt.
    stamped_s = episode.alert.started_s
    earlier = stamped_s is not None and stamped_s < injected.lo - AT_INJECTION_S
    return lo_s < injected.lo - AT_INJECTION_S or earlier or bool(gaps)


def looked(polls: Sequence[Poll], at_s: float, declared: Sequence[str]) -> bool:
    """Whether every source was asked, answer or not, at that moment or later."""
    sources = set(sources_of(polls, declared))
    return bool(sources) and sources == {p.source for _, p in polls if p.asked_s >= at_s}
