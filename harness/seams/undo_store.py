"""What a fault keeps of what it changes, on disk before the change is made, so that another process can put it back.

One folder a fault, inside the run's. Originals of objects are files; changes of rows are lines. A line that was cut off
by a sudden death stands for a change that was never made.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LINES = "changes.jsonl"


class UndoStore:
    """The folder of one fault."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def keep_object(self, key: str, original: bytes, changed_digest: str) -> None:
        """Keep what an object was; by `changed_digest` revert knows whether it still is as it was changed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(key.encode()).hexdigest()[:40]
        _write(self.folder / f"{name}.original", original)
        _write(self.folder / f"{name}.json", json.dumps({"key": key, "changed": changed_digest}).encode())

    def objects(self) -> Iterator[tuple[str, bytes, str]]:
        """Yield each kept object: its key, what it was, and the digest of what it was changed to."""
        for file in sorted(self.folder.glob("*.json")):
            reply = json.loads(file.read_text(encoding="utf-8"))
            yield str(reply["key"]), file.with_suffix(".original").read_bytes(), str(reply["changed"])

    def keep_lines(self, lines: list[dict[str, Any]]) -> None:
        """Keep changes of rows."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LINES).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield each kept change, in the order in which they were made."""
        try:
            text = (self.folder / LINES).read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        for line in text.split("\n")[:-1]:
            yield json.loads(line)


def _write(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, whatever dies meanwhile."""
    part = path.with_suffix(path.suffix + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
