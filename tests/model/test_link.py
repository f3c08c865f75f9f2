"""A link is parsed and printed in one place, and stands by its name in journals."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

import harness
from harness.model.fields import Link, LinkField


class Holder(BaseModel):
    """A model with links, as the plan is."""

    links: tuple[LinkField, ...] = ()


def test_a_link_is_its_name_in_json() -> None:
    held = Holder(links=(Link("trainer", "object-store"),))
    assert held.model_dump(mode="json") == {"links": ["trainer -> object-store"]}
    assert Holder.model_validate_json(held.model_dump_json()) == held
    assert str(Link.parse("trainer -> object-store")) == "trainer -> object-store"


@pytest.mark.parametrize("name", ["", "a", "a->b", "a -> ", " -> b", "a -> a"])
def test_what_is_no_link_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="write it as 'consumer -> service'"):
        Link.parse(name)


def test_no_other_module_takes_a_link_apart_or_writes_one() -> None:
    by_hand = re.compile(r"""(split|partition|replace|endswith|startswith)\([^)]*" -> |\} -> \{""")
    root = Path(harness.__file__).parent
    found = [str(path.relative_to(root)) for path in root.rglob("*.py") if by_hand.search(path.read_text("utf-8"))]
    assert found == []
