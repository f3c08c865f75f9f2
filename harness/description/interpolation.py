"""Variables in a compose file, as the Compose specification has them.

`$VAR`, `${VAR}`, `${VAR:-default}`, `${VAR-default}`, `${VAR:+other}`, `${VAR+other}`, `${VAR:?message}`,
`${VAR?message}`, and `$$` for a dollar sign. Defaults may hold variables themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_TOKEN = re.compile(r"\$(?:(?P<escaped>\$)|(?P<named>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*))")
_OPERATOR = re.compile(r":?[-+?]")


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
        raise ValueError(f"the variable {name} is not set: {interpolate(argument, variables) or 'it is required'}")
    return str(value)
