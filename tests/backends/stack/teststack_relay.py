"""A client of the echo server: it passes on what the server answers."""

import os
import urllib.error
import urllib.request

import teststack_echo

UPSTREAMS = {"/ask": "UPSTREAM", "/ask-second": "SECOND"}


class Handler(teststack_echo.Handler):
    def do_GET(self):  # noqa: N802
        if self.path not in UPSTREAMS:
            super().do_GET()
            return
        try:
            with urllib.request.urlopen(os.environ[UPSTREAMS[self.path]], timeout=2) as answer:
                status, body = 200, answer.read()
        except OSError as error:
            status, body = 502, str(error).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    host, port = os.environ["BIND"].split(":")
    teststack_echo.Server((host, int(port)), Handler).serve_forever()
