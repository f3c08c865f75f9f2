"""Readers of foreign input, without atheris: what fuzzing found, the inputs it began with, and changes of these."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.errors import HarnessError
from tests.fuzz.mutation import mutated
from tests.fuzz.targets import TARGETS, run

pytestmark = pytest.mark.slow

CORPUS = Path(__file__).parent / "corpus"
STORED = sorted(CORPUS.glob("*/*"))
CHANGES = 150


@pytest.mark.parametrize("path", STORED, ids=[f"{p.parent.name}-{p.stem}" for p in STORED])
def test_what_was_found_once_is_read_or_refused(path: Path) -> None:
    run(TARGETS[path.parent.name], path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_accepts_one_of_its_seeds(name: str) -> None:
    def accepted(seed: bytes) -> bool:
        try:
            return TARGETS[name].read(seed) is not False
        except HarnessError:
            return False

    assert any(map(accepted, TARGETS[name].seeds()))


@pytest.mark.parametrize("name", TARGETS)
def test_changed_seeds_are_read_or_refused(name: str) -> None:
    target = TARGETS[name]
    seeds = list(target.seeds())
    given = [mutated(seeds[seed % len(seeds)], target.form, seed) for seed in range(CHANGES)]
    assert len(set(given)) > CHANGES // 2, "most changes change something"
    for data in given:
        run(target, data)
