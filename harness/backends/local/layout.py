"""From a stack plan to where everything is: addresses, links, and commands, environments and files of processes.

The i-th service has the address .(10+i), the k-th planned link .(110+k), the fault proxy .2. Ports stay as they are, so
that two services may share a port number and a link can replace its service by its address alone. The proxy is one more
process, driven through its Toxiproxy API alone; it runs before the consumers start, so no connection misses the link.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.backends.fault_proxy import link_entry, why_not_up
from harness.backends.local.spawn import ProcessSpec
from harness.model.backend import LinkEndpoint, StackPlan
from harness.model.errors import BackendError, did_you_mean
from harness.model.fields import Link
from harness.model.stack import ServiceSpec, StackDescription, reference_pattern

PROXY_PORT = 8474
MOST_LINKS = 140
_FIRST_SERVICE = 10
_FIRST_LINK = 110
POLL_S = 0.01
READY_WITHIN_S = 10.0
_TAKEN_OVER = ("HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME", "PYTHONPATH")


class LocalAddresses:
    """The addresses of one stack."""

    def __init__(self, block: str, description: StackDescription, links: tuple[Link, ...] = ()) -> None:
        self.block = block
        self.proxy = f"{block}.2"
        self.services: Mapping[str, str] = {
            name: f"{block}.{_FIRST_SERVICE + service.index}" for name, service in description.services.items()
        }
        self.links: Mapping[Link, str] = {link: f"{block}.{_FIRST_LINK + k}" for k, link in enumerate(links)}
        self.ports: Mapping[Link, tuple[int, ...]] = {link: description.ports_of(link) for link in links}
        self._pattern = reference_pattern(description.services)

    def rewrite(self, text: str, consumer: str | None = None) -> str:
        """Put addresses for names: the service's own, or for a consumer its planned link's."""
        return self._pattern.sub(lambda match: f"{self._address(match[1], int(match[2]), consumer)}:{match[2]}", text)

    def _address(self, service: str, port: int, consumer: str | None) -> str:
        if consumer is not None:
            link = Link(consumer, service)
            if port in self.ports.get(link, ()):
                return self.links[link]
        return self.services[service]

    def resolve(self, url: str, consumer: str | None = None) -> str:
        """Return the reachable form of a URL or of `host:port`. Raises BackendError for a host that is no service."""
        host = urlsplit(url if "://" in url else f"//{url}").hostname or ""
        known = {name.lower(): name for name in self.services}
        if host not in known:
            if "." in host or ":" in host or host == "localhost":
                return url
            raise BackendError(f"{url!r}: unknown service {host!r}", remedy=did_you_mean(host, self.services))
        resolved = self.rewrite(url, consumer)
        if resolved == url:
            raise BackendError(f"{url!r} has no port", remedy=f"write {known[host]}:<port>")
        return resolved


def proxy_command(addresses: LocalAddresses, seed: int, links: Path) -> list[str]:
    """Return the command of the fault proxy; `links`: the file with which it starts, and starts again."""
    where = ["--host", addresses.proxy, "--port", str(PROXY_PORT), "--config", str(links)]
    return ["python", "-m", "harness.proxy", "serve", *where, "--seed", str(seed), "--metrics", "--die-with-parent"]


def link_endpoints(addresses: LocalAddresses) -> dict[str, LinkEndpoint]:
    """Return where each planned link can be disturbed."""
    api = f"http://{addresses.proxy}:{PROXY_PORT}"
    return {
        link.name: LinkEndpoint(
            link.name, api, {port: f"{number}-{link.consumer}-{link.service}-{port}" for port in addresses.ports[link]}
        )
        for number, link in enumerate(addresses.links)
    }


def link_entries(addresses: LocalAddresses) -> list[dict[str, Any]]:
    """Return what the fault proxy starts with: every port of every link."""
    endpoints = link_endpoints(addresses)
    return [
        link_entry(name, f"{addresses.links[link]}:{port}", f"{addresses.services[link.service]}:{port}")
        for link in addresses.links
        for port, name in endpoints[link.name].proxies.items()
    ]


async def links_made(addresses: LocalAddresses) -> None:
    """Return when the fault proxy answers and has every port of every link. Raises BackendError."""
    names = [entry["name"] for entry in link_entries(addresses)]
    why = await why_not_up(addresses.proxy, PROXY_PORT, names, READY_WITHIN_S, POLL_S)
    if why is not None:
        raise BackendError(f"the fault proxy {why}")


def base_environment() -> dict[str, str]:
    """Return what every process of a stack is given besides its own settings: little, as in a container."""
    environment = {name: os.environ[name] for name in _TAKEN_OVER if name in os.environ}
    environment.setdefault("LANG", "C.UTF-8")
    own = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join([own, os.environ.get("PATH", os.defpath)])
    return environment | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def log_path(run_dir: Path, service: str) -> Path:
    """Return the log file of a service."""
    return run_dir.absolute() / "logs" / f"{service.replace(':', '-')}.log"


def tail(path: Path, lines: int, most_bytes: int = 65536) -> list[str]:
    """Return the last lines of a file, or none where there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - most_bytes))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()[-lines:] if lines > 0 else []


