"""Errors of container faults without any container: parameters, targets, and stacks that do not run in containers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from fault_stack import description
from pydantic import ValidationError

from harness.faults.table import FAULTS
from harness.model.backend import Backend
from harness.model.errors import FaultError
from harness.model.faultstep import FaultStep
from harness.seams import Seams

INVALID: list[tuple[str, dict[str, Any]]] = [
    ("container.kill", {"signal": "SIGNOTHING"}),
    ("container.kill", {"signal": 0}),
    ("container.kill", {"signal": 65}),
    ("container.kill", {"restart": "perhaps"}),
    ("container.stop", {"grace": "2min"}),
    ("container.stop", {"grace": 5}),
    ("container.pause", {"harder": True}),
    ("container.restart_loop", {"alive": "-1s"}),
    ("container.oom", {"limit": 64}),
    ("container.oom", {"limit": "64 megs"}),
    ("container.cpu", {}),
    ("container.cpu", {"cpus": 0}),
    ("container.cpu", {"cpus": float("inf")}),
    ("disk.full", {}),
    ("disk.full", {"path": "data"}),
    ("disk.full", {"path": "/data", "leave": "-1MB"}),
    ("volume.read_only", {"path": "/data", "how": "magic"}),
    ("network.partition", {}),
    ("network.partition", {"apart_from": []}),
    ("network.partition", {"apart_from": ["store"], "way": "sideways"}),
    ("container.image", {}),
    ("container.image", {"image": ""}),
    ("container.environment", {}),
    ("container.environment", {"set": {"A": "1"}, "unset": ["A"]}),
    ("container.file", {"path": "/etc/issue"}),
    ("container.file", {"path": "/etc/issue", "content": "a", "source": "b"}),
    ("container.file", {"path": "/etc/issue", "find": "a"}),
    ("container.file", {"path": "etc/issue", "content": "a"}),
    ("clock.skew", {}),
    ("clock.skew", {"offset": 7200}),
    ("clock.skew", {"offset": "2h event"}),
    ("clock.skew", {"offset": "9d"}),
    ("node.loss", {"volumes": "perhaps"}),
]


@pytest.mark.parametrize(("kind", "parameters"), INVALID)
def test_invalid_parameters_are_rejected(kind: str, parameters: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FAULTS[kind].parameters.model_validate(parameters)


@pytest.mark.parametrize(
    ("written", "number"), [("KILL", 9), ("SIGTERM", 15), ("sigint", 2), (9, 9), ("3", 3), ("USR1", 10)]
)
def test_a_signal_is_a_name_or_a_number(written: object, number: int) -> None:
    parameters = cast("Any", FAULTS["container.kill"].parameters.model_validate({"signal": written}))
    assert parameters.signal == number


@pytest.mark.parametrize(("written", "size"), [("64MiB", 1 << 26), ("1GB", 10**9), ("0.5 kB", 500), (0, 0)])
def test_a_size_has_a_unit(written: object, size: int) -> None:
    parameters = cast("Any", FAULTS["disk.full"].parameters.model_validate({"path": "/data", "leave": written}))
    assert parameters.leave == size


ENOUGH: dict[str, dict[str, Any]] = {
    "container.cpu": {"cpus": 0.5},
    "disk.full": {"path": "/data"},
    "volume.read_only": {"path": "/data"},
    "file.corrupt": {"path": "/data", "operation": "empty"},
    "network.partition": {"apart_from": ["store"]},
    "container.image": {"image": "shop/model:1"},
    "container.environment": {"unset": ["A"]},
    "container.file": {"path": "/etc/issue", "content": ""},
    "clock.skew": {"offset": "-1h"},
}


def made(kind: str, target: dict[str, Any], parameters: dict[str, Any], backend: object) -> object:
    step = FaultStep.model_validate(
        {"id": "it", "at": "0s", "fault": kind, "target": target, "with": parameters, "for": "1s"}
    )
    return FAULTS[kind].make(step, Seams(cast("Backend", backend), description()), 1)


@pytest.mark.parametrize("kind", [name for name, kind in FAULTS.items() if kind.in_containers])
def test_a_stack_without_containers_is_an_error(kind: str) -> None:
    with pytest.raises(FaultError, match="--backend compose"):
        made(kind, {"service": "worker"}, ENOUGH.get(kind, {}), SimpleNamespace(links={}))


@pytest.mark.parametrize(
    ("target", "nearest"),
    [({"service": "workr"}, "worker"), ({"services": ["web", "stor"]}, "store"), ({"node": "c"}, "a")],
)
def test_unknown_names_are_errors_with_the_nearest_name(target: dict[str, Any], nearest: str) -> None:
    with pytest.raises(FaultError, match=nearest):
        made("container.kill", target, {}, SimpleNamespace(links={}))
