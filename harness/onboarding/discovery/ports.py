"""Which port of a service is its main one.

What its consumers ask comes first, then what its command, its environment and its health check say, then what is
published; the usual port of its kind only decides among several. A port of a cluster's members among themselves, of a
console, of metrics or of a debugger is not the one that its consumers use.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.description.composefields import host_ports
from harness.onboarding.discovery.addresses import AddressReference
from harness.onboarding.discovery.dockerfile import Built
from harness.onboarding.discovery.guess import Guess
from harness.onboarding.discovery.healthchecks import OWN_HOSTS, checks_itself
from harness.onboarding.discovery.kinds import ServiceKind, bare_image
from harness.onboarding.discovery.project import PLAIN_YAML, Project

_FLAG = re.compile(r"(?:^|\s)(?:--port|--http-port|--serve-port|--server\.port|-p)[= ](\d{2,5})(?=\s|$)")
_LISTENS = "--bind|-b|--listen|--addr|--address|--http-address|--web\\.listen-address|--host"
_BIND = re.compile(rf"(?:^|\s)(?:{_LISTENS})[= ](?:\w+://)?(?P<host>\[[^\]\s]*\]|[^\s:/]*):(?P<port>\d{{2,5}})(?=\s|$)")
_VARIABLES = ("PORT", "HTTP_PORT", "SERVER_PORT", "APP_PORT", "LISTEN_PORT", "UVICORN_PORT", "MLFLOW_PORT")
_OF_HOSTS = ("_HOST", "_HOSTNAME", "_ADDR", "_ADDRESS", "_NAME", "_URL")
_SEVERAL = re.compile(r"&&|;|\|\|")
"""Between the commands of a line for a shell: a port of one of them need not be the one that is served."""
_SOMETIMES = {4040, 5005, 5678, 9229}
"""Ports where something listens only while it is debugged, or while a Spark job runs."""
_CLUSTERED = ("store", "queue", "watch")


@dataclass(frozen=True, slots=True)
class PortClues:
    """What is looked at to tell the main port of a service: `places` are those that name it."""

    project: Project
    name: str
    kind: ServiceKind
    body: Mapping[str, Any]
    built: Built
    line: str
    places: Sequence[AddressReference]
    listed: Sequence[int]
    checked: int | None
    known: Collection[str]
    """The names of every service."""


def main_port(clues: PortClues) -> Guess | None:
    """Return the port by which a service is known, and why; None where nothing here names one."""
    kind, said = clues.kind, said_port(clues.line, clues.name)
    asked, scraped, in_code = _namers(clues)
    listed = [port for port in clues.listed if port not in kind.besides and port not in _SOMETIMES]
    if _SEVERAL.search(clues.line) and clues.checked in listed and said not in (*listed, None):
        return Guess(
            clues.checked, f"its health check asks there ({_checked_at(clues)}), and it is published", sure=True
        )
    if said is not None and (said in asked or kind.port not in asked):
        return Guess(said, f"its command says so ({_place(clues, 'command')})", sure=True)
    if asked:
        return _asked(clues, asked)
    if kind.port is not None and kind.port in (*listed, *scraped):
        return Guess(kind.port, f"as is usual for {kind.name}, and named in these files", sure=True)
    if (by_variable := _by_variable(clues)) is not None:
        return by_variable
    if clues.checked is not None and clues.checked not in kind.besides:
        return Guess(clues.checked, f"its health check asks there ({_checked_at(clues)})", sure=True)
    if listed:
        more = f", one of {len(listed)}" if len(listed) > 1 else ""
        return Guess(listed[0], f"compose names it{more} ({_place(clues, 'ports')})", sure=len(listed) == 1)
    if scraped:
        port, _ = scraped.most_common(1)[0]
        return Guess(port, f"metrics are read there: {_where(clues, port, 'scrape')}", sure=True)
    if in_code:
        port, _ = in_code.most_common(1)[0]
        return Guess(port, f"a program says so: {_where(clues, port, 'code')}")
    return Guess(clues.built.ports[0], "its Dockerfile exposes it") if clues.built.ports else None


def further_ports(clues: PortClues, main: int) -> list[Guess]:
    """Return the ports besides the main one that files of others name, each with the place: links must pass them.

    What compose lists, and what a consumer's environment or command names, the harness finds by itself.
    """
    known = {main, *clues.listed, *(one.port for one in clues.places if one.service == clues.name and one.plain)}
    elsewhere = _of_the_host(clues)
    found: dict[int, Guess] = {}
    for one in clues.places:
        if one.service != clues.name or one.port is None or one.source == "code" or _is_peer(clues, one):
            continue
        if one.port not in known and one.port not in elsewhere:
            use = "metrics are read there" if one.source == "scrape" else "others name it"
            found.setdefault(one.port, Guess(one.port, f"{use}: {one.where}", sure=True))
    return list(found.values())


def said_port(line: str, name: str) -> int | None:
    """Return the port that a command says it listens on; an address elsewhere is whom it talks to."""
    if (match := _FLAG.search(line)) is not None:
        return int(match[1])
    own = (*OWN_HOSTS, name)
    return next((int(match["port"]) for match in _BIND.finditer(line) if match["host"] in own), None)


def _namers(clues: PortClues) -> tuple[Counter[int], Counter[int], Counter[int]]:
    """Return the ports that consumers, scrapes and programs name, each with how often."""
    found: tuple[Counter[int], Counter[int], Counter[int]] = (Counter(), Counter(), Counter())
    elsewhere = _of_the_host(clues)
    for one in clues.places:
        if one.service != clues.name or one.port is None or _is_peer(clues, one):
            continue
        if one.port in clues.kind.besides or one.port in elsewhere:  # who names a port of the host does not use it
            continue
        found[{"scrape": 1, "code": 2}.get(one.source, 0)][one.port] += 1
    return found


def _of_the_host(clues: PortClues) -> set[int]:
    return host_ports({key: clues.body.get(key) for key in ("ports", "expose")})


def _asked(clues: PortClues, asked: Counter[int]) -> Guess:
    usual = clues.kind.port
    if usual is not None and usual in asked:
        return Guess(usual, f"as is usual for {clues.kind.name}, and named in these files", sure=True)
    # The order of the files decides among those that are named as often.
    port, _ = asked.most_common(1)[0]
    return Guess(port, f"others know it by this one: {_where(clues, port, 'settings')}", sure=True)


def _is_peer(clues: PortClues, one: AddressReference) -> bool:
    """Whether a store is named by a member of its own cluster: members use a port of their own."""
    if clues.kind.what not in _CLUSTERED:
        return False
    image = bare_image(str(clues.body.get("image") or ""))
    other = clues.project.services[one.consumer]
    alike = re.sub(r"[-_.]?\d+$", "", one.consumer) == re.sub(r"[-_.]?\d+$", "", clues.name)
    # A client is often run from the same image: what ends, or is called otherwise, is none of the members.
    return alike and (not image or bare_image(str(other.get("image") or "")) == image)


def _by_variable(clues: PortClues) -> Guess | None:
    environment = {**(clues.built.environment or {}), **(clues.body.get("environment") or {})}
    for key in _VARIABLES:
        if not str(environment.get(key, "")).isdigit():
            continue
        stem = key.removesuffix("PORT").removesuffix("_")
        beside = [str(environment.get(stem + ending, "")) for ending in _OF_HOSTS] if stem else []
        if any(re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", one) for one in beside for name in clues.known):
            continue  # the port of whom it talks to
        place = ("services", clues.name, "environment", key)
        # A file of variables is often one for all services: another one's port may stand in it.
        file = clues.project.composed.tree.file_of(place)
        shared = clues.project.written(place) is not None and not file.endswith(PLAIN_YAML)
        return Guess(int(environment[key]), f"{key} says so ({clues.project.place(place)})", sure=not shared)
    return None


def _checked_at(clues: PortClues) -> str:
    return _place(clues, "healthcheck") if checks_itself(clues.body) else "in its Dockerfile"


def _place(clues: PortClues, key: str) -> str:
    return clues.project.place(("services", clues.name, key))


def _where(clues: PortClues, port: int, source: str) -> str:
    named = (one for one in clues.places if one.service == clues.name and one.port == port and one.source == source)
    return next(one.where for one in named)