def located(argv: tuple[str, ...], home: Path) -> list[str]:
    """Return the command with its relative paths made absolute, from the folder of the stack's file.

    The program's path always; of the arguments, each with a `/` that names something which exists below that folder.
    """
    program = argv[0]
    return [str(home / program) if os.sep in program else program, *(_beside(word, home) for word in argv[1:])]


def _beside(word: str, home: Path) -> str:
    # Other words with a `/` are a URL, a route, or a file that the service makes in its own folder.
    if os.sep not in word or Path(word).is_absolute() or not os.path.exists(home / word):  # noqa: PTH110 - no OSError
        return word
    path = os.path.normpath(home / word)
    return path if Path(path).is_relative_to(os.path.normpath(home)) else word


def without_env(argv: list[str]) -> tuple[dict[str, str], list[str]]:
    """Split `env NAME=value … command` into settings and command, so that the command can be forked all the same."""
    if not argv or argv[0] != "env":
        return {}, argv
    count = next((i for i, word in enumerate(argv[1:]) if not re.match(r"[A-Za-z_]\w*=", word)), len(argv) - 1)
    if count + 1 == len(argv) or argv[count + 1].startswith("-"):
        return {}, argv
    return dict(word.split("=", 1) for word in argv[1 : count + 1]), argv[count + 1 :]


def missing_program(argv: tuple[str, ...], home: Path) -> str | None:
    """Return the command's program if it is not there."""
    program = located(argv, home)[0]
    return None if shutil.which(program, path=base_environment()["PATH"]) else argv[0]


def process_spec(
    service: ServiceSpec, plan: StackPlan, addresses: LocalAddresses, scratch: Path, data: str | None
) -> ProcessSpec:
    """Return the process that a service is to be."""
    home = Path(plan.description.folder)
    directory = scratch / "services" / service.name
    placeholders = {"address": addresses.services[service.name], "port": str(service.port), "dir": str(directory)}
    if data is not None:
        placeholders["data"] = data
    environment = {**service.environment, **_filled(service.local.environment, placeholders)}
    if plan.start_at is not None:
        environment["START_AT"] = plan.start_at
    environment |= plan.environment.get(service.name, {})
    command = service.local_command
    if command is None:
        raise BackendError(f"the service {service.name!r} has no command for the local backend")
    argv = [_fill(word, placeholders) for word in command]
    return ProcessSpec(
        name=service.name,
        argv=located(tuple(addresses.rewrite(word, service.name) for word in argv), home),
        env=base_environment() | {key: addresses.rewrite(value, service.name) for key, value in environment.items()},
        directory=str(directory),
        log=str(log_path(plan.run_dir, service.name)),
        of_a_stack=True,
        search=[str(home)],
        restart=service.restart,
    )


def _filled(values: Mapping[str, str], placeholders: Mapping[str, str]) -> dict[str, str]:
    return {key: _fill(value, placeholders) for key, value in values.items()}


def _fill(text: str, placeholders: Mapping[str, str]) -> str:
    for name, value in placeholders.items():
        text = text.replace(f"{{{name}}}", value)
    return text
