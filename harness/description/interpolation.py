"""Variables in a compose file, by the Compose specification, and the files that set them: `.env` and `env_file`.

`$VAR`, `${VAR}`, `${VAR:-default}`, `${VAR-default}`, `${VAR:+other}`, `${VAR+other}`, `${VAR:?message}`,
`${VAR?message}`, and `$$` for a dollar sign. Defaults may hold variables themselves. A dollar sign before anything else
stays one, as with compose v2: `$(date)`. Files of `NAME=value` lines have
quotes, `export`, comments, and variables in values that are not in single quotes. python-dotenv (1.2) is no substitute:
it expands neither `$NAME` nor `${NAME:+…}`, `${NAME-…}` and `${NAME:?…}`, expands variables in single quotes, and only
warns of a line that it cannot read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from harness.model.errors import StackError
from harness.model.givenfile import read_text

_TOKEN = re.compile(r"\$(?:(?P<escaped>\$)|(?P<named>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*))", re.ASCII)
_OPERATOR = re.compile(r":?[-+?]")
LARGEST_BYTES = 256 * 1024
_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][\w.-]*)\s*(?:=\s*(?P<value>.*))?$")
_QUOTED = re.compile(r"(?P<quote>['\"])(?P<inside>(?:\\.|(?!(?P=quote)).)*)(?P=quote)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class UnsetVariableError(ValueError):
    """A variable that must be set and is not."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"the variable {name} is not set: {why}")
        self.name = name
        self.why = why


def interpolate(text: str, variables: Mapping[str, str], keep: re.Pattern[str] | None = None) -> str:
    """Fill in the variables; what matches `keep` stays as it is. Raises ValueError with what would be right."""
    parts: list[str] = []
    at = 0
    while True:
        dollar = text.find("$", at)
        if dollar < 0:
            return "".join([*parts, text[at:]])
        kept = keep.match(text, dollar) if keep is not None else None
        if kept is not None:
            parts.append(text[at : kept.end()])
            at = kept.end()
            continue
        token = _TOKEN.match(text, dollar)
        if token is None:
            if text[dollar + 1 : dollar + 2] != "{":
                parts.append(text[at : dollar + 1])
                at = dollar + 1
                continue
            raise ValueError(
                f"invalid variable in {text!r}; write ${{NAME}}, ${{NAME:-default}}, or $$ for a dollar sign"
            )
        parts.append(text[at:dollar])
        at = token.end()
        if token["escaped"]:
            parts.append("$")
        elif token["named"]:
            parts.append(variables.get(token["named"], ""))
        else:
            end = _closing(text, at)
            parts.append(_braced(token["braced"], text[at:end], variables))
            at = end + 1


def _closing(text: str, start: int) -> int:
    """Return where the brace closes that was opened before `start`."""
    depth = 1
    for at in range(start, len(text)):
        if text[at] == "{" and text[at - 1] == "$":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
    raise ValueError(f"a variable in {text!r} is not closed with a brace")


def _braced(name: str, rest: str, variables: Mapping[str, str]) -> str:
    if not rest:
        return variables.get(name, "")
    operator = _OPERATOR.match(rest)
    if operator is None:
        raise ValueError(f"${{{name}{rest}}} is not a variable; write ${{{name}}} or ${{{name}:-default}}")
    argument = rest[operator.end() :]
    value = variables.get(name)
    present = bool(value) if ":" in operator[0] else value is not None
    if "-" in operator[0]:
        return str(value) if present else interpolate(argument, variables)
    if "+" in operator[0]:
        return interpolate(argument, variables) if present else ""
    if not present:
        raise UnsetVariableError(name, interpolate(argument, variables) or "it is required")
    return str(value)


def read_env(path: Path, variables: Mapping[str, str], at: dict[str, int] | None = None) -> dict[str, str]:
    """Read one file. A name without `=` is taken over from `variables`; `at` is given each line. Raises StackError."""
    lines = read_text(path, LARGEST_BYTES, StackError).splitlines()
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
