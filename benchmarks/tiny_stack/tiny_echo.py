"""The tiny stack's server: sends back whatever is POSTed. Standard library only."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Echo(BaseHTTPRequestHandler):
    """Answers each POST with its own body."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one segment
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Be healthy."""
        self._answer(b"ok")

    def do_POST(self) -> None:
        """Send back what came."""
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet: a line a request would be measured too."""


if __name__ == "__main__":
    ThreadingHTTPServer((os.environ["BIND"], int(os.environ["PORT"])), Echo).serve_forever()
