"""Checks that every backend makes: names of services, settings of services and links that do not exist are refused."""

from __future__ import annotations

from collections.abc import Iterable

from harness.model.backend import StackPlan
from harness.model.errors import BackendError, did_you_mean
from harness.model.stack import StackDescription


def known_services(stack: StackDescription, services: Iterable[str]) -> list[str]:
    """Return the names of services. Raises BackendError for one that does not exist, with the nearest that does."""
    names = list(services)
    for name in names:
        if name not in stack.services:
            raise BackendError(f"unknown service {name!r}", remedy=did_you_mean(name, stack.services))
    return names


def check_settings(plan: StackPlan) -> None:
    """Raise BackendError for settings of a service that does not exist."""
    services = plan.description.services
    for name in plan.environment:
        if name not in services:
            raise BackendError(f"settings for unknown service {name!r}", remedy=did_you_mean(name, services))


def check_links(plan: StackPlan) -> None:
    """Raise BackendError for a link through which nothing would run."""
    possible = {link.name for link in plan.description.links}
    for link in plan.links:
        if link.name not in possible:
            what = f"the link {link.name!r} is in nobody's configuration, so nothing would run through it"
            raise BackendError(what, remedy=did_you_mean(link.name, possible))
