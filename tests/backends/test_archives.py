"""Archives for containers: what is packed is unpacked as it was."""

from __future__ import annotations

import io
from pathlib import Path

from harness.backends.compose.archives import pack, packed, unpacked


def test_small_files_keep_content_mode_and_owner() -> None:
    data = packed([("/etc/one", b"1"), ("two", b"")], mode=0o600, owner=(5, 6))
    found = [(about.name, about.mode, about.uid, about.gid, content) for about, content in unpacked(data)]
    assert found == [("etc/one", 0o600, 5, 6, b"1"), ("two", 0o600, 5, 6, b"")]


def test_files_of_this_machine_become_roots(tmp_path: Path) -> None:
    (tmp_path / "script").write_bytes(b"#!/bin/sh\n")
    (tmp_path / "script").chmod(0o755)
    into = io.BytesIO()
    pack([("/opt/script", tmp_path / "script")], into)
    ((about, content),) = unpacked(into.getvalue())
    assert (about.name, about.mode, about.uid, about.uname, content) == ("opt/script", 0o755, 0, "", b"#!/bin/sh\n")


def test_what_is_too_large_is_named_and_not_read() -> None:
    found = dict(unpacked(packed([("small", b"12"), ("large", b"123")]), most_bytes=3))
    assert [(about.name, content) for about, content in found.items()] == [("small", b"12"), ("large", None)]
