"""Bringing stacks of containers up and down, beside plain compose: what the harness adds.

Up is from the start of the command until every service that has a health check is healthy; compose 1.29 has no
`--wait`, so the plain arm polls the engine until they are, as often as the harness does. Down is until the command has
ended and nothing of the project is left. The arms take turns, each pair in another order; ratios are of medians.

`python -m benchmarks.compose [--quick]`; the images must be there.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Cell, table
from benchmarks.results import ROOT, CannotMeasureError, Options, Result, main, say
from harness.backends.compose.engine import Engine, connect
from harness.backends.compose.images import have_images
from harness.backends.compose.project import composed, images_of
from harness.backends.compose.readiness import POLL_S
from harness.backends.compose.snapshots import containers_of
from harness.description.stackfile import resolve_stack
from harness.model.errors import BackendError
from harness.model.stack import StackDescription

STACKS = {"four small services": str(ROOT / "tests" / "backends" / "stack" / "compose.yaml"), "reference": "reference"}
PAIRS, QUICK_PAIRS = 5, 1
WITHIN_S = 240.0
TARGET = 1.15
PROJECT = re.compile(r"compose project (\S+)")


def measure(options: Options) -> Result:
    """Bring each stack up and down by both arms, several times."""
    rows: list[list[Cell]] = []
    figures: dict[str, object] = {}
    wrong = []
    try:
        engine = connect()
        for title, name in STACKS.items():
            stack = resolve_stack(name)
            have_images(stack, links=False)
            taken = _taken(engine, stack, name, QUICK_PAIRS if options.quick else PAIRS)
            figures[title] = taken
            for what in ("up", "down"):
                plain, ours = (statistics.median(taken[f"{arm} {what}"]) for arm in ("plain", "harness"))
                rows.append([f"{title}: {what}", plain, ours, ours / plain, f"≤ {TARGET}"])
                if ours / plain > TARGET:
                    wrong.append(f"{title}: {what} takes {ours / plain:.2f} times as long as plain compose")
        engine.close()
    except BackendError as error:
        raise CannotMeasureError(str(error)) from error
    columns = ("stack, s", "plain compose", "harness", "ratio", "target")
    return Result([table("Up and down beside plain compose, medians", columns, rows)], figures, wrong)


def _taken(engine: Engine, stack: StackDescription, name: str, pairs: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {f"{arm} {what}": [] for arm in ("plain", "harness") for what in ("up", "down")}
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        file, home = _plain_file(stack, Path(folder))
        for k in range(pairs + 1):
            for arm in ("plain", "harness") if k % 2 else ("harness", "plain"):
                up_s, down_s = _plain(engine, stack, file, home) if arm == "plain" else _ours(name)
                say(f"{k} {arm}: up {up_s:.2f} s, down {down_s:.2f} s")
                if k:  # the first pair fills the caches
                    taken[f"{arm} up"].append(up_s)
                    taken[f"{arm} down"].append(down_s)
    return taken


def _plain_file(stack: StackDescription, folder: Path) -> tuple[Path, Path]:
    """Write the stack's own compose file, without what compose 1.29 does not know."""
    document, home = composed(stack)
    images = images_of(stack, document)
    services = {name: {**body, "image": images[name]} for name, body in document["services"].items()}
    for body in services.values():
        body.pop("build", None)
        body.pop("ports", None)
    file = folder / "compose.yaml"
    file.write_text(json.dumps({**document, "services": services}), encoding="utf-8")
    return file, home


def _plain(engine: Engine, stack: StackDescription, file: Path, home: Path) -> tuple[float, float]:
    project = "harness-bench-plain"
    words = [*engine.compose, "-p", project, "-f", str(file), "--project-directory", str(home)]
    began_s = time.monotonic()
    _run([*words, "up", "-d", "--no-build"])
    while True:
        seen = containers_of(engine.client, project)
        well = [one for one in seen if one.state == "running" and one.health in (None, "healthy")]
        if len(well) == len(stack.services):
            break
        if time.monotonic() > began_s + WITHIN_S:
            raise CannotMeasureError("plain compose did not bring the stack up")
        time.sleep(POLL_S)
    up_s = time.monotonic() - began_s
    began_s = time.monotonic()
    _run([*words, "down", "-v"])
    return up_s, time.monotonic() - began_s


def _ours(name: str) -> tuple[float, float]:
    program = str(Path(sys.executable).with_name("harness"))
    began_s = time.monotonic()
    output = _run([program, "up", name, "--backend", "compose"])
    up_s = time.monotonic() - began_s
    if PROJECT.search(output) is None:
        raise CannotMeasureError(f"the output of `harness up` does not name the project: {output}")
    began_s = time.monotonic()
    _run([program, "down"])
    return up_s, time.monotonic() - began_s


def _run(words: Sequence[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    if done.returncode != 0:
        raise CannotMeasureError(f"{' '.join(words[:6])} failed: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main("compose", measure))
