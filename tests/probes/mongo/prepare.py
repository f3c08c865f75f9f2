"""Builds the server of the tests of the `mongo` probe: FerretDB, which keeps what MongoDB's clients write in SQLite.

`python tests/probes/mongo/prepare.py` puts it under `.bin/` of the checkout. It needs Go. The module is pinned by
its digest, and the modules that it needs are by its own. Its source lacks one file that its makers' build writes.
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

VERSION = "v1.24.2"
DIGEST = "h1:trrUU0LbmusMbyubhPS1IELncvrIwKrsRT2LW1UUWCw="
SERVER = Path(__file__).resolve().parents[3] / ".bin" / "ferretdb"


def main() -> None:
    if _version() != VERSION:
        with tempfile.TemporaryDirectory(prefix="harness-ferretdb-") as folder:
            _build(Path(folder, "source"))
    print(f"ferretdb {VERSION}: ready")


def _version() -> str:
    """Return the version of the server that is there, an empty one where there is none."""
    if not SERVER.exists():
        return ""
    said = subprocess.run([SERVER, "--version"], check=True, capture_output=True, text=True).stdout
    return said.partition("version: ")[2].partition("\n")[0]


def _build(source: Path) -> None:
    wanted = ["go", "mod", "download", "-json", f"github.com/FerretDB/FerretDB@{VERSION}"]
    module = json.loads(subprocess.run(wanted, check=True, stdout=subprocess.PIPE, cwd=source.parent).stdout)
    assert module["Sum"] == DIGEST, f"another source of {VERSION} was served: {module['Sum']}"
    shutil.copytree(module["Dir"], source)
    for folder in (source, *(path for path in source.rglob("*") if path.is_dir())):
        folder.chmod(0o755)  # a module is copied without the right to write
    (source / "build" / "version" / "version.txt").write_text(VERSION, encoding="utf-8")
    SERVER.parent.mkdir(exist_ok=True)
    command = ["go", "build", "-trimpath", "-buildvcs=false", "-o", str(SERVER), "./cmd/ferretdb"]
    subprocess.run(command, check=True, cwd=source)


if __name__ == "__main__":
    main()
