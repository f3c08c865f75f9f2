"""Programs that some of these tests drive: without them their tests are left out, and a line says so; never in CI."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

BROKER = Path(__file__).parents[2] / ".bin" / "kafka-broker"
MONGO_SERVER = BROKER.with_name("ferretdb")
NEEDED = {
    "test_real_alerts.py": (
        [shutil.which("prometheus"), shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")],
        "no Prometheus and Alertmanager found: get them with `apt-get install prometheus prometheus-alertmanager`",
    ),
    "test_kafka_lag.py": (
        [BROKER if BROKER.exists() else None],
        "no broker found: build it with `python tests/probes/broker/prepare.py`",
    ),
    "test_mongo.py": (
        [MONGO_SERVER if MONGO_SERVER.exists() else None],
        "no FerretDB found: build it with `python tests/probes/mongo/prepare.py`",
    ),
    "test_real_mariadb.py": (
        [shutil.which("mariadbd")],
        "no MariaDB found: get it with `apt-get install mariadb-server-core`",
    ),
    "test_real_postgres.py": (
        [next(iter(Path("/usr/lib/postgresql").glob("*/bin/initdb")), None) or shutil.which("initdb")],
        "no PostgreSQL found: get it with `apt-get install postgresql`",
    ),
}
IN_CI = os.environ.get("CI") == "true"
LEFT_OUT = {} if IN_CI else {name: how for name, (programs, how) in NEEDED.items() if None in programs}
collect_ignore = list(LEFT_OUT)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was left out, and how to get it."""
    for name, how in LEFT_OUT.items():
        terminalreporter.write_line(f"{how}, to run tests/probes/{name}")
