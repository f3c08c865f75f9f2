"""Exact tests of counts: how many of n answers may be bad by chance alone, and which rate would have shown.

Answers are taken to be independent. The test is that of Clopper and Pearson, "The use of confidence or fiducial limits
illustrated in the case of the binomial", Biometrika 26 (1934), and for two counts that of Fisher, "The logic of
inductive inference", Journal of the Royal Statistical Society 98 (1935); no normal approximation is used, because the
counts that matter here are small.
"""

from __future__ import annotations

import math
from functools import lru_cache

POWER = 0.9
_NEGLIGIBLE = 1e-9
_BISECTIONS = 24
_STEP = 1.01
_MOST = 1_000_000
_SURELY = 0.97
"""From this power on, it does not fall below 0.9 again."""


@lru_cache(maxsize=8192)
def critical_count(n: int, rate: float, level: float) -> int:
    """Return the smallest count that is reached with a probability of at most `level`, of `n` that are bad at `rate`.

    It is `n + 1` where not even all of them would be improbable enough.
    """
    if rate <= 0.0:
        return 1
    if rate >= 1.0:
        return n + 1
    k = min(n, math.floor(n * rate))
    odds, mass, masses = rate / (1 - rate), _mass(n, rate, k), []
    # Beyond the mean each term is smaller than the one before, and what is left out is negligible beside the level.
    while k <= n and mass > level * _NEGLIGIBLE:
        masses.append(mass)
        mass *= (n - k) / (k + 1) * odds
        k += 1
    tail = 0.0
    for mass in reversed(masses):
        tail += mass
        if tail > level:
            return k
        k -= 1
    return k


def reached(n: int, rate: float, count: int) -> float:
    """Return the probability that at least `count` of `n` are bad, at a rate from 0 to 1."""
    if count <= 0:
        return 1.0
    if count > n or rate <= 0.0:
        return 0.0
    if rate >= 1.0:
        return 1.0
    # The terms fall from the mean on, to both sides: the sum goes away from it.
    odds, total = rate / (1 - rate), 0.0
    if count > n * rate:
        mass = _mass(n, rate, count)
        for k in range(count, n + 1):
            total += mass
            mass *= (n - k) / (k + 1) * odds
        return min(1.0, total)
    mass = _mass(n, rate, count - 1)
    for k in range(count - 1, -1, -1):
        total += mass
        mass *= k / (n - k + 1) / odds
    return max(0.0, 1.0 - total)


def _mass(n: int, rate: float, k: int) -> float:
    """Return the probability of exactly `k` of `n`."""
    return math.exp(_ways(n, k) + k * math.log(rate) + (n - k) * math.log1p(-rate))


@lru_cache(maxsize=1024)
def unseen_rate(n: int, rate: float, level: float) -> float:
    """Return the worst rate that could have gone unseen: any higher one would have shown with a power of 0.9 or more.

    To show is to reach the critical count of `rate` at that level. It is 1 where no rate would have shown.
    """
    critical = critical_count(n, rate, level)
    if critical > n:
        return 1.0
    lo, hi = rate, 1.0
    for _ in range(_BISECTIONS):
        middle = (lo + hi) / 2
        lo, hi = (lo, middle) if reached(n, middle, critical) >= POWER else (middle, hi)
    return hi


def shows(n: int, rate: float, worse: float, level: float) -> bool:
    """Whether `n` answers are enough to show a worse rate with a power of 0.9."""
    return reached(n, worse, critical_count(n, rate, level)) >= POWER


@lru_cache(maxsize=1024)
def answers_needed(n: int, rate: float, worse: float, level: float) -> int:
    """Return about how many answers, `n` or more, show a worse rate with a power of 0.9, and so do more of them.

    The power falls a little each time that the critical count rises by one: the count is past the last time that it
    falls below 0.9.
    """
    needed = n
    while n < _MOST:
        power = reached(n, worse, critical_count(n, rate, level))
        if power >= _SURELY:
            break
        n = max(n + 1, int(n * _STEP))
        if power < POWER:
            needed = n
    return needed


def reached_beside(n: int, count: int, others: int, bad_others: int) -> float:
    """Return the probability that at least `count` of `n` are bad where `others` have the same rate, whatever it is.

    It is Fisher's exact test, one-sided: of all that are bad, so many would be among the `n` if it were by lot.
    """
    bad, most = count + bad_others, min(n, count + bad_others)
    all_ways = _ways(n + others, bad)
    masses = [math.exp(_ways(n, k) + _ways(others, bad - k) - all_ways) for k in range(count, most + 1)]
    return min(1.0, math.fsum(masses))


def _ways(n: int, k: int) -> float:
    """Return the logarithm of the number of ways to choose `k` of `n`."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
