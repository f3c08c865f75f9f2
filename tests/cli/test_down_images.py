"""`harness down --images`: which images are removed, and that everybody else's stay."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from calling import Harness

import harness.runner.keeping.down
from harness.backends.compose import engine
from harness.backends.compose.built_images import labelled
from harness.backends.compose.labels import BUILT_FOR, FOLDER, HOST, USER, started_by
from harness.runner.keeping.down import RunningStack


class Images:
    """An engine that has images, and containers that use some of them."""

    def __init__(self) -> None:
        self.api = self
        self.there: dict[str, Mapping[str, str]] = {}
        self.used: dict[str, str] = {}

    def close(self) -> None:
        """Nothing is open."""

    def images(self) -> list[dict[str, Any]]:
        return [
            {"Id": f"sha256:{name}", "RepoTags": [name], "Labels": labels or None, "Size": 5_000_000}
            for name, labels in self.there.items()
        ]

    def containers(self, all: bool = False) -> list[dict[str, Any]]:  # noqa: A002
        return [{"Names": [f"/{user}"], "ImageID": f"sha256:{name}", "Image": name} for name, user in self.used.items()]

    def remove_image(self, name: str) -> None:
        del self.there[name]


def built(stack: str, **changed: str) -> dict[str, str]:
    place = started_by()
    return {BUILT_FOR: stack, FOLDER: place["folder"], USER: place["user"], HOST: place["host"], **changed}


SHOP, OLD, OTHER, THEIRS = "mlch-shop-web:built", "mlch-shop-old:built", "mlch-shop-x-web:built", "mlch-shop-db:built"


@pytest.fixture
def on_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Images:
    """Images of the stack `shop`, of `shop-x`, which was built in another folder, and of others; `shop` runs."""
    monkeypatch.chdir(tmp_path)
    made = Images()
    monkeypatch.setattr(engine, "client", lambda: made)
    made.there = {
        SHOP: built("shop"),
        OLD: {},
        OTHER: built("shop-x", **{FOLDER: "/elsewhere"}),
        THEIRS: built("shop", **{USER: "somebody"}),
        "acme/web:1": {},
        "mlch-web:1": {},
    }
    place = started_by()
    there = [RunningStack("shop", "mlch-shop-1", None, "kept", place["folder"], place["user"], place["host"])]
    monkeypatch.setattr(harness.runner.keeping.down, "running", lambda *_: there)
    monkeypatch.setattr(harness.runner.keeping.down, "stop", lambda chosen, **_: [there.remove(one) for one in chosen])
    return made


@pytest.mark.parametrize("name", [(), ("shop",), ("mlch-shop-1",)])
def test_only_the_images_of_the_stack_are_removed(harness_: Harness, on_engine: Images, name: tuple[str, ...]) -> None:
    before = set(on_engine.there)
    result = harness_("down", *name, "--images")
    assert result.code == 0
    assert set(on_engine.there) == before - {SHOP}
    assert f"removed the image {SHOP} (5 MB)" in result.out
    assert f"kept the image {THEIRS} (5 MB): somebody built it on " in result.out
    assert (
        f"kept the image {OLD} (5 MB): it has no label that says which stack it was built for; `docker rmi"
        in result.out
    )
    assert OTHER not in result.out
    assert "1 image removed" in result.out


def test_images_stay_unless_asked(harness_: Harness, on_engine: Images) -> None:
    before = dict(on_engine.there)
    assert harness_("down").code == 0
    assert on_engine.there == before


def test_an_image_in_use_is_kept_and_its_user_named(harness_: Harness, on_engine: Images) -> None:
    on_engine.used[SHOP] = "shop-web-1"
    result = harness_("down", "shop", "--images")
    assert f"kept the image {SHOP} (5 MB): the container shop-web-1 uses it" in result.out
    assert "0 images removed" in result.out
    assert SHOP in on_engine.there


def test_a_stack_that_does_not_run_may_still_have_images(harness_: Harness, on_engine: Images) -> None:
    result = harness_("down", "shop-x", "--images")
    assert (result.code, OTHER in on_engine.there) == (0, False)
    assert result.out.startswith("0 stacks stopped\n")
    assert harness_("down", "shop-x", "--images").code == 2, "there is nothing of that name any more"
    assert SHOP in on_engine.there


def test_without_a_name_those_that_were_built_in_this_folder(harness_: Harness, on_engine: Images) -> None:
    assert harness_("down").code == 0
    on_engine.there["mlch-gone-web:built"] = built("gone")
    assert harness_("down", "--images").code == 0
    assert set(on_engine.there) == {OLD, OTHER, THEIRS, "acme/web:1", "mlch-web:1"}


def test_all_takes_those_of_others_too_and_none_without_a_label(harness_: Harness, on_engine: Images) -> None:
    refused = harness_("down", "--all", "--images")
    assert refused.code == 2
    assert SHOP in on_engine.there
    assert harness_("down", "--all", "--images", "--yes").code == 0
    assert set(on_engine.there) == {OLD, "acme/web:1", "mlch-web:1"}


@pytest.mark.parametrize("given", [".", {"context": "."}, {"context": ".", "labels": {"a": "b"}}, {"labels": ["a=b"]}])
def test_what_is_built_says_for_which_stack(given: Any) -> None:
    labels = labelled(given, "shop")["labels"]
    assert labels[BUILT_FOR] == "shop"
    if isinstance(given, dict) and "labels" in given:
        assert labels["a"] == "b"
