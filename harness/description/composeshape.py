"""The shape of a compose file: where a text stands, where a list, where a mapping.

Checked once for every file, before anything is made of it, so that whoever reads a field can rely on its shape. Only
fields that the harness reads are listed; compose itself checks the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.description.yamltree import Path_, Tree


@dataclass(frozen=True, slots=True)
class _Shape:
    """What may stand at a place; null may stand everywhere."""

    text: bool = False
    items: _Shape | None = None
    """What the items of a list are; None where no list may stand."""
    values: _Shape | None = None
    """What the values of a mapping are, if its names are free; None where they are not."""
    fields: Mapping[str, _Shape] | None = field(default=None)
    """The fields of a mapping that have a shape; others may be anything."""

    @property
    def needed(self) -> str:
        """What is needed, in words."""
        if self == _TEXT:
            return "a text or a number"
        found = ["a text"] if self.text else []
        if self.items is not None:
            found.append(f"a list of {'words' if self.text else 'texts' if self.items.text else 'mappings'}")
        found += ["a mapping of names"] if self.values is not None or self.fields is not None else []
        return " or ".join(found)


_TEXT = _Shape(text=True)
_TEXTS = _Shape(items=_TEXT)
_WORDS = _Shape(text=True, items=_TEXT)
_PAIRS = _Shape(items=_TEXT, values=_TEXT)
_ANY_MAPPING = _Shape(fields={})
_BUILD = _Shape(text=True, fields={"context": _TEXT, "dockerfile": _TEXT, "dockerfile_inline": _TEXT, "args": _PAIRS})
_ENV_FILES = _Shape(text=True, items=_Shape(text=True, fields={"path": _TEXT, "required": _TEXT}))
_VOLUMES = _Shape(items=_Shape(text=True, fields={"type": _TEXT, "source": _TEXT, "target": _TEXT}))
_NETWORKS = _Shape(items=_TEXT, values=_Shape(fields={"aliases": _TEXTS, "ipv4_address": _TEXT, "ipv6_address": _TEXT}))
_SERVICE = _Shape(
    fields={
        **dict.fromkeys(("image", "container_name", "hostname", "network_mode", "restart", "scale"), _TEXT),
        **dict.fromkeys(("environment", "labels", "annotations", "sysctls"), _PAIRS),
        **dict.fromkeys(("command", "entrypoint", "dns", "tmpfs"), _WORDS),
        **dict.fromkeys(("expose", "profiles"), _TEXTS),
        "extra_hosts": _Shape(items=_TEXT, values=_WORDS),
        "ports": _Shape(items=_Shape(text=True, fields={"target": _TEXT, "published": _TEXT})),
        "volumes": _VOLUMES,
        "devices": _Shape(items=_Shape(text=True, fields={})),
        "networks": _NETWORKS,
        "depends_on": _Shape(items=_TEXT, values=_Shape(fields={"condition": _TEXT})),
        "env_file": _ENV_FILES,
        "build": _BUILD,
        "healthcheck": _Shape(fields={"test": _WORDS, "disable": _TEXT}),
        "deploy": _ANY_MAPPING,
        "extends": _Shape(text=True, fields={"service": _TEXT, "file": _TEXT}),
    }
)
_INCLUDE = _Shape(text=True, fields={"path": _WORDS, "project_directory": _TEXT, "env_file": _WORDS})
_FILE = _Shape(
    fields={
        "name": _TEXT,
        "services": _Shape(values=_SERVICE),
        "networks": _Shape(values=_Shape(fields={"name": _TEXT, "labels": _PAIRS, "ipam": _ANY_MAPPING})),
        "volumes": _Shape(values=_Shape(fields={"name": _TEXT, "labels": _PAIRS, "driver_opts": _Shape(values=_TEXT)})),
        "secrets": _Shape(values=_ANY_MAPPING),
        "configs": _Shape(values=_ANY_MAPPING),
        "include": _Shape(text=True, items=_INCLUDE),
    }
)


def check_shape(tree: Tree) -> None:
    """Raise StackError at the first value that has another shape than a compose file may have there."""
    if isinstance(tree.value, dict):
        _check(tree, _FILE, tree.value, ())


def _check(tree: Tree, shape: _Shape, value: object, at: Path_) -> None:
    if value is None or at in tree.tags:
        return
    if isinstance(value, dict) and (shape.values is not None or shape.fields is not None):
        for name, inside in value.items():
            inner = shape.values or (shape.fields or {}).get(name)
            if inner is not None:
                _check(tree, inner, inside, (*at, name))
    elif isinstance(value, list) and shape.items is not None:
        for index, inside in enumerate(value):
            _check(tree, shape.items, inside, (*at, index))
    elif not (shape.text and not isinstance(value, dict | list)):
        raise tree.error(at, f"{shape.needed} is needed here")
