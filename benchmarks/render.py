"""Prints the figures that are stored as Markdown, for a page or a note.

`python -m benchmarks.render [--out DIR]`
"""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.figures import Table
from benchmarks.results import FILE, CannotMeasureError, load, options_parser


def rendered(data: dict[str, Any]) -> str:
    """Return all parts as Markdown, each with when and on what it was measured."""
    return "\n\n".join(_part(name, part) for name, part in data["parts"].items())


def _part(name: str, part: dict[str, Any]) -> str:
    if "not_measured" in part:
        return f"### {name}\n\nNot measured: {part['not_measured'].splitlines()[0]}"
    machine = part["machine"]
    where = f"{machine['cpus']} CPUs, {machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}"
    quick = "; a quick trial, not representative" if part["quick"] else ""
    head = f"### {name}\n\n{part['started'][:10]}, {where}, took {part['took_s']:g} s{quick}"
    tables = [Table.from_json(one).markdown() for one in part["tables"]]
    wrong = [f"- **wrong**: {line}" for line in part["wrong"]]
    return "\n\n".join([head, *tables, *(["\n".join(wrong)] if wrong else [])])


def main() -> int:
    """Print what is stored."""
    path = options_parser("render").parse_args().out / FILE
    try:
        data = load(path)
    except (OSError, CannotMeasureError) as error:
        print(f"nothing to show: {error}", file=sys.stderr)
        return 2
    print(rendered(data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
