"""`harness images`: what runs of a stack need, in a file and back."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker.errors
import pytest

from harness.backends.compose.engine import client

pytestmark = [pytest.mark.docker, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
SCRATCH = f"harness-test/scratch-{os.getpid()}:1"
NOWHERE = "127.0.0.1:9/no-such-image:1"
STACK = """\
name: boxed
services:
  web:
    image: IMAGE
    command: [sleep, "1000"]
x-harness: {schema: 1, stack: boxed}
"""


def images(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", "images", *words],
        cwd=folder,
        env={
            **os.environ, "PYTHONPATH": str(ROOT), "HARNESS_TOOLS_IMAGE": NOWHERE, "HARNESS_GUARD_IMAGE": SCRATCH,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with a stack of one service, whose image is small and ours alone."""
    engine = client()
    made = engine.api.import_image_from_data(b"\0" * 1024, repository=SCRATCH.partition(":")[0], tag="1")
    assert "error" not in made
    (tmp_path / "boxed.yaml").write_text(STACK.replace("IMAGE", SCRATCH))
    yield tmp_path
    with contextlib.suppress(docker.errors.ImageNotFound):
        engine.api.remove_image(SCRATCH)
    engine.close()


def test_the_list_says_what_is_missing(folder: Path) -> None:
    done = images(folder, "boxed.yaml")
    assert done.returncode == 0, done.stderr
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["image", "size", "here", "needed", "by", "for"]
    assert [row.split()[:2] for row in rows] == [[SCRATCH, "0"], [NOWHERE, "missing"]]
    told = json.loads(images(folder, "boxed.yaml", "--json").stdout)
    assert told[0] == {"image": SCRATCH, "needed_by": "web", "runs": "every run in containers", "size_bytes": 0}
    assert (told[1]["size_bytes"], told[1]["runs"]) == (None, "some runs")
    assert "HARNESS_TOOLS_IMAGE names another" in told[1]["needed_by"]


def test_saved_images_are_loaded_again(folder: Path) -> None:
    saved = images(folder, "boxed.yaml", "--save", "boxed.tar")
    assert saved.returncode == 0, saved.stderr
    assert saved.stdout.splitlines()[0] == f"saved {SCRATCH}"
    assert f"left out: helper containers of faults (HARNESS_TOOLS_IMAGE names another) needs the image '{NOWHERE}'" in (
        saved.stderr
    )
    with tarfile.open(folder / "boxed.tar") as archive:
        assert "manifest.json" in archive.getnames()
    assert {path.name for path in folder.iterdir()} == {"boxed.tar", "boxed.yaml"}
    again = images(folder, "boxed.yaml", "--save", "boxed.tar")
    assert (again.returncode, "there is a file already" in again.stderr) == (2, True)
    assert images(folder, "boxed.yaml", "--save", "boxed.tar", "--force").returncode == 0
    engine = client()
    engine.api.remove_image(SCRATCH)
    loaded = images(folder, "--load", "boxed.tar")
    assert (loaded.returncode, loaded.stdout) == (0, f"loaded {SCRATCH}\n"), loaded.stderr
    assert engine.api.inspect_image(SCRATCH)["RepoTags"] == [SCRATCH]
    engine.close()


def test_a_service_image_that_cannot_be_had_is_an_error(folder: Path) -> None:
    (folder / "boxed.yaml").write_text(STACK.replace("IMAGE", NOWHERE))
    done = images(folder, "boxed.yaml", "--save", "boxed.tar")
    assert done.returncode == 4
    assert f"the service 'web' needs the image '{NOWHERE}'" in done.stderr
    assert "harness images --load FILE" in done.stderr
    assert not (folder / "boxed.tar").exists()


def test_a_digest_is_refused(folder: Path) -> None:
    (folder / "boxed.yaml").write_text(STACK.replace("IMAGE", f"web@sha256:{'0' * 64}"))
    done = images(folder, "boxed.yaml", "--save", "boxed.tar")
    assert done.returncode == 2
    assert "is pinned by a digest" in done.stderr


def test_a_file_that_is_none_of_images(folder: Path) -> None:
    (folder / "no.tar").write_bytes(b"nothing of the kind")
    done = images(folder, "--load", "no.tar")
    assert (done.returncode, "no.tar: it is no file of images" in done.stderr) == (2, True)
    with tarfile.open(folder / "other.tar", "w") as archive:
        archive.add(folder / "boxed.yaml", "boxed.yaml")
    done = images(folder, "--load", "other.tar")
    assert done.returncode == 4
    assert "other.tar" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [("--save", "no/such/folder.tar"), ("--save", "."), ("--list", "--load", "boxed.yaml")]
)
def test_what_makes_no_sense_is_refused(folder: Path, words: tuple[str, ...]) -> None:
    assert images(folder, "boxed.yaml", *words).returncode == 2
