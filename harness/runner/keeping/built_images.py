"""Which images `harness down --images` removes: those built for the stacks that are meant, and no others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from harness.backends.compose.built_images import PREFIX, BuiltImage, built_images, remove_image
from harness.backends.compose.labels import started_by


@dataclass(frozen=True)
class ImageOutcome:
    """An image, and why it was kept; None where it was removed."""

    image: BuiltImage
    kept_because: str | None


def on_engine() -> list[BuiltImage]:
    """Return the images of the engine that were built for stacks. Blocks. Raises BackendError."""
    from harness.backends.compose.engine import lent_client

    with lent_client() as engine:
        return built_images(engine)


def choose_images(found: Sequence[BuiltImage], stacks: Collection[str], *, everything: bool) -> list[BuiltImage]:
    """Return the images of these stacks, of any stack with `everything`; without stacks, those built in this folder."""
    if everything:
        return list(found)
    if stacks:
        return [image for image in found if image.stack in stacks or _may_be_of(image, stacks)]
    return [image for image in found if image.stack is not None and image.place == started_by()]


def remove_images(chosen: Sequence[BuiltImage], *, though_others: bool) -> list[ImageOutcome]:
    """Remove images, but for those that are in use or not certainly one's own. Blocks. Raises BackendError.

    `though_others`: also those that others have built, on this host or elsewhere.
    """
    from harness.backends.compose.engine import lent_client

    if not chosen:
        return []
    with lent_client() as engine:
        return [
            ImageOutcome(image, _refusal(image, though_others=though_others) or remove_image(engine, image))
            for image in chosen
        ]


def _refusal(image: BuiltImage, *, though_others: bool) -> str | None:
    """Return why an image must stay whoever uses it."""
    if image.stack is None:
        return f"it has no label that says which stack it was built for; `docker rmi {image.name}` removes it"
    me = started_by()
    if not though_others and (image.user, image.host) != (me["user"], me["host"]):
        return f"{image.user} built it on {image.host}; `harness down --all --images` takes everything of this engine"
    return None


def _may_be_of(image: BuiltImage, stacks: Collection[str]) -> bool:
    """Whether an image without a label has a name that one for these stacks would have."""
    return image.stack is None and any(image.name.startswith(f"{PREFIX}{stack.lower()}-") for stack in stacks)
