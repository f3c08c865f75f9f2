"""Attaching to a compose project for an examination: in whatever state it is, with the proxies that it has."""

from __future__ import annotations

import asyncio
import json

from harness.model.backend import Backend, StackInfo, StackPlan
from harness.model.stack import Link, StackDescription


async def attach(backend: Backend, stack: StackDescription, plan: StackPlan) -> StackInfo:
    """Attach a backend to the project that runs; nothing of it need be healthy. Raises BackendError."""
    from harness.backends.compose.attached import AttachedBackend

    assert isinstance(backend, AttachedBackend)
    links = await asyncio.to_thread(_links_with_proxies, stack)
    return await backend.find(StackPlan(stack, plan.run_dir, links))


def _links_with_proxies(stack: StackDescription) -> tuple[Link, ...]:
    """Return the links of the stack that run through a proxy, as the labels of the project's containers say."""
    from harness.backends.compose.containers_of import containers_of
    from harness.backends.compose.engine import client
    from harness.backends.compose.labels import LINKS

    engine = client()
    try:
        found = containers_of(engine, stack.compose.project or stack.name.lower())
    finally:
        engine.close()
    led = {name for one in found for name in json.loads(one.labels.get(LINKS, "{}"))}
    return tuple(link for link in stack.links if link.name in led)
