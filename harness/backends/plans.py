"""What is wrong with a stack plan on any backend: settings of services, and links, that there are not."""

from __future__ import annotations

from harness.model.backend import StackPlan
from harness.model.errors import BackendError
from harness.model.nearest import did_you_mean


def check_settings(plan: StackPlan) -> None:
    """Raise BackendError for settings of a service that there is not."""
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
