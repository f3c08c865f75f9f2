"""Kinds of probes that other packages bring in: read, refused, and imported only when they are used."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from harness.description.stackfile import resolve_stack
from harness.model.errors import StackError
from harness.model.units import Unit
from harness.probes.reader import ProbeContext, ProbeKind


class Depth(BaseModel):
    EVERY_S: ClassVar[float] = 3.0
    usual_unit: ClassVar[Unit] = Unit.COUNT
    queue: str


def make(settings: Depth, around: ProbeContext) -> Any:
    raise AssertionError("nothing is read here")


class Entry:
    def __init__(self, name: str, found: Any) -> None:
        self.name = name
        self.value = f"package:{name}"
        self._found = found
        self.loads = 0

    def load(self) -> Any:
        self.loads += 1
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


def offer(monkeypatch: pytest.MonkeyPatch, *entries: Entry) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: entries)


def stack(folder: Path, probe: str) -> str:
    path = folder / "compose.yaml"
    path.write_text(f"x-harness:\n  schema: 1\n  probes:\n    deep: {probe}\nservices:\n  web: {{command: sleep 9}}\n")
    return str(path)


def test_a_kind_of_another_package_is_read_and_others_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = Entry("rabbit", ProbeKind("rabbit", "messages in a queue", Depth, make))
    other = Entry("zebra", ImportError("no zebra"))
    shadow = Entry("http", ProbeKind("http", "not ours", Depth, make))
    offer(monkeypatch, used, other, shadow)
    probe = resolve_stack(stack(tmp_path, "{rabbit: {queue: q}}")).probes["deep"]
    assert (probe.kind, probe.settings, probe.unit, probe.every_s) == ("rabbit", Depth(queue="q"), Unit.COUNT, 3.0)
    assert (used.loads, other.loads, shadow.loads) == (1, 0, 0)
    ours = resolve_stack(stack(tmp_path, '{http: {url: "http://web:1"}}')).probes["deep"]
    assert type(ours.settings).__name__ == "HttpProbe"


@pytest.mark.parametrize(
    ("probe", "hint"),
    [
        ("{rabit: {queue: q}}", "unknown kind of probe 'rabit': did you mean 'rabbit'?"),
        ("{rabbit: {quue: q}}", "the field 'queue' is missing"),
        ("{broken: {}}", "the probe kind 'broken' cannot be imported from 'package:broken': no such library"),
        ("{wrong: {}}", "'package:wrong' is not the probe kind 'wrong'"),
        ("{named: {}}", "'package:named' is not the probe kind 'named'"),
    ],
)
def test_an_invalid_plugin_kind_is_reported_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, probe: str, hint: str
) -> None:
    kind = ProbeKind("rabbit", "messages in a queue", Depth, make)
    offer(monkeypatch, Entry("rabbit", kind), Entry("broken", ImportError("no such library")), Entry("wrong", 3),
          Entry("named", kind))  # fmt: skip
    with pytest.raises(StackError) as caught:
        resolve_stack(stack(tmp_path, probe))
    assert hint in str(caught.value)
    assert caught.value.line == 4
