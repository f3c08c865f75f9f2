"""Archives of files, as an engine takes them into a container and gives them out. With the standard library alone."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO


def packed(files: Iterable[tuple[str, bytes]], *, mode: int = 0o644, owner: tuple[int, int] = (0, 0)) -> bytes:
    """Return an archive of small files, each with its name there and its content; `owner`: user and group."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files:
            about = tarfile.TarInfo(name.lstrip("/"))
            about.size, about.mode = len(content), mode
            about.uid, about.gid = owner
            archive.addfile(about, io.BytesIO(content))
    return buffer.getvalue()


def pack(files: Iterable[tuple[str, Path]], into: IO[bytes]) -> None:
    """Write an archive of files of this machine, each with its name there. They become root's, and keep their mode."""
    with tarfile.open(fileobj=into, mode="w") as archive:
        for name, path in files:
            about = archive.gettarinfo(str(path), name.lstrip("/"))
            about.uid = about.gid = 0
            about.uname = about.gname = ""
            with path.open("rb") as file:
                archive.addfile(about, file)


def unpacked(data: bytes, most_bytes: int | None = None) -> Iterator[tuple[tarfile.TarInfo, bytes | None]]:
    """Yield what is in an archive, each with its content: None of what is no file, or larger than `most_bytes`.

    Raises TarError.
    """
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            is_wanted = member.isfile() and (most_bytes is None or member.size < most_bytes)
            file = archive.extractfile(member) if is_wanted else None
            yield member, file.read() if file is not None else None
