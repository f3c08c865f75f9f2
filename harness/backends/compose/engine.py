"""One Docker engine: where it is, its client and its compose command, how containers are reached, and calls of its SDK.

`DOCKER_HOST` and contexts are honoured as the docker command does. Errors name what is missing and the remedy. The SDK
blocks and raises errors of three libraries: `engine_call` awaits it, with a deadline and errors of our tree;
`engine_errors` is for callers that block.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from harness.model.errors import BackendError, FaultError, install_extra

if TYPE_CHECKING:
    import docker

OLDEST_API = (1, 40)
"""Engine 19.03: the first whose network and health fields are those that are read here."""
REQUEST_S = 60.0
REACH = "HARNESS_ENGINE_REACH"
_SMALL_POOL = 64
_NEAR = ("unix", "npipe")
CALL_S = 30.0
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Engine:
    """An engine that answers."""

    client: docker.DockerClient
    environment: dict[str, str]
    version: str
    reached_directly: bool
    """Whether addresses of containers can be connected to from here; else ports are published."""
    host: str
    """Where published ports are."""
    loopback: bool
    """Whether published ports need be open on the loopback only."""

    @property
    def compose(self) -> tuple[str, ...]:
        """The compose command for it: a stack that runs already does without. Blocks. Raises BackendError."""
        return _compose_command()

    def close(self) -> None:
        """Close the client's connections."""
        self.client.close()

    def run_compose(
        self,
        project: str,
        file: str,
        words: Sequence[str],
        within_s: float,
        folder: str,
        settings: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start a compose command on a file whose relative paths start at a folder. Its output is one text.

        `settings`: values that the file names without having them.
        """
        argv = [*self.compose, "-p", project, "-f", file, "--project-directory", folder, *words]
        limit = str(int(within_s) + 10)
        quiet = {"COMPOSE_PROGRESS": "plain", "DOCKER_CLI_HINTS": "false", "COMPOSE_HTTP_TIMEOUT": limit}
        return subprocess.Popen(
            argv,
            env={**os.environ, **self.environment, **quiet, **(settings or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )


def client(within_s: float = REQUEST_S) -> docker.DockerClient:
    """Return a client of the engine that the docker command would use; each call of it may take so long.

    Blocks. Raises BackendError.
    """
    return _connected(within_s)[0]


@contextlib.contextmanager
def lent_client() -> Iterator[docker.DockerClient]:
    """Lend a client of that engine. Blocks. Raises BackendError."""
    lent = client()
    try:
        yield lent
    finally:
        lent.close()


def is_near() -> bool:
    """Return whether that engine is on this machine. Raises BackendError."""
    return _is_near(_where()[0])


def connect() -> Engine:
    """Connect to that engine. Blocks. Raises BackendError."""
    client, base_url, tls, about, info = _connected()
    near = _is_near(base_url)
    try:
        direct = _reached_directly(near, info)
    except BackendError:
        client.close()
        raise
    return Engine(
        client=client,
        environment={} if tls else {"DOCKER_HOST": base_url},
        version=str(about["Version"]),
        reached_directly=direct,
        host="127.0.0.1" if near else urlsplit(base_url).hostname or "127.0.0.1",
        loopback=near,
    )


def _is_near(base_url: str) -> bool:
    return urlsplit(base_url).scheme in _NEAR


def _connected(within_s: float = REQUEST_S) -> tuple[docker.DockerClient, str, Any, dict[str, Any], dict[str, Any]]:
    """Return a client, the engine's address, its TLS, and what it says of its version and of itself."""
    try:
        import docker
        import docker.errors
    except ImportError as error:
        remedy = install_extra("docker")
        raise BackendError(f"the compose backend needs the package {error.name}", remedy=remedy) from error
    base_url, tls = _where()
    try:
        _greet(base_url, within_s)
        # One connection for each call that may go on at once; the default of 10 makes the rest wait in line.
        over_ssh = base_url.startswith("ssh://")  # by the ssh command, which knows the user's keys and hosts
        client = docker.DockerClient(
            base_url=base_url,
            tls=tls,
            timeout=max(1, int(within_s)),
            max_pool_size=_SMALL_POOL,
            use_ssh_client=over_ssh,
        )
        try:
            about = client.version()
            info = client.info()
        except BaseException:
            client.close()
            raise
    except (docker.errors.DockerException, OSError, ValueError) as error:
        raise _unreachable(base_url, error, within_s) from error
    api = tuple(int(part) for part in str(about["ApiVersion"]).split("."))
    if api < OLDEST_API:
        client.close()
        message = f"the Docker engine {about['Version']} speaks API {about['ApiVersion']}, which is too old"
        raise BackendError(message, remedy="update it to 19.03 (API 1.40) or later")
    return client, base_url, tls, about, info


def _greet(base_url: str, within_s: float) -> None:
    """Raise OSError if nobody listens at the engine's Unix socket: the SDK leaves its own socket open then."""
    url = urlsplit(base_url)
    if url.scheme.endswith("unix"):
        with socket.socket(socket.AF_UNIX) as greeting:
            greeting.settimeout(within_s)
            greeting.connect("/" + f"{url.netloc}{url.path}".lstrip("/"))


def _where() -> tuple[str, Any]:
    """Return the engine's address and its TLS configuration: of DOCKER_HOST, else of the context in use."""
    from docker.tls import TLSConfig
    from docker.utils import kwargs_from_env

    if os.environ.get("DOCKER_HOST"):
        return os.environ["DOCKER_HOST"], kwargs_from_env().get("tls", False)
    from docker.context import ContextAPI

    try:
        context = ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT") or None)
    except Exception as error:
        raise BackendError(f"the docker context cannot be read: {error}", remedy="see `docker context ls`") from error
    if not context:
        name = os.environ.get("DOCKER_CONTEXT", "")
        raise BackendError(f"there is no docker context {name!r}", remedy="see `docker context ls`")
    tls: Any = context.TLSConfig
    return str(context.Host or "unix:///var/run/docker.sock"), tls if isinstance(tls, TLSConfig) else False


def _reached_directly(near: bool, info: dict[str, Any]) -> bool:
    reach = os.environ.get(REACH)
    if reach in ("direct", "published"):
        return reach == "direct"
    if reach:
        raise BackendError(f"{REACH} is {reach!r}", remedy="direct and published are right")
    virtual = "Docker Desktop" in str(info.get("OperatingSystem")) or any(
        "rootless" in option for option in info.get("SecurityOptions") or []
    )
    return near and sys.platform == "linux" and not virtual


@functools.cache
def _compose_command() -> tuple[str, ...]:
    """Return the compose command: docker's plugin where there is one, else docker-compose (1.29, or 2 by itself)."""
    if shutil.which("docker") is not None:
        try:
            compose = subprocess.run(["docker", "compose", "version"], capture_output=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            compose = None
        if compose is not None and compose.returncode == 0:
            return ("docker", "compose")
    if shutil.which("docker-compose") is not None:  # to ask it for its version would take it a third of a second
        return ("docker-compose",)
    remedy = "install Docker Compose v2 (the package docker-compose-plugin), or docker-compose 1.29"
    raise BackendError("there is no docker compose command", remedy=remedy)


def _unreachable(base_url: str, error: Exception, within_s: float = REQUEST_S) -> BackendError:
    import requests.exceptions

    text = str(error)
    # The SDK passes on what the request for the version failed with as a text.
    if any(isinstance(one, TimeoutError | requests.exceptions.Timeout) for one in (error, error.__context__)):
        what = f"the Docker engine at {base_url} is there and gives no answer within {within_s:g} s"
        return BackendError(what, remedy="look at its log, or start it again (`sudo systemctl restart docker`)")
    if "Permission denied" in text or "PermissionError" in text:
        remedy = "add yourself to the group docker (`sudo usermod -aG docker $USER`, then log in again), or use sudo"
        return BackendError(f"no permission to talk to the Docker engine at {base_url}", remedy=remedy)
    remedy = "start it (`sudo systemctl start docker`), set DOCKER_HOST to where it is, or use --backend local"
    reason = text.splitlines()[0][:200] if text else type(error).__name__
    return BackendError(f"no Docker engine answers at {base_url}: {reason}", remedy=remedy)


@contextlib.contextmanager
def engine_errors(doing: str, remedy: str | None = None) -> Iterator[None]:
    """Raise errors of the SDK as BackendError, with what failed and the reason."""
    import docker.errors
    import requests
    import urllib3.exceptions

    try:
        yield
    except docker.errors.APIError as error:
        raise BackendError(f"{doing}: {error.explanation or error}", remedy=remedy) from error
    except (
        docker.errors.DockerException,
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        tarfile.TarError,
        OSError,
    ) as error:
        raise BackendError(f"{doing}: {error}", remedy=remedy) from error


async def engine_call(doing: str, call: Callable[..., T], *arguments: object, within_s: float = CALL_S) -> T:
    """Make a blocking call in a thread.

    Raises BackendError where the engine does not answer, FaultError where it refuses.
    """
    import docker.errors
    import requests.exceptions
    import urllib3.exceptions

    try:
        async with asyncio.timeout(within_s):
            return await asyncio.to_thread(call, *arguments)
    except TimeoutError:
        raise BackendError(
            f"{doing} took the container engine longer than {within_s:g} s", remedy="look at the engine's own log"
        ) from None
    except docker.errors.NotFound as error:
        raise FaultError(f"{doing}: {error.explanation}", remedy="it was removed meanwhile") from error
    except docker.errors.APIError as error:
        raise FaultError(f"{doing} was refused by the container engine: {error.explanation or error}") from error
    except docker.errors.DockerException as error:
        raise FaultError(f"{doing} failed: {error}") from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise BackendError(
            f"{doing}: the container engine does not answer: {error}", remedy="see whether `docker version` answers"
        ) from error
