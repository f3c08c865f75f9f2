"""Whether the rules of an alert source were being evaluated: without that, an alert that does not fire proves nothing.

A source tells of it by a count of evaluations, or of rounds over all its rules, and by how far apart they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from harness.judge.alert_history import Poll, by_source
from harness.judge.moments import Span
from harness.model.alertsources import MAX_RULE_SILENCE_S, longest_silence_s
from harness.model.readings import AlertsSeen

MOST_RESTARTS = 2
"""How often the count of one evaluator falls in a run at most."""


def _longest_silence_s(polls: Sequence[AlertsSeen], least_s: float) -> float:
    return longest_silence_s(max((poll.interval_s or 0.0 for poll in polls), default=0.0), least_s)


def few_evaluations(polls: Sequence[Poll], since_s: float, to_s: float, needed: int = 2) -> tuple[str, int] | None:
    """Return a source that evaluated its rules less often than needed since that moment, and how often it did.

    Only a source whose interval allows silences longer than usual. The first evaluation that ends after the moment may
    have begun before it, so it takes two to be sure that one came after something happened.
    """
    for source, own in by_source(polls, since_s, to_s):
        advances = len(_advances([poll for poll in own if poll.asked_s >= since_s]))
        if _longest_silence_s(own, MAX_RULE_SILENCE_S) > MAX_RULE_SILENCE_S and advances < needed:
            return source, advances
    return None


def silences(
    polls: Sequence[Poll], from_s: float, to_s: float, least_s: float, declared: Sequence[str] = ()
) -> list[Span]:
    """Return the stretches, longer than allowed, without a sign that the rules were evaluated."""
    found: list[Span] = []
    for _, own in by_source(polls, from_s, to_s, declared):
        longest_s = _longest_silence_s(own, least_s)
        advanced_s = from_s
        counted = [poll for poll in own if poll.evaluations is not None]
        # The first value of the counter proves no evaluation by itself, but the gate saw one just before.
        for poll in (*counted[:1], *_advances(counted)):
            if poll.asked_s - advanced_s > longest_s:
                found.append(Span(advanced_s, poll.asked_s))
            advanced_s = poll.answered_s
        if to_s - advanced_s > longest_s or not counted:
            found.append(Span(advanced_s, to_s))
    return found if polls else [Span(from_s, to_s)]


def _advances(polls: Sequence[AlertsSeen]) -> list[AlertsSeen]:
    """Return the polls that show a new evaluation: their count is higher than the one before.

    Evaluators that stand still and answer by turns rise and fall again and again; then only a count above all others
    is new. One that was restarted falls once.
    """
    counted = [(poll, poll.evaluations) for poll in polls if poll.evaluations is not None]
    restarted = sum(now < before for (_, before), (_, now) in pairwise(counted)) <= MOST_RESTARTS
    found: list[AlertsSeen] = []
    most = counted[0][1] if counted else 0.0
    for (_, before), (poll, now) in pairwise(counted):
        if now > (before if restarted else most):
            found.append(poll)
        most = max(most, now)
    return found


def unproven(
    polls: Sequence[Poll], from_s: float, to_s: float, declared: Sequence[str], told: bool = False
) -> str | None:
    """Return why it is not proven that the rules were evaluated in a stretch; None where it is.

    `told`: it is about something that happened, and a source that tells by itself what happens needs no proof for that.
    """
    silent_ones = (poll for _, poll in polls if told and poll.delivered and poll.evaluations is None)
    tellers = {poll.source for poll in silent_ones if poll.awake is None}
    looked = [pair for pair in polls if pair[1].source not in tellers]
    if not looked and tellers:
        return None
    silent = silences(
        looked, from_s, to_s, MAX_RULE_SILENCE_S, [source for source in declared if source not in tellers]
    )
    if not silent:
        return None
    return f"no sign that the rules were evaluated from {silent[0].lo:.2f} to {silent[0].hi:.2f} s"
