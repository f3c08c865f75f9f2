"""Bringing a stack up: its images, had before the first run, and one attempt to start it.

Images are built where the stack says how, else pulled, so no run's start waits for a download; one that cannot be
pulled is reported once, with the service that needs it. An attempt chooses places, writes the run's compose file, then
starts links first and services after.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.backends.compose import layout as layouts
from harness.backends.compose import project as projects
from harness.backends.compose import proxies
from harness.backends.compose.engine import Engine, connect
from harness.backends.compose.layout import Layout, ServiceAddresses
from harness.backends.compose.processes import ContainerSnapshot, containers_of
from harness.backends.compose.project import composed, images_of
from harness.backends.compose.startup import RetryableStartError, compose_up
from harness.model.backend import LinkEndpoint, StackPlan
from harness.model.errors import BackendError
from harness.model.stack import StackDescription

PULL_S = 1800.0
BUILD_S = 3600.0


def have_images(description: StackDescription, *, links: bool = True) -> None:
    """See to it that the engine has every image; with `links` the fault proxy's too. Raises BackendError."""
    engine = connect()
    try:
        document, folder = composed(description)
        images = images_of(description, document)
        built = {name for name, body in document["services"].items() if body.get("build")}
        missing = {name: image for name, image in images.items() if not _present(engine, image)}
        to_build = [name for name in missing if name in built]
        if to_build:
            _build(engine, document, images, to_build, folder)
        wanted = {image: f"the service {name!r}" for name, image in missing.items() if name not in built}
        if links and description.links and not _present(engine, proxies.proxy_image()):
            wanted[proxies.proxy_image()] = f"the fault proxy of its links ({proxies.IMAGE} names another)"
        for image, whose in wanted.items():
            _pull(engine, image, whose)
    finally:
        engine.close()


def _present(engine: Engine, image: str) -> bool:
    import docker.errors

    try:
        engine.client.images.get(image)
    except docker.errors.ImageNotFound:
        return False
    return True


def _pull(engine: Engine, image: str, whose: str) -> None:
    import docker.errors
    import requests

    name, tag = _split(image)
    try:
        engine.client.images.pull(name, tag=tag)
    except (docker.errors.DockerException, requests.RequestException) as error:
        text = getattr(error, "explanation", None) or str(error)
        full = "no space left" in str(text)
        remedy = "free room: `docker system df`" if full else f"`docker pull {image}` shows more; or name another image"
        raise BackendError(f"{whose} needs the image {image!r}, which is not available: {text}", remedy=remedy) from error


def _split(image: str) -> tuple[str, str | None]:
    """Return name and tag; a digest stays with the name."""
    if "@" in image:
        return image, None
    name, colon, tag = image.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (image, "latest")


def _build(engine: Engine, document: dict[str, Any], images: dict[str, str], names: list[str], folder: Path) -> None:
    services = {name: {"image": images[name], "build": document["services"][name]["build"]} for name in names}
    # Services that share an image share its build.
    once = {one["image"]: name for name, one in reversed(services.items())}
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "compose.build.yaml"
        file.write_text(json.dumps({"services": services}), encoding="utf-8")
        command = engine.run_compose("mlch-build", str(file), ["build", *once.values()], BUILD_S, str(folder))
        try:
            asyncio.run(compose_up(command, BUILD_S))
        except RetryableStartError as trouble:
            raise BackendError(f"the images could not be built: {trouble}") from None
        except BackendError as error:
            raise BackendError(f"the images of {', '.join(names)} could not be built: {error}") from error


FILE = "compose.run.yaml"
LOG_LINES = 20


