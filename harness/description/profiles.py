"""Which services of a compose file are on: those without profiles, and those of an active one.

As compose v2 chooses: the profiles given by name, else those of `COMPOSE_PROFILES`; `*` is all of them. Where no
profile is active, the one with an empty name is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

VARIABLE = "COMPOSE_PROFILES"
EVERY = "*"


def active_profiles(given: Sequence[str] | None, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the active profiles; with `given` None, those that the variables name."""
    if given is None:
        names = [name.strip() for name in variables.get(VARIABLE, "").split(",")]
        given = [name for name in names if name]
    return tuple(dict.fromkeys(given))


def is_on(body: Any, active: Sequence[str]) -> bool:
    """Whether a service, given as its part of the file, is on with these profiles active."""
    own = body.get("profiles") if isinstance(body, dict) else None
    wanted = set(active) or {""}
    return not own or EVERY in wanted or not wanted.isdisjoint(map(str, own))
