"""The engine that nobody answers for: refused in one message, with nothing left open."""

from __future__ import annotations

import gc
import socket
import warnings
from pathlib import Path

import pytest

from harness.backends.compose import engine
from harness.model.errors import BackendError


def test_an_engine_that_does_not_answer_is_refused_and_leaves_no_socket_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind(str(path))  # a daemon that has ended leaves its file there
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        with pytest.raises(BackendError, match="no Docker engine answers"):
            engine.connect()
        gc.collect()
    assert [str(one.message) for one in warned] == []
