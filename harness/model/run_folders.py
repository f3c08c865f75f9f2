"""Names in the folder of a suite: what the harness itself writes beside the folders of the runs."""

from __future__ import annotations

import re

REPORTS = ("suite.json", "junit.xml", "summary.md", "index.html")
WORKER_LOGS = "worker-*.log"
_RESERVED = re.compile(r"worker-\d+\.log|workloads|logs|undo|journal\.jsonl|verdict\.json|report\.html", re.IGNORECASE)


def reserved(name: str) -> bool:
    """Whether a run may not have this name: a file or folder of the harness has it."""
    return name.lower() in REPORTS or _RESERVED.fullmatch(name) is not None
