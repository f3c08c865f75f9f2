"""What is known, and what is guessed, of each service: its kind, ports, health check, node, and whom it talks to.

Every value carries the reason for it. What the files state is certain; what is usual for such a program is a guess. The
Dockerfile that builds an image counts as one of the files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.description.composefields import container_ports, replicas_of
from harness.model.stack import ServiceFields
from harness.onboarding.discovery.addresses import AddressReference, References, known_names
from harness.onboarding.discovery.commands import words_of
from harness.onboarding.discovery.config_files import named_volumes
from harness.onboarding.discovery.dockerfile import Built, builds_by_image, read_dockerfile
from harness.onboarding.discovery.guess import Guess
from harness.onboarding.discovery.healthchecks import OwnCheck, checks_itself, own_check
from harness.onboarding.discovery.kinds import JOB, SOUNDS, ServiceClues, ServiceKind, kind_of, usual_image
from harness.onboarding.discovery.ports import PortClues, further_ports, main_port, said_port
from harness.onboarding.discovery.project import Project


@dataclass
class FoundService:
    """One service."""

    name: str
    kind: ServiceKind
    kind_why: str
    port: Guess | None = None
    further_ports: list[Guess] = field(default_factory=list)
    """Those that files of others name besides, and that no field of compose lists."""
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
    called_a_job: bool = False
    """Whether its name is that of something that ends, though nothing else says so."""
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
        serves = self.kind_is_known and self.kind.what not in ("job", "training", "other") and not self.called_a_job
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


def guess_all(project: Project, references: References) -> dict[str, FoundService]:
    """Return what is known of every service of the project, in its order."""
    places = references.sure
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


def _service(
    project: Project, name: str, body: Mapping[str, Any], places: Sequence[AddressReference], ends: bool
) -> FoundService:
    build = body.get("build") or builds_by_image(project.services).get(str(body.get("image")))
    built = read_dockerfile(project.folder, build)
    if body.get("command") or body.get("entrypoint"):  # another program than the one that the image was made for
        built = Built(image=built.image, environment=built.environment)
    words = words_of(body) or list(built.command)
    images = (str(body.get("image") or ""), usual_image(project.written(("services", name, "image"))), built.image)
    named = Counter(one.port for one in places if one.service == name and one.port is not None)
    listed = container_ports(ServiceFields.model_validate({}), {key: body.get(key) for key in ("ports", "expose")})
    goes_on = bool(listed) or str(body.get("restart")) in ("always", "unless-stopped")
    kind, why = kind_of(ServiceClues(name, words, images, {*listed, *named}, _schemes(project, name), goes_on=goes_on))
    environment = {k: str(v) for k, v in (body.get("environment") or {}).items() if v is not None}
    found = FoundService(
        name,
        kind,
        why,
        checks_itself=checks_itself(body),
        job=ends or kind.what == "job",
        awaited=ends,
        restart=str(body.get("restart") or "no"),
        volumes=named_volumes(body),
        depends_on=list(body.get("depends_on") or {}),
        environment=environment,
        node=_node(project, name, body),
        unreached=_unreached(body),
        replicas=_replicas(body) or 1,
        called_a_job=re.search(str(JOB.image), name) is not None,
    )
    if found.job:
        return found
    checked = own_check(body, built.health, [known for known, of in known_names(project).items() if of == name])
    line = " ".join(words)
    clues = PortClues(project, name, kind, body, built, line, places, listed, checked.port, known_names(project))
    port = main_port(clues)
    if port is None and kind.port is not None:
        port = Guess(kind.port, f"usual for {kind.name}; nothing here names it")
        if not found.kind_is_known:
            found.left_out = {"port": port}
            return found
    if port is None or found.unreached:
        return found
    found.port = port
    found.further_ports = further_ports(clues, port.value)
    found.health = _health(found, checked, clues)
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
    # What stands before an @ is who logs in, and may be called as a service is.
    pattern = re.compile(rf"\b([a-z]+)(?:\+\w+)?://(?:[^\s/@'\"]*@)?{re.escape(name)}(?![\w.@-]|:[^\s/@]*@)")
    found: list[str] = []
    for other, body in project.services.items():
        values = (body.get("environment") or {}).values() if other != name else ()
        found += [scheme for value in values if isinstance(value, str) for scheme in pattern.findall(value)]
        found += pattern.findall(" ".join(words_of(body))) if other != name else []
    return list(dict.fromkeys(found))


def _health(found: FoundService, checked: OwnCheck, clues: PortClues) -> Guess | None:
    if found.port is None:
        return None
    if checked.path is not None and checked.port == found.port.value:
        place = clues.project.place(("services", found.name, "healthcheck"))
        where = place if found.checks_itself else "in its Dockerfile"
        whatever = "" if checked.sure else ", and is content with any answer"
        return Guess({"http": checked.path}, f"its own health check asks this ({where}){whatever}", sure=checked.sure)
    # What is usual of a kind is so on its main port: another one may speak another protocol.
    if found.port.value in (found.kind.port, said_port(clues.line, found.name)):
        if found.kind.name == "tf-serving":
            model = found.environment.get("MODEL_NAME", "model")
            return Guess({"http": f"/v1/models/{model}"}, "usual for tf-serving")
        if found.kind.http is not None:
            return Guess({"http": found.kind.http}, f"usual for {found.kind.name}")
    if found.checks_itself or found.kind.what in ("store", "queue"):
        return Guess({"tcp": True}, "a connection is all that can be asked of it without its own protocol")
    return Guess({"tcp": True}, "no health check is known; a path that answers 200, as {http: /health}, says more")


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
