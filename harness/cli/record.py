"""`harness record`: a workload with expected answers, made of what a service was asked."""

from __future__ import annotations

import asyncio
import json
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.app import GivenPath, seconds
from harness.cli.exit_codes import PASS, say
from harness.cli.terminal import cell, echo
from harness.model.errors import ScenarioError

if TYPE_CHECKING:
    from harness.onboarding.recording.exchange import RecordedExchange
    from harness.onboarding.recording.workload_file import RecordedWorkload

EVERY = 100
USUAL_RATE = "10/s"
"""For lines without times, where the user names none."""


@click.command()
@click.argument("url", required=False)
@click.option("--out", type=GivenPath(), default="requests.jsonl", show_default=True, help="The file of requests.")
@click.option(
    "--listen", default="127.0.0.1:0", show_default=True, metavar="HOST:PORT", help="Where to listen; 0: any port."
)
@click.option("--for", "for_s", callback=seconds, metavar="TIME", help="Stop after so long; else with Ctrl-C.")
@click.option("--requests", "most", type=click.IntRange(min=1), default=None, help="Stop after so many requests.")
@click.option("--only", multiple=True, metavar="PATH", help="Only requests whose path begins so; repeat it.")
@click.option("--keep-header", multiple=True, metavar="NAME", help="Keep this header of the requests, too; repeat it.")
@click.option(
    "--session-field",
    multiple=True,
    metavar="NAME",
    help="This field only numbers a session, and is no secret; repeat it.",
)
@click.option("--ask-again", is_flag=True, help="Send each request once more at the end: what differs is no content.")
@click.option("--host", metavar="NAME", help="Of a log with several hosts: only requests to this one.")
@click.option("--rate", metavar="RATE", help="Write lines without times, to be sent at this rate, such as 20/s.")
@click.option("--from", "log", type=GivenPath(), help="Read an access log, a HAR file or JSON lines instead.")
@click.option(
    "--format", "form", type=click.Choice(["har", "jsonl", "access", "uvicorn"]), help="The format of that file."
)
@click.option("--force", is_flag=True, help="Overwrite the file of requests.")
def record(
    url: str | None, out: Path, listen: str, for_s: float, most: int | None, only: tuple[str, ...],
    keep_header: tuple[str, ...], session_field: tuple[str, ...], ask_again: bool, host: str | None,
    rate: str | None, log: Path | None, form: str | None, force: bool,
) -> int:  # fmt: skip
    """Record what the service at URL is asked and answers, as a workload with expected answers.

    Send your requests to the address that is printed; they are passed on to URL. Ids and time stamps are told apart
    from content, and what holds a secret is left out.
    """
    if (url is None) == (log is None):
        raise click.UsageError("give the URL of a service, or a log with --from")
    if log is None and (form is not None or host is not None):
        raise click.UsageError("--format and --host are of a file that is read with --from")
    _check_rate(rate)
    if log is not None and (ask_again or for_s or most):
        raise click.UsageError("--ask-again, --for and --requests are for recording from a service")
    from harness.onboarding.recording.workload_file import as_workload, check_place, write
    from harness.onboarding.secret_forms import only_numbers

    if not all(map(only_numbers, session_field)):
        message = "only a field such as session_id may number a session; what else is called a secret is left out"
        raise click.BadParameter(message, param_hint="--session-field")
    if any(not path.startswith("/") for path in only):
        raise click.BadParameter("a path begins with '/'", param_hint="--only")
    check_place(out, force=force)
    again: Sequence[RecordedExchange] = ()
    if log is not None:
        from harness.onboarding.recording.logs import of_one_host, read_log

        chosen = [one for one in read_log(log, form) if not only or one.path.startswith(only)]
        found: Sequence[RecordedExchange] = of_one_host(chosen, host, log)
    else:
        found, again = asyncio.run(_from_service(str(url), listen, for_s, most or 0, only, ask_again=ask_again))
    recorded = as_workload(found, keep=keep_header, sessions=session_field, again=again, timed=rate is None)
    write(recorded, out, force=force)
    _tell(recorded, out, url, rate)
    return PASS


