"""The image of sidecars: a plain Python image, with the harness and what reverts import in it.

It is made once for each engine and state of the harness, of what is installed here, so that no registry needs to have
the harness. What was made of an earlier state is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from harness.backends.compose.archives import pack, packed
from harness.backends.compose.engine import engine_errors
from harness.faults.installed import ENTRY_POINTS
from harness.guard.sidecars_on_engine import GUARDS
from harness.model.errors import BackendError

IMAGE = "HARNESS_GUARD_IMAGE"
REPOSITORY = "ml-chaos-harness-guard"
LABEL = "ml-chaos-harness.guard-image"
HOME = "/opt/harness-guard"
ROOT = Path(__file__).parents[1]
NEEDED = ("pydantic", "pyyaml", "psutil", "toxiproxy-python", "docker", "redis", "hiredis", "boto3")
"""What reverts may import, with what each of these needs; what is not installed here is not needed here."""
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
OLD_S = 7 * 86400.0
"""How old what others may still be using must be, to be removed."""
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def base_image() -> str:
    """Return the image that the harness is put into: it has the Python that runs here."""
    return os.environ.get(IMAGE) or f"python:{sys.version_info[0]}.{sys.version_info[1]}-slim"


def sidecar_image(client: Any) -> str:
    """Return the image of the guard, which is made where it is not there. Blocks. Raises BackendError."""
    _check_platform(client)
    remedy = f"{IMAGE} names another image with python3; HARNESS_GUARD=process does without it"
    with engine_errors("the image of the guard could not be made", remedy):
        base = _base(client)
        name = f"{REPOSITORY}:{_digest(base)}"
        if not client.api.images(name=name):
            _make(client, base, name)
            _remove_older(client, name)
    return name


def _check_platform(client: Any) -> None:
    """What is compiled for this machine must run on that of the engine."""
    about = client.info()
    there = str(about.get("Architecture", "")).lower()
    here = platform.machine().lower()
    if sys.platform != "linux" or MACHINES.get(there, there) != MACHINES.get(here, here):
        what = f"the guard in a container is for {sys.platform} {here}, and the engine is on linux {there}"
        raise BackendError(what, remedy="run the harness on the engine's machine, or set HARNESS_GUARD=process")


def _base(client: Any) -> str:
    """Return the id of the image that the harness is put into."""
    import docker.errors

    image = base_image()
    with contextlib.suppress(docker.errors.ImageNotFound):
        return str(client.images.get(image).id)
    name, _, tag = image.partition(":") if "@" not in image else (image, "", None)
    return str(client.images.pull(name, tag=tag or None).id)


def _digest(base: str) -> str:
    state = hashlib.sha256(base.encode())
    for distribution in _needed():
        state.update(f"{distribution.name} {distribution.version}\n".encode())
    for file in _own_files():
        state.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return state.hexdigest()[:16]


def _make(client: Any, base: str, name: str) -> None:
    made = client.api.create_container(base, command=["none"], labels={LABEL: "1"})["Id"]
    try:
        with tempfile.TemporaryFile() as archive:
            pack(_files(), archive)
            archive.seek(0)
            client.api.put_archive(made, "/", archive)
        repository, _, tag = name.partition(":")
        client.api.commit(made, repository, tag, conf={"Labels": {LABEL: "1"}})
    finally:
        client.api.remove_container(made, force=True, v=True)


def _remove_older(client: Any, name: str) -> None:
    """Remove images of earlier states, and what making one has left behind, that nobody will need any more."""
    import docker.errors

    long_ago_s = time.time() - OLD_S
    for image in client.api.images(filters={"label": f"{LABEL}=1"}):
        if name not in (image["RepoTags"] or ()) and image["Created"] < long_ago_s:
            with contextlib.suppress(docker.errors.APIError):
                client.api.remove_image(image["Id"])
    for container in client.api.containers(all=True, filters={"label": f"{LABEL}=1", "status": "created"}):
        if GUARDS not in container["Labels"] and container["Created"] < long_ago_s:
            with contextlib.suppress(docker.errors.APIError):
                client.api.remove_container(container["Id"], v=True)


def _files() -> Iterator[tuple[str, Path]]:
    """Yield what is put in: its name there, and the file here."""
    for file in _own_files():
        yield f"{HOME}/harness/{file.relative_to(ROOT)}", file
    for distribution in _needed():
        for entry in distribution.files or ():
            path = Path(str(distribution.locate_file(entry)))
            if ".." not in entry.parts and "__pycache__" not in entry.parts and path.is_file():
                yield f"{HOME}/{entry}", path


def _own_files() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _needed() -> list[importlib.metadata.Distribution]:
    """Return the distributions that reverts may need: also those of other people's kinds of faults."""
    others = [entry.dist.name for entry in importlib.metadata.entry_points(group=ENTRY_POINTS) if entry.dist]
    found: dict[str, importlib.metadata.Distribution] = {}
    _add([*NEEDED, *others], found)
    found.pop("ml-chaos-harness", None)  # it is put in by itself: here it may be installed in place
    return [found[name] for name in sorted(found)]


def _add(names: Iterable[str], found: dict[str, importlib.metadata.Distribution]) -> None:
    for name in names:
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found or key == "ml-chaos-harness":
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        found[key] = distribution
        wanted = (one for one in distribution.requires or () if "extra ==" not in one)
        _add((match[0] for one in wanted if (match := _NAME.match(one))), found)


def archive_of(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return an archive of small files that only root may read."""
    return packed(files, mode=0o600)
