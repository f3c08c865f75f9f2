"""The object store's client: against a real store, and against answers that no store should give."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from refstack.objects import MissingObject, ObjectStore, StoreError

pytestmark = pytest.mark.slow

COMPOSE = Path(__file__).parents[2] / "compose"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("S3_ACCESS_KEY", "refstack")
    monkeypatch.setenv("S3_SECRET_KEY", "refstack-secret")
    return monkeypatch


@pytest.fixture
def store(tmp_path: Path, settings: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """A client of rclone, which is what the stack runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings.setenv("S3_ENDPOINT", f"http://127.0.0.1:{port}")
    environment = {**os.environ, "PYTHONPATH": str(COMPOSE), "STATE_DIR": str(tmp_path), "PORT": str(port)}
    server = subprocess.Popen([sys.executable, "-m", "refstack.object_store"], env=environment)
    found = ObjectStore(CollectorRegistry())
    try:
        deadline_s = time.monotonic() + 30
        while True:
            try:
                found.keys("")
                break
            except StoreError:
                if time.monotonic() > deadline_s:
                    raise
        yield found
    finally:
        server.kill()
        server.wait()


def test_what_is_put_is_listed_and_got_until_it_is_deleted(store: ObjectStore) -> None:
    for key in ("training/b c+d.parquet", "training/a=1.parquet", "models/x.onnx"):
        store.put(key, key.encode())
    store.put("training/empty", b"")
    assert store.keys("training/") == ["training/a=1.parquet", "training/b c+d.parquet", "training/empty"]
    assert store.keys("training/", "training/a=1.parquet") == ["training/b c+d.parquet", "training/empty"]
    assert store.get("training/b c+d.parquet") == b"training/b c+d.parquet"
    assert store.get("training/empty") == b""
    store.delete("training/empty")
    with pytest.raises(MissingObject):
        store.get("training/empty")


def test_a_wrong_key_is_refused(store: ObjectStore, settings: pytest.MonkeyPatch) -> None:
    settings.setenv("S3_SECRET_KEY", "another-secret")
    with pytest.raises(StoreError, match="status 403"):
        ObjectStore(CollectorRegistry()).put("training/x", b"x")


class Answers(BaseHTTPRequestHandler):
    """Answers each request with what the test has set; None is silence."""

    protocol_version = "HTTP/1.1"
    answer: tuple[int, bytes] | None = None
    over = threading.Event()

    def do_GET(self) -> None:
        if self.answer is None:
            self.over.wait(10)
            self.close_connection = True
            return
        status, body = self.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def answers(settings: pytest.MonkeyPatch) -> Iterator[type[Answers]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.setenv("S3_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    settings.setenv("S3_READ_TIMEOUT", "0.1")
    Answers.over.clear()
    yield Answers
    Answers.over.set()
    server.shutdown()
    server.server_close()


def errors(metrics: CollectorRegistry, op: str) -> float | None:
    return metrics.get_sample_value("object_store_errors_total", {"op": op})


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((404, b"<Error><Code>NoSuchKey</Code></Error>"), MissingObject),
        ((404, b"<Error><Code>NoSuchBucket</Code></Error>"), StoreError),
        ((500, b"oops"), StoreError),
        (None, StoreError),
    ],
)
def test_an_answer_that_is_no_object(
    answers: type[Answers], answer: tuple[int, bytes] | None, kind: type[StoreError]
) -> None:
    metrics = CollectorRegistry()
    answers.answer = answer
    with pytest.raises(StoreError) as caught:
        ObjectStore(metrics).get("training/x")
    assert type(caught.value) is kind
    attempts = metrics.get_sample_value("object_store_request_seconds_count", {"op": "get"})
    assert (attempts, errors(metrics, "get")) == ((1, None) if kind is MissingObject else (2, 2))


def test_a_listing_that_is_not_xml_is_an_error_of_the_store(answers: type[Answers]) -> None:
    metrics = CollectorRegistry()
    answers.answer = (200, b"<ListBucketResult><Contents>")
    with pytest.raises(StoreError, match="not XML"):
        ObjectStore(metrics).keys("training/")
    assert errors(metrics, "list") == 2


def test_a_listing_of_several_pages_is_read_to_its_end(answers: type[Answers], settings: pytest.MonkeyPatch) -> None:
    pages = {
        False: b"<L><Contents><Key>a/2</Key></Contents><NextContinuationToken>t</NextContinuationToken></L>",
        True: b"<L><Contents><Key>a/1</Key></Contents></L>",
    }

    plain = Answers.do_GET

    def paged(handler: Answers) -> None:
        handler.answer = (200, pages["continuation-token=t" in handler.path])
        plain(handler)

    settings.setattr(Answers, "do_GET", paged)
    assert ObjectStore(CollectorRegistry()).keys("a/") == ["a/1", "a/2"]
