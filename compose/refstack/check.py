"""Health check for containers: exit status 0 when /healthz on the given port of this host answers 200."""

from __future__ import annotations

import sys

from refstack.calls import CallError, Peer


def main() -> None:
    try:
        Peer(("127.0.0.1", int(sys.argv[1])), 1.0).call("GET", "/healthz")
    except CallError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
