"""The workload's file of requests, sent to the running stack: what is answered, how fast, and what is not as expected.

Each different request is sent once, and its answer is judged as in a run for every line that asks the same. Of a stack
that somebody else runs only what cannot change anything is sent, unless the user allows the rest.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from harness.model.backend import Backend
from harness.model.errors import HarnessError
from harness.model.secrets import hide, reveal
from harness.model.stack import StackDescription
from harness.model.workload import WorkloadSpec
from harness.onboarding.doctor.checks import Finding
from harness.probes.file_answers import judge_answer
from harness.probes.http import HttpResponse, ask, named_host, request_body
from harness.probes.reader import NoAnswerError, NotAskedError
from harness.probes.request_file import FileRequest, url_of
from harness.runner.loading.needed_secrets import missing_in_stack
from harness.runner.planning.workloads import requests_of

MOST_SENT = 50
AT_ONCE = 4
LONGEST_S = 30.0
"""How long requests are sent, all in all."""
PATIENCE_S = 5.0
"""How much longer than in a run an answer is waited for, so as to tell how long it takes."""
MOST_LINES = 5
MOST_DIFFERENCES = 3
MOST_KINDS = 8
HARMLESS = ("GET", "HEAD", "OPTIONS")
"""Methods that ask for nothing but an answer (RFC 9110, 9.2.1)."""


def secrets(stack: StackDescription) -> Iterator[Finding]:
    """Yield every secret of the description that is not in the environment."""
    for one in missing_in_stack(stack):
        says = f"not in the environment; {one.problem.place} needs it"
        yield Finding("secret", one.name, "wrong", says, one.problem.remedy)


async def workload(stack: StackDescription, backend: Backend, *, all_methods: bool) -> list[Finding]:
    """Send a stack's file of requests, those that may change something only with `all_methods`."""
    spec = stack.workload
    if spec is None:
        return []
    if spec.requests is None:
        says = "is made by the stack's own command when a run starts: it is not sent here"
        return [Finding("workload", "make", "note", says)]
    name = Path(spec.requests).name
    try:
        groups = _different(requests_of(stack).requests, spec)
        wanted = [group for group in groups if all_methods or _method(group[0], spec) in HARMLESS]
        sent = await _send_all(wanted[:MOST_SENT], spec, backend)
    except HarnessError as error:
        return [Finding("workload", name, "wrong", f"cannot be sent: {error}")]
    found = list(_failures(name, sent, spec))
    if wanted:
        found.insert(0, _all_in_all(name, sent, len(wanted), spec, well=bool(sent) and not found))
    kept_back = sorted({_method(group[0], spec) for group in groups} - {_method(one[0], spec) for one in wanted})
    if kept_back:
        number = len(groups) - len(wanted)
        are = "requests are" if number != 1 else "request is"
        says = f"{number} different {are} not sent, as {', '.join(kept_back)} may change something"
        found.append(Finding("workload", name, "note", says, "--send sends them too, as every run does"))
    return found


@dataclass(frozen=True, slots=True)
class _Sent:
    """What became of one request, for every line that asks it."""

    lines: Sequence[FileRequest]
    took_s: float
    response: HttpResponse | None
    why: str | None
    """Why there is no answer, where there is none."""


def _method(request: FileRequest, spec: WorkloadSpec) -> str:
    return request.method or spec.method


def _different(requests: Sequence[FileRequest], spec: WorkloadSpec) -> list[list[FileRequest]]:
    """Return the lines by the request that they ask, in the order of the file."""
    groups: dict[str, list[FileRequest]] = {}
    for one in requests:
        same = json.dumps([_method(one, spec), one.path, one.headers, one.body], sort_keys=True)
        groups.setdefault(same, []).append(one)
    return list(groups.values())


async def _send_all(groups: Sequence[Sequence[FileRequest]], spec: WorkloadSpec, backend: Backend) -> list[_Sent]:
    url = reveal(backend.resolve(spec.url))
    headers = named_host(spec.url) | {name: reveal(value) for name, value in spec.headers.items()}
    until_s = time.monotonic() + LONGEST_S
    limit = asyncio.Semaphore(AT_ONCE)
    sent: list[_Sent] = []

    async def one(session: aiohttp.ClientSession, lines: Sequence[FileRequest]) -> None:
        async with limit:
            if time.monotonic() < until_s:
                sent.append(await _send(session, lines, spec, url, headers))

    async with aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()) as session:
        await asyncio.gather(*(one(session, lines) for lines in groups))
    return sorted(sent, key=lambda found: found.lines[0].line)


