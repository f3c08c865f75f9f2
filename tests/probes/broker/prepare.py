"""Builds the Kafka broker of the tests of the `kafka_lag` probe, from Go modules that are pinned by their digests.

`python tests/probes/broker/prepare.py` puts it under `.bin/` of the checkout. It needs Go.
"""

import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
BROKER = HERE.parents[2] / ".bin" / "kafka-broker"


def main() -> None:
    BROKER.parent.mkdir(exist_ok=True)
    subprocess.run(["go", "build", "-o", str(BROKER), "."], check=True, cwd=HERE)
    print("kafka-broker: ready")


if __name__ == "__main__":
    main()
