from __future__ import annotations

import json

import pytest

from refstack.checkpoints import CheckpointError, dump, load
from refstack.objects import StoreError
from refstack.restore import check

WEIGHTS = {"coef": [0.5, -1.0], "intercept": 0.1}
BODY = {
    "version": 3,
    "parent": 2,
    "weights": WEIGHTS,
    "shards": {"training/x": {"weights": WEIGHTS, "rows": 5}},
}


def test_what_was_written_is_restored() -> None:
    assert load(dump(BODY)) == BODY


@pytest.mark.parametrize("cut", [0, 1, 40, 120])
def test_a_torn_checkpoint_is_refused(cut: int) -> None:
    with pytest.raises(CheckpointError):
        load(dump(BODY)[:cut])


def test_a_changed_number_is_refused() -> None:
    with pytest.raises(CheckpointError, match="digest"):
        load(dump(BODY).replace(b"0.5", b"0.6"))


def test_weights_that_are_no_numbers_are_refused() -> None:
    body = {**BODY, "weights": {"coef": [float("nan")], "intercept": 0.0}}
    with pytest.raises(CheckpointError, match="weights"):
        load(dump(body))


def test_restore_names_each_checkpoint_and_what_is_wrong(store) -> None:
    store.put("checkpoints/good.json", dump(BODY))
    store.put("checkpoints/torn.json", dump(BODY)[:30])
    good, torn = check(store)
    assert good == {"key": "checkpoints/good.json", "ok": True, "error": None}
    assert (torn["key"], torn["ok"]) == ("checkpoints/torn.json", False)
    assert json.dumps(torn)


def test_a_store_that_does_not_answer_makes_no_checkpoint_bad(store, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(key: str) -> bytes:
        raise StoreError(f"get {key}: ReadTimeoutError")

    store.put("checkpoints/good.json", dump(BODY))
    monkeypatch.setattr(store, "get", hang)
    with pytest.raises(StoreError, match="ReadTimeout"):
        check(store)
