"""A server that tells what it was given, has children when asked, and exits when asked."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

STARTED = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        answer = {"path": url.path, "pid": os.getpid(), "argv": sys.argv}
        if url.path == "/environment":
            answer = dict(os.environ)
        elif url.path == "/exit":
            os._exit(int(parse_qs(url.query)["code"][0]))
        elif url.path == "/children":  # one that stays in the session, one that leaves it, and one that is orphaned too
            STARTED.append(subprocess.Popen(["sleep", "1000"]))
            STARTED.append(subprocess.Popen(["sh", "-c", "setsid sleep 1000 & wait"]))
            STARTED.append(subprocess.Popen(["sh", "-c", "setsid sleep 1000 &"]))
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    host, port = os.environ["BIND"].split(":")
    if "SECOND_PORT" in os.environ:  # a port that only its consumer's configuration tells of
        second = Server((host, int(os.environ["SECOND_PORT"])), Handler)
        threading.Thread(target=second.serve_forever, daemon=True).start()
    print(f"echo listens on {host}:{port}")
    Server((host, int(port)), Handler).serve_forever()
