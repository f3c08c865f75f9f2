"""Becomes Caddy with the stack's Caddyfile; what Caddy would keep in $HOME goes into the service's directory."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from refstack.service import setting


def main() -> None:
    beside = Path(sys.executable).with_name("caddy")
    binary = str(beside) if beside.exists() else shutil.which("caddy")
    if binary is None:
        raise SystemExit("caddy is not installed: install the extra [reference]")
    state = str(Path(setting("STATE_DIR", ".")).absolute())
    environment = {**os.environ, "HOME": state, "XDG_CONFIG_HOME": state, "XDG_DATA_HOME": state, "GOMAXPROCS": "1"}
    config = str(Path(__file__).with_name("Caddyfile"))
    os.execve(binary, [binary, "run", "--config", config, "--adapter", "caddyfile"], environment)  # noqa: S606


if __name__ == "__main__":
    main()
