"""The departures board: it keeps its own lines, goes on whatever fails, and nothing of the stack depends on it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from harness.description.stackfile import load_stack
from refstack.departures_board import Board
from refstack.online import board_key, features_key
from refstack.schema import DELAY, ENTITIES, stamp_field

STACK = load_stack(Path(__file__).parents[2] / "compose" / "compose.yaml", variables=dict(os.environ))
BOARD = "departures-board"
STAMP = stamp_field(DELAY)


class Pipe:
    """A pipeline of the online store's calls on a dictionary of hashes."""

    def __init__(self, hashes: dict[str, dict[str, str]]) -> None:
        self._hashes = hashes
        self._answers: list[Any] = []

    def hmget(self, key: str, *fields: str) -> None:
        self._answers.append([self._hashes.get(key, {}).get(field) for field in fields])

    def hset(self, key: str, mapping: dict[str, str]) -> None:
        self._hashes.setdefault(key, {}).update(mapping)

    def execute(self) -> list[Any]:
        return self._answers


class Client:
    """The online store."""

    def __init__(self, hashes: dict[str, dict[str, str]]) -> None:
        self.hashes = hashes

    def pipeline(self, transaction: bool) -> Pipe:
        return Pipe(self.hashes)


@pytest.fixture
def hashes() -> dict[str, dict[str, str]]:
    whole = {DELAY: "7.5", STAMP: "1000", "temp": "12.0"}
    return {features_key(ENTITIES[0]): dict(whole), features_key(ENTITIES[1]): {DELAY: "1.0"}}


def board(hashes: dict[str, dict[str, str]], store: Any) -> Board:
    service: Any = None  # only its loop needs one
    client: Any = Client(hashes)
    return Board(service, client, store)


def test_it_keeps_the_delays_of_whole_rows_and_leaves_the_rows_alone(
    hashes: dict[str, dict[str, str]], store: Any
) -> None:
    before = {key: dict(row) for key, row in hashes.items()}
    made = board(hashes, store)
    made.write()
    assert hashes == before | {board_key(ENTITIES[0]): {DELAY: "7.5", STAMP: "1000"}}
    assert made.answer(None) == (200, {"lines": {ENTITIES[0]: {DELAY: "7.5", STAMP: "1000"}}, "versions": 0})


def test_it_counts_the_versions(hashes: dict[str, dict[str, str]], store: Any) -> None:
    store.objects = {"models/a.onnx": b"", "models/b.onnx": b"", "training/a": b""}
    made = board(hashes, store)
    made.count()
    assert made.answer(None)[1] == {"lines": {}, "versions": 2}


def test_its_keys_are_a_key_space_of_their_own() -> None:
    prefixes = {name: spec.prefix for name, spec in STACK.keyspaces.items()}
    keys = {"features": [features_key(e) for e in ENTITIES], "board": [board_key(e) for e in ENTITIES]}
    for name, own in keys.items():
        assert [other for key in own for other, prefix in prefixes.items() if key.startswith(prefix)] == [name] * len(
            own
        )


def test_nothing_of_the_stack_depends_on_it() -> None:
    assert STACK.nodes[STACK.services[BOARD].node] == (BOARD,)
    assert [service.name for service in STACK.services.values() if BOARD in service.names] == []
    assert [link.name for link in STACK.links if link.service == BOARD] == []
    measured = STACK.model_dump_json(exclude={"services"})
    assert BOARD not in measured
    assert "board:" in measured, "the key space is there"
