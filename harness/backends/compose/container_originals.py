"""Tasks of `container_agent` that put the originals of damaged files back, wherever those were moved meanwhile.

A changed copy and its original have hidden names (`container_files`). The copy's says how many other names it has: as
long as there is one, the damage is in, and the original is kept. The hidden names are looked for in the whole file
system, since a folder may have been renamed, and so are the names of a copy that no longer has the one it was given.
What cannot be put back for certain stays as it is, and is reported.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from harness.backends.compose.container_common import Answer, TaskError, enter, mount_of, mount_points, mountinfo
from harness.backends.compose.container_files import ENDINGS, Hidden, digest_of, hidden

MOST_TOLD = 3


class Search:
    """The file systems in which something that was below a folder can be."""

    def __init__(self, pid: int, path: str, tag: str) -> None:
        table = mountinfo(pid)
        self._points = mount_points(table)
        below = [point for point in self._points if point.startswith(path.rstrip("/") + "/")]
        self._bases = [mount_of(table, path)[0], *below]
        endings = "|".join(re.escape(ending) for ending in ENDINGS)
        self._own = re.compile(rf"\.{re.escape(tag)}-[0-9a-f]{{12}}({endings})")
        self._hidden: list[Path] | None = None

    def hidden(self) -> list[Path]:
        """Return all hidden names of the fault."""
        if self._hidden is None:
            self._hidden = [Path(one.path) for one in self._everything() if self._own.fullmatch(one.name)]
        return self._hidden

    def names_of(self, file: Path) -> list[Path]:
        """Return the names of a file but the hidden ones."""
        wanted = file.lstat()
        return [
            Path(one.path)
            for one in self._everything()
            if not self._own.fullmatch(one.name) and _is(Path(one.path), wanted)
        ]

    def _everything(self) -> Iterator[os.DirEntry[str]]:
        """Yield everything but folders, following no link. What vanishes meanwhile is passed over."""
        folders = list(self._bases)
        while folders:
            try:
                with os.scandir(folders.pop()) as entries:
                    for entry in entries:
                        if not entry.is_dir(follow_symlinks=False):
                            yield entry
                        elif entry.path not in self._points:
                            folders.append(entry.path)
            except (FileNotFoundError, NotADirectoryError):
                continue


def restore(pid: int, path: str, tag: str, digests: dict[str, str]) -> Answer:
    """Put each original back where its changed copy is. Raises TaskError, after all of them, for what is left."""
    search = Search(pid, path, tag)
    enter(pid, "mnt")
    done, left = {}, []
    for name, digest in digests.items():
        try:
            done[name] = _restored(Path(path) / name, _found(path, name, tag, search), digest, search)
        except TaskError as error:
            left.append(str(error))
    if left:
        more = f", and {len(left) - MOST_TOLD} more" if len(left) > MOST_TOLD else ""
        remedy = "put each `.kept` in the place of its damaged file, or remove it where the file is well; then remove "
        remedy += "the `.copy` beside it, and heal again"
        raise TaskError("; ".join(left[:MOST_TOLD]) + more, remedy)
    return {"files": done}


def remains(pid: int, path: str, tag: str, digests: dict[str, str]) -> Answer:
    """Return which files are as they were changed, and the hidden names that are left."""
    search = Search(pid, path, tag)
    enter(pid, "mnt")
    files = [name for name, digest in digests.items() if digest_of(Path(path) / name) == digest]
    return {"files": files, "left": sorted(str(one) for one in search.hidden())}


def _found(path: str, name: str, tag: str, search: Search) -> Hidden:
    """Return the hidden names of a file: beside it, or where its folder is now."""
    here = hidden((Path(path) / name).parent, name, tag)
    if os.path.lexists(here.copy) and os.path.lexists(here.kept):
        return here
    folders = {one.parent for one in search.hidden() if one.name in (here.part.name, here.copy.name, here.kept.name)}
    if len(folders) > 1:
        where = " and ".join(sorted(map(str, folders)))
        raise TaskError(f"what belongs to {name} is in several folders: {where}")
    return hidden(folders.pop(), name, tag) if folders else here


def _restored(planned: Path, own: Hidden, digest: str, search: Search) -> str:
    """Put one original back; what became of it. Raises TaskError where that is not certain."""
    own.part.unlink(missing_ok=True)
    file = own.kept.with_name(planned.name)
    if not os.path.lexists(own.copy):
        return _without_copy(file, own, digest)
    if own.copy.lstat().st_nlink == 1:  # nothing else is the changed copy any more
        own.kept.unlink(missing_ok=True)
        own.copy.unlink()
        return "as it was, or written anew"
    about = own.copy.lstat()
    names = [file] if about.st_nlink == 2 and _is(file, about) else search.names_of(own.copy)
    where = " and ".join(map(str, names)) or "a place that was not found"
    if not os.path.lexists(own.kept):
        raise TaskError(f"{where} is as it was changed, and what it was is gone: {own.kept} was removed")
    if digest_of(own.copy) != digest:
        raise TaskError(f"{where} was damaged, and something was then written into it: what it was is {own.kept}")
    for name in names:
        os.link(own.kept, own.part, follow_symlinks=False)
        own.part.replace(name)
    if own.copy.lstat().st_nlink > 1:
        number = own.copy.lstat().st_ino
        raise TaskError(f"{own.copy} is damaged, and has another name that was not found (inode {number})")
    own.kept.unlink()
    own.copy.unlink()
    return "restored"


def _without_copy(file: Path, own: Hidden, digest: str) -> str:
    now = digest_of(file)
    if not os.path.lexists(own.kept):
        if now == digest:
            raise TaskError(f"{file} is as it was changed, and what it was is gone: {own.kept} was removed")
        return "as it was"
    if now == digest:
        own.kept.replace(file)
        return "restored"
    if not _is(file, own.kept.lstat()):
        raise TaskError(f"{own.copy} was removed, and the damaged file is not known without it: it was {own.kept}")
    own.kept.unlink()
    return "as it was"


def _is(file: Path, wanted: os.stat_result) -> bool:
    """Whether a name is one of this very file."""
    try:
        return os.path.samestat(file.lstat(), wanted)
    except (FileNotFoundError, NotADirectoryError):
        return False
