"""Is an answer right? Checked against the truth as of its stamps, and against the model that it names."""

from __future__ import annotations

import asyncio
import builtins
import dataclasses
import hashlib
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from servers import START, event_clock, workload

from harness.model.errors import FaultError
from harness.probes import artefact, verify
from harness.probes.artefact import Artefact
from harness.probes.verify import Artefacts, Checked, MalformedError, Verifier
from harness.probes.workload_file import FeatureSpec
from harness.seams.stored import NoObjectError


@pytest.fixture(scope="session")
def model() -> bytes:
    """A model with two named inputs of shape [1, 1], as ONNX."""
    import pandas as pd
    from skl2onnx import to_onnx
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    frame = pd.DataFrame({"delay": [0.0, 1.0, 2.0, 3.0], "temp": [1.0, 0.0, 1.0, 0.0]}, dtype=np.float32)
    steps = make_pipeline(make_column_transformer(("passthrough", ["delay", "temp"])), LogisticRegression())
    fitted = steps.fit(frame, [0, 0, 1, 1])
    made = to_onnx(fitted, frame[:1], options={"zipmap": False})
    return bytes(made.SerializeToString())


class Store:
    """Objects in memory."""

    def __init__(self, **objects: bytes) -> None:
        self.objects = objects
        self.error: Exception | None = None
        self.asked = 0

    async def get(self, key: str) -> bytes:
        self.asked += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.objects[key]


def store_of(data: bytes, digest: str | None = None) -> tuple[Store, str]:
    digest = digest or hashlib.sha256(data).hexdigest()
    store = Store()
    store.objects[f"models/{digest}.onnx"] = data
    return store, f"sha256:{digest}"


def answer(digest: str = "sha256:0", score: float = 0.5, value: Any = 2.0, at: Any = -60, **inputs: Any) -> Any:
    stamp = START + at if isinstance(at, int) else at
    return {
        "score": score, "model": {"digest": digest}, "inputs": inputs,
        "features": {"delay": {"value": value, "event_time": stamp}},
    }  # fmt: skip


async def check(said: Any, store: Any = None) -> Checked:
    work = workload(2)
    artefacts = Artefacts(store, "models/") if store is not None else None
    verifier = Verifier(work, event_clock(), {"delay": 5400.0}, artefacts)
    return await verifier.check(work.requests[0], said)


@pytest.mark.parametrize(
    ("value", "at", "wrong", "stale"),
    [
        (2.0, -60, None, False),
        (2.0, -3600, None, False),  # the step holds from its own moment on
        (1.0, -3601, None, False),  # true as of its stamp, and young enough
        (1.0, -7000, None, True),  # true as of its stamp, and old: stale, not wrong
        (2.0, -7000, True, True),
        (1.0, -60, True, False),
        (None, -60, True, False),
        (2.0 + 1e-7, -60, None, False),
        (2.1, -60, True, False),
        (1.0, -7201, True, True),  # earlier than anything known
        (float("nan"), -60, True, False),
        ("2.0", -60, True, False),
    ],
)
async def test_truth_table(value: Any, at: int, wrong: bool | None, stale: bool) -> None:
    found = await check(answer(value=value, at=at))
    assert (found.wrong, found.stale) == (wrong, stale), found.why


@pytest.mark.parametrize("order", [("delay", "temp"), ("temp", "delay")])
@pytest.mark.parametrize(("old", "stale"), [(7000, True), (3700, False)])
async def test_a_fresh_feature_does_not_hide_a_stale_one_of_its_group(order: Any, old: int, stale: bool) -> None:
    work = workload(1)
    work.truth.add("JFK", "weather", START - 7200, {"delay": 1.0, "temp": 2.0})
    work = dataclasses.replace(work, features=dict.fromkeys(("delay", "temp"), FeatureSpec("weather")))
    stamped = {"delay": {"value": 1.0, "event_time": START - old}, "temp": {"value": 2.0, "event_time": START - 60}}
    said = answer() | {"features": {name: stamped[name] for name in order}}
    found = await Verifier(work, event_clock(), {"weather": 5400.0}, None).check(work.requests[0], said)
    assert (found.wrong, found.stale) == (None, stale), found.why
    assert found.stamps == {"weather": START - old}
    assert found.ages["weather"] == pytest.approx(old, abs=300)


async def test_what_an_answer_lacks() -> None:
    assert "carries no event time" in ((await check(answer(at=None))).why or "")
    said = answer()
    del said["features"]["delay"]
    assert "delay is missing" in ((await check(said)).why or "")
    for gone in ("score", "model", "features"):
        with pytest.raises(MalformedError):
            await check({k: v for k, v in answer().items() if k != gone})