def _check_rate(rate: str | None) -> None:
    from harness.model.workload import parse_rate

    try:
        _ = rate is None or parse_rate(rate)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--rate") from None


async def _from_service(
    url: str, listen: str, for_s: float, most: int, only: tuple[str, ...], *, ask_again: bool
) -> tuple[list[RecordedExchange], list[RecordedExchange]]:
    from harness.onboarding.recording.passthrough import MOST_AGAIN, PassThrough
    from harness.report.words import count

    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ScenarioError(f"{listen!r} is not HOST:PORT", field="--listen", remedy="write one such as 127.0.0.1:8080")

    def every(number: int) -> None:
        if number % EVERY == 0:
            say(f"{number} requests recorded")

    passing = PassThrough(url, every)
    limits = [f"after {for_s:g} s"] if for_s else []
    ends = " or ".join([*limits, *([f"after {count(most, 'request')}"] if most else []), "with Ctrl-C"])

    def started(address: str) -> None:
        say(f"recording: send requests to {address}, which passes them on to {passing.upstream}; it ends {ends}")

    await passing.go(host.strip("[]"), int(port), for_s=for_s, most=most, started=started)
    if passing.unanswered:
        say(f"left out: {count(passing.unanswered, 'request')} that the service did not answer")
    if passing.cut_off:
        say(f"left out: {count(passing.cut_off, 'request')} without an answer yet when it ended")
    if passing.left:
        say(f"left out: {count(passing.left, 'request')} whose client went away before the answer")
    chosen = [one for one in passing.exchanges if not only or one.path.startswith(only)]
    if not ask_again:
        return chosen, []
    different = _different(chosen)
    number = min(len(different), MOST_AGAIN)
    say(f"asking again: {count(number, 'different request')}; Ctrl-C ends that, and writes what there is")
    return chosen, await passing.again(different)


def _different(exchanges: Sequence[RecordedExchange]) -> list[RecordedExchange]:
    """Return one exchange for each different request."""
    from harness.onboarding.recording.content import same_request

    return list({same_request(one): one for one in exchanges if one.unreadable is None}.values())


def _tell(recorded: RecordedWorkload, out: Path, url: str | None, rate: str | None) -> None:
    from harness.report.words import count

    values = count(recorded.values, "value")
    echo(f"{out}: {count(len(recorded.lines), 'request')}, {values} expected of their answers")
    if not recorded.values:
        echo("of no answer a value is expected, only its status: write under `expect` what must come again")
    if recorded.loose:
        echo(f"{count(recorded.loose, 'value')} may be any: ids, time stamps, and what differed for the same request")
    for reason, number in sorted(recorded.left_out.items()):
        echo(cell(f"left out: {number} ({reason})"))
    if recorded.took_s:
        took = sorted(recorded.took_s)
        p99_s = took[min(len(took) - 1, int(0.99 * len(took)))]
        echo(f"answers took {statistics.median(took) * 1e3:.0f} ms (median), {p99_s * 1e3:.0f} ms (99 of 100 at most)")
    if recorded.timed:
        usual = len(recorded.lines) / recorded.span_s
        echo(f"each is sent at the time at which it came, {usual:.3g} a second; with --rate they are sent at a rate")
    address = "http://SERVICE:PORT" if url is None else url.rstrip("/")
    echo("\nin x-harness of the stack, with the service's name and port in the address:\n")
    lines = ["workload:", f"  url: {address}", f"  requests: {json.dumps(str(out))}", "  repeat: true"]
    lines += [] if recorded.timed else [f"  rate: {rate or USUAL_RATE}"]
    if recorded.secrets:
        lines.append("  headers:")
        names = {name: re.sub(r"\W", "_", name).upper() for name in recorded.secrets}
        # Compose reads this file too, and two dollar signs as one.
        lines += [f'    {json.dumps(name)}: "$${{secret:{variable}}}"' for name, variable in names.items()]
    echo("\n".join(lines))
