"""How one compose file overrides another, by compose's own rules.

Mappings are merged and lists appended, scalars replaced; commands, entrypoints and the tests of health checks are
replaced whole; volumes and devices are identified by their path in the container. Every value keeps its place.
"""

from __future__ import annotations

from typing import Any

from harness.description.yamltree import Path_, Tree

_REPLACED = ("command", "entrypoint")
_NAMED = ("environment", "labels", "extra_hosts", "sysctls", "annotations", "args")
"""Fields that are mappings, or lists of `NAME=value`."""
_LISTED = ("depends_on", "networks")
"""Fields of a service that are mappings, or lists of names."""
_BY_TARGET = ("volumes", "devices")
_HEALTH_TEST = 4  # services, name, healthcheck, test


def graft(result: Tree, path: Path_, source: Tree, at: Path_, value: Any) -> Any:
    """Take over where a value and all in it were written. Returns a copy of the value."""
    if at in source.lines:
        result.lines[path] = source.lines[at]
        result.files[path] = source.file_of(at)
    if isinstance(value, dict):
        return {key: graft(result, (*path, key), source, (*at, key), inside) for key, inside in value.items()}
    if isinstance(value, list):
        return [graft(result, (*path, k), source, (*at, k), inside) for k, inside in enumerate(value)]
    return value


def normalise(tree: Tree) -> None:
    """Turn the lists of `NAME=value`, and of names, in every service into the mappings that they stand for."""
    services = tree.value.get("services") if isinstance(tree.value, dict) else None
    for name, body in services.items() if isinstance(services, dict) else ():
        if not isinstance(body, dict):
            continue
        at: Path_ = ("services", name)
        for key in (*_NAMED, *_LISTED):
            _to_mapping(tree, (*at, key), body)
        if isinstance(body.get("build"), dict):
            _to_mapping(tree, (*at, "build", "args"), body["build"])
        for key in ("env_file", "dns", "tmpfs"):
            if isinstance(body.get(key), str):
                body[key] = [body[key]]


def _to_mapping(tree: Tree, path: Path_, body: dict[str, Any]) -> None:
    raw = body.get(str(path[-1]))
    if not isinstance(raw, list) or any(isinstance(item, dict | list) for item in raw):
        return
    found: dict[str, Any] = {}
    for index, item in enumerate(raw):
        value: Any = None
        if path[-1] in _LISTED:
            name = str(item)
        else:
            sign = ":" if path[-1] == "extra_hosts" and "=" not in str(item) else "="
            name, given, text = str(item).partition(sign)
            value = text if given else None
        if path[-1] == "depends_on":
            value = {"condition": "service_started"}
        found[name] = value
        line = tree.lines.pop((*path, index), None)
        if line is not None:
            tree.lines[(*path, name)] = line
    body[str(path[-1])] = found


def merge(result: Tree, base: Any, source: Tree, over: Any, path: Path_ = (), at: Path_ | None = None) -> Any:
    """Lay a value of `source` over one that is in `result` already. Returns what becomes of it."""
    at = path if at is None else at
    if isinstance(base, dict) and isinstance(over, dict):
        return _merge_mappings(result, base, source, over, path, at)
    whole = path[:1] == ("services",) and path[2:3] and path[2] in _REPLACED
    whole = whole or (len(path) == _HEALTH_TEST and path[2:] == ("healthcheck", "test"))
    if isinstance(base, list) and isinstance(over, list) and not whole:
        return _merge_lists(result, base, source, over, path, at)
    return graft(result, path, source, at, over)


def _merge_mappings(
    result: Tree, base: dict[str, Any], source: Tree, over: dict[str, Any], path: Path_, at: Path_
) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        tag = source.tags.get((*at, key))
        if tag == "!reset":
            merged.pop(key, None)
        elif tag == "!override" or key not in merged or merged[key] is None:
            merged[key] = graft(result, (*path, key), source, (*at, key), value)
        elif value is not None or path[-1:] == ("environment",):
            merged[key] = merge(result, merged[key], source, value, (*path, key), (*at, key))
    return merged


def _merge_lists(result: Tree, base: list[Any], source: Tree, over: list[Any], path: Path_, at: Path_) -> list[Any]:
    merged = list(base)
    by_target = len(path) > 2 and path[0] == "services" and path[2] in _BY_TARGET
    for index, value in enumerate(over):
        same = [k for k, known in enumerate(merged) if by_target and target(known) == target(value)]
        if value in merged:
            continue
        where = same[0] if same else len(merged)
        placed = graft(result, (*path, where), source, (*at, index), value)
        merged[where:] = [placed, *merged[where + 1 :]]
    return merged


def target(volume: Any) -> str:
    """Return where a volume is in the container."""
    if isinstance(volume, dict):
        return str(volume.get("target", ""))
    parts = str(volume).split(":")
    return parts[1] if len(parts) > 1 else parts[0]