async def test_inputs_that_are_not_the_features() -> None:
    assert "went into the model as 7" in ((await check(answer(delay=7.0))).why or "")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (answer() | {"id": "r1"}, "it answers the request r1, not r0"),
        (answer(e="LGA"), "e went into the model as LGA, but was sent as JFK"),
        (answer(distance=900.0), "distance went into the model as 900, but was sent as 800"),
    ],
)
async def test_d4_an_answer_to_another_request_is_wrong(said: dict[str, Any], why: str) -> None:
    found = await check(said)
    assert found.wrong is True
    assert found.why == why


async def test_d4_a_server_may_number_its_answers_by_itself() -> None:
    assert (await check(answer() | {"id": "chatcmpl-77"})).wrong is None


@pytest.mark.parametrize("used", [[800.0], {"a": 1}, None])
async def test_d4_what_is_no_scalar_is_not_compared(used: Any) -> None:
    assert (await check(answer(distance=used))).wrong is None


@pytest.mark.parametrize("distance", [800, 800.0, np.float32(800.1 - 0.1).item(), "800"])
async def test_d4_an_input_may_be_of_another_type_than_it_was_sent_as(distance: Any) -> None:
    assert (await check(answer(distance=distance, e="JFK") | {"id": "r0"})).wrong is None


async def test_d4_a_value_from_the_future_is_wrong() -> None:
    found = await check(answer(at=3000))
    assert found.wrong is True
    assert "has not come yet" in (found.why or "")
    assert (await check(answer(at=500))).wrong is None, "the clocks of harness and stack may differ a little"


async def test_d4_without_an_artefact_a_right_answer_is_not_known_to_be_right() -> None:
    found = await check(answer())
    assert found.wrong is None
    assert "x-harness.integrity.models" in (found.why or "")
    assert (await check(answer(value=1.0))).wrong is True, "but wrong features are wrong whatever the model says"


@pytest.mark.slow
async def test_the_score_is_computed_again(model: bytes) -> None:
    store, digest = store_of(model)
    inputs = {"delay": 2.0, "temp": 1.0}
    verdict = await check(answer(digest, score=0.0, **inputs), store)
    assert verdict.wrong is True
    expected = float((verdict.why or "").partition("gives ")[2].split()[0])
    assert 0.4 < expected < 0.9
    assert (await check(answer(digest, score=expected + 4e-5, **inputs), store)).wrong is False
    assert (await check(answer(digest, score=expected + 2e-4, **inputs), store)).wrong is True


@pytest.mark.parametrize("inputs", [{}, {"delay": 2.0}, {"delay": 2.0, "temp": "warm"}, {"delay": 2.0, "temp": [1, 2]}])
@pytest.mark.slow
async def test_inputs_that_the_model_cannot_take(model: bytes, inputs: dict[str, Any]) -> None:
    store, digest = store_of(model)
    found = await check(answer(digest, **inputs), store)
    assert found.wrong is True
    assert "cannot take" in (found.why or "")


async def test_an_artefact_that_cannot_be_read_leaves_it_open() -> None:
    store, digest = store_of(b"x")
    for error in (NoObjectError("no such key"), FaultError("timed out")):
        store.error = error
        found = await check(answer(digest, delay=2.0), store)
        assert found.wrong is None
        assert "cannot be read" in (found.why or "")


