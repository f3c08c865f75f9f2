"""The readers that take what somebody else has written, each as a function of bytes.

A reader that refuses its input with a HarnessError has done its work; every other exception is a finding. What a reader
accepts is taken one step further, so that a value that only its user cannot bear is found as well.
"""

from __future__ import annotations

import atexit
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from harness.description.composefile import read_compose
from harness.description.stackfile import load_stack
from harness.faults.installed import Faults
from harness.journal.records import Journal, parse
from harness.judge import judge
from harness.model.errors import HarnessError
from harness.onboarding.discovery.output import discover
from harness.onboarding.discovery.project import read_project
from harness.probes.request_file import read_requests
from harness.probes.workload_file import read_workload
from harness.report.ci import junit_xml, summary_md
from harness.report.documents import Counts, SuiteDocument, to_json
from harness.report.run_page import run_html
from harness.report.write import run_document, suite_scenario
from harness.runner.checking.notes import notes
from harness.runner.checking.stacks import stacks_of, validated
from harness.runner.planning.plan import make_plans
from tests.fuzz import run_files
from tests.fuzz.proxy_api import load, serve

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "runner" / "data"
GOLDEN = ROOT / "tests" / "judge" / "golden" / "v1"
KEPT_OF_A_KIND = 4
"""How many readings, answers and the like a seed keeps of a stored journal: short inputs are tried more often."""

PROXY_WORDS = (
    b'"name"', b'"listen"', b'"upstream"', b'"enabled"', b'"toxics"', b'"Toxics"', b'"TTL"', b'"ttl"', b'"lease"',
    b'"type"', b'"stream"', b'"toxicity"', b'"attributes"', b'"seed"', b'"latency"', b"null", b"Infinity", b"1e999",
    b'"\\ud800"',
)  # fmt: skip

Form = Literal["yaml", "lines", "http"]


@dataclass(frozen=True)
class Target:
    """One reader, and inputs that it accepts."""

    name: str
    form: Form
    read: Callable[[bytes], bool | None]
    seeds: Callable[[], Iterator[bytes]]
    words: tuple[bytes, ...] = ()
    """What libFuzzer puts in here and there."""


def run(target: Target, data: bytes) -> None:
    """Give the reader one input. Raises what is a finding."""
    with suppress(HarnessError):
        target.read(data)


@cache
def _folder() -> Path:
    """A folder in memory where there is one: most readers take a path."""
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="harness-fuzz-", dir=memory if memory.is_dir() else None))
    (made / "stack.compose.yaml").write_bytes((DATA / "stack.compose.yaml").read_bytes())
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def _written(name: str, data: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


def _scenario(data: bytes) -> None:
    found = validated([_written("fuzzed.scenario.yaml", data)], stack=str(_folder() / "stack.compose.yaml"))
    json.dumps([str(note) for note in notes(found)])
    for description, group in stacks_of(found):
        for plan in make_plans(group, description, seed=1, twin=None, backend="local", attach=None):
            plan.model_dump_json(by_alias=True)


def _stack(data: bytes) -> None:
    load_stack(_written("fuzzed.compose.yaml", data), {})


def _compose(data: bytes) -> None:
    path = _written("fuzzed.yaml", data)
    read_compose([path], {})
    project = read_project(path, ask_engine=False)
    for standard in (False, True):
        files = discover(project, _folder(), Faults(), standard=standard).files
        for text in files.values():
            text.encode()


def _journal(data: bytes) -> None:
    with suppress(UnicodeDecodeError):
        _reported(parse(io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="\n"), "journal.jsonl"))


def _reported(journal: Journal) -> None:
    verdict = judge(journal)
    document = run_document(journal, verdict, None)
    json.loads(to_json(document))
    run_html(Path("run"), journal, verdict, document).encode("utf-8", "replace")
    listed = suite_scenario(document, "run", None)
    counts = Counts(**{"pass": 0, "fail": 0, "unknown": 1})
    suite = SuiteDocument(
        schema=1, suite="fuzz", backend="local", seed=1, started="", wall_s=1.0, counts=counts, scenarios=(listed,)
    )
    junit_xml(suite, {}).encode()
    summary_md(suite).encode("utf-8", "replace")


def _requests(data: bytes) -> None:
    path = _written("fuzzed.jsonl", data)
    for rate in (None, 5.0):
        with suppress(HarnessError):
            found = read_requests(path, rate, repeat=True)
            assert found.length_s >= 0
            assert found.requests


def _workload(data: bytes) -> None:
    read_workload(_written("fuzzed.workload.jsonl", data))


def _files(*patterns: str) -> Callable[[], Iterator[bytes]]:
    return lambda: (path.read_bytes() for pattern in patterns for path in sorted(ROOT.glob(pattern)))


def _short_journals() -> Iterator[bytes]:
    for path in sorted(GOLDEN.glob("*.jsonl")):
        kept: list[str] = []
        kinds: dict[str, int] = {}
        for line in path.read_text("utf-8").splitlines():
            data: dict[str, Any] = json.loads(line)
            kinds[data["kind"]] = kinds.get(data["kind"], 0) + 1
            if kinds[data["kind"]] <= KEPT_OF_A_KIND or data["kind"] in ("phase", "fault", "closed", "gate"):
                start = {"n": len(kept), "t": data["t"]}
                kept.append(json.dumps({**start, **{k: v for k, v in data.items() if k not in start}}))
        yield ("\n".join(kept) + "\n").replace('"n": ', '"n":').replace(', "t": ', ',"t":').encode()