async def _send(
    session: aiohttp.ClientSession, lines: Sequence[FileRequest], spec: WorkloadSpec, url: str, headers: dict[str, str]
) -> _Sent:
    """Send one request; once more where its answer was late, as the first one after a start may be."""
    request = lines[0]

    async def attempt() -> _Sent:
        began_s = time.monotonic()
        response, why = None, None
        try:
            response = await ask(
                session, _method(request, spec), url_of(request, url), spec.timeout_s + PATIENCE_S,
                {**headers, **request.headers}, allow_redirects=False, **request_body(request.body, request.headers),
            )  # fmt: skip
        except (NoAnswerError, NotAskedError) as error:
            why = hide(str(error))
        return _Sent(lines, time.monotonic() - began_s, response, why)

    first = await attempt()
    return await attempt() if first.response is not None and first.took_s > spec.timeout_s else first


def _all_in_all(name: str, sent: Sequence[_Sent], wanted: int, spec: WorkloadSpec, *, well: bool) -> Finding:
    took_s = [one.took_s for one in sent if one.response is not None]
    of = "" if len(sent) == wanted else f" of {wanted}"
    says = f"{len(sent)}{of} different request{'s' if wanted != 1 else ''} sent"
    if took_s:
        says += f": {statistics.median(took_s) * 1e3:.0f} ms (median), {max(took_s) * 1e3:.0f} ms (slowest)"
    slow = sum(s > spec.slow_s for s in took_s)
    if slow:
        says += f"; {slow} took longer than {spec.slow_s:g} s, which counts as slow"
    if not well:
        return Finding("workload", name, "note", says)
    expects = any(request.expect is not None for one in sent for request in one.lines)
    says += "; all answers are as expected" if expects else "; all were answered, and no line says what is expected"
    return Finding("workload", name, "ok", says)


def _failures(name: str, sent: Sequence[_Sent], spec: WorkloadSpec) -> Iterator[Finding]:
    """Yield one finding for each way in which lines fail, with the first line that does."""
    kinds: dict[tuple[str, str], list[FileRequest]] = {}
    for one in sent:
        for request in one.lines:
            failed = _failure(request, one, spec)
            if failed is not None:
                kinds.setdefault(failed, []).append(request)
    for (says, remedy), lines in list(kinds.items())[:MOST_KINDS]:
        first, more = lines[0], [str(one.line) for one in lines[1 : 1 + MOST_LINES]]
        also = f"; the same on line{'s' if len(more) > 1 else ''} {', '.join(more)}" if more else ""
        also += f" and {len(lines) - 1 - MOST_LINES} more" if len(lines) - 1 > MOST_LINES else ""
        asked = f"{_method(first, spec)} {first.path or ''}".rstrip()
        yield Finding("workload", f"{name}:{first.line}", "wrong", hide(f"{asked}: {says}{also}"), remedy)
    if len(kinds) > MOST_KINDS:
        says = f"lines fail in {len(kinds) - MOST_KINDS} other ways too"
        yield Finding("workload", name, "wrong", says, "correct the first ones, then look again")


def _failure(request: FileRequest, sent: _Sent, spec: WorkloadSpec) -> tuple[str, str] | None:
    """Return what is wrong with the answer to a line, and the remedy; None where it is as in a good run."""
    response = sent.response
    if response is None:
        return f"{sent.why}", "is x-harness.workload.url the address of the service that answers these requests?"
    try:
        judged = judge_answer(request, spec.flagged, response.status, response.headers, response.body)
    except NoAnswerError as error:
        return str(error), _remedy_of(response.status)
    if judged.wrong:
        shown = list(judged.differences[:MOST_DIFFERENCES])
        if len(judged.differences) > MOST_DIFFERENCES:
            shown.append(f"{len(judged.differences) - MOST_DIFFERENCES} more values differ")
        return "; ".join(shown), "correct what the line expects, or record the workload anew with `harness record`"
    if sent.took_s > spec.timeout_s:
        says = f"its answer comes after the timeout of {spec.timeout_s:g} s, and counts as none"
        return says, "give x-harness.workload a longer `timeout`, if clients wait that long"
    return None


def _remedy_of(status: int) -> str:
    if status in (401, 403):
        return "give the headers that let a request in: x-harness.workload.headers, with ${secret:NAME} for a secret"
    if status in (404, 405):
        return "is the path right? That of x-harness.workload.url comes before the line's `path`"
    return "see what the service logs of such a request; where the status is right, write it under `expect`"
