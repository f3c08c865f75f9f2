"""The one program of the doctor's stack: health, numbers, alerts in Prometheus' form, and a counter of evaluations."""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BEGAN_S = time.monotonic()
WARM_AFTER = 15
"""So many times a page that warms up says that it is not there yet."""
ASKED: dict[str, int] = {}
FIRING = {"state": "firing", "labels": {"alertname": "Late", "service": "web"}}
RULES = [{"type": "alerting", "name": "Late", "health": "ok", "alerts": []}, {"type": "recording", "name": "x"}]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/metrics":
            beats = int((time.monotonic() - BEGAN_S) * 100)
            self._say(f"rounds_total {beats}\nstill_total 7\nrows 12\n".encode())
        elif self.path.endswith("/api/v1/alerts"):
            self._say(json.dumps({"data": {"alerts": [FIRING]}}).encode())
        elif self.path.startswith("/api/v1/rules"):
            at = dt.datetime.now(dt.UTC).isoformat()
            group = {"name": "g", "file": "f", "interval": 0.1, "lastEvaluation": at, "rules": RULES}
            self._say(json.dumps({"data": {"groups": [group]}}).encode())
        elif self.path.startswith("/warming") and self._is_cold():
            self.send_error(503)
        elif "/api/" in self.path:  # as of something that speaks of alerts only
            self.send_error(404)
        else:
            self._say(json.dumps({"age": 3.5, "name": "web"}).encode())

    def _is_cold(self) -> bool:
        """Whether a page is one that does not work from the start on, and has not been asked often yet."""
        ASKED[self.path] = ASKED.get(self.path, 0) + 1
        return ASKED[self.path] <= WARM_AFTER

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
