"""The images that the runs of a stack need: which those are, which the engine has, and all of them in one file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from harness.model.errors import BackendError, ScenarioError
from harness.model.stack import StackDescription

Runs = Literal["every run in containers", "runs with faults on links", "some runs"]
EVERY: Runs = "every run in containers"


@dataclass(frozen=True)
class NeededImage:
    """An image, and what needs it."""

    image: str
    needed_by: str
    runs: Runs
    """Which runs need it: local ones need none."""
    size_bytes: int | None
    """How large it is; None where the engine does not have it."""

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def needed_images(stack: StackDescription) -> list[NeededImage]:
    """Return the images of a stack, and those of the harness for it. Blocks. Raises HarnessError."""
    from harness.backends.compose.engine import lent_client

    with lent_client() as engine:
        return [NeededImage(*one, _size_bytes(engine, one[0])) for one in _needed(stack)]


def save(stack: StackDescription, file: Path, notice: Callable[[str], None]) -> tuple[list[str], int]:
    """Write the images of a stack to a file; those that the engine lacks are built or pulled first. Blocks.

    Returns their names and the size of the file. What only some runs need and is not available is left out, and
    `notice` is told. Raises HarnessError.
    """
    from harness.backends.compose.engine import connect
    from harness.backends.compose.image_files import save_images
    from harness.backends.compose.images import have_image, have_images

    wanted = _needed(stack)
    for name, needed_by, _ in wanted:
        if "@" in name:
            what = f"the image {name!r} ({needed_by}) is pinned by a digest, which a file of images cannot restore"
            raise ScenarioError(what, field="--save", remedy="name it by a tag while you run from such a file")
    have_images(stack)
    engine = connect()
    try:
        saved = []
        for name, needed_by, runs in wanted:
            try:
                have_image(engine, name, needed_by)
            except BackendError as error:
                if runs != "some runs":
                    raise
                notice(f"left out: {error}")
                continue
            saved.append(name)
        return saved, save_images(engine.client, saved, file)
    finally:
        engine.close()


def load(file: Path) -> list[str]:
    """Have the engine read a file of images. Returns their names. Blocks. Raises BackendError."""
    from harness.backends.compose.engine import lent_client
    from harness.backends.compose.image_files import load_images

    with lent_client() as engine:
        return load_images(engine, file)


def _needed(stack: StackDescription) -> list[tuple[str, str, Runs]]:
    """Each image once, with who needs it, and in which runs."""
    from harness.backends.compose import proxies
    from harness.backends.compose.container_host import tools_image
    from harness.backends.compose.project import composed, images_of
    from harness.guard import sidecar_image

    users: dict[str, list[str]] = {}
    for service, image in images_of(stack, composed(stack)[0]).items():
        users.setdefault(image, []).append(service)
    found: dict[str, tuple[str, Runs]] = {image: (", ".join(services), EVERY) for image, services in users.items()}
    if stack.links:
        proxy = f"the fault proxy of its links ({proxies.IMAGE} names another)"
        found.setdefault(proxies.proxy_image(), (proxy, "runs with faults on links"))
    helpers = "helper containers of faults (HARNESS_TOOLS_IMAGE names another)"
    found.setdefault(tools_image(), (helpers, "some runs"))
    guard = f"the guard of runs on a stack that runs already ({sidecar_image.IMAGE} names another)"
    found.setdefault(sidecar_image.base_image(), (guard, "some runs"))
    return [(image, *rest) for image, rest in found.items()]


def _size_bytes(engine: Any, image: str) -> int | None:
    import docker.errors

    from harness.backends.compose.engine import engine_errors

    with engine_errors("the engine does not tell which images it has"):
        try:
            return int(engine.api.inspect_image(image)["Size"])
        except docker.errors.ImageNotFound:
            return None
