"""What is known, and what is guessed, of each service: its kind, ports, health check, node, and whom it talks to.

Every value carries the reason for it. What the files state is certain; what is usual for such a program is a guess. The
Dockerfile that builds an image counts as one of the files.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.description.composefields import container_ports, replicas_of
from harness.description.yamltree import Path_
from harness.model.stack import ServiceFields
from harness.onboarding.discovery.addresses import AddressReference, seen
from harness.onboarding.discovery.config_files import named_volumes
from harness.onboarding.discovery.dockerfile import Built, read_dockerfile
from harness.onboarding.discovery.kinds import SOUNDS, ServiceClues, ServiceKind, kind_of, usual_image
from harness.onboarding.discovery.project import Project

_FLAG = re.compile(r"(?:^|\s)(?:--port|--http-port|--serve-port|--server\.port|-p)[= ](\d{2,5})(?=\s|$)")
_LISTENS = "--bind|-b|--listen|--addr|--address|--http-address|--web\\.listen-address|--host"
_BIND = re.compile(rf"(?:^|\s)(?:{_LISTENS})[= ](?:\w+://)?(?P<host>\[[^\]\s]*\]|[^\s:/]*):(?P<port>\d{{2,5}})(?=\s|$)")
_OWN_HOSTS = ("", "0.0.0.0", "[::]", "[::0]", "*", "localhost", "127.0.0.1", "[::1]")  # noqa: S104 - it is only read
_PORT_NAMES = ("PORT", "HTTP_PORT", "SERVER_PORT", "APP_PORT", "LISTEN_PORT", "UVICORN_PORT", "MLFLOW_PORT")
_URL = re.compile(r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\]|[\w.-]+)(?::(\d+))?(/[^\s'\"|&;)]*)?")


@dataclass(frozen=True, slots=True)
class Guess:
    """A value and why it is believed. `sure` where the files say it outright."""

    value: Any
    why: str
    sure: bool = False


@dataclass
class Found:
    """One service."""

    name: str
    kind: ServiceKind
    kind_why: str
    port: Guess | None = None
    health: Guess | None = None
    node: Guess | None = None
    checks_itself: bool = False
    job: bool = False
    awaited: bool = False
    """Whether others start only once it is done."""
    restart: str = "no"
    volumes: list[str] = field(default_factory=list)
    depends_on: list[str] = field(default_factory=list)
    links: dict[str, list[AddressReference]] = field(default_factory=dict)
    """Whom it talks to, and every place that says so."""
    environment: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, Guess] = field(default_factory=dict)
    """What may be so, and is not written as a fact: by field."""
    unreached: str = ""
    """Why nothing can be asked of it or done to it, where that is so."""
    replicas: int = 1

    @property
    def kind_is_known(self) -> bool:
        """Whether more than a name tells what it is."""
        return bool(self.kind_why) and not self.kind_why.endswith(SOUNDS)

    @property
    def goes_on(self) -> bool:
        """Whether it is meant to go on: it listens, is checked, is started again when it ends, or is a known server."""
        started_again = self.restart in ("always", "unless-stopped")
        serves = self.kind_is_known and self.kind.what not in ("job", "training", "other")
        return not self.job and (started_again or serves or self.port is not None or self.checks_itself)

    @property
    def stateful(self) -> bool:
        """Whether it keeps data."""
        return self.kind.what in ("store", "queue") or bool(self.volumes and self.kind.what in ("tracking", "other"))

    @property
    def one_of(self) -> str:
        """It in words, or one of its replicas."""
        return self.name if self.replicas == 1 else f"one of the {self.replicas} replicas of {self.name}"

    @property
    def one_target(self) -> dict[str, Any]:
        """The target of a fault that is this service, or the first of its replicas."""
        return {"service": self.name} | ({"replica": 1} if self.replicas > 1 else {})

    @property
    def address(self) -> str:
        """`service:port`; for services that have one."""
        assert self.port is not None
        return f"{self.name}:{self.port.value}"


def guess_all(project: Project) -> dict[str, Found]:
    """Return what is known of every service of the project, in its order."""
    places = seen(project)
    ends = _one_offs(project)
    found = {name: _service(project, name, body, places, name in ends) for name, body in project.services.items()}
    for name in found:
        for one in places:
            if one.service == name:
                found[one.consumer].links.setdefault(name, []).append(one)
    return found


def _one_offs(project: Project) -> set[str]:
    """Services that others wait for to be done."""
    found = set()
    for body in project.services.values():
        waits = body.get("depends_on")
        for name, how in waits.items() if isinstance(waits, dict) else ():
            if isinstance(how, dict) and how.get("condition") == "service_completed_successfully":
                found.add(name)
    return found


def _service(project: Project, name: str, body: Mapping[str, Any], places: list[AddressReference], ends: bool) -> Found:
    built = read_dockerfile(project.folder, body.get("build"))
    if body.get("command") or body.get("entrypoint"):  # another program than the one that the image was made for
        built = Built(image=built.image, environment=built.environment)
    words = _words(body, built)
    images = (str(body.get("image") or ""), usual_image(project.written(("services", name, "image"))), built.image)
    named = Counter(one.port for one in places if one.service == name and one.port is not None)
    listed = container_ports(ServiceFields.model_validate({}), {key: body.get(key) for key in ("ports", "expose")})
    goes_on = bool(listed) or str(body.get("restart")) in ("always", "unless-stopped")
    kind, why = kind_of(ServiceClues(name, words, images, {*listed, *named}, _schemes(project, name), goes_on=goes_on))
    environment = {k: str(v) for k, v in (body.get("environment") or {}).items() if v is not None}
    found = Found(
        name,
        kind,
        why,
        checks_itself=_checks(body),
        job=ends or kind.what == "job",
        awaited=ends,
        restart=str(body.get("restart") or "no"),
        volumes=named_volumes(body),
        depends_on=list(body.get("depends_on") or {}),
        environment=environment,
        node=_node(project, name, body),
        unreached=_unreached(body),
        replicas=_replicas(body) or 1,
    )
    if found.job:
        return found
    checked = _checked_url(body, built)
    port = _port(project, name, body, built, words, kind, places, checked)
    if port is None and kind.port is not None:
        port = Guess(kind.port, f"usual for {kind.name}; nothing here names it")
        if not found.kind_is_known:
            found.left_out = {"port": port}
            return found
    if port is None or found.unreached:
        return found
    found.port = port
    found.health = _health(found, checked, project, name)
    return found


def _unreached(body: Mapping[str, Any]) -> str:
    """Return why a service has no address of its own, nor its replicas; nothing where they have."""
    if _replicas(body) == 0:
        return "scaled to 0"
    return f"network_mode: {body['network_mode']}" if body.get("network_mode") else ""


def _replicas(body: Mapping[str, Any]) -> int | None:
    """Return how many containers compose starts of a service; None of what it would refuse as well."""
    try:
        return replicas_of(body)
    except ValueError:
        return None


def _schemes(project: Project, name: str) -> list[str]:
    """Return the schemes of the URLs by which others ask a service: `postgresql` of `postgresql+psycopg2://…@name`."""
    pattern = re.compile(rf"\b([a-z]+)(?:\+\w+)?://(?:[^\s/@'\"]*@)?{re.escape(name)}(?![\w.-])")
    found: list[str] = []
    for other, body in project.services.items():
        values = (body.get("environment") or {}).values() if other != name else ()
        found += [scheme for value in values if isinstance(value, str) for scheme in pattern.findall(value)]
        found += pattern.findall(" ".join(_words(body, Built()))) if other != name else []
    return list(dict.fromkeys(found))


def _words(body: Mapping[str, Any], built: Built) -> list[str]:
    words: list[str] = []
    for key in ("entrypoint", "command"):
        value = body.get(key)
        if isinstance(value, str):
            try:
                words += shlex.split(value)
            except ValueError:
                words += value.split()
        elif isinstance(value, list):
            words += [str(word) for word in value]
    return words or list(built.command)


def _port(
    project: Project,
    name: str,
    body: Mapping[str, Any],
    built: Built,
    words: Iterable[str],
    kind: ServiceKind,
    places: list[AddressReference],
    checked: tuple[int | None, str | None],
) -> Guess | None:
    line = " ".join(words)
    at = ("services", name)
    named = Counter(one.port for one in places if one.service == name and one.port is not None)
    listed = container_ports(ServiceFields.model_validate({}), {key: body.get(key) for key in ("ports", "expose")})
    environment = {**(built.environment or {}), **(body.get("environment") or {})}
    if kind.port is not None and (kind.port in named or kind.port in listed):
        return Guess(kind.port, f"as is usual for {kind.name}, and named in these files", sure=True)
    if (said := _said_port(line, name)) is not None:
        return Guess(said, f"its command says so ({project.place((*at, 'command'))})", sure=True)
    for key in _PORT_NAMES:
        if str(environment.get(key, "")).isdigit():
            place = (*at, "environment", key)
            # A file of variables is often one for all services: another one's port may stand in it.
            shared = project.written(place) is not None and not _in_compose_file(project, place)
            return Guess(int(environment[key]), f"{key} says so ({project.place(place)})", sure=not shared)
    if named:
        port, _ = named.most_common(1)[0]
        where = next(one.where for one in places if one.service == name and one.port == port)
        return Guess(port, f"others know it by this one: {where}", sure=True)
    if checked[0] is not None:
        where = project.place((*at, "healthcheck")) if _checks(body) else "in its Dockerfile"
        return Guess(checked[0], f"its health check asks there ({where})", sure=True)
    if listed:
        more = f", one of {len(listed)}" if len(listed) > 1 else ""
        return Guess(listed[0], f"compose names it{more} ({project.place((*at, 'ports'))})", sure=len(listed) == 1)
    if built.ports:
        return Guess(built.ports[0], "its Dockerfile exposes it")
    return None


def _said_port(line: str, name: str) -> int | None:
    """Return the port that a command says it listens on; an address elsewhere is whom it talks to."""
    if (match := _FLAG.search(line)) is not None:
        return int(match[1])
    own = (*_OWN_HOSTS, name)
    return next((int(match["port"]) for match in _BIND.finditer(line) if match["host"] in own), None)


def _in_compose_file(project: Project, path: Path_) -> bool:
    return Path(project.composed.tree.file_of(path)).suffix in (".yaml", ".yml")


def _health(found: Found, checked: tuple[int | None, str | None], project: Project, name: str) -> Guess | None:
    if found.port is None:
        return None
    port, path = checked
    if path is not None and port == found.port.value:
        where = project.place(("services", name, "healthcheck")) if found.checks_itself else "in its Dockerfile"
        return Guess({"http": path}, f"its own health check asks this ({where})", sure=True)
    if found.kind.name == "tf-serving":
        model = found.environment.get("MODEL_NAME", "model")
        return Guess({"http": f"/v1/models/{model}"}, "usual for tf-serving")
    if found.kind.http is not None:
        return Guess({"http": found.kind.http}, f"usual for {found.kind.name}")
    if found.checks_itself or found.kind.what in ("store", "queue"):
        return Guess({"tcp": True}, "a connection is all that can be asked of it without its own protocol")
    return Guess({"tcp": True}, "no health check is known; a path that answers 200, as {http: /health}, says more")


def _checks(body: Mapping[str, Any]) -> bool:
    check = body.get("healthcheck")
    return isinstance(check, dict) and not check.get("disable") and check.get("test") not in (None, "NONE", ["NONE"])


def _checked_url(body: Mapping[str, Any], built: Built) -> tuple[int | None, str | None]:
    """Return port and path of the URL that the service's own health check asks."""
    check = body.get("healthcheck")
    test = check.get("test") if isinstance(check, dict) and _checks(body) else built.health
    line = " ".join(str(word) for word in test) if isinstance(test, list) else str(test or "")
    match = _URL.search(line)
    if match is None:
        return None, None
    parts = urlsplit(match[0])
    return int(match[1]) if match[1] else 80, parts.path + (f"?{parts.query}" if parts.query else "") or "/"


def _node(project: Project, name: str, body: Mapping[str, Any]) -> Guess | None:
    """Return where deploy.placement puts a service; None where it says nothing."""
    deploy = body.get("deploy") or project.written(("services", name, "deploy"))
    placement = deploy.get("placement") if isinstance(deploy, dict) else None
    rules = placement.get("constraints") if isinstance(placement, dict) else None
    for rule in rules if isinstance(rules, list) else ():
        match = re.fullmatch(r"\s*node\.(?:hostname|labels\.[\w.-]+)\s*==\s*([\w.-]+)\s*", str(rule))
        if match:
            where = project.place(("services", name, "deploy", "placement"))
            return Guess(match[1], f"its placement says so ({where})", sure=True)
    return None
