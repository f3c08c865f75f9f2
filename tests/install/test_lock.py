"""The lock holds on every pip: a requirement with extras is pinned with those extras.

pip before 23.3 refuses a lock with hashes in which `coverage[toml]` is required and only `coverage` is pinned.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = Path(__file__).parents[2] / "requirements.lock"
OURS = "ml-chaos-harness"
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[(?P<extras>[^\]]*)\])?==(?P<version>\S+)", re.MULTILINE)


def pins() -> dict[str, set[str]]:
    """Return the extras of every package in the lock."""
    found: dict[str, set[str]] = {}
    for match in _PIN.finditer(LOCK.read_text("utf-8")):
        extras = {canonicalize_name(extra) for extra in (match["extras"] or "").split(",") if extra}
        found.setdefault(canonicalize_name(match["name"]), set()).update(extras)
    return found


def requirements_in_force(name: str, extras: set[str]) -> Iterator[Requirement]:
    """Yield what an installed package requires, with those of its extras."""
    for text in importlib.metadata.distribution(name).requires or ():
        requirement = Requirement(text)
        environments: list[dict[str, str]] = [{"extra": extra} for extra in sorted(extras)] or [{"extra": ""}]
        if requirement.marker is None or any(requirement.marker.evaluate(given) for given in environments):
            yield requirement


def missing_extras(pinned: dict[str, set[str]]) -> list[str]:
    """Return every requirement whose extras the lock leaves out."""
    provided = importlib.metadata.metadata(OURS).get_all("Provides-Extra") or []
    packages = {OURS: {canonicalize_name(extra) for extra in provided}, **pinned}
    missing = []
    for name, extras in packages.items():
        try:
            requirements = list(requirements_in_force(name, extras))
        except importlib.metadata.PackageNotFoundError:
            continue  # locked for another platform
        for requirement in requirements:
            wanted = {canonicalize_name(extra) for extra in requirement.extras}
            required = canonicalize_name(requirement.name)
            if required != OURS and not wanted <= pinned.get(required, set()):
                missing.append(f"{name} requires {requirement}, and the lock pins {required} without its extras")
    return missing


def test_every_required_extra_is_pinned() -> None:
    assert missing_extras(pins()) == []


def test_a_lock_that_strips_extras_is_found() -> None:
    stripped: dict[str, set[str]] = {name: set() for name in pins()}
    found = " ".join(missing_extras(stripped))
    assert "coverage" in found
    assert "redis" in found


def test_every_pin_has_a_hash_and_none_names_a_registry() -> None:
    text = LOCK.read_text("utf-8")
    blocks = re.split(r"\n(?=\S)", text)
    assert not [block.splitlines()[0] for block in blocks if _PIN.match(block) and "--hash=" not in block]
    assert "://" not in text
