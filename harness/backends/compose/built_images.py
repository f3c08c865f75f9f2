"""The images that the harness builds for services without an image name of their own, and how they are removed.

Their labels say which stack each was built for, and who built it where. An image whose name the compose file gives gets
no label, and is never removed: it is its owner's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.backends.compose.engine import engine_errors
from harness.backends.compose.labels import BUILT_FOR, FOLDER, HOST, USER, started_by

PREFIX, TAG = "mlch-", ":built"
IN_USE = 409


@dataclass(frozen=True)
class BuiltImage:
    """An image that was built for a service of a stack; without the label `stack` is None."""

    name: str
    id: str
    size_bytes: int
    stack: str | None
    folder: str
    user: str
    host: str

    @property
    def place(self) -> dict[str, str]:
        """Who built it, and where, as `started_by` says it."""
        return {"folder": self.folder, "user": self.user, "host": self.host}


def built_name(stack: str, service: str) -> str:
    """Return the name of the image that all runs of a stack share for a service, and no other stack has.

    A dash of the stack's name is doubled, which tells where it ends; a name that is not in lower case gets a digest.
    """
    name = f"{stack.replace('-', '--')}-{service}"
    if name != name.lower() or service.startswith("-"):
        name = f"{name.lower()}-{hashlib.sha256(f'{stack}/{service}'.encode()).hexdigest()[:8]}"
    return f"{PREFIX}{name}{TAG}"


def labelled(build: Any, stack: str) -> dict[str, Any]:
    """Return `build` of a service with the labels of an image that is built for this stack."""
    body = dict(build) if isinstance(build, Mapping) else {"context": build}
    given = body.get("labels") or {}
    if not isinstance(given, Mapping):
        given = {name: value for name, _, value in (str(one).partition("=") for one in given)}
    place = started_by()
    ours = {BUILT_FOR: stack, FOLDER: place["folder"], USER: place["user"], HOST: place["host"]}
    return body | {"labels": {**given, **ours}}


def built_images(client: Any) -> list[BuiltImage]:
    """Return the images of this engine with such a name, those of older versions without labels too. Blocks.

    Raises BackendError.
    """
    with engine_errors("the engine does not tell which images it has"):
        return sorted(
            (
                _read(str(name), image)
                for image in client.api.images()
                for name in image.get("RepoTags") or ()
                if str(name).startswith(PREFIX) and str(name).endswith(TAG)
            ),
            key=lambda image: image.name,
        )


def remove_image(client: Any, image: BuiltImage) -> str | None:
    """Remove an image. Returns why it is kept, where it is. Blocks. Raises BackendError."""
    import docker.errors

    with engine_errors(f"the image {image.name} could not be removed"):
        users = [
            str(one["Names"][0]).strip("/")
            for one in client.api.containers(all=True)
            if one.get("ImageID") == image.id or one.get("Image") == image.name
        ]
        if users:
            return f"the container {users[0]} uses it" + (f", and {len(users) - 1} more" if len(users) > 1 else "")
        try:
            client.api.remove_image(image.name)
        except docker.errors.ImageNotFound:
            return None
        except docker.errors.APIError as error:
            if error.status_code != IN_USE:
                raise
            return str(error.explanation)
    return None


def _read(name: str, image: Mapping[str, Any]) -> BuiltImage:
    labels = image.get("Labels") or {}
    place = {key: labels.get(label, "") for key, label in (("folder", FOLDER), ("user", USER), ("host", HOST))}
    return BuiltImage(name, str(image["Id"]), int(image.get("Size") or 0), labels.get(BUILT_FOR), **place)
