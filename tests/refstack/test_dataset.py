"""Where the prepared data lies."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from refstack import dataset


@pytest.fixture(autouse=True)
def no_override(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("REFSTACK_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))


def test_it_lies_beside_the_packages(tmp_path: Path) -> None:
    assert dataset.default_dir().parent == tmp_path / "prefix" / "share" / "refstack"


def test_where_that_cannot_be_written_it_lies_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert dataset.default_dir().parent == tmp_path / "cache" / "refstack"


def test_data_that_is_there_is_used_although_it_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.default_dir().mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert dataset.default_dir().parent == tmp_path / "prefix" / "share" / "refstack"


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFSTACK_DATA", "/elsewhere")
    assert dataset.default_dir() == Path("/elsewhere")
