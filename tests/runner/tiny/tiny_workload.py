"""Makes the workload of the tiny stack: 40 requests a second for a minute."""

from __future__ import annotations

import json
import sys
from pathlib import Path

START = 1_371_000_000

if __name__ == "__main__":
    lines = [{"kind": "workload", "schema": 1, "start": START, "end": START + 60 * 3600}]
    lines += [{"kind": "request", "id": f"r{k}", "at": START + k * 90, "body": {"id": f"r{k}"}} for k in range(60 * 40)]
    Path(sys.argv[1]).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
