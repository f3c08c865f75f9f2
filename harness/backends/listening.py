"""Which process of this machine listens on a port."""

from __future__ import annotations

import psutil


def listening_process(port: int) -> str | None:
    """Return the name and number of a process that listens on a TCP port; None where this user may not know it."""
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,)
            if listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()!r} (process {connection.pid})"
    except psutil.Error:
        return None
    return None
