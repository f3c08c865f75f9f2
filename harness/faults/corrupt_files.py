"""`file.corrupt`: a seeded share of the files under a path of a container is damaged, or holds what belongs to another.

For model files, JSON, images and the like on a volume, or in the container itself, while the service runs. Those that
are there at injection are changed; what is written later is not. A file is chosen by a hash of seed, fault and name.

A changed copy takes the name of each file in one step, with the same owner, mode and times; the file itself stays
beside it under a hidden name (`.harness-…`) until revert, so that exactly that file comes back. Nothing is held in
memory, whatever the size, and the copies need disk space, which `at_most` bounds. A process that has a file open keeps
the original.

A changed copy that was moved, alone or with its folder, is found in its file system, and the original takes its place
there. A file that another one replaced while the fault is in is left as it then is. Where something was written into a
changed copy itself, nobody can tell whether damage is left in it: it stays, the original stays beside it, and revert
fails and says so. What was copied from a damaged file is not followed. Links and special files are never touched, and a
file that is mounted by itself is refused (`container.file` changes those).
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from harness.faults.container_targets import CALL_LIMIT_S, ContainerFault, Size
from harness.faults.damage import Operation, inverted_bits, others_to_try, refuse_mismatched
from harness.model.errors import FaultError, HarnessError
from harness.model.fault import Confirmation, FaultKind, chosen
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen
from harness.seams import Seams

MOST_FILES = 200
MOST_TRIED = 4
"""How many other files are looked at for one that holds something else."""
MOST_TEXT = 16384
AT_ONCE = 8
"""How many files a task is given: its request is one argument of a program, which has a limit."""
MOST_NAMES = 30_000
"""How many characters the names may have that one request has with their digests."""


class Parameters(Frozen):
    """What is done to a chosen file, and which ones are chosen."""

    path: str = Field(pattern="^/", description="the folder in the container, with all below it")
    match: str = Field("*", min_length=1, description="which files: a pattern for their names after the path")
    operation: Operation = Field(
        description="`truncate`: its end is missing; `flip`: some bits are inverted; `empty`: no bytes are "
        "left; `other`: it holds what another of the files does; `previous`: what the file before it by name does; "
        "`content`: this text"
    )
    share: float = Field(1.0, gt=0, le=1, description="of files, chosen by seed and name")
    keep: float = Field(0.5, ge=0, lt=1, description="for `truncate`: the share of bytes that is left")
    bits: int = Field(8, ge=1, le=256, description="for `flip`: how many")
    content: str | None = Field(None, max_length=MOST_TEXT, description="for `content`: what each file holds then")
    at_most: Size = Field(10**9, description="bytes that the copies may take: `1GB` unless given")

    @model_validator(mode="after")
    def _content_where_it_is_needed(self) -> Parameters:
        refuse_mismatched(self, self.operation, self.content)
        return self


class FileCorrupt(ContainerFault):
    """Files of a container that hold something else."""

    def __init__(self, step: FaultStep, seams: Seams, seed: int) -> None:
        super().__init__(step, seams)
        self._service = self.services[0]
        self._given = Parameters.model_validate(step.parameters)
        self._seed = seed
        self._fault = step.id
        self._planned: dict[str, dict[str, Any]] = {}
        self._root = self._given.path
        """The folder itself: `path` may be a link, and lead elsewhere later."""
        self._changed: dict[str, str] = {}
        """The digest of each file as it was changed."""
        self._manifest: list[dict[str, Any]] = []

    async def prepare(self) -> dict[str, Any]:
        """Choose the files, and find out what each would hold: by that revert knows whether it still does."""
        await self.all_running()
        numbers = await self.containers.replicas(self._service)
        if len(numbers) > 1:
            message = f"the service {self._service!r} has {len(numbers)} replicas, and this acts on one container"
            raise FaultError(message, remedy="aim it at a service with one container that mounts the same volume")
        path = self._given.path
        found = await self.containers.ask(self._service, "list_files", path=path, pattern=self._given.match)
        self._root = root = found["root"]
        sizes: dict[str, int] = found["files"]
        mine = [name for name in sizes if chosen(self._given.share, self._seed, self._fault, name)]
        self._check(sizes, mine, found)
        changes = {name: how for name in mine if (how := self._how(name, list(sizes), sizes[name])) is not None}
        self._planned = {}
        for part in _parts(changes):
            reply = await self.containers.ask(self._service, "plan_damage", path=root, tag=self.tag, changes=part)
            self._planned |= reply["files"]
        if not self._planned:
            message = f"none of the files {self._given.match!r} under {path} of {self._service!r} would be another"
            raise FaultError(message, remedy="choose another operation, or more files")
        digests = {name: planned["digest"] for name, planned in self._planned.items()}
        return {"service": self._service, "path": root, "tag": self.tag, "files": digests}

    def _check(self, sizes: dict[str, int], mine: list[str], found: dict[str, Any]) -> None:
        """Refuse what cannot be done safely."""
        where = f"{self._given.path} of {self._service!r}"
        if found["read_only"]:
            raise FaultError(f"{where} is mounted read-only", remedy="aim it at the service that writes there")
        if not sizes and found["mounted"]:
            message = f"{found['mounted'][0]} under {where} is mounted by itself"
            raise FaultError(message, remedy="container.file changes such a file")
        if not sizes and found["no_files"]:
            message = f"what fits {self._given.match!r} under {where} is a link or no file: {found['no_files'][0]}"
            raise FaultError(message, remedy="name the files themselves: links are never followed")
        if not mine:
            what = "no file is" if not sizes else f"none of {len(sizes)} files is chosen"
            raise FaultError(f"{what} under {where} that fits {self._given.match!r}", remedy="look at path and match")
        if len(mine) > MOST_FILES:
            message = f"{len(mine)} files under {where} would be damaged, and {MOST_FILES} is the most"
            raise FaultError(message, remedy="choose fewer with match or share")
        room = max(sizes.values()) * len(mine) if self._given.operation in ("other", "previous") else 0
        room = room or sum(sizes[name] for name in mine)
        if room > min(self._given.at_most, found["free"] // 2):
            message = f"the copies of files under {where} could take {room} bytes, and {found['free']} are free"
            raise FaultError(message, remedy="choose fewer files, or allow more with.at_most; half is kept free")

    def _how(self, name: str, names: list[str], size: int) -> dict[str, Any] | None:
        """Return what is to be done to a file; None where there is nothing of that kind."""
        given = self._given
        match given.operation:
            case "truncate":
                return {"keep": int(size * given.keep)}
            case "empty":
                return {"keep": 0}
            case "flip":
                bits = inverted_bits(self._seed, self._fault, name, size, given.bits)
                return {"flip": bits} if bits else None
            case "content":
                return {"text": given.content}
            case "other":
                candidates = others_to_try(self._seed, self._fault, name, names)
            case "previous":
                candidates = [other for other in sorted(names, reverse=True) if other < name][:1]
        return {"copy": candidates[:MOST_TRIED]} if candidates else None

    async def inject(self) -> None:
        """Put the changed copies in the files' places."""
        for part in _parts(self._planned):
            reply = await self.containers.ask(self._service, "damage", path=self._root, tag=self.tag, changes=part)
            for name in reply["files"]:
                self._changed[name] = part[name]["digest"]
                self._manifest.append(self._line(name))
        if not self._changed:
            raise FaultError(f"every file under {self._given.path} of {self._service!r} was written anew meanwhile")

    def _line(self, name: str) -> dict[str, Any]:
        planned = self._planned[name]
        # Its place, so that it is no key of an object store, where who read it could be looked up.
        place = f"{self._service}:{self._given.path.rstrip('/')}/{name}"
        about = {"object": place, "entity": None, "event_time": None, "field": None}
        return about | {"bytes_before": planned["bytes_before"], "digest": f"sha256:{planned['digest']}"}

    async def confirm(self) -> Confirmation:
        """Read a changed file back where the service reads it: the smallest that still is as it was changed."""
        if not self._changed:
            return Confirmation(False, {"why": "not injected"})
        state = await self.containers.state(self._service)
        if not state.pid:
            return Confirmation(None, {"why": f"the container is {state.status}, and its files cannot be read"})
        for name in sorted(self._changed, key=lambda one: self._planned[one]["bytes_before"]):
            # Where the service reads it: not in the folder itself, if a link has led there.
            digests = {name: self._changed[name]}
            reply = await self.containers.ask(self._service, "damaged", path=self._given.path, digests=digests)
            if reply["files"]:
                return Confirmation(True, {"files": len(self._changed), "read_back": name})
        return Confirmation(False, {"why": "every changed file was written anew or moved", "files": len(self._changed)})

    async def revert(self, undo: dict[str, Any]) -> None:
        """Put the originals in the places of the changed copies."""
        service, path = undo["service"], undo["path"]
        self._root, self._changed = path, dict(undo["files"])
        state = await self.containers.state(service)
        if not state.pid:
            message = f"files under {path} of {service!r} may still be damaged: its container is {state.status}"
            raise FaultError(message, remedy=f"start it and heal; what they were is beside them, as .{undo['tag']}-*")
        errors = []
        for part in _parts(self._changed):
            try:
                await self.containers.ask(service, "restore", path=path, tag=undo["tag"], digests=part)
            except HarnessError as error:  # the others are put back all the same
                errors.append(error)
        if errors:
            raise errors[0]

    async def absent(self) -> Confirmation:
        """No file is as it was changed, and no changed copy and no original of ours is left in its file system."""
        state = await self.containers.state(self._service)
        if not state.pid:
            return Confirmation(None, {"why": f"the container is {state.status}, and its files cannot be read"})
        files: list[str] = []
        left: list[str] = []
        for part in _parts(self._changed):
            reply = await self.containers.ask(self._service, "remains", path=self._root, tag=self.tag, digests=part)
            files, left = files + reply["files"], reply["left"]
        return Confirmation(bool(files or left), {"files_left": files[:10], "beside_them": left[:10]})

    def manifest(self) -> list[dict[str, Any]]:
        """Return the files changed since the last call."""
        taken, self._manifest = self._manifest, []
        return taken


