"""The images of a stack, made available before its first run, so that no run's start waits for a download.

Images are built where the stack says how, else pulled. One that cannot be pulled is reported once, with the service
that needs it.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from harness.backends.compose import proxies
from harness.backends.compose.built_images import labelled
from harness.backends.compose.engine import Engine, connect
from harness.backends.compose.project import composed, images_of
from harness.backends.compose.readiness import RetryableStartError, compose_up
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
            _build(engine, description.name, document, images, to_build, folder)
        wanted = {image: f"the service {name!r}" for name, image in missing.items() if name not in built}
        if links and description.links and not _present(engine, proxies.proxy_image()):
            wanted[proxies.proxy_image()] = f"the fault proxy of its links ({proxies.IMAGE} names another)"
        for image, whose in wanted.items():
            _pull(engine, image, whose)
    finally:
        engine.close()


def have_image(engine: Engine, image: str, whose: str) -> None:
    """See to it that the engine has one image; `whose` it is stands in the error. Raises BackendError."""
    if not _present(engine, image):
        _pull(engine, image, whose)


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
        elsewhere = "name another image, or have it from a file: `harness images --load FILE`"
        remedy = "free room: `docker system df`" if full else f"`docker pull {image}` shows more; {elsewhere}"
        what = f"{whose} needs the image {image!r}, which is not available: {text}"
        raise BackendError(what, remedy=remedy) from error


def _split(image: str) -> tuple[str, str | None]:
    """Return name and tag; a digest stays with the name."""
    if "@" in image:
        return image, None
    name, colon, tag = image.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (image, "latest")


def _build(
    engine: Engine, stack: str, document: dict[str, Any], images: dict[str, str], names: list[str], folder: Path
) -> None:
    services = {}
    for name in names:
        body = document["services"][name]
        build = body["build"] if body.get("image") else labelled(body["build"], stack)
        services[name] = {"image": images[name], "build": build}
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
