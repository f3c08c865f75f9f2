"""Which starters are written: a few of each family as first scenarios, or all of them as the standard suite.

A further recipe is a function of the context in a family's module, and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.onboarding.discovery.starters import alerts, producers, servers, stores
from harness.onboarding.discovery.starters.clauses import ScenarioDraft, first, standard
from harness.onboarding.discovery.starters.context import Context
from harness.onboarding.discovery.starters.starter import Missing, Starter

Recipe = Callable[[Context], Iterator[Starter | Missing]]
"""Makes the starters of one sort that fit what was found."""
MOST_OF_A_KIND = 4

FIRST: tuple[Recipe, ...] = (
    stores.slow, stores.lost, servers.crashed, stores.hung, servers.hung, producers.stale,
)  # fmt: skip
STANDARD: tuple[Recipe, ...] = (
    stores.slow, stores.hung, stores.lost, stores.full,
    servers.crashed, servers.hung, servers.old_model, servers.broken_model,
    producers.stale, producers.stopped, producers.late, producers.twice,
    alerts.firing, alerts.firing_on_errors,
)  # fmt: skip
FOLDERS: Mapping[str, str] = {"store": "stores", "server": "servers", "producer": "producers", "alert": "alerts"}
"""Where each family lies in the standard suite."""


@dataclass(frozen=True)
class Suite:
    """What is written, by its path in the folder of scenarios, and what is not."""

    files: Mapping[str, ScenarioDraft]
    missing: Sequence[Missing]


def first_scenarios(context: Context) -> Suite:
    """Return the first scenarios: of each recipe the first few that something could feel."""
    files: dict[str, ScenarioDraft] = {}
    missing: list[Missing] = []
    for recipe in FIRST:
        made = _sorted_out(
            [first(context, one) if isinstance(one, Starter) else one for one in recipe(context)], missing
        )
        files.update({one.name: one for one in made[:MOST_OF_A_KIND]})
    if not files:
        rest = [first(context, one) for one in stores.lost_servers(context) if isinstance(one, Starter)]
        files.update({one.name: one for one in _sorted_out(rest, missing)[:MOST_OF_A_KIND]})
    return Suite(files, missing)


def standard_suite(context: Context) -> Suite:
    """Return everything that fits, in a folder for each family."""
    missing: list[Missing] = []
    made = [
        standard(context, one) if isinstance(one, Starter) else one for recipe in STANDARD for one in recipe(context)
    ]
    files = {f"standard/{FOLDERS[one.starter.family]}/{one.name}": one for one in _sorted_out(made, missing)}
    return Suite(files, missing)


def _sorted_out(made: Sequence[ScenarioDraft | Missing], missing: list[Missing]) -> list[ScenarioDraft]:
    missing += [one for one in made if isinstance(one, Missing)]
    return [one for one in made if isinstance(one, ScenarioDraft)]


def told(missing: Sequence[Missing]) -> list[str]:
    """Return a line for each reason for which scenarios were not written, and what it would take, once for all."""
    by_remedy: dict[str, dict[str, dict[str, None]]] = {}
    for one in missing:
        by_remedy.setdefault(one.remedy, {}).setdefault(one.why, {})[f"{one.condition}-{one.subject}"] = None
    lines: list[str] = []
    for remedy, reasons in by_remedy.items():
        said = [f"no {', '.join(names)}: {why}" for why, names in reasons.items()]
        takes = f"declare {remedy}" if remedy.startswith("x-") else f"add {remedy}"
        if not remedy:
            lines += said
        elif len(said) == 1:
            lines.append(f"{said[0]}; to get it, {takes}")
        else:
            lines += [*said, f"to get these, {takes}"]
    return lines