def _parts(files: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the files in parts, each small enough for a request."""
    names = list(files)
    if all(isinstance(one, str) for one in files.values()) and sum(map(len, names)) < MOST_NAMES:
        return [files] if files else []  # the search for what was moved is made once a request
    # A text is in the request of every file that is to hold it.
    at_once = 1 if any(isinstance(one, dict) and "text" in one.get("how", one) for one in files.values()) else AT_ONCE
    return [{name: files[name] for name in names[at : at + at_once]} for at in range(0, len(names), at_once)]


def _make(step: FaultStep, seams: Seams, seed: int) -> FileCorrupt:
    return FileCorrupt(step, seams, seed)


KIND = FaultKind(
    kind="file.corrupt",
    summary="a seeded share of the files under a path is damaged, or holds what belongs to another",
    targets=("service",),
    parameters=Parameters,
    confirmed_by="a changed file is read back, by its digest, where the service sees it",
    restored="the original files are in place again, with owner, mode and times, except those replaced meanwhile",
    certifies="what readers do with a broken or a wrong file: checks of size and digest, the last good version kept",
    not_certified="files that are read once and kept open, and those that are written while the fault is in",
    make=_make,
    # The ledger names objects, and no files of a volume: nobody can tell which model learned from one.
    changes="anything",
    call_limit_s=CALL_LIMIT_S,
    in_containers=True,
)
