"""A container that stands in for another: the same but for one change, while the original is kept, stopped.

The original is renamed and put back on revert, its own layer untouched, so that nothing of it has to be made anew.
Labels are copied, so that `down` finds both; a label of ours names the container that is replaced. Each step of the
way back can be done again, also by another process. Networks are kept in a form from which a container is connected
again exactly as it was: the engine adds the container's short id to its aliases by itself, and reports an address that
was requested (`IPAMConfig`) apart from one that it chose.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from harness.backends.compose.archives import packed, unpacked
from harness.backends.compose.labels import STANDS_FOR
from harness.model.containers import KEPT_SUFFIX, Replacement
from harness.model.errors import FaultError

if TYPE_CHECKING:
    import tarfile

    import docker

SHORT = 12
GRACE_S = 3


def networks_of(reply: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the networks in the output of `inspect`: id, addresses now, and the endpoint to connect with."""
    found = {}
    for name, endpoint in reply["NetworkSettings"]["Networks"].items():
        addresses = [a for a in (endpoint.get("IPAddress"), endpoint.get("GlobalIPv6Address")) if a]
        found[name] = {
            "id": endpoint.get("NetworkID", ""),
            "addresses": addresses,
            "endpoint": endpoint_of(endpoint, reply["Id"]),
        }
    return found


def endpoint_of(endpoint: Mapping[str, Any], container: str) -> dict[str, Any]:
    """Return the requested part of an endpoint, in the engine's own words."""
    aliases = [alias for alias in endpoint.get("Aliases") or () if alias != container[:SHORT]]
    return {
        "IPAMConfig": endpoint.get("IPAMConfig"),
        "Links": endpoint.get("Links"),
        "Aliases": aliases or None,
        "DriverOpts": endpoint.get("DriverOpts"),
    }


def disconnect(client: docker.DockerClient, container: str, network: str) -> None:
    """Take a container off a network, at once."""
    client.api.disconnect_container_from_network(container, network, force=True)


def connect(client: docker.DockerClient, container: str, network: str, endpoint: Mapping[str, Any]) -> None:
    """Put a container on a network with the endpoint that it had."""
    ipam = endpoint.get("IPAMConfig") or {}
    client.api.connect_container_to_network(
        container,
        network,
        aliases=endpoint.get("Aliases"),
        links=endpoint.get("Links"),
        ipv4_address=ipam.get("IPv4Address"),
        ipv6_address=ipam.get("IPv6Address"),
        link_local_ips=ipam.get("LinkLocalIPs"),
        driver_opt=endpoint.get("DriverOpts"),
    )