async def test_bytes_that_are_not_of_the_digest_are_wrong(model: bytes) -> None:
    store, digest = store_of(model, "0" * 64)
    assert (await check(answer(digest), store)).wrong is True
    whole = onnx_model()
    for data in (b"not a model", b"", whole[: len(whole) // 2], onnx_model("Relu", kind=8)):
        store, digest = store_of(data)
        found = await check(answer(digest), store)
        assert found.wrong is True
        assert "is no model" in (found.why or "")


async def test_an_artefact_is_fetched_once_and_a_missing_one_not_for_every_answer(model: bytes) -> None:
    store, digest = store_of(model)
    artefacts = Artefacts(store, "models/")  # type: ignore[arg-type]
    await asyncio.gather(*(artefacts.fetch(digest) for _ in range(5)))
    assert store.asked == 1
    assert artefacts.ready(digest) is not None
    store.error = NoObjectError("no such key")
    for _ in range(20):
        with pytest.raises(Exception, match="cannot be read"):
            await artefacts.fetch("sha256:missing")
    assert store.asked == 2


# What the harness cannot do itself is neither right nor wrong


def onnx_model(
    operator: str = "Identity", kind: int = 1, shape: Any = (None, 1), out: Any = None, domain: str = ""
) -> bytes:
    """A model of one operator, from `delay` to `score`."""
    from onnx import helper

    node = helper.make_node(operator, ["delay"], ["score"], domain=domain, **({"to": 1} if operator == "Cast" else {}))
    ends = [
        helper.make_tensor_value_info("delay", kind, shape),
        helper.make_tensor_value_info("score", out or kind, shape),
    ]
    imports = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    made = helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:]), opset_imports=imports, ir_version=8)
    return bytes(made.SerializeToString())


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def without_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_runtime(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("onnxruntime"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *rest, **more)

    for name in [one for one in sys.modules if one.startswith("onnxruntime")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", no_runtime)


TROUBLES: list[tuple[str, Callable[[pytest.MonkeyPatch], None]]] = [
    ("MemoryError", lambda m: m.setattr(artefact.Artefact, "__init__", raising(MemoryError()))),
    (
        "can't start new thread",
        lambda m: m.setattr(threading.Thread, "start", raising(RuntimeError("can't start new thread"))),
    ),
    ("No module named", without_runtime),
]


@pytest.mark.parametrize(("why", "trouble"), TROUBLES, ids=[why for why, _ in TROUBLES])
async def test_a_model_that_cannot_be_loaded_here_makes_no_answer_wrong(
    why: str, trouble: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, digest = store_of(onnx_model())
    trouble(monkeypatch)
    found = await check(answer(digest, score=2.0, delay=2.0), store)
    monkeypatch.undo()
    assert found.wrong is None
    assert "cannot be loaded here" in (found.why or "")
    assert why in (found.why or "")


async def test_whatever_the_store_s_client_raises_is_no_fault_of_an_answer() -> None:
    store, digest = store_of(b"x")
    for error in (KeyError("Body"), RuntimeError("can't start new thread"), ValueError("odd")):
        store.error = error
        found = await check(answer(digest, delay=2.0), store)
        assert found.wrong is None
        assert "cannot be read" in (found.why or "")


@pytest.mark.parametrize(
    "how",
    [
        {"operator": "Nonsense", "domain": "com.example"},  # an operator that this runtime does not know
        {"operator": "Nonsense"},
        {"operator": "Relu", "shape": (None, 12)},  # a row of many values
        {"shape": (None,)},
    ],
)
async def test_a_model_that_this_runtime_cannot_take_leaves_the_score_open(how: dict[str, Any]) -> None:
    store, digest = store_of(onnx_model(**how))
    found = await check(answer(digest, score=2.0, delay=2.0), store)
    assert found.wrong is None, found.why
    assert "cannot be loaded here" in (found.why or "")


@pytest.mark.parametrize(
    ("kind", "value"), [(1, 2.0), (11, 2.0), (7, 2), (6, 2), (5, 2), (3, 2), (13, 2), (10, 2.0), (9, True)]
)
async def test_a_model_takes_its_inputs_in_its_own_type(kind: int, value: Any) -> None:
    store, digest = store_of(onnx_model("Cast", kind=kind, out=1))
    work = dataclasses.replace(workload(1), features={})
    verifier = Verifier(work, event_clock(), {}, Artefacts(store, "models/"))  # type: ignore[arg-type]
    for score, wrong in ((float(value), False), (7.0, True)):
        said = answer(digest, score=score, delay=value)
        assert (await verifier.check(work.requests[0], said)).wrong is wrong


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("Failed to allocate memory"), IndexError(), KeyError(1)])
async def test_a_score_that_cannot_be_computed_here_makes_no_answer_wrong(error: Exception) -> None:
    store, digest = store_of(onnx_model())
    work = workload(1)
    artefacts = Artefacts(store, "models/")  # type: ignore[arg-type]
    made = await artefacts.fetch(digest)

    class Session:
        run = staticmethod(raising(error))

    made._session = Session()
    said = answer(digest, score=9.0, delay=2.0)
    found = await Verifier(work, event_clock(), {}, artefacts).check(work.requests[0], said)
    assert found.wrong is None
    assert type(error).__name__ in (found.why or "")


async def test_a_text_that_is_null_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="is null"):
        Artefact(onnx_model(kind=8)).score({"delay": None})


async def test_an_answer_whose_score_is_not_checked_in_time_is_stale_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, digest = store_of(b"x")
    monkeypatch.setattr(verify, "CHECK_S", 0.01)

    async def never(_: str) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    store.get = never  # type: ignore[method-assign]
    found = await check(answer(digest, value=1.0, at=-7000), store)
    assert (found.wrong, found.stale) == (None, True)
    assert "in time" in (found.why or "")
