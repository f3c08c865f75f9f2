"""The names of images that the harness builds: no two services of any stacks share one."""

from __future__ import annotations

import re

import pytest

from harness.backends.compose.built_images import built_name

REFERENCE = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*:[a-z]+")
"""What an engine takes for the name of an image (the reference grammar of the distribution project)."""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("shop", "web-b"), ("shop-web", "b")),
        (("shop-a", "b-c"), ("shop", "a-b-c")),
        (("shop", "web"), ("Shop", "web")),
        (("shop", "web"), ("shop", "Web")),
        (("a-b-c", "d"), ("a-b", "c-d")),
    ],
)
def test_no_two_services_share_a_name(one: tuple[str, str], other: tuple[str, str]) -> None:
    names = [built_name(*one), built_name(*other)]
    assert names[0] != names[1]
    assert all(map(REFERENCE.fullmatch, names)), names
    assert names == [built_name(*one), built_name(*other)], "all runs share it"