class Replacing:
    """Replaces containers of one engine and puts them back. Every call blocks."""

    def __init__(self, client: docker.DockerClient, labels: Mapping[str, str]) -> None:
        self._client = client
        # Its stubs leave half of what is needed here untyped.
        self._api: Any = client.api
        self._labels = dict(labels)

    def plan(self, service: str, reply: Mapping[str, Any], change: Replacement) -> dict[str, Any]:
        """Return, as data, what `put_back` needs. Raises FaultError where the change cannot be made."""
        image = self._check(reply, change)
        return {
            "service": service,
            "container": reply["Id"],
            "name": reply["Name"].lstrip("/"),
            "running": reply["State"]["Running"],
            "paused": reply["State"]["Paused"],
            "restart": reply["HostConfig"]["RestartPolicy"],
            "image": image,
        }

    def _check(self, reply: Mapping[str, Any], change: Replacement) -> str:
        """See to it that the change can be made; return the id of the image that will be used."""
        import docker.errors

        if reply["HostConfig"].get("AutoRemove"):
            message = f"{reply['Name'].lstrip('/')} is removed by its engine when it stops, and could not be put back"
            raise FaultError(message, remedy="start it without --rm")
        image = str(reply["Image"])
        if change.image is not None:
            try:
                image = str(self._api.inspect_image(change.image)["Id"])
            except docker.errors.ImageNotFound:
                remedy = f"pull or build it before the run: docker pull {change.image}"
                raise FaultError(f"the engine has no image {change.image!r}", remedy=remedy) from None
        targets = {mount["Destination"] for mount in reply["Mounts"]}
        for path in change.files:
            over = next((str(p) for p in PurePosixPath(path).parents if str(p) in targets), None)
            if over is not None:
                message = f"{path} lies in what is mounted at {over}, which is not the container's own"
                raise FaultError(message, remedy="mount the file by itself, or change what is in the image")
        for target in change.read_only:
            if target not in targets | set(reply["HostConfig"].get("Tmpfs") or {}):
                raise FaultError(f"nothing is mounted at {target}", remedy=f"mounts: {', '.join(sorted(targets))}")
        return image

    def replace(self, undo: Mapping[str, Any], change: Replacement) -> None:
        """Stop, keep, create and start. Raises FaultError; what was done until then is for `put_back`."""
        api = self._api
        original, name = undo["container"], undo["name"]
        reply = api.inspect_container(original)
        if reply["State"]["Paused"]:
            api.unpause(original)
        # Kept containers must not come back by themselves, not even when the engine restarts.
        if undo["restart"]["Name"] not in ("", "no"):  # the two say the same, and the first could not be set again
            api.update_container(original, restart_policy={"Name": "no", "MaximumRetryCount": 0})
        api.stop(original, timeout=GRACE_S)
        if not reply["Name"].endswith(KEPT_SUFFIX):
            api.rename(original, name + KEPT_SUFFIX)
        made = api.create_container_from_config(self._config(reply, undo, change), name=name)["Id"]
        others = list(reply["NetworkSettings"]["Networks"].items())[1:]
        for network, endpoint in others:
            connect(self._client, made, network, endpoint_of(endpoint, original))
        for path, content in change.files.items():
            api.put_archive(made, str(PurePosixPath(path).parent), self._archived(original, path, content))
        if undo["running"]:
            api.start(made)
        if undo["paused"]:
            api.pause(made)

    def _config(self, reply: Mapping[str, Any], undo: Mapping[str, Any], change: Replacement) -> dict[str, Any]:
        config = dict(reply["Config"])
        if config.get("Hostname") == reply["Id"][:SHORT]:
            config["Hostname"] = ""  # the engine's own choice, as it will choose again
        if change.image is not None:
            config |= self._of_image(reply, config, change.image)
        environment = dict(part.partition("=")[::2] for part in config.get("Env") or ())
        environment = {k: v for k, v in environment.items() if k not in change.unset_environment}
        environment |= change.set_environment
        config["Env"] = [f"{name}={value}" for name, value in environment.items()]
        # Compose notes each mount here too, where the engine takes it for a volume without a name.
        config["Volumes"] = {path: {} for path in config.get("Volumes") or () if path not in change.files}
        config["Labels"] = {**(config.get("Labels") or {}), **self._labels, STANDS_FOR: reply["Id"]}
        host = dict(reply["HostConfig"]) | {"RestartPolicy": undo["restart"]}
        host |= _mounts(reply, change)
        host["PortBindings"] = _ports(reply)
        networks = list(reply["NetworkSettings"]["Networks"].items())[:1]
        endpoints = {name: endpoint_of(endpoint, reply["Id"]) for name, endpoint in networks}
        return config | {"HostConfig": host, "NetworkingConfig": {"EndpointsConfig": endpoints}}

    def _of_image(self, reply: Mapping[str, Any], config: Mapping[str, Any], image: str) -> dict[str, Any]:
        """Take from the new image whatever the container had from the old one."""
        before = self._api.inspect_image(reply["Image"])["Config"] or {}
        after = self._api.inspect_image(image)["Config"] or {}
        found: dict[str, Any] = {"Image": image}
        for field in ("Cmd", "Entrypoint", "WorkingDir", "User", "Healthcheck", "StopSignal"):
            if config.get(field) == before.get(field):
                found[field] = after.get(field)
        own = [part for part in config.get("Env") or () if part not in (before.get("Env") or ())]
        names = {part.partition("=")[0] for part in own}
        theirs = [part for part in after.get("Env") or () if part.partition("=")[0] not in names]
        return found | {"Env": [*theirs, *own]}

    def _archived(self, original: str, path: str, content: bytes) -> bytes:
        """Return a file as a tar archive, with the owner and rights of the one that was there."""
        there = self._entry(original, path)[0]
        file = (PurePosixPath(path).name, content)
        return packed([file], mode=there.mode, owner=(there.uid, there.gid)) if there is not None else packed([file])

    def read(self, container: str, path: str) -> bytes | None:
        """Return a file's content; None where there is no such file."""
        return self._entry(container, path)[1]

    def _entry(self, container: str, path: str) -> tuple[tarfile.TarInfo | None, bytes | None]:
        import docker.errors

        try:
            parts, _ = self._api.get_archive(container, path)
        except docker.errors.NotFound:
            return None, None
        return next(unpacked(b"".join(parts)), (None, None))

    def _standing_in(self, undo: Mapping[str, Any]) -> list[str]:
        found = self._api.containers(all=True, filters={"label": f"{STANDS_FOR}={undo['container']}"})
        return [str(row["Id"]) for row in found]

    def replaced(self, undo: Mapping[str, Any]) -> bool:
        """Whether another stands in, or the original is there and not in its place."""
        import docker.errors

        try:
            reply = self._api.inspect_container(undo["container"])
        except docker.errors.NotFound:
            return bool(self._standing_in(undo))  # where neither is there, the service was made anew
        return reply["Name"].lstrip("/") != undo["name"] or bool(self._standing_in(undo))

    def put_back(self, undo: Mapping[str, Any]) -> None:
        """Put the original back as it was. Where the service was made anew meanwhile, nothing is to be done.

        Raises FaultError where only the original was removed, and leaves what stands in for it.
        """
        import docker.errors

        api = self._api
        try:
            reply = api.inspect_container(undo["container"])
        except docker.errors.NotFound:
            if not self._standing_in(undo):
                return
            message = f"the container {undo['name']!r} that was kept was removed; what stands in for it goes on"
            remedy = "make the service anew, with `docker compose up --detach --force-recreate`"
            raise FaultError(message, remedy=remedy) from None
        for other in self._standing_in(undo):
            with contextlib.suppress(docker.errors.NotFound):
                api.stop(other, timeout=GRACE_S)
                # Volumes without a name that were made for it go with it; those of the original are named there.
                api.remove_container(other, v=True, force=True)
        if reply["Name"].lstrip("/") != undo["name"]:
            api.rename(undo["container"], undo["name"])
        if reply["HostConfig"]["RestartPolicy"] != undo["restart"]:
            api.update_container(undo["container"], restart_policy=undo["restart"])
        if undo["running"] and not reply["State"]["Running"]:
            api.start(undo["container"])
        if undo["paused"] and not reply["State"]["Paused"]:
            api.pause(undo["container"])