def _request_lines() -> Iterator[bytes]:
    yield b'{"id": "a", "method": "get", "path": "/score", "headers": {"X": "1"}, "body": {"x": 1}, ' + (
        b'"expect": {"status": 200, "json": {"score": {"approx": 0.5, "atol": 0.1}}, "header": {"X-Model": "3"}}}\n'
    )
    yield b'{"at": "2026-05-01T12:00:02+02:00"}\n{"at": "2026-05-01T10:00:00Z"}\n'
    yield b'{"at": 3, "id": "late", "expect": {"status": [200, 404], "text": "ok"}}\n{"at": 1, "expect": {}}\n'


def _workload_lines() -> Iterator[bytes]:
    head = {"kind": "workload", "schema": 1, "start": 0, "end": 99, "entity_field": "id"}
    features = {"features": {"x": {"group": "g", "rtol": 0.1}}}
    truth = {"kind": "truth", "entity": "e", "group": "g", "at": 3, "values": {"x": 1.0}}
    request = {"kind": "request", "id": "a", "at": 5, "body": {"id": "e"}, "outcome": 1, "outcome_at": 9}
    yield "".join(json.dumps(line) + "\n" for line in ({**head, **features}, truth, request)).encode()


def _http() -> Iterator[bytes]:
    def request(verb: str, path: str, body: Any = None) -> bytes:
        text = b"" if body is None else json.dumps(body).encode()
        return f"{verb} {path} HTTP/1.1\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text

    proxy = {"name": "p", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"}
    kinds = ("latency", "bandwidth", "slow_close", "timeout", "reset_peer", "slicer", "limit_data", "noop", "corrupt")
    for kind in kinds:
        toxic = {"name": "t", "type": kind, "stream": "upstream", "toxicity": 0.5, "attributes": {"latency": 1}}
        changed = {"attributes": {"rate": 5, "delay": 1, "bytes": 9}, "ttl": 50}
        yield (
            request("POST", "/proxies", proxy)
            + request("POST", "/proxies/p/toxics", toxic)
            + (request("PATCH", "/proxies/p/toxics/t", changed) + request("GET", "/proxies/p/toxics"))
        )
    yield (
        request("POST", "/leases", {"name": "l", "ttl": 9})
        + request("POST", "/proxies", {**proxy, "lease": "l"})
        + (request("PATCH", "/leases/l", {"ttl": 5}) + request("GET", "/leases") + request("DELETE", "/leases/l"))
    )
    yield (
        request("POST", "/populate", [{**proxy, "toxics": [{"type": "latency"}]}])
        + request("POST", "/reset")
        + (request("GET", "/journal?since=1") + request("GET", "/metrics") + request("DELETE", "/proxies/p"))
    )
    yield request("POST", "/proxies", {**proxy, "listen": "[::1%lo]:0", "upstream": "a\0:1"})
    body = b'{"name":"q","upstream":"u:1","enabled":false}'
    chunks = b"%x\r\n%s\r\n%x;note=1\r\n%s\r\n0\r\n\r\n" % (9, body[:9], len(body) - 9, body[9:])
    yield b"POST /proxies HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n" + chunks


def _proxies() -> Iterator[bytes]:
    link = {"name": "link", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1", "enabled": True}
    toxic = {"name": "t", "type": "latency", "stream": "upstream", "toxicity": 1, "attributes": {"latency": 1}}
    yield json.dumps([link, {**link, "name": "slow", "toxics": [toxic, {"type": "corrupt", "seed": 3}]}]).encode()
    yield json.dumps([{**link, "toxics": [{**toxic, "ttl": 50}, {**toxic, "name": "u", "lease": "run"}]}]).encode()
    yield json.dumps([{**link, "enabled": False, "lease": "run"}, {**link, "name": "leased", "ttl": 5}]).encode()
    yield json.dumps([{"Name": "named", "LISTEN": "localhost:1", "Upstream": "db:5432", "Toxics": None}]).encode()
    yield b"[" * 3000


TARGETS = {
    target.name: target
    for target in (
        Target("scenario", "yaml", _scenario, _files("tests/runner/data/good.scenario.yaml", "scenarios/*/*.yaml")),
        Target("stack", "yaml", _stack, _files("tests/runner/data/stack.compose.yaml", "compose/compose.yaml")),
        Target("compose", "yaml", _compose, _files("examples/*/compose.yaml", "tests/onboarding/projects/*/*.y*ml")),
        Target("journal", "lines", _journal, _short_journals),
        Target("requests", "lines", _requests, _request_lines),
        Target("workload", "lines", _workload, _workload_lines),
        Target("proxy", "http", serve, _http),
        Target("config", "lines", lambda data: load(_folder(), data), _proxies, PROXY_WORDS),
        Target(
            "undo", "lines", lambda data: run_files.read_undo(_folder(), data), run_files.undo_seeds, run_files.WORDS
        ),
        Target(
            "latch",
            "lines",
            lambda data: run_files.read_latches(_folder(), data),
            run_files.latch_seeds,
            run_files.WORDS,
        ),
    )
}
