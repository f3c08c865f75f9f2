"""What a fault hits, by its target and the description of the stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.description.stackfile import load_stack
from harness.model.faultstep import Target
from harness.model.reach import data_in_common, services_hit, things_hit, whole_services
from harness.model.stack import StackDescription

TEXT = """
x-harness:
  schema: 1
  keyspaces:
    all: {service: store, prefix: ""}
    own: {service: store, prefix: "own:"}
    other: {service: store, prefix: "other:"}
    elsewhere: {service: store, db: 1, prefix: "own:"}
services:
  web: {image: x, environment: {STORE: "store:6379", LOG: "log:80"}, x-harness: {node: a}}
  job: {image: x, environment: {STORE: "store:6379"}, x-harness: {node: b}}
  store: {image: x, x-harness: {node: b, port: 6379}}
  log: {image: x, x-harness: {node: a, port: 80}}
"""


@pytest.fixture
def stack(tmp_path: Path) -> StackDescription:
    (tmp_path / "compose.yaml").write_text(TEXT, "utf-8")
    return load_stack(tmp_path / "compose.yaml")


CASES: list[tuple[dict[str, Any], set[str], set[str]]] = [
    ({"service": "web"}, {"web"}, {"web"}),
    ({"services": ["web", "job"]}, {"web", "job"}, {"web", "job"}),
    ({"node": "b"}, {"job", "store"}, {"job", "store"}),
    ({"link": "web -> store"}, set(), {"web", "store"}),
    ({"links": ["web -> store", "web -> log"]}, set(), {"web", "store", "log"}),
    ({"keyspace": "own"}, set(), {"store"}),
    ({"keyspace": "unknown"}, set(), set()),
    ({"node": "unknown"}, set(), set()),
]


@pytest.mark.parametrize(("target", "whole", "hit"), CASES)
def test_services(stack: StackDescription, target: dict[str, Any], whole: set[str], hit: set[str]) -> None:
    aimed = Target.model_validate(target)
    assert set(whole_services(aimed, stack.nodes)) == whole
    assert services_hit(aimed, stack) == hit


def test_a_service_is_hit_itself_or_by_the_links_that_lead_to_it(stack: StackDescription) -> None:
    store = Target(service="store")
    assert things_hit(store, stack, acts_on_links=False) == {"service": ("store",)}
    assert things_hit(store, stack, acts_on_links=True) == {"link": ("web -> store", "job -> store")}
    nothing_leads_here = Target(service="web")
    assert things_hit(nothing_leads_here, stack, acts_on_links=True) == {"service": ("web",)}


def test_a_node_is_hit_with_its_services_and_every_link_that_touches_them(stack: StackDescription) -> None:
    assert things_hit(Target(node="b"), stack, acts_on_links=False) == {
        "service": ("job", "store"),
        "link": ("web -> store", "job -> store"),
        "node": ("b",),
    }


@pytest.mark.parametrize("acts_on_links", [False, True])
def test_what_is_named_is_hit_and_nothing_else(stack: StackDescription, acts_on_links: bool) -> None:
    for target in ({"keyspace": ("own",)}, {"link": ("job -> store",)}, {"link": ("no -> link",)}):
        ((kind, names),) = target.items()
        aimed = Target.model_validate({kind: names[0]})
        assert things_hit(aimed, stack, acts_on_links=acts_on_links) == target


def test_key_spaces_have_in_common_what_lies_under_both(stack: StackDescription) -> None:
    assert data_in_common("keyspace", "all", "own", stack) == "keys under own:"
    assert data_in_common("keyspace", "own", "other", stack) is None
    assert data_in_common("keyspace", "own", "elsewhere", stack) is None
    assert data_in_common("keyspace", "own", "unknown", stack) is None
    assert data_in_common("dataset", "all", "own", stack) is None
    assert data_in_common("keyspace", None, "own", stack) is None
