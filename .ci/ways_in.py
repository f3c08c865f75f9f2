"""The ways in that users take, each tried as they take it: fresh environments, the oldest and the newest pip.

`python3 .ci/ways_in.py` makes them in a temporary folder, outside of the clone, and fails with the first command that
does. Installs from the lock hold what was tested; the unpinned ones meet the newest releases before users do.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST_PIP = "22.3"
STACK_RUN_TRIES = 3
"""A machine that is busy makes a run `unknown`, which says nothing about the installation."""


def run(*command: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command; print it, how long it took, and its output where it failed."""
    began_s = time.monotonic()
    words = [str(word) for word in command]
    # Nothing of the clone or of the caller's Python reaches it.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    shown = " ".join(Path(words[0]).parts[-1:] + tuple(words[1:]))
    print(f"  {done.returncode}  {time.monotonic() - began_s:5.1f} s  {shown[:120]}", flush=True)
    if check and done.returncode != 0:
        sys.stdout.write(done.stdout + done.stderr)
        raise SystemExit(f"ways_in: `{shown}` exited with {done.returncode}")
    return done


def environment(folder: Path, pip: str) -> Path:
    """Return the bin folder of a fresh environment with this version of pip, `newest` for the last release."""
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    wanted = ["--upgrade", "pip"] if pip == "newest" else [f"pip=={pip}"]
    run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", *wanted, cwd=folder.parent)
    return folder / "bin"


def from_the_lock(folder: Path, pip: str) -> None:
    """The locked packages with their hashes, then the project."""
    print(f"from the lock, pip {pip}:", flush=True)
    found = environment(folder / f"lock-{pip}", pip)
    install = (found / "pip", "install", "--quiet", "--no-compile")
    run(*install, "--require-hashes", "-r", ROOT / "requirements.lock", cwd=folder)
    run(*install, "--no-deps", "--no-build-isolation", ROOT, cwd=folder)
    run(found / "pip", "check", cwd=folder)
    run(found / "harness", "list", "faults", cwd=folder)


def plain(folder: Path) -> None:
    """`pip install PATH`: the core alone, newest releases, and what needs no stack."""
    print("unpinned, without extras:", flush=True)
    found = environment(folder / "plain", "newest")
    run(found / "pip", "install", "--quiet", "--no-compile", ROOT, cwd=folder)
    project = folder / "project"
    project.mkdir()
    (project / "compose.yaml").write_text(
        "services:\n  model:\n    image: example/model:1\n    ports: ['8080:8080']\n    depends_on: [store]\n"
        "  store:\n    image: redis:7\n"
    )
    for command in (["--version"], ["--help"], ["list", "faults"], ["init", "--no-engine"], ["check", "scenarios"]):
        run(found / "harness", *command, cwd=project)


def reference(folder: Path) -> None:
    """`pip install 'PATH[reference]'`, newest releases, then the five minutes of docs/pytest.md word for word."""
    print("unpinned, with [reference], and docs/pytest.md:", flush=True)
    found = environment(folder / "reference", "newest")
    run(found / "pip", "install", "--quiet", "--no-compile", f"{ROOT}[reference]", "pytest", cwd=folder)
    project = folder / "five-minutes"
    project.mkdir()
    page = (ROOT / "docs" / "pytest.md").read_text("utf-8")
    (written,) = re.findall(r"Write `test_storage\.py`:\n\n```python\n(.*?)```", page, re.DOTALL)
    (project / "test_storage.py").write_text(written)
    announced = False
    for left in reversed(range(STACK_RUN_TRIES)):
        done = run(found / "pytest", "test_storage.py", cwd=project, check=False)
        announced |= "preparing the stack's data" in done.stdout
        if done.returncode == 0:
            break
        sys.stdout.write(done.stdout + done.stderr)
        if left == 0 or not any(word in done.stdout for word in ("harness late", "machine busy")):
            raise SystemExit("ways_in: the test of docs/pytest.md does not pass")
    if "1 pass, 0 fail, 0 unknown" not in done.stdout:
        raise SystemExit(f"ways_in: the test of docs/pytest.md ran nothing:\n{done.stdout}")

    if not announced:
        raise SystemExit(f"ways_in: nothing said that the data was prepared at first use:\n{done.stdout}")


def main() -> None:
    """Try every way."""
    with tempfile.TemporaryDirectory(prefix="ways-in-") as name:
        folder = Path(name)
        plain(folder)
        reference(folder)
        for pip in (OLDEST_PIP, "newest"):
            from_the_lock(folder, pip)
    print("ways in: all of them work")


if __name__ == "__main__":
    main()