def _mounts(reply: Mapping[str, Any], change: Replacement) -> dict[str, Any]:
    """Return the mounts of the new container; anonymous volumes are named, so that it gets the same ones."""
    host = reply["HostConfig"]
    binds = [bind for bind in host.get("Binds") or () if _target(bind) not in change.files]
    mounts = [dict(mount) for mount in host.get("Mounts") or () if mount["Target"] not in change.files]
    named = {_target(bind) for bind in binds} | {mount["Target"] for mount in mounts}
    binds += [
        f"{mount['Name']}:{mount['Destination']}:{'rw' if mount['RW'] else 'ro'}"
        for mount in reply["Mounts"]
        if mount["Type"] == "volume" and mount["Destination"] not in named | set(change.files)
    ]
    tmpfs = dict(host.get("Tmpfs") or {})
    for target in change.read_only:
        binds = [_read_only(bind) if _target(bind) == target else bind for bind in binds]
        mounts = [mount | {"ReadOnly": True} if mount["Target"] == target else mount for mount in mounts]
        if target in tmpfs:
            tmpfs[target] = ",".join([*filter(None, tmpfs[target].split(",")), "ro"])
    return {"Binds": binds, "Mounts": mounts or None, "Tmpfs": tmpfs or None}


def _target(bind: str) -> str:
    return bind.split(":")[1]


def _read_only(bind: str) -> str:
    source, target, *options = bind.split(":")
    kept = [option for option in ",".join(options).split(",") if option not in ("", "rw", "ro")]
    return ":".join((source, target, ",".join(["ro", *kept])))


def _ports(reply: Mapping[str, Any]) -> dict[str, Any]:
    """Return the published ports as they are now: one that the engine chose stays the same."""
    now = reply["NetworkSettings"].get("Ports") or {}
    requested = reply["HostConfig"].get("PortBindings") or {}
    return {port: [dict(b) for b in now.get(port) or bindings or ()] for port, bindings in requested.items()}
