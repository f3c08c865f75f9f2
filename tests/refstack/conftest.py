"""The prepared data, made once a machine; an object store in memory that can be told to fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from refstack.dataset import Dataset, default_dir
from refstack.objects import MissingObject, StoreError
from refstack.prepare import prepare


class MemoryStore:
    """The object store's calls on a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.down = False

    def _reach(self) -> None:
        if self.down:
            raise StoreError("the store is down")

    def get(self, key: str) -> bytes:
        self._reach()
        if key not in self.objects:
            raise MissingObject(key)
        return self.objects[key]

    def put(self, key: str, data: bytes) -> None:
        self._reach()
        self.objects[key] = data

    def delete(self, key: str) -> None:
        self._reach()
        self.objects.pop(key, None)

    def keys(self, prefix: str, after: str = "") -> list[str]:
        self._reach()
        return sorted(key for key in self.objects if key.startswith(prefix) and key > after)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(scope="session")
def data() -> Dataset:
    return Dataset(prepare(default_dir()))


@pytest.fixture(scope="session")
def root(data: Dataset) -> Path:
    return data.root
