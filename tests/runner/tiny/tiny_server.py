"""The one program of the tiny stack: healthy, right, with an event clock and an alert source where nothing fires."""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

START = 1_371_000_000
BEGAN = time.time()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.startswith("/api/v1/alerts"):
            self._say({"status": "success", "data": {"alerts": []}})
        elif self.path.startswith("/metrics"):
            self._send(f"evaluations_total {int((time.time() - BEGAN) * 10)}\n".encode())
        else:
            self._say({"start_event": START, "start_unix": BEGAN, "speed": 3600.0})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._say({"id": asked["id"], "score": 0.5, "model": {"version": 1, "digest": "d"}, "features": {}})

    def _say(self, data: dict[str, Any]) -> None:
        self._send(json.dumps(data).encode())

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
