"""Putting what `harness init` made on the disk, next to files that are not ours.

A file that lies there already is left alone: nothing at all is written then, unless every such file is one that init
wrote, and it was asked to write it anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.model.errors import ScenarioError

LONGEST_MARK = 200


def write_all(folder: Path, files: Mapping[str, str], mark: str, *, force: bool) -> list[Path]:
    """Write the files into a folder; return their paths. Raises ScenarioError before the first one is written."""
    paths = {folder / name: text for name, text in files.items()}
    there = [path for path in paths if path.exists() or path.is_symlink()]
    foreign = [path for path in there if not _is_ours(path, mark)]
    if foreign:
        remedy = "it was not written by init and is left alone: move it away, or write elsewhere with --out"
        raise ScenarioError(f"there is a file already{_others(foreign)}", file=str(foreign[0]), remedy=remedy)
    if there and not force:
        remedy = "write those that init wrote anew with --force, which loses what was edited in them, or use --out"
        raise ScenarioError(f"there is a file already{_others(there)}", file=str(there[0]), remedy=remedy)
    try:
        for path, text in paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    except OSError as error:
        raise ScenarioError(f"cannot be written: {error.strerror}", file=str(error.filename or folder)) from error
    return list(paths)


def _others(paths: list[Path]) -> str:
    return f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""


def _is_ours(path: Path, mark: str) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            return path.is_file() and not path.is_symlink() and file.readline(LONGEST_MARK).startswith(mark)
    except (OSError, UnicodeDecodeError):
        return False


def stale(folder: Path, files: Mapping[str, str], mark: str) -> list[Path]:
    """Return what an earlier init wrote beside these files and this one did not; it is left alone all the same."""
    beside = {(folder / name).parent for name in files if "/" in name}
    endings = {"".join(Path(name).suffixes) for name in files}
    found = [path for place in sorted(beside) for path in sorted(place.iterdir())]
    known = {folder / name for name in files}
    return [p for p in found if p not in known and "".join(p.suffixes) in endings and _is_ours(p, mark)]
