"""The tiny stack's consumer: exchanges a few bytes with the server all the while, and tells how long the last took.

`/healthz` answers 200 once an exchange has worked, `/status` tells all in JSON, `/exchange` the time alone, for tools
that take a whole body as a number. Standard library only.
"""

import http.client
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EVERY_S = 0.05
TIMEOUT_S = 5.0


class Exchanges:
    """One exchange after the other over one connection. An exchange that goes on counts as soon as it is the longer."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._last_s: float | None = None
        self._since_s: float | None = None

    def run(self) -> None:
        """Go on for ever."""
        while True:
            connection = http.client.HTTPConnection(self._upstream, timeout=TIMEOUT_S)
            try:
                while True:
                    self._one(connection)
                    time.sleep(EVERY_S)
            except (OSError, http.client.HTTPException):
                connection.close()
                time.sleep(EVERY_S)

    def _one(self, connection: http.client.HTTPConnection) -> None:
        self._since_s = time.monotonic()
        connection.request("POST", "/", b"x" * 64)
        connection.getresponse().read()
        self._last_s = time.monotonic() - self._since_s
        self._since_s = None

    def time_s(self) -> float | None:
        """Return how long the last exchange took, or the one at hand has taken so far; None before the first."""
        since_s, last_s = self._since_s, self._last_s
        if last_s is None or since_s is None:
            return last_s
        return max(last_s, time.monotonic() - since_s)


class Status(BaseHTTPRequestHandler):
    """Tells how it goes."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    exchanges: Exchanges

    def do_GET(self) -> None:
        """Answer with the time of the exchange, or with the metrics."""
        time_s = self.exchanges.time_s()
        document = time_s if self.path == "/exchange" else {"up": 1, "exchange_s": time_s}
        body = json.dumps(document).encode()
        self.send_response(200 if time_s is not None else 503)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet: a line a request would be measured too."""


if __name__ == "__main__":
    Status.exchanges = Exchanges(os.environ["UPSTREAM"])
    threading.Thread(target=Status.exchanges.run, daemon=True).start()
    ThreadingHTTPServer((os.environ["BIND"], int(os.environ["PORT"])), Status).serve_forever()
