"""How near a clause that passed came to its bound: the share of the bound that was used, of which 1 is all.

Of a deadline it is the time taken, of an upper limit the worst value, and of a lower limit on a share what was lacking
of all. Where chance explains a worse window, it is the share of the whole run. A bound of zero allows nothing, as
does one good value, and a count comes in steps: nothing of them is used.
"""

from __future__ import annotations

from harness.model.alert_clauses import Cleared, ClearedResult, Detected, DetectionResult
from harness.model.answers import ANSWER_PROBES
from harness.model.clauses import Bound, Clause, Noticed, NoticedResult, Recovered, RecoveryResult, Result, StaysResult
from harness.model.guard import Guarded, GuardResult
from harness.model.shares import share_of
from harness.model.units import Unit


def used(clause: Clause, measured: Result) -> float | None:
    """Return the share of its bound that a clause used; None where nothing of it can be used, or was measured."""
    share: float | None = None
    match clause, measured:
        case Detected(), DetectionResult(after_s=float() as after_s, within_s=within_s):
            share = after_s / within_s
        case Noticed(), NoticedResult(after_s=float() as after_s, within_s=within_s):
            share = after_s / within_s
        case Cleared(), ClearedResult(after_s=float() as after_s, within_s=within_s):
            share = after_s / within_s
        case Recovered(), RecoveryResult(after_s=float() as after_s, within_s=within_s):
            share = after_s / within_s
        case Guarded(allowed=allowed), GuardResult(bad=int() as bad, answers=int() as answers):
            share = bad / answers / allowed if answers and allowed else None
        case Bound(), StaysResult(worst=float() as worst):
            share = _of_limit(clause, worst) if clause.met_by(worst) else _of_all(clause, measured)
        case _:
            pass
    return None if share is None else round(share, 4)


def _of_all(bound: Bound, measured: StaysResult) -> float | None:
    share = share_of(bound)
    if share is None or not measured.samples or measured.beyond is None:
        return None
    return measured.beyond / measured.samples / share.allowed


def _of_limit(bound: Bound, worst: float) -> float | None:
    limit = bound.limit.value
    if bound.equals is not None:
        return None
    if bound.at_most is not None:
        return worst / limit if limit > 0 else None
    if bound.probe in ANSWER_PROBES and ANSWER_PROBES[bound.probe].unit is Unit.RATIO:
        return (1 - worst) / (1 - limit) if limit < 1 else None
    return limit / worst if worst > 0 and limit > 0 else None