def lay_out(engine: Engine, plan: StackPlan, document: dict[str, Any]) -> Layout:
    """Choose everything's place. Blocks. Raises BackendError."""
    chance = random.SystemRandom()
    description, services = plan.description, document["services"]
    if len(services) > layouts.MOST_SERVICES:
        raise BackendError(f"{len(services)} services are too many; the most is {layouts.MOST_SERVICES}")
    own, foreign = projects.own_networks(document)
    boxes = layouts.boxes_for(description, plan.links)
    taken = [
        str(config["Subnet"])
        for network in engine.client.api.networks()
        for config in (network.get("IPAM") or {}).get("Config") or []
        if config.get("Subnet")
    ]
    subnets = dict(zip(own, layouts.free_blocks(len(own), taken, chance), strict=True))
    pinned = {name: projects.networks_of(body) for name, body in services.items() if projects.has_address(body)}
    addresses = layouts.fixed_addresses(description, pinned, boxes, subnets, foreign)
    published = {}
    if not engine.reached_directly:
        wanted = [(name, port) for name, service in description.services.items() for port in service.ports]
        for box in boxes:
            ports = {port for link in box.links for port in description.services[link.service].ports}
            wanted += [(box.name, port) for port in (layouts.API_PORT, *sorted(ports))]
        published = layouts.host_ports(wanted, chance)
    return Layout(layouts.project_name(description.name, chance), subnets, addresses, boxes, published)


class Start:
    """Runs the compose command on the file of one run."""

    def __init__(self, engine: Engine, plan: StackPlan, layout: Layout, document: dict[str, Any], folder: Path) -> None:
        """Write the file into the run's folder; relative paths in it start at `folder`."""
        self._engine = engine
        self._description = plan.description
        self._layout = layout
        self._folder = str(folder)
        self._within_s = plan.description.compose.ready_within_s
        self._file = (plan.run_dir / FILE).absolute()
        # JSON is YAML too, and leaves no doubt about what is a text. Settings may hold passwords.
        try:
            self._file.touch(mode=0o600)
            self._file.write_text(json.dumps(document, indent=1), encoding="utf-8")
        except OSError as error:
            what = f"the stack's compose file cannot be written: {error.strerror}"
            raise BackendError(what, file=str(self._file), remedy="choose a place with room with --reports") from error

    def forget(self) -> None:
        """Remove the file: a run's folder is published, and the file holds settings that may be secret."""
        self._file.unlink(missing_ok=True)

    async def links(self, places: ServiceAddresses) -> dict[str, LinkEndpoint]:
        """Start the proxies and make the links, before any consumer starts. Raises BackendError or RetryableStartError."""
        names = [box.name for box in self._layout.boxes]
        if not names:
            return {}
        await self._compose("up", "--no-start", "--no-build", *names)
        archive = proxies.program() if proxies.proxy_kind() == "harness" else None
        api = self._engine.client.api

        def begin(one: ContainerSnapshot) -> None:
            if archive is not None:
                api.put_archive(one.id, "/", archive)
            api.start(one.id)

        boxes = [one for one in await self._seen() if one.service in names]
        await asyncio.gather(*(asyncio.to_thread(begin, one) for one in boxes))
        reached = {name: places.place(name, layouts.API_PORT) for name in names}
        await proxies.make_links(self._description, self._layout, reached)
        return proxies.endpoints(self._layout, reached)

    async def services(self, tail: Callable[[str, int], list[str]]) -> None:
        """Start the rest. Raises RetryableStartError, or BackendError with the log of the service that did not start."""
        try:
            await self._compose("up", "-d", "--no-build")
        except BackendError as error:
            raise await self._explained(error, tail) from None

    async def _compose(self, *words: str) -> None:
        command = self._engine.run_compose(self._layout.project, str(self._file), words, self._within_s, self._folder)
        await compose_up(command, self._within_s)

    async def _seen(self) -> list[ContainerSnapshot]:
        return await asyncio.to_thread(containers_of, self._engine.client, self._layout.project)

    async def _explained(self, error: BackendError, tail: Callable[[str, int], list[str]]) -> BackendError:
        """Add the last log lines of the first service that did not come up to compose's own words."""
        for one in await self._seen():
            bad = one.state in ("exited", "dead", "restarting") and one.exit_code not in (0, None)
            if one.service in self._description.services and (bad or one.health == "unhealthy"):
                how = f"exited with code {one.exit_code}" if bad else "is unhealthy by its own health check"
                lines = await asyncio.to_thread(tail, one.service, LOG_LINES)
                reply = "\n".join(lines) or "it wrote no log"
                return BackendError(f"the service {one.service!r} {how}; its last log lines:\n{reply}")
        return error
