"""Builds Docker Compose v2 from its published source where only 1.29 can be installed, so that both are tested.

`python tests/containers/prepare.py` puts the plugin under `.bin/docker-config`, the DOCKER_CONFIG of the tests. It
needs Go, and does nothing if the plugin exists.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

VERSION = "v2.39.4"
MODULE = "github.com/docker/compose/v2"
CONFIG = Path(__file__).resolve().parents[2] / ".bin" / "docker-config"
PLUGIN = CONFIG / "cli-plugins" / "docker-compose"


def main() -> None:
    if not PLUGIN.exists():
        PLUGIN.parent.mkdir(parents=True, exist_ok=True)
        found = subprocess.run(
            ["go", "mod", "download", "-json", f"{MODULE}@{VERSION}"], check=True, capture_output=True, text=True
        )
        with tempfile.TemporaryDirectory() as folder:
            # `go install` refuses a go.mod that excludes modules, as its does: it is built as a main module.
            source = Path(folder) / "source"
            shutil.copytree(json.loads(found.stdout)["Dir"], source)
            for path in (source, *source.rglob("*")):
                path.chmod(path.stat().st_mode | 0o200)
            version = f"-s -w -X {MODULE}/internal.Version={VERSION}"
            command = ["go", "build", "-trimpath", "-ldflags", version, "-o", str(PLUGIN), "./cmd"]
            subprocess.run(command, check=True, cwd=source, env={**os.environ, "GOFLAGS": "-mod=mod"})
    print(f"docker compose {VERSION}: ready")


if __name__ == "__main__":
    main()
