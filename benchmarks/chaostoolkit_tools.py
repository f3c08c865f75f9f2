"""The other tools: Chaos Toolkit with its Toxiproxy driver, in a separate environment, and Toxiproxy's server.

Both are put into `.bin` of the checkout (git-ignored), once, by the ordinary clients of their registries; never into
the environment of the project.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.results import ROOT, CannotMeasureError, say

BIN = ROOT / ".bin"
VENV = BIN / "bench-venv"
CHAOS_TOOLKIT = ("chaostoolkit==1.19.0", "chaostoolkit-toxiproxy==0.3.1")
TOXIPROXY = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0"
INSTALL_S = 600.0


def chaos() -> str:
    """Return the program `chaos`, installed if it is not there."""
    program = VENV / "bin" / "chaos"
    if not program.exists():
        say(f"installing {' '.join(CHAOS_TOOLKIT)}")
        _run([sys.executable, "-m", "venv", str(VENV)])
        _run([str(VENV / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *CHAOS_TOOLKIT])
    return str(program)


def toxiproxy_server() -> str:
    """Return Toxiproxy's server, built if it is not there."""
    named = os.environ.get("TOXIPROXY_SERVER")
    if named:
        return named
    program = BIN / "toxiproxy-server"
    if not program.exists():
        if shutil.which("go") is None:
            raise CannotMeasureError("Toxiproxy's server is built with Go, which is missing; or set TOXIPROXY_SERVER")
        say(f"building {TOXIPROXY}")
        _run(["go", "install", TOXIPROXY], GOBIN=str(BIN))
        (BIN / "server").rename(program)
    return str(program)


def versions() -> dict[str, str]:
    """Return the versions of what is compared with."""
    program_text = (
        "import importlib.metadata as m; print(*(m.version(n) for n in ('chaostoolkit', 'chaostoolkit-lib')))"
    )
    program = chaos()
    versions = _run([str(Path(program).parent / "python"), "-c", program_text]).split()
    return {"chaostoolkit": versions[0], "chaostoolkit-lib": versions[1], "toxiproxy": TOXIPROXY.rpartition("@v")[2]}


def _run(command: list[str], **environment: str) -> str:
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotMeasureError(f"{' '.join(command)}: {error}") from error
    if done.returncode != 0:
        raise CannotMeasureError(f"{' '.join(command)}: {done.stderr.strip()[-1000:]}")
    return done.stdout
