"""Files of `NAME=value` lines, as compose reads `.env` and `env_file`.

Quotes, `export`, comments, and variables in values that are not in single quotes. python-dotenv (1.2) is no substitute:
it expands neither `$NAME` nor `${NAME:+…}`, `${NAME-…}` and `${NAME:?…}`, expands variables in single quotes, and only
warns of a line that it cannot read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from harness.description.interpolation import interpolate
from harness.model.errors import StackError

LARGEST_BYTES = 256 * 1024
_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][\w.-]*)\s*(?:=\s*(?P<value>.*))?$")
_QUOTED = re.compile(r"(?P<quote>['\"])(?P<inside>(?:\\.|(?!(?P=quote)).)*)(?P=quote)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def read_env(path: Path, variables: Mapping[str, str], at: dict[str, int] | None = None) -> dict[str, str]:
    """Read one file. A name without `=` is taken over from `variables`; `at` is given each line. Raises StackError."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise StackError(f"the file is longer than {LARGEST_BYTES} bytes", file=str(path))
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise StackError(f"cannot be read: {error.strerror}", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise StackError("this is not a text file in UTF-8", file=str(path)) from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.match(text)
        if match is None:
            raise StackError("this is not NAME=value", file=str(path), line=number)
        if at is not None:
            at[match["name"]] = number
        if match["value"] is None:
            if match["name"] in variables:
                found[match["name"]] = variables[match["name"]]
            continue
        try:
            found[match["name"]] = _value(match["value"], {**found, **variables})
        except ValueError as error:
            raise StackError(str(error), file=str(path), line=number, field=match["name"]) from error
    return found


def _value(text: str, variables: Mapping[str, str]) -> str:
    quoted = _QUOTED.match(text)
    if quoted is None:
        return _filled(re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip(), variables)
    if quoted["quote"] == "'":
        return quoted["inside"]
    return _filled(re.sub(r"\\([nrt\"\\])", lambda m: _ESCAPES.get(m[1], m[1]), quoted["inside"]), variables)


def _filled(text: str, variables: Mapping[str, str]) -> str:
    return interpolate(text, variables) if re.search(r"\$[A-Za-z_{]", text) else text
