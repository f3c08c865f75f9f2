"""What a benchmark leaves behind: tables on the terminal, and its figures in reports/benchmarks/benchmarks.json.

Each part replaces only its own figures in the file, so parts may be run one at a time; each records when, for how long
and on what kind of machine it ran.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figures import Table

ROOT = Path(__file__).resolve().parents[1]
OUT = Path("reports/benchmarks")
FILE = "benchmarks.json"
SCHEMA = 1


class CannotMeasureError(Exception):
    """What is needed for a measurement is missing, or what was measured did not work; the text has the remedy."""


@dataclass(frozen=True)
class Options:
    """The options of every part."""

    quick: bool = False
    out: Path = OUT


@dataclass
class Result:
    """What one part measured. `wrong` lists what it asserts and did not find; empty is well."""

    tables: list[Table]
    figures: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


Part = Callable[[Options], Result]


def options_parser(part: str) -> argparse.ArgumentParser:
    """Return the command line that every part has."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks{f'.{part}' if part else ''}")
    parser.add_argument("--quick", action="store_true", help="fewer runs: shows that it works, not what it costs")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help=f"where figures and runs go ({OUT})")
    return parser


def main(name: str, part: Part) -> int:
    """Run one part by itself and return its exit code."""
    given = options_parser(name).parse_args()
    return run_part(name, part, Options(given.quick, given.out))


def run_part(name: str, part: Part, options: Options) -> int:
    """Run a part, print and store what it found. Returns 0, 1 where it found something wrong, 4 where it could not."""
    began_s = time.monotonic()
    print(f"\n## {name}\n", flush=True)
    try:
        result = part(options)
    except CannotMeasureError as error:
        print(f"not measured: {error}", flush=True)
        store(options, name, {"not_measured": str(error)})
        return 4
    print("\n\n".join(table.markdown() for table in result.tables), flush=True)
    for line in result.wrong:
        print(f"WRONG: {line}", flush=True)
    stored: dict[str, Any] = {
        "started": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "took_s": round(time.monotonic() - began_s, 1),
        "quick": options.quick,
        "machine": machine(),
        "tables": [table.as_json() for table in result.tables],
        "figures": result.figures,
        "wrong": result.wrong,
    }
    store(options, name, stored)
    return 1 if result.wrong else 0


def store(options: Options, name: str, figures: dict[str, Any]) -> None:
    """Put the figures of one part into the file, beside those of the others."""
    path = options.out / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = load(path)["parts"] if path.exists() else {}
    data = {"schema": SCHEMA, "parts": parts | {name: figures}}
    part = path.with_suffix(".part")
    part.write_text(json.dumps(data, indent=1) + "\n")
    part.replace(path)


def load(path: Path) -> dict[str, Any]:
    """Read the file of figures."""
    data: dict[str, Any] = json.loads(path.read_text())
    if data.get("schema") != SCHEMA:
        raise CannotMeasureError(f"{path} is of another version; move it away")
    return data


def machine() -> dict[str, Any]:
    """Return what kind of machine this is, and how busy it is."""
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": [round(x, 2) for x in os.getloadavg()],
    }


def say(text: str) -> None:
    """Tell how it goes, on standard error."""
    print(f"  {text}", file=sys.stderr, flush=True)
