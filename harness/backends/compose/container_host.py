"""Where the tasks of `container_agent` are run: as root beside the harness, or in a helper container.

The first is quick and needs no image; it is right only where the engine's processes are this machine's, which the
kernel's own table tells. The helper sees the processes of the engine's machine, carries the run's labels, and is
removed whatever becomes of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.backends.compose.archives import packed
from harness.backends.compose.container_common import belongs
from harness.backends.compose.engine import engine_call
from harness.model.errors import FaultError, HarnessError

if TYPE_CHECKING:
    import docker

TOOLS_IMAGE = "nicolaka/netshoot:v0.13"
LOCAL_S = 15.0
HELPER_S = 45.0
PULL_S = 120.0
LAST_WORDS_S = 3.0
CAPABILITIES = ("NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "SYSLOG")
"""Beside the usual ones: to go into other namespaces, to mount, to drop packets, to read the kernel's log."""
MODULES = ("agent", "common", "processes", "limits", "disks", "files", "originals", "packets")
START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from harness.backends.compose.container_agent import main; main()"
)
"""Runs the agent from a folder that is given; only the standard library besides."""
ROOT = Path(__file__).parents[3]
BROUGHT = "/harness-agent"


def tools_image() -> str:
    """Return the image of helper containers: it needs python3 and, for partitions, iptables."""
    return os.environ.get("HARNESS_TOOLS_IMAGE", TOOLS_IMAGE)


class EngineHost:
    """Root on the engine's machine."""

    def __init__(self, client: docker.DockerClient, labels: Mapping[str, str]) -> None:
        self._client = client
        self._labels = dict(labels)
        self.helper_always = False
        self._is_here = False
        """Whether a process of the engine was found here: then one that is not here any more has ended."""

    def beside_us(self, pid: int, container: str) -> bool:
        """Whether a process of the engine is a process here, or was until it ended, and we are root."""
        if self.helper_always or os.geteuid() != 0 or pid <= 0:
            return False
        self._is_here = self._is_here or belongs(pid, container)
        return self._is_here

    async def ready(self, pid: int, container: str) -> None:
        """See to it that tasks can be run for a container. Raises FaultError with what is missing."""
        if not self.beside_us(pid, container):
            await self._image()

    async def ask(self, task: str, pid: int, container: str, **arguments: Any) -> dict[str, Any]:
        """Run a task. Raises FaultError."""
        request = json.dumps({"task": task, "pid": pid, "container": container, **arguments})
        if self.beside_us(pid, container):
            found = await self._here(task, request)
        else:
            found = await self._in_helper(task, request)
        if "error" in found:
            raise FaultError(found["error"], remedy=found.get("remedy") or None)
        return found

    async def ask_of_volume(self, task: str, volume: str) -> dict[str, Any]:
        """Run a task on a volume, in a helper that sees nothing else."""
        request = json.dumps({"task": task, "pid": 0, "container": "", "path": "/lost/_data"})
        found = await self._in_helper(task, request, volume)
        if "error" in found:
            raise FaultError(found["error"], remedy=found.get("remedy") or None)
        return found

    async def _here(self, task: str, request: str) -> dict[str, Any]:
        command = (sys.executable, "-I", "-S", "-c", START, str(ROOT), request)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
        try:
            async with asyncio.timeout(LOCAL_S):
                out, err = await process.communicate()
        except TimeoutError:
            raise FaultError(f"the task {task!r} took longer than {LOCAL_S:g} s") from None
        finally:
            if process.returncode is None:
                await _ended(process)
        return _read(task, out, err)

    async def _image(self) -> str:
        image = tools_image()
        if not await engine_call("looking for the tools image", self._there, image):
            try:
                await engine_call("pulling the tools image", self._client.images.pull, image, within_s=PULL_S)
            except HarnessError as error:
                remedy = "pull it by hand, or name an image that has python3 and iptables by HARNESS_TOOLS_IMAGE"
                message = f"no image {image!r} for helper containers: {error.message}"
                raise FaultError(message, remedy=remedy) from None
        return image

    def _there(self, image: str) -> bool:
        import docker.errors

        try:
            self._client.images.get(image)
        except docker.errors.ImageNotFound:
            return False
        return True

    async def _in_helper(self, task: str, request: str, volume: str | None = None) -> dict[str, Any]:
        image = await self._image()
        return await engine_call(
            f"the task {task!r} in a helper container", self._helper, image, task, request, volume, within_s=HELPER_S
        )

    def _helper(self, image: str, task: str, request: str, volume: str | None) -> dict[str, Any]:
        import docker.errors

        api = self._client.api
        if volume is None:
            host = api.create_host_config(
                cap_add=list(CAPABILITIES),
                security_opt=["seccomp=unconfined", "apparmor=unconfined", "label=disable"],
                devices=["/dev/kmsg"],
                pid_mode="host",
                network_mode="none",
                cgroupns="host",
                binds={"/sys/fs/cgroup": {"bind": "/sys/fs/cgroup", "mode": "rw"}},
            )
        else:
            host = api.create_host_config(network_mode="none", binds={volume: {"bind": "/lost/_data", "mode": "rw"}})
        made = api.create_container(
            image,
            command=["-c", START, BROUGHT, request],
            entrypoint=["python3"],
            user="0",
            labels=self._labels,
            host_config=host,
        )["Id"]
        try:
            api.put_archive(made, "/", agent_archive())
            api.start(made)
            api.wait(made, timeout=int(HELPER_S))
            out = api.logs(made, stdout=True, stderr=False)
            err = api.logs(made, stdout=False, stderr=True)
        except docker.errors.APIError as error:
            if "executable file not found" in str(error):
                remedy = "name an image that has python3 and iptables by HARNESS_TOOLS_IMAGE"
                raise FaultError(f"the image {image!r} has no python3", remedy=remedy) from None
            raise
        finally:
            api.remove_container(made, v=True, force=True)
        return _read(task, out, err)


def agent_archive() -> bytes:
    """Return the agent's modules as an archive, in the folders that their imports name."""
    sources = [Path(__file__).with_name(f"container_{name}.py") for name in MODULES]
    return packed((str(Path(BROUGHT) / source.relative_to(ROOT)), source.read_bytes()) for source in sources)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """End a task early, in a way that lets it undo what it has begun."""
    process.terminate()
    try:
        async with asyncio.timeout(LAST_WORDS_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _read(task: str, out: bytes, err: bytes) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(out)
    except ValueError:
        reply = err.decode("utf-8", "replace").strip().splitlines()
        raise FaultError(f"the task {task!r} gave no answer: {reply[-1] if reply else 'no output'}") from None
    return found
