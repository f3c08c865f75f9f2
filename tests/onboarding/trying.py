"""A project of the test data, copied and described by `harness init`, as one text: for golden files, and to read."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PROJECTS = HERE / "projects"
GOLDEN = HERE / "golden"
NAMES = ("mlflow-team", "feast-redis", "airflow", "includes", "nothing-useful")


def copied(name: str, to: Path) -> Path:
    """Copy a project into a folder of its own; return it."""
    return Path(shutil.copytree(PROJECTS / name, to / name))


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of every file in a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def described(project: Path) -> str:
    """Run `harness init` in a project, in a process of its own; return what it printed and wrote."""
    before = digests(project)
    environment = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", "from harness.cli import main; raise SystemExit(main())", "init", "--no-engine"],
        cwd=project,
        env={**environment, "REGISTRY": "registry.example"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    parts = [f"exit {done.returncode}\n{done.stdout}{done.stderr}"]
    written = sorted(set(digests(project)) - set(before))
    return "\n".join([*parts, *(f"{'=' * 20} {name}\n{(project / name).read_text('utf-8')}" for name in written)])
