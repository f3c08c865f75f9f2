"""Who talks to whom: every place in a service's configuration that names another service.

`service:port`, a URL, or a name with its port in the variable or the line beside it; in the environment, the command,
and the files that the service mounts or has in its image. A mere `depends_on` is no link: it says what starts first.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.description.ties import aliases
from harness.description.yamltree import Path_
from harness.model.fields import Link
from harness.model.stack import names_callers
from harness.onboarding.discovery.config_files import config_files, form_of, text_of
from harness.onboarding.discovery.kinds import ServiceClues, kind_of
from harness.onboarding.discovery.project import PLAIN_YAML, Project

SCHEMES: Mapping[str, int] = {
    "http": 80, "https": 443, "grpc": 50051, "postgres": 5432, "postgresql": 5432, "mysql": 3306, "mariadb": 3306,
    "redis": 6379, "rediss": 6379, "valkey": 6379, "mongodb": 27017, "amqp": 5672, "nats": 4222, "kafka": 9092,
    "clickhouse": 8123,
}  # fmt: skip
_HOST_ENDINGS = ("_HOST", "_HOSTNAME", "_SERVER", "_ADDR", "_ADDRESS", "_ENDPOINT", "_URL", "_URI", "_HOSTS")

_HOST_KEYS = ("hostname", "host", "address", "addr")
_SETTING = re.compile(
    r"""[\s{-]*["']?(?P<key>[A-Za-z][\w.-]*)["']?\s*[:=]\s*["']?(?P<value>[\w.-]+)["']?\s*[,})]?\s*(\#.*)?$"""
)
"""A line that sets one thing: in YAML, JSON, properties, INI and TOML."""
NEAR_LINES = 3
_READER = {"feature_store.yaml": "feast"}
"""Files that one program reads whatever it is asked to do."""
_CODE = (".py",)
_SET = re.compile(r"^\s*set\s+\$(?P<name>\w+)\s+[\"']?(?P<value>[^\s\"';$]+)[\"']?\s*;", re.MULTILINE)
_UPSTREAM = re.compile(r"^\s*upstream\s+(?P<name>[\w.-]+)\s*\{", re.MULTILINE)
"""A group of servers in the configuration of nginx, often called as one of them is."""
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_DATAGRAMS = re.compile(r"STATSD")
"""Variables of what is sent without a connection, on which no fault of a link acts."""


@dataclass(frozen=True, slots=True)
class AddressReference:
    """One place where a consumer names a service. `port` is None where none is given; `plain` is `service:port` in
    the environment or the command, where the harness finds it by itself. `shared` is the file that says so, if several
    services read it. A `scrape` is where Prometheus reads metrics; what stands in `code` may never be run."""

    consumer: str
    service: str
    port: int | None
    where: str
    plain: bool
    shared: str | None = None
    source: Literal["settings", "scrape", "code"] = "settings"
    surely_read: bool = False
    """Whether the file that says so is one that the consumer's program always reads."""


@dataclass(frozen=True, slots=True)
class References:
    """Every place where a service names another one, of a whole project."""

    sure: tuple[AddressReference, ...]
    doubtful: tuple[AddressReference, ...]
    """Those that may be meant for other services than the one that has them."""

    @property
    def doubtful_services(self) -> dict[str, dict[str, list[str]]]:
        """For each service and each place that it shares: whom that names and the service may not talk to."""
        found: dict[str, dict[str, list[str]]] = {}
        for one in self.doubtful:
            file, _, line = str(one.shared).rpartition(":")
            where = f"an environment in {file}" if line.isdigit() else str(one.shared)
            named = found.setdefault(one.consumer, {}).setdefault(where, [])
            if one.service not in named:
                named.append(one.service)
        return found

    @property
    def doubtful_links(self) -> list[Link]:
        """The links that the harness finds by itself, and that may be meant for others than their consumer."""
        return list(dict.fromkeys(Link(one.consumer, one.service) for one in self.doubtful if one.plain))


def references_of(project: Project) -> References:
    """Return every place where a service of a project names another one."""
    every = _every(project)
    doubtful = _doubtful(project, every)
    return References(tuple(one for one in every if one not in doubtful), tuple(doubtful))


def _doubtful(project: Project, every: Sequence[AddressReference]) -> list[AddressReference]:
    """Return the references that are only in a file of several services, and may be meant for others of them.

    An env file holds all addresses of the project. Who waits for a service, or names it elsewhere too, talks to it; if
    none of the readers does, nothing tells them apart, and all count but stores, which only take their settings from
    it. Code that several have is run by some of them, and only proof tells by whom.
    """
    more = {(one.consumer, one.service) for one in every if one.shared is None or one.surely_read}
    for name, body in project.services.items():
        more |= {(name, other) for other in body.get("depends_on") or ()}
    shown = {(one.shared, one.service) for one in every if (one.consumer, one.service) in more}
    stores = {name for name, body in project.services.items() if _keeps_data(name, body)}
    clients = {(one.shared, one.service) for one in every if one.consumer not in stores}
    found = []
    for one in every:
        key = (one.shared, one.service)
        unclear = key in shown or one.source == "code" or (one.consumer in stores and key in clients)
        if one.shared and unclear and (one.consumer, one.service) not in more:
            found.append(one)
    return found


def _keeps_data(name: str, body: Mapping[str, Any]) -> bool:
    kind, _ = kind_of(ServiceClues(name, (), (str(body.get("image") or ""),)))
    return kind.what in ("store", "queue")


def _shared_files(project: Project) -> set[str]:
    """Return the env files that set variables of more than one service."""
    readers: dict[str, set[str]] = {}
    for name, body in project.services.items():
        for key in body.get("environment") or ():
            file = project.composed.tree.file_of(("services", name, "environment", key))
            if Path(file).suffix not in PLAIN_YAML:
                readers.setdefault(file, set()).add(name)
    return {file for file, names in readers.items() if len(names) > 1}


def _every(project: Project) -> list[AddressReference]:
    names = known_names(project)
    pattern = _pattern(names)
    many = _shared_files(project)
    users = Counter(project.place(path) for name, body in project.services.items() for path in _variables(name, body))
    found: list[AddressReference] = []
    for consumer, body in project.services.items():
        for path, key, text in _texts(consumer, body):
            place = project.place(path)
            where = f"{key} ({place})"
            file_of_it = project.composed.tree.file_of(path)
            shared = os.path.relpath(file_of_it, project.folder) if file_of_it in many else None
            if shared is None and users[place] > 1:  # an environment that several take in by a YAML anchor
                shared = place
            for name, port in _named(text, key, body, pattern):
                service = names[name]
                spelt = re.search(rf"(?<![\w.-]){re.escape(name)}:{port}(?!\d)", text) is not None
                plain = spelt and name == service and key != "entrypoint"
                found.append(AddressReference(consumer, service, port, where, plain, shared))
    found += _in_files(project, names, pattern)
    return [one for one in dict.fromkeys(found) if one.consumer != one.service]


def _in_files(project: Project, names: Mapping[str, str], pattern: re.Pattern[str]) -> Iterator[AddressReference]:
    """Yield what the configuration files and programs that services have name."""
    files = {consumer: list(_read_by(project, consumer, body)) for consumer, body in project.services.items()}
    readers = Counter(file for read in files.values() for file, _ in read)
    for consumer, read in files.items():
        environment = project.services[consumer].get("environment") or {}
        texts = {file: _with_variables(text_of(file), environment) for file, _ in read}
        grouped = {match["name"] for text in texts.values() for match in _UPSTREAM.finditer(text)}
        for file, form in read:
            shown = os.path.relpath(file, project.folder.resolve())
            shared = shown if readers[file] > 1 else None
            surely = _reads_surely(project.services[consumer], file)
            source: Literal["settings", "scrape", "code"] = "scrape" if form == "prometheus" else "settings"
            if file.suffix in _CODE:
                source = "code"
            lines = [(n, line) for n, line in enumerate(texts[file].splitlines(), start=1) if not _is_remark(line)]
            told = [(n, *named) for n, line in lines for named in _in_text(line, pattern, grouped)]
            for number, name, port in (*told, *_host_lines(texts[file], pattern)):
                where = f"{shown}:{number}"
                yield AddressReference(
                    consumer, names[name], port, where, plain=False, shared=shared, source=source, surely_read=surely
                )


def _read_by(project: Project, consumer: str, body: Mapping[str, Any]) -> Iterator[tuple[Path, str | None]]:
    """Yield the files that a service reads, each with whose form it has."""
    about = (consumer, body.get("image"), project.written(("services", consumer, "image")))
    for file in config_files(body, project.folder):
        form = form_of(file)
        if form is None or any(form in str(name) for name in about):  # else a folder that several services mount
            yield file, form


def _reads_surely(body: Mapping[str, Any], file: Path) -> bool:
    """Whether the program that a service runs never goes without a file, whoever else has it as well."""
    program = _READER.get(file.name)
    words = body.get("command") or body.get("entrypoint") or ""
    return program is not None and program in (words.split() if isinstance(words, str) else map(str, words))


def _with_variables(text: str, environment: Mapping[str, Any]) -> str:
    """Fill in what a proxy's configuration calls by a variable: one that it sets itself, or one of the environment."""
    values = {key: str(value) for key, value in environment.items() if value is not None}
    values |= {match["name"]: match["value"] for match in _SET.finditer(text)}
    return _VARIABLE.sub(lambda match: values.get(match[1] or match[2], match[0]), text) if values else text


def _is_remark(line: str) -> bool:
    return line.lstrip().startswith(("#", "//", ";"))


def known_names(project: Project) -> dict[str, str]:
    """Return every name and address under which a service is known to others: its own, its host's, a network's."""
    found: dict[str, str] = {}
    for name, body in project.services.items():
        for other in aliases(body):
            found.setdefault(other, name)
    return found | {name: name for name in project.services}


def _pattern(names: Mapping[str, str]) -> re.Pattern[str]:
    either = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(
        rf"(?:(?P<scheme>[a-z][a-z0-9+]*)://(?:[^\s/@'\"]*@)?)?(?<![\w.${{-])(?P<name>{either})\.?(?::(?P<port>\d{{1,5}})(?!\d))?(?![\w.-]|:?[^\s/@:,]*@)"
    )


def _texts(service: str, body: Mapping[str, Any]) -> Iterator[tuple[Path_, str, str]]:
    base: Path_ = ("services", service)
    environment = body.get("environment")
    for key, value in environment.items() if isinstance(environment, dict) else ():
        if isinstance(value, str) and not names_callers(str(key)) and not _DATAGRAMS.search(str(key)):
            yield (*base, "environment", key), str(key), value
    for key in ("command", "entrypoint"):
        value = body.get(key)
        if isinstance(value, str):
            yield (*base, key), key, value
        for index, word in enumerate(value) if isinstance(value, list) else ():
            yield (*base, key, index), key, str(word)


def _variables(service: str, body: Mapping[str, Any]) -> Iterator[Path_]:
    environment = body.get("environment")
    yield from (("services", service, "environment", key) for key in environment or () if isinstance(environment, dict))


def _named(text: str, key: str, body: Mapping[str, Any], pattern: re.Pattern[str]) -> Iterator[tuple[str, int | None]]:
    yielded = False
    for name, port in _in_text(text, pattern):
        yielded = True
        yield name, port
    for _, name, beside in _host_lines(text, pattern):
        yielded = True
        yield name, beside
    whole = pattern.fullmatch(text.strip())
    if not yielded and whole is not None and key.upper().endswith(_HOST_ENDINGS):
        yield whole["name"], _port_beside(key, body.get("environment"))


def _in_text(text: str, pattern: re.Pattern[str], grouped: Collection[str] = ()) -> Iterator[tuple[str, int]]:
    """Yield name and port of each address; without a port, `grouped` are names of groups of servers."""
    for match in pattern.finditer(text):
        if match["port"] is not None and 0 < int(match["port"]) < 65536:
            yield match["name"], int(match["port"])
        elif match["scheme"] is not None and match["name"] not in grouped:
            port = SCHEMES.get(match["scheme"].partition("+")[0])
            if port is not None:
                yield match["name"], port


def _host_lines(text: str, pattern: re.Pattern[str]) -> Iterator[tuple[int, str, int | None]]:
    """Yield line number, name and port where a setting is the host of a service: `rpc.address: db`, `"host": "db"`."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        setting = _SETTING.match(line)
        if setting is None or not setting["key"].lower().endswith(_HOST_KEYS):
            continue
        named = pattern.fullmatch(setting["value"])
        if named is None or named["port"] is not None or named["scheme"] is not None:
            continue
        stem = re.sub(rf"({'|'.join(_HOST_KEYS)})$", "", setting["key"].lower())
        yield number + 1, named["name"], _port_near(lines, number, f"{stem}port")


def _port_near(lines: list[str], at: int, key: str) -> int | None:
    for line in lines[max(0, at - NEAR_LINES) : at + NEAR_LINES + 1]:
        setting = _SETTING.match(line)
        if setting is not None and setting["key"].lower() == key and setting["value"].isdigit():
            port = int(setting["value"])
            return port if 0 < port < 65536 else None
    return None


def _port_beside(key: str, environment: Any) -> int | None:
    """Return the port in the variable that goes with a host: `DB_PORT` beside `DB_HOST`."""
    stem = next(key[: -len(ending)] for ending in _HOST_ENDINGS if key.upper().endswith(ending))
    port = str((environment or {}).get(f"{stem}_PORT", ""))
    return int(port) if port.isdigit() and 0 < int(port) < 65536 else None
